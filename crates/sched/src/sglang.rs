//! SGLang's scheduler for workers that prefill, or prefill and decode.

use sglsim_units::{SimTime, TokenCount};

use crate::adder::{AddReqResult, PrefillAdder, sort_waiting};
use crate::config::{RETRACT_DECODE_STEPS, SchedulerConfig};
use crate::request::Slot;
use crate::{BatchState, Fcfs, ForwardMode, NewTokenRatio, SchedError, SchedulePolicy, Scheduler};

/// Prefill first; chunked prefill; retraction when decode runs out of memory.
///
/// # Source
///
/// SGLang 0.5.23, `managers/scheduler.py:Scheduler.get_next_batch_to_run` and
/// `schedule_batch.py:ScheduleBatch.retract_decode`.
#[derive(Debug)]
pub struct SglangScheduler {
    policy: Box<dyn SchedulePolicy>,
    ratio: NewTokenRatio,
    /// Sticky: set when no memory or no row was left, cleared when a request leaves.
    batch_is_full: bool,
}

impl SglangScheduler {
    /// The scheduler of a rank, first come first served.
    #[must_use]
    pub fn new(config: &SchedulerConfig) -> Self {
        Self::with_policy(config, Box::new(Fcfs))
    }

    /// The scheduler of a rank with another order of the waiting queue.
    #[must_use]
    pub fn with_policy(config: &SchedulerConfig, policy: Box<dyn SchedulePolicy>) -> Self {
        Self {
            policy,
            ratio: NewTokenRatio::new(config.schedule_conservativeness),
            batch_is_full: false,
        }
    }

    #[cfg(feature = "testing")]
    pub(crate) fn at_ratio(self, ratio: NewTokenRatio) -> Self {
        Self { ratio, ..self }
    }

    /// The ratio that admission reserves with now.
    #[must_use]
    pub fn new_token_ratio(&self) -> f64 {
        self.ratio.get()
    }

    /// Builds the prefill batch; `false` if there is none.
    fn new_batch_prefill(&mut self, batch: &mut BatchState) -> Result<bool, SchedError> {
        if batch.running().is_empty() {
            self.batch_is_full = false;
        }
        let chunked = batch.chunked_req();
        if chunked.is_none() && (self.batch_is_full || batch.waiting.is_empty()) {
            return Ok(false);
        }
        let rows = batch.free_rows();
        if rows == 0 && chunked.is_none() {
            self.batch_is_full = true;
            return Ok(false);
        }
        sort_waiting(batch, self.policy.as_mut());
        let mut adder = PrefillAdder::new(batch, self.ratio.get());
        if let Some(slot) = chunked {
            adder.add_chunked_req(batch, slot)?;
        }
        while let Some(slot) = batch.waiting.front().copied() {
            if adder.budget_state(batch) == AddReqResult::Other {
                break;
            }
            if batch.extend_batch().len() >= rows {
                self.batch_is_full = true;
                break;
            }
            match adder.add_one_req(batch, slot)? {
                AddReqResult::Continue => {}
                AddReqResult::NoToken => {
                    self.batch_is_full =
                        !batch.extend_batch().is_empty() || !batch.running().is_empty();
                    break;
                }
                AddReqResult::Other => break,
            }
        }
        Ok(!batch.extend_batch().is_empty())
    }

    /// Retracts until one decode step of the rest fits, and learns a new ratio from it.
    fn retract_decode(&mut self, batch: &mut BatchState) -> Result<(), SchedError> {
        retract(batch)?;
        let (mut generated, mut max_new) = (0, 0);
        for view in running_views(batch) {
            generated += view.generated;
            max_new += view.max_new_tokens;
        }
        let room = RETRACT_DECODE_STEPS * batch.running().len() as u64;
        self.ratio.after_retraction(generated, max_new, room);
        Ok(())
    }
}

fn running_views(batch: &BatchState) -> impl Iterator<Item = crate::ReqView> + '_ {
    batch.running().members().iter().map(|slot| batch.view(*slot))
}

/// Retracts at least one request, then more until one decode step of the rest fits; always leaves
/// one. Victims are those with the fewest generated tokens, then the longest prompt, then the
/// latest to join.
pub(crate) fn retract(batch: &mut BatchState) -> Result<(), SchedError> {
    let mut keep: Vec<Slot> = batch.running().members().to_vec();
    keep.sort_by_key(|&slot| {
        let view = batch.view(slot);
        (std::cmp::Reverse(view.generated), view.prompt_tokens, batch.req(slot).join_order)
    });
    while keep.len() > 1 {
        let victim = keep.pop().expect("more than one is left");
        batch.retract(victim)?;
        // What the victim had published can be evicted now, and some room to go on is made of it.
        batch.memory.make_room(RETRACT_DECODE_STEPS * keep.len() as TokenCount);
        if batch.check_decode_mem() {
            return Ok(());
        }
    }
    Ok(())
}

impl Scheduler for SglangScheduler {
    fn name(&self) -> &str {
        "sglang"
    }

    fn next_step(
        &mut self,
        batch: &mut BatchState,
        _now: SimTime,
    ) -> Result<ForwardMode, SchedError> {
        if std::mem::take(&mut batch.shrank) {
            self.batch_is_full = false;
        }
        if self.new_batch_prefill(batch)? {
            return Ok(ForwardMode::Extend);
        }
        if batch.running().is_empty() {
            if batch.is_empty() {
                self.ratio.reset();
            }
            return Ok(ForwardMode::Idle);
        }
        if batch.check_decode_mem() {
            self.ratio.decay();
        } else {
            self.retract_decode(batch)?;
            batch.shrank = false;
            self.batch_is_full = false;
        }
        Ok(ForwardMode::Decode)
    }
}

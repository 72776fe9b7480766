//! SGLang's scheduler for workers that prefill, or prefill and decode.

use std::cmp::Reverse;

use sglsim_units::{SimTime, TokenCount};

use crate::adder::{AddReqResult, PrefillAdder};
use crate::config::{RETRACT_DECODE_STEPS, RetractionPolicy, SchedulerConfig};
use crate::delayer::PrefillDelayer;
use crate::queue::{refresh_waiting_prefixes, sort_waiting};
use crate::request::Slot;
use crate::{
    BatchState, Fcfs, ForwardMode, Needs, NewTokenRatio, SchedError, SchedulePolicy, Scheduler,
};

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
    /// Sticky: set when no memory or no row was left, cleared when a request leaves; by micro-batch.
    batch_is_full: Vec<bool>,
    /// Decode steps that have to pass before the next prefill.
    decode_steps_due: u32,
    /// Passes over a queue whose order needs no prefix matches.
    passes: u32,
    delayer: Option<PrefillDelayer>,
}

/// Passes from one refresh of the prefixes of waiting requests to the next (SGLang 0.5.23,
/// `WAITING_PREFIX_REFRESH_INTERVAL`).
const REFRESH_INTERVAL: u32 = 32;

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
            batch_is_full: vec![false; config.pp_size as usize],
            decode_steps_due: 0,
            passes: 0,
            delayer: config.prefill_delayer.map(PrefillDelayer::new),
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

    /// Whether decode steps are due before the next prefill; counts one of them off.
    fn defers_prefill(&mut self, batch: &BatchState) -> bool {
        let running = batch.running().len();
        let least = batch.config().prefill_decode_interval_min_bs as usize;
        if running == 0 || running < least {
            self.decode_steps_due = 0;
        }
        let defers = self.decode_steps_due > 0;
        self.decode_steps_due = self.decode_steps_due.saturating_sub(1);
        defers
    }

    /// Builds the prefill batch; `false` if there is none.
    fn new_batch_prefill(
        &mut self,
        batch: &mut BatchState,
        now: SimTime,
    ) -> Result<bool, SchedError> {
        let at = batch.micro_batch();
        let preempts = batch.config().enable_priority_scheduling;
        if batch.running().is_empty() || preempts {
            self.batch_is_full[at] = false;
        }
        let chunked = batch.chunked_req();
        if chunked.is_none() && (self.batch_is_full[at] || batch.waiting.is_empty()) {
            return Ok(false);
        }
        if chunked.is_none() {
            let (rows, config) = (batch.free_rows(), batch.config());
            let least = config.min_free_slots.min(config.max_running_requests) as usize;
            if least > 1 && rows < least && !batch.running().is_empty() {
                return Ok(false);
            }
            if rows == 0 && !preempts {
                self.batch_is_full[at] = true;
                return Ok(false);
            }
        }
        self.sort_waiting(batch);
        let mut adder = PrefillAdder::new(batch, self.ratio.get());
        adder.delayer = self.delayer.take().map(|delayer| delayer.begin(batch, now));
        let done = self.walk(batch, &mut adder, chunked, preempts);
        let admitted = batch.extend_batch().len();
        self.delayer = adder.delayer.map(|pass| pass.end(admitted));
        done?;
        Ok(admitted > 0)
    }

    fn sort_waiting(&mut self, batch: &mut BatchState) {
        sort_waiting(batch, self.policy.as_mut());
        let looks_up =
            matches!(self.policy.needs(batch.waiting.len()), Needs::Matches | Needs::TreeOrder);
        if !looks_up && batch.memory().evicts_least_recent() {
            if self.passes.is_multiple_of(REFRESH_INTERVAL) {
                refresh_waiting_prefixes(batch);
            }
            self.passes = self.passes.wrapping_add(1);
        }
    }

    /// Continues the chunked request and walks the queue up to the first request that does not fit.
    fn walk(
        &mut self,
        batch: &mut BatchState,
        adder: &mut PrefillAdder,
        chunked: Option<Slot>,
        preempts: bool,
    ) -> Result<(), SchedError> {
        if let Some(slot) = chunked {
            let yields = self.policy.yields_chunk_to_shorter();
            let limit = yields.then(|| adder.chunk_limit_for_shorter(batch, slot)).flatten();
            adder.add_chunked_req(batch, slot, limit)?;
        }
        let at = batch.micro_batch();
        // Who is pushed out on the way joins the tail and waits for the next pass.
        for _ in 0..batch.waiting.len() {
            let Some(slot) = batch.waiting.front().copied() else { break };
            if adder.budget_state(batch) == AddReqResult::Other {
                break;
            }
            // A chunked request holds its row already.
            let config = batch.config();
            let (rows, here) = (config.max_running_requests, config.micro_batch_size());
            let taken = batch.running().len() + batch.finishing.len() + batch.extend_batch().len();
            let elsewhere = batch.inflight + batch.parked_rows();
            if taken >= here as usize || taken + elsewhere >= rows as usize {
                self.batch_is_full[at] = true;
            }
            if self.batch_is_full[at] && !(preempts && adder.preempt_to_schedule(batch, slot)?) {
                break;
            }
            let mut result = adder.add_one_req(batch, slot)?;
            if result == AddReqResult::NoToken && batch.rows() == 0 {
                result = adder.add_alone(batch, slot)?;
            }
            match result {
                AddReqResult::Continue => {}
                AddReqResult::NoToken => {
                    self.batch_is_full[at] =
                        !batch.extend_batch().is_empty() || !batch.running().is_empty();
                    break;
                }
                AddReqResult::Other => break,
            }
        }
        Ok(())
    }

    /// Retracts until one decode step of the rest fits, and learns a new ratio from it. If not even
    /// the last one fits, it is given up.
    fn retract_decode(&mut self, batch: &mut BatchState) -> Result<(), SchedError> {
        retract(batch)?;
        if batch.running().len() == 1 && !batch.check_decode_mem() {
            let last = batch.running().members()[0];
            batch.give_up(last)?;
        }
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
/// latest to join; before all that the least urgent, where priorities decide.
///
/// # Source
///
/// SGLang 0.5.23, `managers/schedule_batch.py:ScheduleBatch._get_decode_retraction_order`.
pub(crate) fn retract(batch: &mut BatchState) -> Result<(), SchedError> {
    let mut keep: Vec<Slot> = batch.running().members().to_vec();
    keep.sort_by_key(|&slot| {
        let view = batch.view(slot);
        let urgency = match batch.config().retraction_policy {
            RetractionPolicy::Length => 0,
            RetractionPolicy::Priority => batch.config().urgency(view.labels.priority),
        };
        let by_length = (Reverse(view.generated), view.prompt_tokens, view.join_order);
        (Reverse(urgency), by_length)
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
        now: SimTime,
    ) -> Result<ForwardMode, SchedError> {
        let at = batch.micro_batch();
        loop {
            if std::mem::take(&mut batch.shrank) {
                self.batch_is_full[at] = false;
            }
            if !self.defers_prefill(batch) && self.new_batch_prefill(batch, now)? {
                self.decode_steps_due = batch.config().prefill_decode_interval;
                let mixes = batch.config().enable_mixed_chunk && {
                    batch.drop_finishing();
                    batch.decode_fits_beside_extend()
                };
                return Ok(if mixes { ForwardMode::Mixed } else { ForwardMode::Extend });
            }
            let drops = batch.drop_finishing();
            if batch.running().is_empty() {
                if batch.is_empty() && !batch.is_step_in_flight() {
                    self.ratio.reset();
                }
                return Ok(ForwardMode::Idle);
            }
            if batch.check_decode_mem() {
                self.ratio.decay();
                return Ok(ForwardMode::Decode);
            }
            if drops {
                // Those in their last step free enough, or at least something, when it ends.
                return Ok(ForwardMode::Idle);
            }
            self.retract_decode(batch)?;
            batch.shrank = false;
            self.batch_is_full[at] = false;
            if !batch.running().is_empty() {
                return Ok(ForwardMode::Decode);
            }
            // The last one was given up; what it held may be what others waited for.
        }
    }
}

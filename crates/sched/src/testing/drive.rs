//! The engine's part, without time: submit, step, transfer, until every request is done.

use std::collections::BTreeMap;

use sglsim_units::{SimTime, TokenCount};

use super::case::Case;
use super::laws;
use crate::request::Slot;
use crate::{
    BatchState, DisaggregationMode, ExtendSlice, ForwardMode, Notice, SchedError, Scheduler,
};

/// What one step decided and did.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Decision {
    pub(super) step: u64,
    pub(super) mode: ForwardMode,
    pub(super) slices: Vec<ExtendSlice>,
    pub(super) notices: Vec<Notice>,
}

/// Work that is still to come to the rank.
struct Outside<'a> {
    case: &'a Case,
    /// Next arrival.
    next: usize,
    /// Transfers by the step at which they end.
    transfers: BTreeMap<(u64, Slot), ()>,
    /// Output length of each request by its id, `None` when it is done or was refused.
    expected: Vec<Option<TokenCount>>,
}

/// Runs a case to its end and returns what was decided; checks every law but `SCHED-7` on the way.
pub(super) fn drive(case: &Case, scheduler: &mut dyn Scheduler) -> Vec<Decision> {
    let mut batch = case.rank();
    let mut outside = Outside { case, next: 0, transfers: BTreeMap::new(), expected: Vec::new() };
    let (mut history, mut step, mut done) = (Vec::new(), 0, 0);
    let allowed = steps_allowed(case);
    loop {
        outside.arrive(&mut batch, step);
        if case.overlap {
            batch.launch_step();
        }
        let under_way = batch.is_step_in_flight();
        if batch.is_empty() && !under_way && outside.next == case.arrivals.len() {
            break;
        }
        let now = SimTime::new(step as f64).expect("steps are finite");
        let mode = take(case, step, scheduler.next_step(&mut batch, now));
        let budget = scheduler.token_budget(&case.config);
        laws::check_choice(case, step, &batch, mode, budget);
        let slices = batch.extend_batch().to_vec();
        take(case, step, batch.begin_step(mode));
        if under_way || !case.overlap {
            batch.finish_step(now);
        }
        laws::check_memory(case, step, &batch);
        let notices: Vec<Notice> = batch.drain_notices().collect();
        for notice in &notices {
            outside.note(notice, step);
        }
        history.push(Decision { step, mode, slices, notices });
        done += 1;
        if done > allowed {
            laws::starved(case, step, &batch, &outside.expected);
        }
        let idles = mode == ForwardMode::Idle && !under_way;
        step = match outside.next_event() {
            Some(at) if idles => at.max(step + 1),
            None if idles && !batch.is_empty() => laws::idle_for_ever(case, step, &batch),
            _ => step + 1,
        };
    }
    laws::check_end(case, step, &batch, &outside.expected);
    history
}

/// More steps than any scheduler needs that makes progress: four times the steps of one that
/// computes a token a step and runs one request at a time.
fn steps_allowed(case: &Case) -> u64 {
    let tokens = |request: &crate::Submission| request.prompt.tokens() + request.stop_after;
    200 + 4 * case.arrivals.iter().map(|(_, request)| tokens(request)).sum::<TokenCount>()
}

fn take<T>(case: &Case, step: u64, result: Result<T, SchedError>) -> T {
    result.unwrap_or_else(|error| laws::refused(case, step, &error))
}

impl Outside<'_> {
    /// Hands over what comes at this step.
    fn arrive(&mut self, batch: &mut BatchState, step: u64) {
        while let Some((at, request)) = self.case.arrivals.get(self.next)
            && *at <= step
        {
            self.next += 1;
            let slot = batch.submit(request.clone());
            // A prompt that can never fit is refused; that is not the scheduler's doing.
            self.expected.push(slot.ok().map(|slot| batch.req(slot).stop_after));
        }
        while let Some((&(at, slot), ())) = self.transfers.first_key_value()
            && at <= step
        {
            self.transfers.pop_first();
            let ended = match self.case.config.mode {
                DisaggregationMode::Prefill => {
                    self.expected[batch.id(slot).index()] = None;
                    batch.finish_send(slot)
                }
                _ => batch.finish_receive(slot),
            };
            ended.expect("a transfer ends once");
        }
    }

    /// When something comes next.
    fn next_event(&self) -> Option<u64> {
        let arrival = self.case.arrivals.get(self.next).map(|(at, _)| *at);
        let transfer = self.transfers.first_key_value().map(|((at, _), ())| *at);
        arrival.into_iter().chain(transfer).min()
    }

    fn note(&mut self, notice: &Notice, step: u64) {
        let case = self.case;
        let prefill = case.config.mode == DisaggregationMode::Prefill;
        match *notice {
            Notice::Finished { id, generated, .. } => {
                let expected = self.expected[id.index()].take();
                laws::check_finish(case, step, id, (generated, expected));
            }
            Notice::Extended { slot, id, last: true, .. } if prefill => {
                self.transfers.insert((step + 1 + case.delays[id.index()], slot), ());
            }
            Notice::Preallocated { slot, id } => {
                self.transfers.insert((step + 1 + case.delays[id.index()], slot), ());
            }
            _ => {}
        }
    }
}

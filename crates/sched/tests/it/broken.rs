//! Broken schedulers and queue orders fail the suite, each under the law that it breaks.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::atomic::{AtomicU64, Ordering};

use sglsim_sched::{
    BatchState, DecodeScheduler, Fcfs, ForwardMode, LongestOutputFirst, Needs, QueueEntry,
    SchedError, SchedulePolicy, Scheduler, SchedulerConfig, SglangScheduler, Slot, testing,
};
use sglsim_units::SimTime;

/// Runs a suite that must fail, and checks the start of its message.
#[track_caller]
fn check(law: &str, suite: impl FnOnce()) {
    let failure = catch_unwind(AssertUnwindSafe(suite)).expect_err("the suite must fail");
    let message = failure.downcast_ref::<String>().expect("a message");
    assert!(message.starts_with(law), "expected {law}, got: {message}");
}

/// SGLang's scheduler behind a function that may decide instead.
#[derive(Debug)]
struct Tampered<F> {
    inner: Box<dyn Scheduler>,
    tamper: F,
}

type Decision = Result<Option<ForwardMode>, SchedError>;

impl<F: FnMut(&mut BatchState) -> Decision + Send> Scheduler for Tampered<F>
where
    F: std::fmt::Debug,
{
    fn name(&self) -> &str {
        "tampered"
    }

    fn next_step(
        &mut self,
        batch: &mut BatchState,
        now: SimTime,
    ) -> Result<ForwardMode, SchedError> {
        match (self.tamper)(batch)? {
            Some(mode) => Ok(mode),
            None => self.inner.next_step(batch, now),
        }
    }
}

/// A `fn` pointer, which is `Debug`, so that each broken scheduler is one function.
type Tamper = fn(&mut BatchState) -> Decision;

fn tampered(config: &SchedulerConfig, tamper: Tamper) -> Box<dyn Scheduler> {
    Box::new(Tampered { inner: Box::new(SglangScheduler::new(config)), tamper })
}

fn head(batch: &BatchState) -> Option<Slot> {
    batch.waiting_queue().next()
}

/// Tokens that a waiting request has to compute after `prefix`.
fn rest(batch: &BatchState, slot: Slot, prefix: u64) -> u64 {
    let view = batch.view(slot);
    view.prompt_tokens + view.generated - prefix
}

#[test]
fn sched_1_a_prompt_is_never_cut() {
    let whole: Tamper = |batch| {
        let Some(slot) = head(batch) else { return Ok(None) };
        let found = batch.match_prefix(slot);
        let extend = rest(batch, slot, found.tokens);
        if batch.free_rows() == 0 || extend + 20 > batch.memory().allocatable() {
            return Ok(None);
        }
        batch.admit(slot, found, extend)?;
        Ok(Some(ForwardMode::Extend))
    };
    check("SCHED-1 chunk budget", || testing::conformance(|config| tampered(config, whole)));
}

#[test]
fn sched_2_rows_are_not_counted() {
    let greedy: Tamper = |batch| {
        let Some(slot) = head(batch) else { return Ok(None) };
        let found = batch.match_prefix(slot);
        let page = u64::from(batch.config().page_size);
        let extend = rest(batch, slot, found.tokens).min(page);
        if batch.chunked_req().is_some() || batch.free_rows() > 0 {
            return Ok(None);
        }
        batch.admit(slot, found, extend)?;
        Ok(Some(ForwardMode::Extend))
    };
    check("SCHED-2", || testing::conformance(|config| tampered(config, greedy)));
}

#[test]
fn sched_3_decode_without_a_look_at_memory() {
    let blind: Tamper = |batch| {
        Ok((!batch.running().is_empty() && batch.chunked_req().is_none())
            .then_some(ForwardMode::Decode)
            .filter(|_| head(batch).is_none()))
    };
    check("SCHED-3", || testing::conformance(|config| tampered(config, blind)));
}

#[test]
fn sched_4_two_prompts_are_cut() {
    let cutter: Tamper = |batch| {
        let page = u64::from(batch.config().page_size);
        let long: Vec<Slot> = batch
            .waiting_queue()
            .filter(|slot| rest(batch, *slot, 0) > 40)
            .take(batch.free_rows().min(2))
            .collect();
        if long.len() < 2 || batch.memory().allocatable() < 100 {
            return Ok(None);
        }
        for slot in long {
            let found = batch.match_prefix(slot);
            if rest(batch, slot, found.tokens) > page {
                batch.admit(slot, found, page)?;
            }
        }
        Ok((!batch.extend_batch().is_empty()).then_some(ForwardMode::Extend))
    };
    check("SCHED-4", || testing::conformance(|config| tampered(config, cutter)));
}

#[test]
fn sched_5_idles_while_work_waits() {
    let lazy: Tamper = |batch| Ok((head(batch).is_some()).then_some(ForwardMode::Idle));
    check("SCHED-5 work conserving", || testing::conformance(|config| tampered(config, lazy)));
    let lazy_decode = |_: &SchedulerConfig| -> Box<dyn Scheduler> {
        let tamper: Tamper =
            |batch| Ok((batch.prealloc_queue_len() > 0).then_some(ForwardMode::Idle));
        Box::new(Tampered { inner: Box::new(DecodeScheduler::new()), tamper })
    };
    check("SCHED-5 work conserving", || testing::decode_conformance(lazy_decode));
}

#[test]
fn sched_6_retracts_for_ever() {
    /// One page at a time, and whoever runs is pushed out again.
    fn thrash(batch: &mut BatchState) -> Decision {
        while let Some(slot) = batch.running().members().first().copied() {
            batch.retract(slot)?;
        }
        let page = u64::from(batch.config().page_size);
        if let Some(slot) = batch.chunked_req() {
            let view = batch.view(slot);
            let left = view.prompt_tokens + view.generated - view.committed;
            batch.continue_chunked(slot, left.min(page))?;
            return Ok(Some(ForwardMode::Extend));
        }
        let Some(slot) = head(batch) else { return Ok(None) };
        let found = batch.match_prefix(slot);
        let extend = rest(batch, slot, found.tokens).min(page);
        if extend > batch.memory().allocatable() {
            return Ok(None);
        }
        batch.admit(slot, found, extend)?;
        Ok(Some(ForwardMode::Extend))
    }
    check("SCHED-6", || testing::conformance(|config| tampered(config, thrash)));
}

#[test]
fn sched_7_decides_by_what_happened_elsewhere() {
    static RUNS: AtomicU64 = AtomicU64::new(0);
    check("SCHED-7 determinism", || {
        testing::conformance(|config| {
            let odd = RUNS.fetch_add(1, Ordering::Relaxed) % 2 == 1;
            let policy: Box<dyn SchedulePolicy> =
                if odd { Box::new(Fcfs) } else { Box::new(LongestOutputFirst) };
            Box::new(SglangScheduler::with_policy(config, policy))
        });
    });
}

#[test]
fn sched_8_chooses_a_step_without_a_batch() {
    let decode: Tamper = |_| Ok(Some(ForwardMode::Decode));
    check("SCHED-8", || testing::conformance(|config| tampered(config, decode)));
    let forgets: Tamper = |batch| {
        let Some(slot) = head(batch) else { return Ok(None) };
        let found = batch.match_prefix(slot);
        let page = u64::from(batch.config().page_size);
        let extend = rest(batch, slot, found.tokens).min(page);
        batch.admit(slot, found, extend)?;
        Ok(Some(ForwardMode::Decode))
    };
    check("SCHED-8", || testing::conformance(|config| tampered(config, forgets)));
}

#[derive(Debug)]
struct BrokenOrder {
    breach: fn(&mut [usize]),
}

impl SchedulePolicy for BrokenOrder {
    fn name(&self) -> &str {
        "broken"
    }

    fn needs(&self, _waiting: usize) -> Needs {
        Needs::Entries
    }

    fn order(&mut self, _entries: &[QueueEntry], order: &mut [usize]) {
        (self.breach)(order);
    }
}

#[test]
fn policy_1_loses_a_request() {
    let breach = |order: &mut [usize]| order.fill(0);
    check("POLICY-1", || testing::policy_conformance(|| Box::new(BrokenOrder { breach })));
}

#[test]
fn policy_2_orders_by_what_happened_elsewhere() {
    static CALLS: AtomicU64 = AtomicU64::new(0);
    let breach = |order: &mut [usize]| {
        if CALLS.fetch_add(1, Ordering::Relaxed) % 2 == 1 {
            order.reverse();
        }
    };
    check("POLICY-2", || testing::policy_conformance(|| Box::new(BrokenOrder { breach })));
}

//! Moves that cannot be made are refused, say why, and change nothing.

use sglsim_radix::Prompt;
use sglsim_sched::{BatchState, ForwardMode, SchedError, SchedulerConfig, Slot, Submission};
use sglsim_units::SimTime;

use crate::rank::{rank, request};

fn config() -> SchedulerConfig {
    let mut config = SchedulerConfig::new(320, 2);
    config.page_size = 16;
    config
}

/// Tries to admit a request's first `extend` tokens.
fn admit(batch: &mut BatchState, slot: Slot, extend: u64) -> Result<(), SchedError> {
    let found = batch.match_prefix(slot);
    batch.admit(slot, found, extend)
}

#[track_caller]
fn check(error: &SchedError, message: &str) {
    assert_eq!(error.to_string(), message);
}

#[test]
fn requests_that_can_never_run_are_refused() {
    let mut batch = rank(&config());
    let empty = Submission { prompt: Prompt::new(vec![]), ..request(7, 1, 5) };
    check(
        &batch.submit(empty).unwrap_err(),
        "the prompt of request r7 has no tokens, allowed is at least 1",
    );
    let error = batch.submit(request(8, 315, 5)).unwrap_err();
    assert!(matches!(error, SchedError::PromptTooLong { tokens: 315, allowed: 314, .. }));
    assert!(batch.is_empty());
}

#[test]
fn outputs_are_cut_to_what_the_rank_can_hold_and_to_what_is_allowed() {
    let mut batch = rank(&config());
    // 320 - ceil(100) - 16 - 1
    let slot = batch.submit(request(0, 100, 1000)).unwrap();
    assert_eq!(batch.view(slot).max_new_tokens, 191);
    // A request that would go on is stopped at its limit.
    let mut batch = rank(&config());
    let over = Submission { stop_after: 50, max_new_tokens: 3, ..request(1, 10, 3) };
    let slot = batch.submit(over).unwrap();
    admit(&mut batch, slot, 10).unwrap();
    batch.begin_step(ForwardMode::Extend).unwrap();
    batch.finish_step(SimTime::ZERO);
    for _ in 0..2 {
        assert_eq!(batch.len(), 1);
        batch.begin_step(ForwardMode::Decode).unwrap();
        batch.finish_step(SimTime::ZERO);
    }
    assert!(batch.is_empty());
}

#[test]
fn slices_that_make_no_sense_are_refused() {
    let mut batch = rank(&config());
    let slot = batch.submit(request(0, 100, 5)).unwrap();
    for extend in [0, 20, 101] {
        let error = admit(&mut batch, slot, extend).unwrap_err();
        assert!(matches!(error, SchedError::BadSlice { .. }), "{extend}: {error}");
    }
    check(
        &admit(&mut batch, slot, 20).unwrap_err(),
        "request r0 cannot be extended by 20 tokens: 100 remain, and a slice that leaves a remainder \
         must end on a page of 16",
    );
    assert!(batch.extend_batch().is_empty());
    assert_eq!(batch.waiting_queue().len(), 1);
    admit(&mut batch, slot, 32).unwrap();
    check(
        &admit(&mut batch, slot, 32).unwrap_err(),
        "request r0 is being extended and cannot be admitted",
    );
}

#[test]
fn rows_memory_and_a_second_cut_are_refused() {
    let mut batch = rank(&config());
    let slots: Vec<Slot> = (0..3).map(|id| batch.submit(request(id, 160, 5)).unwrap()).collect();
    admit(&mut batch, slots[0], 32).unwrap();
    check(
        &admit(&mut batch, slots[1], 32).unwrap_err(),
        "request r1 cannot be cut: request r0 is being chunked, and only one may be",
    );
    admit(&mut batch, slots[1], 160).unwrap();
    check(
        &admit(&mut batch, slots[2], 160).unwrap_err(),
        "request r2 cannot be admitted: 2 requests hold a row, `max_running_requests` is 2",
    );
    let mut config = config();
    config.max_running_requests = 3;
    let mut batch = rank(&config);
    let slots: Vec<Slot> = (0..3).map(|id| batch.submit(request(id, 160, 5)).unwrap()).collect();
    admit(&mut batch, slots[0], 160).unwrap();
    admit(&mut batch, slots[1], 160).unwrap();
    check(
        &admit(&mut batch, slots[2], 160).unwrap_err(),
        "request r2 cannot be admitted: it needs 160 KV slots, 0 are free or evictable",
    );
    assert_eq!(batch.waiting_queue().len(), 1);
}

#[test]
fn a_step_must_fit_the_batches() {
    let mut batch = rank(&config());
    for mode in [ForwardMode::Extend, ForwardMode::Decode] {
        let error = batch.begin_step(mode).unwrap_err();
        assert!(matches!(error, SchedError::WrongMode { extending: 0, running: 0, .. }));
    }
    let slot = batch.submit(request(0, 10, 5)).unwrap();
    admit(&mut batch, slot, 10).unwrap();
    check(
        &batch.begin_step(ForwardMode::Idle).unwrap_err(),
        "step Idle was chosen with 1 requests in the extend batch and 0 running; Extend needs an \
         extend batch, Decode a running batch and no extend batch, Mixed both, Idle no extend batch",
    );
    batch.begin_step(ForwardMode::Extend).unwrap();
}

#[test]
fn what_is_not_there_cannot_be_continued_retracted_sent_or_received() {
    let mut batch = rank(&config());
    let slot = batch.submit(request(0, 10, 5)).unwrap();
    let refused = [
        batch.continue_chunked(slot, 5),
        batch.retract(slot),
        batch.finish_send(slot),
        batch.finish_receive(slot),
    ];
    for result in refused {
        assert!(matches!(result, Err(SchedError::WrongState { state: "waiting", .. })));
    }
}

#[test]
fn settings_out_of_range_are_refused() {
    let good = config();
    let change = |change: fn(&mut SchedulerConfig)| {
        let mut config = good.clone();
        change(&mut config);
        config.validated().unwrap_err().to_string()
    };
    let pool = "a positive multiple of page_size 16";
    let cases = [
        (change(|c| c.page_size = 0), "`page_size` is 0, allowed is >= 1".to_owned()),
        (
            change(|c| c.max_total_num_tokens = 0),
            format!("`max_total_num_tokens` is 0, allowed is {pool}"),
        ),
        (
            change(|c| c.max_total_num_tokens = 100),
            format!("`max_total_num_tokens` is 100, allowed is {pool}"),
        ),
        (
            change(|c| c.max_running_requests = 0),
            "`max_running_requests` is 0, allowed is >= 1".to_owned(),
        ),
        (
            change(|c| c.chunked_prefill_size = Some(15)),
            "`chunked_prefill_size` is 15, allowed is >= page_size 16, or None to switch chunking \
             off"
            .to_owned(),
        ),
        (
            change(|c| c.max_prefill_tokens = 0),
            "`max_prefill_tokens` is 0, allowed is >= 1".to_owned(),
        ),
        (
            change(|c| c.schedule_conservativeness = f64::NAN),
            "`schedule_conservativeness` is NaN, allowed is > 0 and finite".to_owned(),
        ),
    ];
    for (message, expected) in cases {
        assert_eq!(message, expected);
    }
    assert!(good.validated().is_ok());
}

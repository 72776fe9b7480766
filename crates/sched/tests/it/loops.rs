//! Batch sequences of small scenarios, derived by hand. Prompts have lengths and outputs limits that
//! they reach; pages have one token unless said otherwise.

use sglsim_sched::{
    BatchState, ForwardMode, Labels, MixedScheduler, MostUrgentFirst, Notice,
    PrefillFirstScheduler, SchedError, Scheduler, SchedulerConfig, SglangScheduler, Submission,
    WholeScheduler,
};
use sglsim_units::{SimTime, TokenCount};

use crate::rank::{ids, rank, rank_without_cache, request, slices};

/// A step: what it is, the slices as (request, prefix, extend), who decodes, and who finishes by it.
type Step = (ForwardMode, &'static [(u32, TokenCount, TokenCount)], &'static [u32], &'static [u32]);

/// Runs one step and compares it.
#[track_caller]
fn check(
    scheduler: &mut dyn Scheduler,
    batch: &mut BatchState,
    (mode, extends, decodes, ends): Step,
) {
    let chosen = scheduler.next_step(batch, SimTime::ZERO).unwrap();
    let mut decoding = match chosen {
        ForwardMode::Decode | ForwardMode::Mixed => {
            ids(batch, batch.running().members().iter().copied())
        }
        _ => Vec::new(),
    };
    decoding.sort_unstable();
    let found = slices(batch);
    batch.begin_step(chosen).unwrap();
    batch.finish_step(SimTime::ZERO);
    let finished = |notice: Notice| match notice {
        Notice::Finished { id, .. } => Some(id.0),
        _ => None,
    };
    let ended: Vec<u32> = batch.drain_notices().filter_map(finished).collect();
    let found = (chosen, found.as_slice(), decoding.as_slice(), ended.as_slice());
    assert_eq!(found, (mode, extends, decodes, ends));
}

const EXTEND: ForwardMode = ForwardMode::Extend;
const DECODE: ForwardMode = ForwardMode::Decode;
const MIXED: ForwardMode = ForwardMode::Mixed;

#[test]
fn mixed_chunk_takes_the_running_batch_along() {
    let mut config = SchedulerConfig::new(1000, 10);
    config.chunked_prefill_size = Some(16);
    config.enable_mixed_chunk = true;
    let mut batch = rank(&config);
    let mut scheduler = SglangScheduler::new(&config);
    batch.submit(request(0, 10, 5)).unwrap();
    check(&mut scheduler, &mut batch, (EXTEND, &[(0, 0, 10)], &[], &[]));
    batch.submit(request(1, 30, 3)).unwrap();
    // The row that decodes takes one of the 16 tokens; request 0 has its second token.
    check(&mut scheduler, &mut batch, (MIXED, &[(1, 0, 15)], &[0], &[]));
    check(&mut scheduler, &mut batch, (MIXED, &[(1, 15, 15)], &[0], &[]));
    // Request 0 has three tokens, request 1 has one.
    check(&mut scheduler, &mut batch, (DECODE, &[], &[0, 1], &[]));
    // The extended row stands before those that decoded beside it, and so it is told first.
    check(&mut scheduler, &mut batch, (DECODE, &[], &[0, 1], &[1, 0]));
}

#[test]
fn decoding_rows_that_do_not_fit_beside_a_prefill_sit_it_out() {
    let mut config = SchedulerConfig::new(80, 10);
    config.page_size = 16;
    config.enable_mixed_chunk = true;
    config.schedule_conservativeness = 0.01;
    let mut batch = rank_without_cache(&config);
    let mut scheduler = SglangScheduler::new(&config);
    for id in 0..2 {
        batch.submit(request(id, 16, 2)).unwrap();
    }
    check(&mut scheduler, &mut batch, (EXTEND, &[(0, 0, 16), (1, 0, 16)], &[], &[]));
    // Three of five pages are free. Request 2 asks for 20 + 1 + 16 slots, 48 less two rows are there;
    // it takes two pages, and the rows, which both end on a page, would need two more.
    batch.submit(request(2, 20, 1)).unwrap();
    check(&mut scheduler, &mut batch, (EXTEND, &[(2, 0, 20)], &[], &[2]));
    check(&mut scheduler, &mut batch, (DECODE, &[], &[0, 1], &[0, 1]));
}

#[test]
fn decode_steps_are_due_between_two_prefills() {
    let mut config = SchedulerConfig::new(1000, 10);
    config.prefill_decode_interval = 2;
    let mut batch = rank(&config);
    let mut scheduler = SglangScheduler::new(&config);
    batch.submit(request(0, 10, 9)).unwrap();
    check(&mut scheduler, &mut batch, (EXTEND, &[(0, 0, 10)], &[], &[]));
    batch.submit(request(1, 10, 2)).unwrap();
    check(&mut scheduler, &mut batch, (DECODE, &[], &[0], &[]));
    check(&mut scheduler, &mut batch, (DECODE, &[], &[0], &[]));
    check(&mut scheduler, &mut batch, (EXTEND, &[(1, 0, 10)], &[], &[]));
}

#[test]
fn prompts_wait_until_enough_rows_are_free_at_once() {
    let mut config = SchedulerConfig::new(1000, 2);
    config.min_free_slots = 2;
    let mut batch = rank(&config);
    let mut scheduler = SglangScheduler::new(&config);
    for (id, max_new) in [(0, 2), (1, 3), (2, 2)] {
        batch.submit(request(id, 10, max_new)).unwrap();
    }
    check(&mut scheduler, &mut batch, (EXTEND, &[(0, 0, 10), (1, 0, 10)], &[], &[]));
    check(&mut scheduler, &mut batch, (DECODE, &[], &[0, 1], &[0]));
    // One row is free, which is not enough while request 1 runs.
    check(&mut scheduler, &mut batch, (DECODE, &[], &[1], &[1]));
    check(&mut scheduler, &mut batch, (EXTEND, &[(2, 0, 10)], &[], &[]));
}

/// A request with a priority that came at a time.
fn urgent(id: u32, priority: i64, arrival: f64) -> Submission {
    Submission {
        labels: Labels { priority: Some(priority), ..Labels::default() },
        arrival: SimTime::new(arrival).unwrap(),
        ..request(id, 10, 5)
    }
}

#[test]
fn the_more_urgent_push_out_the_least_urgent_that_queued_last() {
    let mut config = SchedulerConfig::new(1000, 2);
    config.enable_priority_scheduling = true;
    let mut batch = rank(&config);
    let mut scheduler = SglangScheduler::with_policy(&config, Box::new(MostUrgentFirst));
    batch.submit(urgent(0, 3, 0.0)).unwrap();
    batch.submit(urgent(1, 3, 1.0)).unwrap();
    check(&mut scheduler, &mut batch, (EXTEND, &[(0, 0, 10), (1, 0, 10)], &[], &[]));
    // 13 is more urgent by 10, and it has to be by more.
    batch.submit(urgent(2, 13, 2.0)).unwrap();
    check(&mut scheduler, &mut batch, (DECODE, &[], &[0, 1], &[]));
    batch.submit(urgent(3, 14, 3.0)).unwrap();
    // Both are equally urgent; request 1 queued later. It has two tokens, and request 0 goes on.
    check(&mut scheduler, &mut batch, (EXTEND, &[(3, 0, 10)], &[], &[]));
    assert_eq!(ids(&batch, batch.waiting_queue()), [2, 1]);
    assert_eq!(ids(&batch, batch.running().members().iter().copied()), [0, 3]);
}

#[test]
fn a_full_queue_refuses_or_gives_up_the_least_urgent() {
    let mut config = SchedulerConfig::new(1000, 1);
    config.max_queued_requests = Some(2);
    let mut batch = rank(&config);
    batch.submit(request(0, 10, 5)).unwrap();
    batch.submit(request(1, 10, 5)).unwrap();
    let refused = batch.submit(request(2, 10, 5)).unwrap_err();
    assert!(matches!(refused, SchedError::QueueFull { limit: 2, .. }), "{refused}");
    assert_eq!(batch.len(), 2);

    config.enable_priority_scheduling = true;
    let mut batch = rank(&config);
    batch.submit(urgent(0, 1, 0.0)).unwrap();
    batch.submit(urgent(1, 1, 1.0)).unwrap();
    // Not more urgent than anybody: refused. More urgent: the newer of two equals goes.
    batch.submit(urgent(2, 1, 2.0)).unwrap_err();
    batch.submit(urgent(3, 2, 3.0)).unwrap();
    assert_eq!(ids(&batch, batch.waiting_queue()), [0, 3]);
    let told: Vec<Notice> = batch.drain_notices().collect();
    assert!(matches!(told[..], [Notice::Aborted { id, .. }] if id.0 == 1), "{told:?}");
}

#[test]
fn vllm_fills_one_budget_with_tokens_and_chunks() {
    let mut config = SchedulerConfig::new(39, 10);
    config.chunked_prefill_size = Some(16);
    let mut batch = rank_without_cache(&config);
    let mut scheduler = MixedScheduler::vllm();
    batch.submit(request(0, 10, 3)).unwrap();
    batch.submit(request(1, 25, 2)).unwrap();
    check(&mut scheduler, &mut batch, (EXTEND, &[(0, 0, 10), (1, 0, 6)], &[], &[]));
    check(&mut scheduler, &mut batch, (MIXED, &[(1, 6, 15)], &[0], &[]));
    check(&mut scheduler, &mut batch, (MIXED, &[(1, 21, 4)], &[0], &[0]));
    check(&mut scheduler, &mut batch, (DECODE, &[], &[1], &[1]));
}

#[test]
fn vllm_pushes_out_who_came_last_to_the_head_of_the_queue() {
    let config = SchedulerConfig::new(30, 10);
    let mut batch = rank_without_cache(&config);
    let mut scheduler = MixedScheduler::vllm();
    for (id, prompt) in [(0, 14), (1, 15), (2, 4)] {
        batch.submit(request(id, prompt, 8)).unwrap();
    }
    // Request 2 does not fit beside 29 of 30 slots. Two rows then need two slots, and one is free:
    // request 1 goes back to the head of the queue, and nobody is taken in the same step.
    check(&mut scheduler, &mut batch, (EXTEND, &[(0, 0, 14), (1, 0, 15)], &[], &[]));
    check(&mut scheduler, &mut batch, (DECODE, &[], &[0], &[]));
    assert_eq!(ids(&batch, batch.waiting_queue()), [1, 2]);
    // Its prompt and the token that it had ask for 16 slots, and request 0 leaves 15 and takes one.
    check(&mut scheduler, &mut batch, (DECODE, &[], &[0], &[]));
}

#[test]
fn sarathi_takes_a_prompt_when_all_of_it_fits() {
    let mut config = SchedulerConfig::new(39, 10);
    config.chunked_prefill_size = Some(16);
    for (prompt, first) in [(29, [(0, 0, 10), (1, 0, 6)].as_slice()), (30, &[(0, 0, 10)])] {
        let mut batch = rank_without_cache(&config);
        batch.submit(request(0, 10, 3)).unwrap();
        batch.submit(request(1, prompt, 2)).unwrap();
        MixedScheduler::sarathi().next_step(&mut batch, SimTime::ZERO).unwrap();
        assert_eq!(slices(&batch), first);
    }
}

#[test]
fn vllm_before_version_1_pads_whole_prompts_and_lets_them_go_first() {
    let mut config = SchedulerConfig::new(100, 10);
    config.max_prefill_tokens = 30;
    let mut batch = rank_without_cache(&config);
    let mut scheduler = PrefillFirstScheduler;
    // Two prompts of at most 15 are 30 padded tokens; with one of 16 they would be 32.
    for (id, prompt) in [(0, 10), (1, 15), (2, 16), (3, 40)] {
        batch.submit(request(id, prompt, 3)).unwrap();
    }
    check(&mut scheduler, &mut batch, (EXTEND, &[(0, 0, 10), (1, 0, 15)], &[], &[]));
    check(&mut scheduler, &mut batch, (EXTEND, &[(2, 0, 16)], &[], &[]));
    // Alone a prompt may be longer than the limit. 100 - 41 - 3 slots are free, one stays so.
    check(&mut scheduler, &mut batch, (EXTEND, &[(3, 0, 40)], &[], &[]));
    check(&mut scheduler, &mut batch, (DECODE, &[], &[0, 1, 2, 3], &[]));
    check(&mut scheduler, &mut batch, (DECODE, &[], &[0, 1, 2, 3], &[0, 1, 2, 3]));
}

#[test]
fn orca_reserves_for_whole_answers_and_lets_prompts_in_at_every_step() {
    let config = SchedulerConfig::new(60, 10);
    let mut batch = rank_without_cache(&config);
    let mut scheduler = WholeScheduler::orca();
    // 10 + 20 and 20 + 2 of 60 slots are reserved; request 2 asks for 39 + 3.
    for (id, prompt, max_new) in [(0, 10, 20), (1, 20, 2), (2, 39, 3)] {
        batch.submit(request(id, prompt, max_new)).unwrap();
    }
    check(&mut scheduler, &mut batch, (EXTEND, &[(0, 0, 10), (1, 0, 20)], &[], &[]));
    check(&mut scheduler, &mut batch, (DECODE, &[], &[0, 1], &[1]));
    // Request 0 may come to hold 30 slots, and the 30 others do not hold 42.
    check(&mut scheduler, &mut batch, (DECODE, &[], &[0], &[]));
}

#[test]
fn a_static_batch_changes_only_when_it_has_ended() {
    let config = SchedulerConfig::new(60, 2);
    let mut batch = rank_without_cache(&config);
    let mut scheduler = WholeScheduler::r#static();
    for (id, max_new) in [(0, 2), (1, 4), (2, 2)] {
        batch.submit(request(id, 10, max_new)).unwrap();
    }
    check(&mut scheduler, &mut batch, (EXTEND, &[(0, 0, 10), (1, 0, 10)], &[], &[]));
    check(&mut scheduler, &mut batch, (DECODE, &[], &[0, 1], &[0]));
    check(&mut scheduler, &mut batch, (DECODE, &[], &[1], &[]));
    check(&mut scheduler, &mut batch, (DECODE, &[], &[1], &[1]));
    check(&mut scheduler, &mut batch, (EXTEND, &[(2, 0, 10)], &[], &[]));
    // Iteration-level batching fills the row at once, beside the one that decodes.
    let mut batch = rank_without_cache(&config);
    let mut scheduler = WholeScheduler::orca();
    for (id, max_new) in [(0, 2), (1, 4), (2, 2)] {
        batch.submit(request(id, 10, max_new)).unwrap();
    }
    check(&mut scheduler, &mut batch, (EXTEND, &[(0, 0, 10), (1, 0, 10)], &[], &[]));
    check(&mut scheduler, &mut batch, (DECODE, &[], &[0, 1], &[0]));
    check(&mut scheduler, &mut batch, (MIXED, &[(2, 0, 10)], &[1], &[]));
}

//! What happens when decode runs out of memory, and what a scheduler never learns.

use proptest::prelude::*;
use sglsim_sched::{
    BatchState, ForwardMode, Labels, Notice, RetractionPolicy, Scheduler, SchedulerConfig,
    SglangScheduler, Submission, testing::seed,
};
use sglsim_units::SimTime;

use crate::rank::{ids, rank, rank_without_cache, request, step};

/// A request that has just got its newest token, whose KV is not there yet.
fn run(batch: &mut BatchState, new: Submission, generated: u64) {
    let committed = new.prompt.tokens() + generated - 1;
    seed::running(batch, new, generated, committed);
}

fn retracted(notices: &[Notice]) -> Vec<(u32, u64)> {
    let victim = |notice: &Notice| match *notice {
        Notice::Retracted { id, generated, .. } => Some((id.0, generated)),
        _ => None,
    };
    notices.iter().filter_map(victim).collect()
}

#[test]
fn victims_have_the_fewest_tokens_then_the_longest_prompt_then_joined_last() {
    let mut config = SchedulerConfig::new(112, 100);
    config.page_size = 16;
    let mut batch = rank_without_cache(&config);
    // The KV of each ends on a page, so a step needs six pages, and none is free.
    for (id, prompt, generated) in
        [(0, 12, 5), (1, 15, 2), (2, 31, 2), (3, 15, 2), (4, 16, 1), (5, 11, 6)]
    {
        run(&mut batch, request(id, prompt, 50), generated);
    }
    assert_eq!(batch.memory().available(), 0);
    let (_, notices) = step(&mut SglangScheduler::new(&config), &mut batch);
    // Free and needed pages: 0 and 6, 1 and 5, 3 and 4, 4 and 3.
    assert_eq!(retracted(&notices), [(4, 1), (2, 2), (3, 2)]);
    assert_eq!(ids(&batch, batch.waiting_queue()), [4, 2, 3]);
}

/// With priorities, who is least urgent goes first, whatever they have generated; without a priority one is
/// the least urgent of all.
#[test]
fn the_least_urgent_are_pushed_out_first_if_priorities_decide() {
    let mut config = SchedulerConfig::new(40, 100);
    config.enable_priority_scheduling = true;
    config.retraction_policy = RetractionPolicy::Priority;
    let mut batch = rank_without_cache(&config);
    for (id, generated, priority) in
        [(0, 1, Some(5)), (1, 3, Some(1)), (2, 4, None), (3, 2, Some(1))]
    {
        let labels = Labels { priority, ..Labels::default() };
        run(&mut batch, Submission { labels, ..request(id, 11 - generated as u32, 20) }, generated);
    }
    // Each has ten slots, and a step needs four: one victim is enough.
    let (_, notices) = step(&mut SglangScheduler::new(&config), &mut batch);
    assert_eq!(retracted(&notices), [(2, 4)]);
    config.enable_priority_scheduling = false;
    let said = config.validated().unwrap_err().to_string();
    assert!(
        said.contains("retraction_policy") && said.contains("enable_priority_scheduling"),
        "{said}"
    );
}

#[test]
fn as_many_are_pushed_out_as_one_decode_step_of_the_rest_needs() {
    let config = SchedulerConfig::new(40, 100);
    let mut batch = rank_without_cache(&config);
    // The KV of four requests fills the pool; a step needs four slots more.
    for (id, prompt, generated) in [(0, 9, 2), (1, 10, 1), (2, 10, 1), (3, 8, 3)] {
        run(&mut batch, request(id, prompt, 20), generated);
    }
    let mut scheduler = SglangScheduler::new(&config);
    let (mode, notices) = step(&mut scheduler, &mut batch);
    assert_eq!(mode, ForwardMode::Decode);
    // Request 2 joined after request 1; its ten slots are enough for the other three.
    assert_eq!(retracted(&notices), [(2, 1)]);
    // (2 + 1 + 3 tokens + 20 steps for each of 3) of 3 * 20 allowed, cut at 1.
    assert_eq!(scheduler.new_token_ratio(), 1.0);
}

#[test]
fn the_ratio_after_a_retraction_is_what_was_generated_and_some_room() {
    let config = SchedulerConfig::new(30, 100);
    let mut batch = rank_without_cache(&config);
    for id in 0..3 {
        run(&mut batch, request(id, 9, 1000), 2);
    }
    let mut scheduler = SglangScheduler::new(&config);
    let (_, notices) = step(&mut scheduler, &mut batch);
    assert_eq!(retracted(&notices), [(2, 2)]);
    assert_eq!(scheduler.new_token_ratio(), (2.0 * 2.0 + 2.0 * 20.0) / (2.0 * 1000.0 + 1.0));
}

#[test]
fn a_victim_waits_at_the_tail_and_computes_its_output_again() {
    let mut config = SchedulerConfig::new(60, 100);
    config.schedule_conservativeness = 0.1;
    let mut batch = rank(&config);
    let mut scheduler = SglangScheduler::new(&config);
    batch.submit(request(0, 20, 30)).unwrap();
    for _ in 0..3 {
        step(&mut scheduler, &mut batch);
    }
    batch.submit(request(1, 10, 20)).unwrap();
    let mut told = Vec::new();
    while !batch.is_empty() {
        let notices = step(&mut scheduler, &mut batch).1;
        if !retracted(&notices).is_empty() {
            // 20 slots are made free for the one that is left, and the victim's prompt goes for it.
            assert_eq!(batch.memory().evictable(), 0);
        }
        told.extend(notices);
    }
    let [(1, generated)] = retracted(&told)[..] else { panic!("{told:?}") };
    let again = told.iter().find_map(|notice| match *notice {
        Notice::Admitted { id, cached, again: true, .. } => Some((id.0, cached)),
        _ => None,
    });
    assert!(again == Some((1, 0)) && generated > 1, "{told:?}");
    let done = told.iter().filter(|n| matches!(n, Notice::Finished { .. })).count();
    assert_eq!(done, 2);
}

/// Everything that is decided until the first request finishes.
fn decisions(requests: &[Submission]) -> Vec<String> {
    let mut config = SchedulerConfig::new(300, 8);
    config.page_size = 4;
    config.chunked_prefill_size = Some(64);
    let mut batch: BatchState = rank(&config);
    for new in requests {
        batch.submit(new.clone()).unwrap();
    }
    let mut scheduler = SglangScheduler::new(&config);
    let mut log = Vec::new();
    loop {
        let mode = scheduler.next_step(&mut batch, SimTime::ZERO).unwrap();
        log.push(format!("{mode:?} {:?}", batch.extend_batch()));
        batch.begin_step(mode).unwrap();
        batch.finish_step(SimTime::ZERO);
        if batch.drain_notices().any(|notice| matches!(notice, Notice::Finished { .. })) {
            return log;
        }
    }
}

proptest! {
    /// `INV-9`: the true output length changes nothing until it is reached.
    #[test]
    fn the_true_output_length_is_hidden(
        prompts in prop::collection::vec((1_u32..80, 20_u64..60, 0_u64..20, 0_u64..20), 1..12),
    ) {
        let with = |pick: fn(&(u32, u64, u64, u64)) -> u64| -> Vec<String> {
            let requests: Vec<Submission> = (0..)
                .zip(&prompts)
                .map(|(id, drawn)| Submission {
                    stop_after: 5 + pick(drawn),
                    ..request(id, drawn.0, drawn.1)
                })
                .collect();
            decisions(&requests)
        };
        let (first, second) = (with(|drawn| drawn.2), with(|drawn| drawn.3));
        let common = first.len().min(second.len());
        prop_assert_eq!(&first[..common], &second[..common]);
    }
}

//! Admission and chunking, pass by pass (SGLang 0.5.23, `managers/schedule_policy.py:PrefillAdder`).

use sglsim_radix::Span;
use sglsim_sched::{
    BatchState, DisaggregationMode, Fcfs, ForwardMode, LongestPrefixMatch, Notice, SchedulerConfig,
    SglangScheduler, Submission, testing::seed,
};
use sglsim_units::TokenCount;

use crate::rank::{ids, rank, rank_without_cache, request, slices, step};

fn config(capacity: TokenCount, page: u32, chunk: Option<u32>) -> SchedulerConfig {
    let mut config = SchedulerConfig::new(capacity, 100);
    config.page_size = page;
    config.chunked_prefill_size = chunk;
    config
}

/// Submits prompts of these lengths, and checks the (request, prefix, extend) of each pass.
#[track_caller]
fn check(config: &SchedulerConfig, prompts: &[u32], passes: &[&[(u32, u64, u64)]]) {
    let mut batch = rank(config);
    for (id, prompt) in (0..).zip(prompts) {
        batch.submit(request(id, *prompt, 10)).unwrap();
    }
    let mut scheduler = SglangScheduler::new(config);
    for pass in passes {
        let mode = sglsim_sched::Scheduler::next_step(
            &mut scheduler,
            &mut batch,
            sglsim_units::SimTime::ZERO,
        )
        .unwrap();
        assert_eq!(slices(&batch), *pass);
        batch.begin_step(mode).unwrap();
        batch.finish_step(sglsim_units::SimTime::ZERO);
    }
}

#[test]
fn the_last_prompt_is_cut_to_what_is_left_of_the_chunk() {
    let passes: [&[_]; 2] = [&[(0, 0, 30), (1, 0, 30), (2, 0, 4)], &[(2, 4, 26)]];
    check(&config(1000, 1, Some(64)), &[30, 30, 30], &passes);
}

#[test]
fn chunks_are_charged_and_cut_by_whole_pages() {
    let passes: [&[_]; 3] = [&[(0, 0, 30), (1, 0, 32)], &[(1, 32, 64)], &[(1, 96, 4)]];
    check(&config(992, 16, Some(64)), &[30, 100], &passes);
}

#[test]
fn a_prompt_as_long_as_the_chunk_is_not_cut() {
    check(&config(1000, 1, Some(64)), &[64, 1], &[&[(0, 0, 64)], &[(1, 0, 1)]]);
}

#[test]
fn less_than_a_page_of_chunk_is_left_unused() {
    check(&config(1008, 16, Some(64)), &[50, 30], &[&[(0, 0, 50)], &[(1, 0, 30)]]);
}

#[test]
fn without_chunking_the_input_budget_holds_but_for_the_first() {
    let mut config = config(1000, 1, None);
    config.max_prefill_tokens = 64;
    check(&config, &[100, 30], &[&[(0, 0, 100)], &[(1, 0, 30)]]);
    check(&config, &[30, 33, 10], &[&[(0, 0, 30), (1, 0, 33)], &[(2, 0, 10)]]);
    check(&config, &[30, 34], &[&[(0, 0, 30)], &[(1, 0, 34)]]);
}

#[test]
fn the_input_budget_ends_a_pass_after_the_request_that_spends_it() {
    let mut config = config(1000, 1, Some(512));
    config.max_prefill_tokens = 40;
    check(&config, &[30, 30, 30], &[&[(0, 0, 30), (1, 0, 30)], &[(2, 0, 30)]]);
}

#[test]
fn memory_is_needed_for_the_prompt_its_future_and_a_page_and_a_little_more() {
    // 30 + 10 + 1 < 42, but not < 41; the second pays for the first: 41 + 41 < 83.
    for (capacity, admitted) in [(83, 2), (82, 1)] {
        let config = config(capacity, 1, Some(512));
        let mut batch = rank(&config);
        batch.submit(request(0, 30, 10)).unwrap();
        batch.submit(request(1, 30, 10)).unwrap();
        step(&mut SglangScheduler::new(&config), &mut batch);
        assert_eq!(batch.running().len(), admitted, "capacity {capacity}");
    }
}

#[test]
fn nothing_behind_a_request_that_does_not_fit_is_tried() {
    let config = config(100, 1, Some(512));
    let mut batch = rank(&config);
    for (id, prompt, max_new) in [(0, 20, 20), (1, 60, 10), (2, 5, 5)] {
        batch.submit(request(id, prompt, max_new)).unwrap();
    }
    let mut scheduler = SglangScheduler::new(&config);
    let (mode, _) = step(&mut scheduler, &mut batch);
    assert_eq!((mode, batch.running().len()), (ForwardMode::Extend, 1));
    // The batch is taken to be full until somebody leaves: request 0 makes 19 tokens first.
    for _ in 0..19 {
        assert_eq!(step(&mut scheduler, &mut batch).0, ForwardMode::Decode);
    }
    assert_eq!(step(&mut scheduler, &mut batch).0, ForwardMode::Extend);
    assert_eq!(batch.running().len(), 2);
}

#[test]
fn rows_bound_the_batch_and_a_chunked_prompt_holds_one() {
    let mut config = config(10_000, 1, Some(64));
    config.max_running_requests = 3;
    check(
        &config,
        &[100, 10, 10, 10],
        // The last slice and two more: the row that it holds is its own.
        &[&[(0, 0, 64)], &[(0, 64, 36), (1, 0, 10), (2, 0, 10)]],
    );
}

#[test]
fn a_full_batch_is_not_tried_again_until_somebody_leaves() {
    let config = config(100, 1, Some(512));
    let mut batch = rank_without_cache(&config);
    let mut scheduler = SglangScheduler::new(&config);
    for (id, prompt, max_new) in [(0, 10, 50), (1, 10, 5), (2, 20, 10)] {
        batch.submit(request(id, prompt, max_new)).unwrap();
    }
    // 20 + 10 + 1 slots are not left beside 10 + 50 + 1 and 10 + 5 + 1.
    step(&mut scheduler, &mut batch);
    assert_eq!(ids(&batch, batch.waiting_queue()), [2]);
    // From now on they would be: admission reserves only 0.7 of what runs.
    for left in [2, 2, 2, 1] {
        assert_eq!(step(&mut scheduler, &mut batch).0, ForwardMode::Decode);
        assert_eq!(batch.running().len(), left);
    }
    assert_eq!(step(&mut scheduler, &mut batch).0, ForwardMode::Extend);
}

#[test]
fn a_batch_that_ran_out_of_rows_is_full_until_somebody_leaves() {
    let mut config = config(10_000, 1, Some(64));
    config.max_running_requests = 2;
    let mut batch = rank(&config);
    let mut scheduler = SglangScheduler::new(&config);
    for (id, prompt, max_new) in [(0, 100, 50), (1, 10, 3), (2, 10, 5)] {
        batch.submit(request(id, prompt, max_new)).unwrap();
    }
    // Both rows go in the second pass, and request 1 makes two more tokens.
    step(&mut scheduler, &mut batch);
    step(&mut scheduler, &mut batch);
    assert_eq!((batch.running().len(), batch.free_rows()), (2, 0));
    for _ in 0..2 {
        assert_eq!(step(&mut scheduler, &mut batch).0, ForwardMode::Decode);
    }
    assert_eq!(step(&mut scheduler, &mut batch).0, ForwardMode::Extend);
}

#[test]
fn with_pages_a_prefill_evicts_for_one_more_per_request() {
    let config = config(320, 16, Some(512));
    let mut batch = rank(&config);
    for content in 100..110 {
        seed::cache(&mut batch, &[Span::new(content, 32)].into_iter().collect());
    }
    assert_eq!(batch.memory().available(), 0);
    batch.submit(request(0, 17, 4)).unwrap();
    step(&mut SglangScheduler::new(&config), &mut batch);
    // 17 + 16 slots are asked for, two leaves of 32 go, and 32 slots are taken.
    assert_eq!(batch.memory().available(), 32);
}

#[test]
fn a_request_is_computed_but_for_what_is_cached_and_at_least_one_token() {
    let config = config(10_000, 16, Some(512));
    let mut batch = rank(&config);
    let same = |id: u32, own: u32| Submission {
        prompt: [Span::new(77, 160), Span::new(u64::from(id), own)].into_iter().collect(),
        ..request(id, 1, 4)
    };
    seed::cache(&mut batch, &same(0, 0).prompt);
    batch.submit(same(1, 0)).unwrap();
    batch.submit(same(2, 7)).unwrap();
    let (_, notices) = step(&mut SglangScheduler::new(&config), &mut batch);
    let cached = |notice: &Notice| match *notice {
        Notice::Admitted { id, cached, again, .. } => Some((id.0, cached, again)),
        _ => None,
    };
    let cached: Vec<_> = notices.iter().filter_map(cached).collect();
    assert_eq!(cached, [(1, 144, false), (2, 160, false)]);
}

#[test]
fn equal_prompts_of_one_batch_are_both_computed_and_kept_once() {
    let config = config(10_000, 1, Some(512));
    let mut batch = rank(&config);
    for id in 0..2 {
        let prompt = [Span::new(77, 100)].into_iter().collect();
        batch.submit(Submission { prompt, ..request(id, 1, 4) }).unwrap();
    }
    let (_, notices) = step(&mut SglangScheduler::new(&config), &mut batch);
    let extended = |n: &&Notice| matches!(n, Notice::Extended { tokens: 100, last: true, .. });
    assert_eq!(notices.iter().filter(extended).count(), 2);
    assert_eq!(batch.memory().protected(), 100);
    assert_eq!(batch.memory().available(), 9_900);
}

#[test]
fn of_prompts_that_share_an_uncached_prefix_lpm_lets_one_go_first() {
    let config = config(10_000, 1, Some(512));
    let shared = |id: u32| Submission {
        prompt: [Span::new(77, 100), Span::new(u64::from(id), 5)].into_iter().collect(),
        ..request(id, 1, 4)
    };
    let fill = |batch: &mut BatchState| {
        for new in [shared(0), shared(1), request(2, 50, 4)] {
            batch.submit(new).unwrap();
        }
        seed::sort(batch, &mut LongestPrefixMatch);
        ids(batch, batch.waiting_queue())
    };
    assert_eq!(fill(&mut rank(&config)), [0, 2, 1]);
    // Without a cache there is nothing to share.
    assert_eq!(fill(&mut rank_without_cache(&config)), [0, 1, 2]);
}

/// The order in which `lpm` considers prompts, each given as the lengths of a shared text and of
/// its own, when the first `cached` tokens of the shared one are cached.
#[track_caller]
fn check_lpm(cached: u32, prompts: &[(u32, u32)], order: &[u32]) {
    let mut batch = rank(&config(10_000, 1, Some(512)));
    seed::cache(&mut batch, &[Span::new(77, cached)].into_iter().collect());
    for (id, &(shared, own)) in (0..).zip(prompts) {
        let prompt = [Span::new(77, shared), Span::new(u64::from(id), own)].into_iter().collect();
        batch.submit(Submission { prompt, ..request(id, 1, 4) }).unwrap();
    }
    seed::sort(&mut batch, &mut LongestPrefixMatch);
    assert_eq!(ids(&batch, batch.waiting_queue()), order);
}

#[test]
fn lpm_counts_at_most_all_but_the_last_token() {
    check_lpm(100, &[(100, 0), (100, 5)], &[1, 0]);
}

#[test]
fn lpm_compares_prompts_with_at_most_32_cached_tokens() {
    check_lpm(32, &[(100, 5), (100, 6), (0, 9)], &[0, 2, 1]);
    check_lpm(33, &[(100, 5), (100, 6), (0, 9)], &[0, 1, 2]);
    // They wait for each other when they share at least 32.
    check_lpm(0, &[(32, 5), (32, 6), (0, 9)], &[0, 2, 1]);
    check_lpm(0, &[(31, 5), (31, 6), (0, 9)], &[0, 1, 2]);
}

#[test]
fn a_prefill_worker_keeps_rows_and_memory_until_the_kv_is_sent() {
    let mut config = config(200, 1, Some(512));
    config.mode = DisaggregationMode::Prefill;
    config.max_running_requests = 1;
    let mut batch = rank(&config);
    let first = batch.submit(request(0, 30, 10)).unwrap();
    batch.submit(request(1, 30, 10)).unwrap();
    let mut scheduler = SglangScheduler::with_policy(&config, Box::new(Fcfs));
    assert_eq!(step(&mut scheduler, &mut batch).0, ForwardMode::Extend);
    assert_eq!((batch.rows(), batch.memory().used()), (1, 30));
    assert_eq!(step(&mut scheduler, &mut batch).0, ForwardMode::Idle);
    batch.finish_send(first).unwrap();
    assert_eq!((batch.rows(), batch.memory().evictable()), (0, 30));
    assert_eq!(step(&mut scheduler, &mut batch).0, ForwardMode::Extend);
}

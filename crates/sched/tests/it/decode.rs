//! Decode workers (SGLang 0.5.23, `disaggregation/decode.py`).

use sglsim_sched::{
    BatchState, DecodeScheduler, DisaggregationMode, ForwardMode, Notice, SchedulerConfig, Slot,
};

use crate::rank::{ids, rank_without_cache, request, step};

fn config(capacity: u64) -> SchedulerConfig {
    let mut config = SchedulerConfig::new(capacity, 100);
    config.mode = DisaggregationMode::Decode;
    config
}

fn submit(batch: &mut BatchState, id: u32, prompt: u32, max_new: u64) -> Slot {
    batch.submit(request(id, prompt, max_new)).unwrap()
}

#[test]
fn each_prompt_keeps_512_tokens_free_beside_it() {
    // 100 + 512 <= 1212 - 0; then 100 + 512 <= 1112 - 512 fails by 12.
    for (capacity, preallocated) in [(1212, 1), (1223, 1), (1224, 2)] {
        let mut batch = rank_without_cache(&config(capacity));
        submit(&mut batch, 0, 100, 10);
        submit(&mut batch, 1, 100, 10);
        step(&mut DecodeScheduler::new(), &mut batch);
        assert_eq!(batch.transfer_queue_len(), preallocated, "capacity {capacity}");
    }
}

#[test]
fn a_request_decodes_in_the_step_that_collects_it() {
    let mut batch = rank_without_cache(&config(10_000));
    let mut scheduler = DecodeScheduler::new();
    let slot = submit(&mut batch, 0, 100, 3);
    assert_eq!(step(&mut scheduler, &mut batch).0, ForwardMode::Idle);
    assert!(batch.finish_receive(slot).is_ok());
    assert!(batch.finish_receive(slot).is_err());
    let (mode, notices) = step(&mut scheduler, &mut batch);
    assert_eq!(mode, ForwardMode::Decode);
    assert!(matches!(notices[..], [Notice::Prebuilt { .. }]));
    assert_eq!(batch.view(slot).generated, 2);
    let (_, notices) = step(&mut scheduler, &mut batch);
    assert!(matches!(notices[..], [Notice::Finished { generated: 3, .. }]));
    assert_eq!(batch.memory().available(), 10_000);
}

#[test]
fn room_that_a_first_token_frees_is_used_at_once() {
    let mut batch = rank_without_cache(&config(1400));
    let mut scheduler = DecodeScheduler::new();
    let first = submit(&mut batch, 0, 700, 1);
    step(&mut scheduler, &mut batch);
    let second = submit(&mut batch, 1, 700, 1);
    step(&mut scheduler, &mut batch);
    assert_eq!(ids(&batch, batch.prealloc_queue()), [1]);
    batch.finish_receive(first).unwrap();
    // Nobody runs after this step, so no later step would make room for request 1.
    let (mode, notices) = step(&mut scheduler, &mut batch);
    assert_eq!(mode, ForwardMode::Idle);
    let last = notices.last();
    assert!(matches!(last, Some(Notice::Preallocated { slot, .. }) if *slot == second), "{last:?}");
}

/// Three requests that have just become rows, and one more that waits for memory.
fn three_prebuilt(capacity: u64, stop_after: u64, prompt: u32) -> (BatchState, DecodeScheduler) {
    let mut batch = rank_without_cache(&config(capacity));
    let mut scheduler = DecodeScheduler::new();
    let slots = [0, 1, 2].map(|id| submit(&mut batch, id, 10, stop_after));
    step(&mut scheduler, &mut batch);
    for slot in slots {
        batch.finish_receive(slot).unwrap();
    }
    step(&mut scheduler, &mut batch);
    submit(&mut batch, 3, prompt, 5);
    (batch, scheduler)
}

#[test]
fn new_rows_keep_512_tokens_more_for_one_step() {
    let (mut batch, mut scheduler) = three_prebuilt(2400, 10, 100);
    for waiting in [1, 0] {
        step(&mut scheduler, &mut batch);
        assert_eq!(batch.prealloc_queue_len(), waiting);
    }
}

#[test]
fn what_new_rows_kept_is_used_at_once_when_they_are_gone() {
    let (mut batch, mut scheduler) = three_prebuilt(1700, 2, 1000);
    assert!(batch.running().is_empty());
    assert_eq!(step(&mut scheduler, &mut batch).0, ForwardMode::Idle);
    assert_eq!((batch.prealloc_queue_len(), batch.transfer_queue_len()), (0, 1));
}

#[test]
fn who_was_pushed_out_comes_back_before_new_prompts_and_arrivals() {
    let mut batch = rank_without_cache(&config(3000));
    let mut scheduler = DecodeScheduler::new();
    let running = [submit(&mut batch, 0, 100, 2000), submit(&mut batch, 1, 100, 2000)];
    let coming = submit(&mut batch, 2, 50, 10);
    step(&mut scheduler, &mut batch);
    assert_eq!(batch.transfer_queue_len(), 3);
    for slot in running {
        batch.finish_receive(slot).unwrap();
    }
    // 3000 slots are spent when each has 100 + 1375 of them.
    for _ in 0..1375 {
        step(&mut scheduler, &mut batch);
        assert_eq!(batch.running().len(), 2);
    }
    step(&mut scheduler, &mut batch);
    assert_eq!(ids(&batch, batch.retracted_queue()), [1]);
    batch.finish_receive(coming).unwrap();
    submit(&mut batch, 3, 10, 10);
    let mut steps = 0;
    let told = loop {
        let (_, notices) = step(&mut scheduler, &mut batch);
        if batch.retracted_queue().len() == 0 {
            break notices;
        }
        steps += 1;
        if let [Notice::Finished { id, .. }] = notices[..] {
            assert_eq!(id.0, 0);
            break step(&mut scheduler, &mut batch).1;
        }
        // Request 0 goes on alone until it is finished.
        assert_eq!((batch.running().len(), batch.transfer_queue_len()), (1, 1));
        assert!(notices.is_empty(), "{notices:?}");
    };
    assert_eq!(steps, 2000 - 1 - 1376);
    let what: Vec<(&str, u32)> = told
        .iter()
        .map(|notice| match *notice {
            Notice::Resumed { id, .. } => ("resumed", id.0),
            Notice::Preallocated { id, .. } => ("preallocated", id.0),
            Notice::Prebuilt { id, .. } => ("prebuilt", id.0),
            _ => ("else", 0),
        })
        .collect();
    // 3000 - 1475 - 50 slots are free: too few for 10 + 512 beside 512 for each of the two.
    assert_eq!(what, [("resumed", 1), ("prebuilt", 2)]);
}

#[test]
fn the_last_request_waits_on_the_host_for_memory_of_prompts_to_come() {
    let mut batch = rank_without_cache(&config(5000));
    let mut scheduler = DecodeScheduler::new();
    let a = submit(&mut batch, 0, 500, 3900);
    step(&mut scheduler, &mut batch);
    let b = submit(&mut batch, 1, 3000, 100);
    step(&mut scheduler, &mut batch);
    assert_eq!(batch.transfer_queue_len(), 2);
    batch.finish_receive(a).unwrap();
    let mut steps = 0;
    let told = loop {
        let (mode, notices) = step(&mut scheduler, &mut batch);
        if mode == ForwardMode::Idle {
            break notices;
        }
        steps += 1;
    };
    // 5000 - 3000 slots, 500 of them for its prompt.
    assert_eq!(steps, 1500);
    assert!(matches!(told[..], [Notice::Retracted { .. }]), "{told:?}");
    assert_eq!(step(&mut scheduler, &mut batch).0, ForwardMode::Idle);
    batch.finish_receive(b).unwrap();
    let mut finished = Vec::new();
    for _ in 0..4000 {
        for notice in step(&mut scheduler, &mut batch).1 {
            if let Notice::Finished { id, .. } = notice {
                finished.push(id.0);
            }
        }
    }
    assert_eq!(finished, [1, 0]);
}

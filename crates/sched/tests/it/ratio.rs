//! `NewTokenRatio` (SGLang 0.5.23, `managers/scheduler_components/new_token_ratio_tracker.py`).

use proptest::prelude::*;
use sglsim_sched::{NewTokenRatio, SchedulerConfig, SglangScheduler};

use crate::rank::{rank, request, step};

#[test]
fn it_falls_in_equal_steps_from_the_initial_value_to_the_minimum() {
    for (conservativeness, initial) in [(1.0, 0.7), (0.3, 0.21), (2.0, 1.0)] {
        let mut ratio = NewTokenRatio::new(conservativeness);
        assert!((ratio.get() - initial).abs() < 1e-12);
        for _ in 0..300 {
            ratio.decay();
        }
        assert!((ratio.get() - initial * (1.0 + 0.14) / 2.0).abs() < 1e-9);
        for _ in 0..400 {
            ratio.decay();
        }
        assert!((ratio.get() - initial * 0.14).abs() < 1e-9);
    }
}

#[test]
fn only_decode_steps_lower_it_and_an_idle_rank_resets_it() {
    let config = SchedulerConfig::new(1000, 8);
    let mut batch = rank(&config);
    let mut scheduler = SglangScheduler::new(&config);
    batch.submit(request(0, 10, 4)).unwrap();
    let mut seen = Vec::new();
    for _ in 0..5 {
        step(&mut scheduler, &mut batch);
        seen.push(scheduler.new_token_ratio());
    }
    let decay = 0.7 * (1.0 - 0.14) / 600.0;
    let expected = [0.7, 0.7 - decay, 0.7 - 2.0 * decay, 0.7 - 3.0 * decay, 0.7];
    for (seen, expected) in seen.iter().zip(expected) {
        assert!((seen - expected).abs() < 1e-12, "{seen} is not {expected}");
    }
}

proptest! {
    #[test]
    fn it_stays_in_its_range(
        conservativeness in 0.01_f64..4.0,
        events in prop::collection::vec(prop::option::of((0_u64..5000, 1_u64..5000, 0_u64..500)), 0..80),
    ) {
        let mut ratio = NewTokenRatio::new(conservativeness);
        for event in events {
            let before = ratio.get();
            match event {
                None => {
                    ratio.decay();
                    prop_assert!(ratio.get() <= before || before < 0.14);
                }
                Some((generated, max_new, room)) => ratio.after_retraction(generated, max_new, room),
            }
            prop_assert!((0.0..=1.0).contains(&ratio.get()));
        }
        ratio.reset();
        prop_assert_eq!(ratio, NewTokenRatio::new(conservativeness));
    }
}

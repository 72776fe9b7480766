//! A step taken apart: its operators add up, and none is faster than the hardware.

use proptest::prelude::*;
use sglsim_kernels::{ParallelPlan, RankFeatures, Regime, StepFeatures};

use crate::scenario::{any_rank, decode, extend, law, scenarios};

#[test]
fn weights_are_read_in_decode_and_multiplied_in_prefill() {
    let law = law("Llama-3.1-70B", ParallelPlan::tensor(4));
    let regime = |step: &StepFeatures, name: &str| {
        let breakdown = law.breakdown(step).unwrap();
        breakdown.operators.iter().find(|one| one.name == name).unwrap().regime()
    };
    assert_eq!(regime(&decode(8, 8000), "gate and up projection"), Regime::Memory);
    assert_eq!(regime(&extend(0, 8192), "gate and up projection"), Regime::Compute);
    assert_eq!(regime(&decode(64, 640_000), "decode attention"), Regime::Memory);
    assert_eq!(regime(&extend(0, 8192), "all-reduce after FFN"), Regime::Communication);
    assert_eq!(regime(&decode(1, 100), "all-reduce after FFN"), Regime::Launch);
}

#[test]
fn the_kernel_that_is_chosen_is_named() {
    let law = law("Llama-3.1-70B", ParallelPlan::tensor(8));
    let kernel = |step: &StepFeatures| {
        let breakdown = law.breakdown(step).unwrap();
        let all_reduce = breakdown.operators.iter().find(|one| one.name == "all-reduce after FFN");
        all_reduce.unwrap().kernel.clone()
    };
    assert_eq!(kernel(&decode(1, 1000)), "one-shot all-reduce");
    assert!(kernel(&extend(0, 8192)).starts_with("nccl"));
}

#[test]
fn operators_that_do_not_run_are_not_told() {
    let law = law("Llama-3.1-8B", ParallelPlan::tensor(1));
    let names = |step: &StepFeatures| -> Vec<&str> {
        law.breakdown(step).unwrap().operators.iter().map(|one| one.name).collect()
    };
    assert!(!names(&decode(4, 400)).contains(&"prefill attention"));
    assert!(!names(&extend(0, 400)).contains(&"decode attention"));
    assert!(names(&extend(0, 400)).iter().all(|name| !name.starts_with("all-")));
    assert!(names(&StepFeatures::default()).is_empty());
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(6))]

    /// Operators add up to the device's time, less what overlaps; each at most as fast as the
    /// datasheet; and where their time goes adds up to all of it.
    #[test]
    fn operators_add_up(rank in any_rank()) {
        for (model, plan) in scenarios() {
            let ranks: Vec<RankFeatures> = vec![rank; plan.dp_size as usize];
            let step = StepFeatures::of_ranks(&ranks);
            let breakdown = law(model, plan).breakdown(&step).unwrap();
            let all: f64 = breakdown.operators.iter().map(|one| one.time).sum();
            let device = breakdown.device_time;
            let apart = all + breakdown.hand_over - breakdown.overlap();
            prop_assert!((apart - device).abs() <= 1e-9 * device, "{model}: {all} {device}");
            let exclusive = plan.dp_size == 1 && !plan.enable_two_batch_overlap;
            prop_assert!(!exclusive || breakdown.overlap() <= 1e-9 * device, "{model} {plan:?}");
            prop_assert!(breakdown.step_time >= device.max(breakdown.host_time) * (1.0 - 1e-12)
                || plan.pp_size > 1);
            for one in &breakdown.operators {
                prop_assert!(one.roofline <= one.time * (1.0 + 1e-9), "{model} {plan:?} {one:?}");
                let shares: f64 = one.shares.iter().sum();
                prop_assert!((shares - 1.0).abs() < 1e-6, "{model} {one:?}");
            }
        }
    }
}

//! Tests of what a plan must obey.

use proptest::prelude::*;

use super::*;

fn model(name: &str) -> ModelShape {
    ModelShape::preset(name).unwrap()
}

#[track_caller]
fn refused(plan: ParallelPlan, name: &str, gpus: u32) -> String {
    plan.check(&model(name), gpus).unwrap_err().to_string()
}

#[test]
fn usual_plans_fit() {
    let deepseek =
        ParallelPlan { tp_size: 16, dp_size: 16, ep_size: 16, ..ParallelPlan::default() };
    deepseek.check(&model("DeepSeek-V3"), 16).unwrap();
    let deep_ep = ParallelPlan { moe_a2a_backend: MoeA2aBackend::DeepEp, ..deepseek };
    deep_ep.check(&model("DeepSeek-V3"), 16).unwrap();
    // 8 key-value heads over 16 ranks: each is held twice.
    ParallelPlan::tensor(16).check(&model("Llama-3.1-405B"), 16).unwrap();
    ParallelPlan { ep_size: 4, ..ParallelPlan::tensor(8) }
        .check(&model("Mixtral-8x7B"), 8)
        .unwrap();
}

#[test]
fn refusals_name_what_would_do() {
    let dp = ParallelPlan { dp_size: 3, ..ParallelPlan::tensor(8) };
    assert_eq!(
        refused(dp, "Llama-3.1-8B", 8),
        "`dp_size` is 3, but tp_size (8) must be a multiple of it; allowed: 1, 2, 4, 8; nearest: 2"
    );
    let ep = ParallelPlan { ep_size: 2, ..ParallelPlan::tensor(2) };
    assert_eq!(
        refused(ep, "Llama-3.1-8B", 8),
        "`ep_size` is 2, but `Llama-3.1-8B` has no experts; allowed: 1; nearest: 1"
    );
    assert_eq!(
        refused(ParallelPlan::tensor(16), "Llama-3.1-8B", 8),
        "`tp_size` is 16, but the deployment has 8 GPUs; allowed: 1, 2, 3, 4, 5, 6, 7, 8; nearest: 8"
    );
    assert_eq!(
        refused(ParallelPlan::tensor(0), "Llama-3.1-8B", 2),
        "`tp_size` is 0, but a size is at least 1; allowed: 1, 2; nearest: 1"
    );
    let pp = ParallelPlan { pp_size: 3, ..ParallelPlan::tensor(4) };
    assert_eq!(
        refused(pp, "Llama-3.1-8B", 8),
        "`tp_size` is 4, but the deployment has 8 GPUs; allowed: 1, 2; nearest: 2"
    );
    let deep = ParallelPlan { pp_size: 33, ..ParallelPlan::default() };
    assert!(refused(deep, "Llama-3.1-8B", 64).contains("there are 32 layers"));
    let deep_ep =
        ParallelPlan { moe_a2a_backend: MoeA2aBackend::DeepEp, ..ParallelPlan::tensor(8) };
    assert_eq!(
        refused(deep_ep, "DeepSeek-V3", 8),
        "`ep_size` is 1, but deepep needs it equal to tp_size (8); allowed: 8; nearest: 8"
    );
    assert!(refused(deep_ep, "Llama-3.1-8B", 8).contains("has no experts; allowed is none"));
}

#[test]
fn options_must_go_together() {
    let dense = |size| ParallelPlan { moe_dense_tp_size: Some(size), ..ParallelPlan::tensor(8) };
    ParallelPlan { ep_size: 8, ..dense(1) }.check(&model("DeepSeek-V3"), 8).unwrap();
    assert_eq!(
        refused(dense(2), "DeepSeek-V3", 8),
        "`moe_dense_tp_size` is 2: allowed is 1, for a model with experts, or nothing"
    );
    assert!(refused(dense(1), "Llama-3.1-8B", 8).starts_with("`moe_dense_tp_size` is 1"));
    let overlap = ParallelPlan { enable_two_batch_overlap: true, ..ParallelPlan::tensor(8) };
    ParallelPlan { dp_size: 8, ..overlap }.check(&model("DeepSeek-V3"), 8).unwrap();
    assert!(refused(overlap, "DeepSeek-V3", 8).contains("moe_a2a_backend deepep, or dp_size > 1"));
    assert!(refused(overlap, "Llama-3.1-8B", 8).contains("only layers with experts overlap"));
}

#[test]
fn heads_and_experts_must_divide() {
    assert!(
        refused(ParallelPlan::tensor(128), "Llama-3.1-70B", 128).contains("num_attention_heads")
    );
    let ep = ParallelPlan { ep_size: 16, ..ParallelPlan::tensor(16) };
    assert!(refused(ep, "Mixtral-8x7B", 16).contains("num_experts (8)"));
}

proptest! {
    /// Whatever is asked: an answer, and one whose suggestion obeys the same rule.
    #[test]
    fn never_panics_and_suggests_what_is_allowed(
        sizes in (0u32..40, 0u32..40, 0u32..40, 0u32..40),
        [deep_ep, dense, overlap]: [bool; 3],
        gpus in 0u32..40,
        name in prop::sample::select(vec!["Llama-3.1-8B", "Mixtral-8x7B", "DeepSeek-V3", "gpt-oss-20b"]),
    ) {
        let backend = if deep_ep { MoeA2aBackend::DeepEp } else { MoeA2aBackend::None };
        let plan = ParallelPlan {
            tp_size: sizes.0, dp_size: sizes.1, ep_size: sizes.2, pp_size: sizes.3,
            moe_a2a_backend: backend,
            moe_dense_tp_size: dense.then_some(1),
            enable_two_batch_overlap: overlap,
        };
        if let Err(KernelError::ParallelSize { value, allowed, nearest, .. }) =
            plan.check(&model(name), gpus)
        {
            prop_assert!(value == 0 || !allowed.contains(&value));
            prop_assert!(allowed.is_empty() || allowed.contains(&nearest));
        }
    }
}

//! Scenarios that the tests share.

use proptest::prelude::*;
use sglsim_expr::{Context, Expr, Values};
use sglsim_hw::{Gpu, Topology};
use sglsim_kernels::{
    Coefficients, MoeA2aBackend, ParallelPlan, RankFeatures, StepFeatures, StepLaw,
};
use sglsim_model::ModelShape;

pub(crate) fn topology(gpu: &str) -> Topology {
    Topology::of(Gpu::preset(gpu).unwrap()).unwrap()
}

pub(crate) fn law_on(gpu: &str, model: &str, plan: ParallelPlan) -> StepLaw {
    let topology = topology(gpu);
    let theta = Coefficients::for_architecture(topology.gpu().architecture);
    let model = ModelShape::preset(model).unwrap();
    StepLaw::of(&Context::new(), "", &model, &topology, &theta, &plan).unwrap()
}

pub(crate) fn law(model: &str, plan: ParallelPlan) -> StepLaw {
    law_on("H100", model, plan)
}

/// The values of a scenario and of a step together.
pub(crate) fn point(law: &StepLaw, step: &StepFeatures) -> Values {
    let features = StepFeatures::NAMES.into_iter().zip(step.as_array());
    let mut values = law.values().clone();
    values.extend(features);
    values
}

pub(crate) fn at(law: &StepLaw, expr: &Expr, step: &StepFeatures) -> f64 {
    expr.evaluate(&point(law, step)).unwrap()
}

pub(crate) fn decode(seqs: u64, context: u64) -> StepFeatures {
    let mut rank = RankFeatures::default();
    rank.set_decode(seqs, seqs, context, 1);
    StepFeatures::of_ranks([&rank])
}

pub(crate) fn extend(prefix: u64, new: u64) -> StepFeatures {
    let mut rank = RankFeatures::default();
    rank.add_extend(prefix, new);
    StepFeatures::of_ranks([&rank])
}

/// Every kind of law: dense and not, GQA and MLA, windows, replicas, experts, one and two nodes.
pub(crate) fn scenarios() -> Vec<(&'static str, ParallelPlan)> {
    let tp = ParallelPlan::tensor;
    let replicas = ParallelPlan { dp_size: 8, ep_size: 8, ..tp(8) };
    let deep_ep = ParallelPlan {
        moe_a2a_backend: MoeA2aBackend::DeepEp,
        moe_dense_tp_size: Some(1),
        ..replicas
    };
    vec![
        ("Llama-3.1-8B", tp(1)),
        ("Llama-3.1-70B", tp(4)),
        ("Llama-3.1-405B", tp(16)),
        ("Mixtral-8x7B", ParallelPlan { ep_size: 2, ..tp(4) }),
        ("gpt-oss-20b", tp(2)),
        ("DeepSeek-V3", ParallelPlan { ep_size: 8, ..tp(8) }),
        ("DeepSeek-V3", replicas),
        ("DeepSeek-V3", ParallelPlan { moe_a2a_backend: MoeA2aBackend::DeepEp, ..replicas }),
        ("DeepSeek-V3", ParallelPlan { enable_two_batch_overlap: true, ..deep_ep }),
        ("Llama-3.1-405B", ParallelPlan { pp_size: 2, ..tp(8) }),
        ("Qwen3-8B", ParallelPlan { dp_size: 2, ..tp(4) }),
    ]
}

/// A rank that extends, decodes, both, or neither.
pub(crate) fn any_rank() -> impl Strategy<Value = RankFeatures> {
    let extends = prop::collection::vec((0u64..20_000, 1u64..3_000), 0..3);
    let decodes = (0u64..600, 0u64..40, 1u64..9_000, 1u64..5);
    (extends, decodes, any::<bool>()).prop_map(
        |(extends, (seqs, padding, context, query), eager)| {
            let mut rank = RankFeatures { eager, ..RankFeatures::default() };
            for (prefix, new) in extends {
                rank.add_extend(prefix, new);
            }
            if seqs > 0 {
                rank.set_decode(seqs, seqs + padding, seqs * context, query);
            }
            rank
        },
    )
}

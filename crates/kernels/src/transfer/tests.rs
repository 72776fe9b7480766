//! Tests of the transfer law.

use super::*;
use sglsim_hw::Architecture;

#[track_caller]
fn lanes(model: &str, prefill: ParallelPlan, decode: ParallelPlan) -> f64 {
    let model = ModelShape::preset(model).unwrap();
    let theta = Coefficients::for_architecture(Architecture::Hopper);
    let link = Link::preset("IB-NDR").unwrap();
    let law =
        TransferLaw::of(&Context::new(), &model, &KvPath::new(link), &theta, [&prefill, &decode])
            .unwrap();
    law.lanes().evaluate(law.values()).unwrap()
}

#[test]
fn the_smaller_side_and_the_heads_limit_the_lanes() {
    let tp = ParallelPlan::tensor;
    assert_eq!(lanes("Llama-3.1-70B", tp(2), tp(8)), 2.0);
    assert_eq!(lanes("Llama-3.1-70B", tp(8), tp(4)), 4.0);
    assert_eq!(lanes("Llama-3.1-405B", tp(16), tp(16)), 8.0);
    assert_eq!(lanes("DeepSeek-V3", tp(8), tp(8)), 1.0);
}

#[test]
fn nothing_to_send_takes_no_time() {
    let model = ModelShape::preset("Llama-3.1-8B").unwrap();
    let theta = Coefficients::for_architecture(Architecture::Hopper);
    let plan = ParallelPlan::tensor(1);
    let link = Link::preset("RoCE-400").unwrap();
    let law = TransferLaw::of(&Context::new(), &model, &KvPath::new(link), &theta, [&plan, &plan])
        .unwrap();
    let mut program = law.compile().unwrap();
    assert_eq!(program.seconds(0), 0.0);
    assert!(program.seconds(1) > theta.transfer.latency);
    assert!(program.seconds(2) > program.seconds(1));
}

/// Mooncake's published transfer times of SGLang (kvcache-ai/Mooncake, `docs/source/performance/
/// sglang/sglang-benchmark-results-v1.md`, July 2026): Qwen3-235B-A22B between two nodes of eight
/// GPUs, TP 8 on both sides, four NICs of 400 Gb/s per node.
#[test]
fn the_published_curve_of_mooncake_is_met() {
    let model = ModelShape::preset("Qwen3-235B-A22B").unwrap();
    let theta = Coefficients::for_architecture(Architecture::Hopper);
    let link = Link::preset("RoCE-400").unwrap();
    // Two GPUs share a NIC, and two ranks hold the same KV head and both send it.
    let path = KvPath { gpus_per_nic: 2, ..KvPath::new(link) };
    let plan = ParallelPlan::tensor(8);
    let law = TransferLaw::of(&Context::new(), &model, &path, &theta, [&plan, &plan]).unwrap();
    let mut program = law.compile().unwrap();
    for (tokens, ms, allowed) in [
        (128, 2.07, 0.15),
        (512, 2.98, 0.12),
        (2048, 6.43, 0.05),
        (8192, 20.31, 0.02),
        (32768, 76.78, 0.02),
    ] {
        let law = program.seconds(tokens) * 1e3;
        assert!((law / ms - 1.0).abs() < allowed, "{tokens} tokens: {law:.2} ms, measured {ms}");
    }
}

//! Pipeline stages, two overlapping halves, dense FFNs on every rank.

use proptest::prelude::*;
use sglsim_expr::{Context, Values};
use sglsim_hw::Gpu;
use sglsim_kernels::{
    MemoryLaw, MemoryOptions, MoeA2aBackend, ParallelPlan, RankFeatures, StepFeatures, StepLaw,
};
use sglsim_model::ModelShape;

use crate::scenario::{any_rank, at, decode, extend, law, point};

fn each_rank(plan: &ParallelPlan, rank: RankFeatures) -> StepFeatures {
    StepFeatures::of_ranks(&vec![rank; plan.dp_size as usize])
}

fn part(law: &StepLaw, name: &str, step: &StepFeatures) -> f64 {
    let found = law.parts().iter().find(|(part, _)| *part == name);
    found.map_or(0.0, |(_, time)| at(law, time, step))
}

fn staged(pp_size: u32, tp_size: u32) -> ParallelPlan {
    ParallelPlan { pp_size, ..ParallelPlan::tensor(tp_size) }
}

#[test]
fn a_stage_is_its_layers_and_its_end() {
    // 126 layers in 4 stages are 31, 31, 32, 32: the last has the LM head too.
    let (one, four) = (law("Llama-3.1-405B", staged(1, 8)), law("Llama-3.1-405B", staged(4, 8)));
    let step = extend(0, 4096);
    let ends = ["t_embedding", "t_logits"].map(|name| part(&one, name, &step));
    let layers = at(&one, one.step_time(), &step) - ends[0] - ends[1];
    let stage = at(&four, four.step_time(), &step);
    let hand_over = part(&four, "t_hand_over", &step) / 3.0;
    let expected = layers * 32.0 / 126.0 + ends[1] + hand_over;
    assert!((stage / expected - 1.0).abs() < 5e-3, "{stage} {expected}");
    let latency = at(&four, four.latency(), &step);
    let through = at(&one, one.step_time(), &step) + 3.0 * hand_over;
    assert!((latency / through - 1.0).abs() < 1e-12, "{latency} {through}");
}

#[test]
fn stages_on_other_nodes_are_reached_over_their_nics() {
    let step = extend(0, 8192);
    let hand_over = |tp| part(&law("Llama-3.1-405B", staged(2, tp)), "t_hand_over", &step);
    assert!(hand_over(8) > 1.5 * hand_over(4));
}

#[test]
fn stages_are_a_symbol() {
    let two = law("DeepSeek-V3", staged(2, 8));
    for pp_size in [1, 2, 3, 4, 7] {
        let other = law("DeepSeek-V3", staged(pp_size, 8));
        for step in [extend(1000, 3000), decode(64, 100_000)] {
            let mut values = point(&two, &step);
            values.extend(Values::from([("pp_size", f64::from(pp_size))]));
            for (law, expr) in
                [(other.step_time(), two.step_time()), (other.latency(), two.latency())]
            {
                let (built, moved) = (at(&other, law, &step), expr.evaluate(&values).unwrap());
                assert!((built - moved).abs() <= 1e-12 * built, "{pp_size}: {built} {moved}");
            }
        }
    }
}

#[test]
fn stages_divide_the_memory() {
    let gpu = Gpu::preset("H100").unwrap();
    let fit = |model: &str, plan| {
        let model = ModelShape::preset(model).unwrap();
        let options = MemoryOptions { mem_fraction_static: Some(0.88), ..Default::default() };
        let law = MemoryLaw::of(&Context::new(), "", &model, &gpu, &plan, &options).unwrap();
        (law.fit().unwrap(), law)
    };
    let (one, _) = fit("Llama-3.1-405B", staged(1, 16));
    let (two, law) = fit("Llama-3.1-405B", staged(2, 8));
    // 63 layers each and one of embedding and LM head, split over half as many ranks: the same, but
    // for key and value projections, which 16 ranks hold twice, and half of the norms.
    let (a, b) = (one.weight_bytes.get(), two.weight_bytes.get());
    let projections = 2.0 * 16_384.0 * 8.0 * 128.0 * 126.0 * 2.0 / 16.0;
    let norms = 2.0 * 126.0 * 16_384.0 * 2.0 / 2.0;
    assert!((a - b - projections - norms).abs() < 1e6, "{a} {b}");
    // 8 key-value heads: 16 ranks hold each twice, 8 ranks once.
    assert_eq!(two.cell_bytes.get(), one.cell_bytes.get() / 2.0);
    assert!(two.max_total_num_tokens > one.max_total_num_tokens);
    let alone = law.weight_bytes().evaluate(&law.values().clone().with("pp_size", 1.0)).unwrap();
    assert!(alone > 1.9 * b);
    // DeepSeek-V3's layers of experts are in the last stage, three dense ones in the first.
    let (deep, law) = fit("DeepSeek-V3", staged(2, 16));
    let whole = law.weight_bytes().evaluate(&law.values().clone().with("pp_size", 1.0)).unwrap();
    assert!(deep.weight_bytes.get() > 0.5 * whole && deep.weight_bytes.get() < 0.56 * whole);
    assert_eq!(deep.cell_bytes.get(), 70_272.0 * 31.0 / 61.0);
}

fn deep_ep(plan: ParallelPlan) -> ParallelPlan {
    ParallelPlan { moe_a2a_backend: MoeA2aBackend::DeepEp, ..plan }
}

fn wide() -> ParallelPlan {
    deep_ep(ParallelPlan { dp_size: 16, ep_size: 16, ..ParallelPlan::tensor(16) })
}

#[test]
fn dense_layers_of_their_own_do_not_communicate() {
    let alone = ParallelPlan { moe_dense_tp_size: Some(1), ..wide() };
    let (split, alone) = (law("DeepSeek-V3", wide()), law("DeepSeek-V3", alone));
    let mut rank = RankFeatures::default();
    rank.set_decode(64, 64, 64_000, 1);
    let step = each_rank(&wide(), rank);
    let comm = |law: &StepLaw| part(law, "t_comm", &step);
    let gathers = (comm(&split) - comm(&alone)) / comm(&split);
    assert!((0.0..0.2).contains(&gathers) && gathers > 0.0, "{gathers}");
    // Each rank now reads three whole FFNs instead of a sixteenth of them.
    assert!(part(&alone, "t_ffn", &step) > part(&split, "t_ffn", &step));
}

#[test]
fn one_half_hides_behind_the_other() {
    let halves = ParallelPlan { enable_two_batch_overlap: true, ..wide() };
    let (plain, halves) = (law("DeepSeek-V3", wide()), law("DeepSeek-V3", halves));
    let mut rank = RankFeatures::default();
    rank.add_extend(0, 8192);
    let step = each_rank(&wide(), rank);
    let (before, after) =
        (at(&plain, plain.step_time(), &step), at(&halves, halves.step_time(), &step));
    let comm = part(&plain, "t_comm", &step);
    assert!(after < before && after > before - comm, "{before} to {after}, {comm} to hide");
    let breakdown = halves.breakdown(&step).unwrap();
    assert!(breakdown.overlap() > 0.5 * (before - after));
    // A batch that cannot be split runs as before.
    let mut rank = RankFeatures::default();
    rank.set_decode(1, 1, 1000, 1);
    let step = each_rank(&wide(), rank);
    let times = [&plain, &halves].map(|law| at(law, law.device_time(), &step));
    assert!((times[0] / times[1] - 1.0).abs() < 1e-12, "{times:?}");
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(8))]

    /// More stages never make the worker slower between steps, nor a batch faster through it.
    #[test]
    fn stages_trade_latency_for_rate(rank in any_rank(), pp_size in 2u32..8) {
        let step = StepFeatures::of_ranks([&rank]);
        let (one, many) = (law("Llama-3.1-70B", staged(1, 4)), law("Llama-3.1-70B", staged(pp_size, 4)));
        let whole = at(&one, one.step_time(), &step);
        let (stage, latency) = (at(&many, many.step_time(), &step), at(&many, many.latency(), &step));
        let room = part(&many, "t_hand_over", &step);
        prop_assert!(stage <= whole + room + 1e-12, "{whole} {stage}");
        prop_assert!(latency >= whole - 1e-12 && latency >= stage - room - 1e-12, "{latency}");
    }
}

//! What must hold of every law, whatever the numbers.

use std::sync::LazyLock;

use proptest::prelude::*;
use sglsim_expr::{Context, Expr, Values};
use sglsim_kernels::{ParallelPlan, RankFeatures, StepFeatures, StepLaw};

use crate::scenario::{any_rank, at, law, law_on, point, scenarios};

/// Relative room for sums in another order.
const ROUNDING: f64 = 1e-12;

/// The laws of all scenarios.
static LAWS: LazyLock<Vec<(String, ParallelPlan, StepLaw)>> = LazyLock::new(|| {
    scenarios()
        .into_iter()
        .map(|(model, plan)| (format!("{model} {plan:?}"), plan, law(model, plan)))
        .collect()
});

fn each_rank(plan: &ParallelPlan, rank: RankFeatures) -> StepFeatures {
    StepFeatures::of_ranks(&vec![rank; plan.dp_size as usize])
}

#[test]
fn no_work_costs_nothing() {
    for (name, _, law) in LAWS.iter() {
        let idle = StepFeatures { eager: 1.0, ..StepFeatures::default() };
        assert_eq!(at(law, law.step_time(), &idle), 0.0, "{name}");
        for (part, time) in law.parts() {
            assert_eq!(at(law, time, &idle), 0.0, "{name} {part}");
        }
    }
}

#[test]
fn one_gpu_does_not_communicate() {
    let law = law("Llama-3.1-8B", ParallelPlan::tensor(1));
    let (_, comm) = law.parts().iter().find(|(name, _)| *name == "t_comm").unwrap();
    assert!(comm.bind(law.values()).free_symbols().is_empty());
}

#[test]
fn constraints_hold_for_plans_that_pass_the_check() {
    for (name, _, law) in LAWS.iter() {
        for constraint in law.constraints() {
            let holds = constraint.holds.evaluate(law.values()).unwrap();
            assert_eq!(holds, 1.0, "{name}: {}", constraint.name);
        }
    }
}

#[test]
fn constraints_and_check_agree_on_tensor_parallel_sizes() {
    for model in ["Llama-3.1-8B", "Llama-3.1-405B", "Mixtral-8x7B", "DeepSeek-V3", "gpt-oss-20b"] {
        let shape = sglsim_model::ModelShape::preset(model).unwrap();
        let law = law(model, ParallelPlan::tensor(1));
        for tp_size in 1..=64 {
            let values = law.values().clone().with("tp_size", f64::from(tp_size));
            let holds = law.constraints().iter().all(|c| c.holds.evaluate(&values).unwrap() == 1.0);
            let passes = ParallelPlan::tensor(tp_size).check(&shape, 64).is_ok();
            assert_eq!(holds, passes, "{model} over {tp_size}");
        }
    }
}

#[test]
fn two_laws_share_a_context_under_two_scopes() {
    let cx = Context::new();
    let topology = crate::scenario::topology("H100");
    let model = sglsim_model::ModelShape::preset("Llama-3.1-8B").unwrap();
    let theta = sglsim_kernels::Coefficients::for_architecture(topology.gpu().architecture);
    let of = |scope, tp| {
        StepLaw::of(&cx, scope, &model, &topology, &theta, &ParallelPlan::tensor(tp)).unwrap()
    };
    let (prefill, decode) = (of("prefill_", 1), of("decode_", 2));
    let both = prefill.step_time() + decode.step_time();
    let names: Vec<String> = both.free_symbols().into_iter().map(|symbol| symbol.name).collect();
    assert!(names.iter().all(|n| n.starts_with("prefill_") || n.starts_with("decode_")));
    assert_eq!(decode.values().get("decode_tp_size"), Some(2.0));
    assert_eq!(of("prefill_", 1).step_time(), prefill.step_time(), "same law, same expression");
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(12))]

    /// The compiled program, the expression, and the parts are one law.
    #[test]
    fn program_is_the_expression(ranks in prop::collection::vec(any_rank(), 8)) {
        for (name, plan, law) in LAWS.iter() {
            let dp = plan.dp_size as usize;
            let step = StepFeatures::of_ranks(&ranks[..dp]);
            let seconds = law.compile().unwrap().seconds(&step);
            let expected = at(law, law.step_time(), &step);
            prop_assert!((seconds - expected).abs() <= ROUNDING * expected, "{name}: {seconds} {expected}");
            prop_assert!(seconds.is_finite() && seconds >= 0.0);

            let mut parts = vec![0.0; law.parts().len()];
            law.compile_parts().unwrap().evaluator().eval(&step.as_array(), &mut parts);
            let host = parts.pop().unwrap();
            let device: f64 = parts.iter().sum();
            let through = at(law, law.latency(), &step);
            prop_assert!((device.max(host) - through).abs() <= ROUNDING * through, "{name}");
        }
    }

    /// More of anything that a rank does never takes less time, with one attention replica.
    #[test]
    fn more_work_never_costs_less(rank in any_rank(), more in 1u64..500, which in 0usize..6) {
        let mut larger = rank;
        let length = rank.decode_context.div_ceil(rank.decode_seqs.max(1)).max(1);
        match which {
            // Another sequence, no shorter than the others: attention knows but their mean.
            0 => {
                let mean = |sum: u64| sum.div_ceil(rank.extend_seqs.max(1));
                larger.add_extend(mean(rank.extend_prefix), mean(rank.extend_tokens) + more);
            }
            1 => larger.extend_prefix += more,
            2 => larger.extend_pairs += more as f64,
            3 => larger.decode_context += more,
            4 => larger.set_decode(rank.decode_seqs + more, rank.decode_padded + more,
                                   rank.decode_context + more * length, rank.query_tokens.max(1)),
            _ => larger.eager = true,
        }
        for (name, plan, law) in LAWS.iter() {
            if plan.dp_size > 1 {
                continue;
            }
            let mut program = law.compile().unwrap();
            let small = program.seconds(&StepFeatures::of_ranks([&rank]));
            let large = program.seconds(&StepFeatures::of_ranks([&larger]));
            prop_assert!(large >= small * (1.0 - ROUNDING), "{name}: {small} to {large}");
        }
    }

    /// With several replicas, more context or pairs on every rank never takes less time. (More
    /// tokens may: the gathered buffer then changes its padding, as SGLang's does.)
    #[test]
    fn more_attention_never_costs_less_with_replicas(rank in any_rank(), more in 1u64..5_000) {
        for (name, plan, law) in LAWS.iter().filter(|(_, plan, _)| plan.dp_size > 1) {
            let mut program = law.compile().unwrap();
            let small = program.seconds(&each_rank(plan, rank));
            let mut larger = rank;
            larger.decode_context += more;
            larger.extend_pairs += more as f64;
            larger.extend_prefix += more;
            let large = program.seconds(&each_rank(plan, larger));
            prop_assert!(large >= small * (1.0 - ROUNDING), "{name}: {small} to {large}");
        }
    }

    /// Better hardware, or reaching more of it, never takes longer; higher latencies never less.
    #[test]
    fn better_hardware_never_takes_longer(rank in any_rank(), factor in 1.0f64..1.5) {
        for (scenario, plan, law) in LAWS.iter() {
            let step = each_rank(plan, rank);
            let base = at(law, law.step_time(), &step);
            for name in law.values().names() {
                let better = name.ends_with("_bandwidth") || name.starts_with("peak_flops");
                let share = name.contains("_efficiency");
                let worse = name.ends_with("_latency") || name == "expert_imbalance";
                if !(better || share || worse) {
                    continue;
                }
                let value = law.values().get(name).unwrap() * factor;
                let values = point(law, &step).with(name, if share { value.min(1.0) } else { value });
                let time = law.step_time().evaluate(&values).unwrap();
                let room = ROUNDING * base;
                let holds = if worse { time >= base - room } else { time <= base + room };
                prop_assert!(holds, "{scenario}, {name} times {factor}: {base} to {time}");
            }
        }
    }

    /// A step takes at least as long as reading the weights and as its arithmetic, at datasheet rates.
    #[test]
    fn no_step_beats_the_datasheet(rank in any_rank()) {
        let shape = sglsim_model::ModelShape::preset("Llama-3.1-70B").unwrap();
        let law = law("Llama-3.1-70B", ParallelPlan::tensor(4));
        let step = StepFeatures::of_ranks([&rank]);
        prop_assume!(step.tokens > 0.0);
        let time = at(&law, law.step_time(), &step);
        // Without embedding, which is looked up, and LM head, which few rows reach.
        let vocabulary = 2 * shape.embedding_parameters();
        let weights = (shape.parameters().total() - vocabulary) as f64;
        let value = |name| law.values().get(name).unwrap();
        let reading = weights * 2.0 / 4.0 / value("hbm_bandwidth");
        let computing = weights * 2.0 * step.tokens / 4.0 / value("peak_flops_bf16");
        prop_assert!(time >= reading && time >= computing, "{time} {reading} {computing}");
    }

    /// Every law is finite on every GPU.
    #[test]
    fn finite_on_every_gpu(rank in any_rank()) {
        for gpu in sglsim_hw::Gpu::names() {
            for (model, plan) in [("Llama-3.1-8B", ParallelPlan::tensor(1)),
                                  ("DeepSeek-V3", ParallelPlan::tensor(8)),
                                  ("gpt-oss-20b", ParallelPlan::tensor(2))] {
                let seconds = law_on(gpu, model, plan)
                    .compile()
                    .unwrap()
                    .seconds(&StepFeatures::of_ranks([&rank]));
                prop_assert!(seconds.is_finite() && (0.0..1e4).contains(&seconds), "{gpu} {model}");
            }
        }
    }
}

/// The expression in the knobs agrees with laws built for other knobs: they are no constants.
#[test]
fn knobs_are_symbols() {
    let one = law("DeepSeek-V3", ParallelPlan::tensor(1));
    let mut rank = RankFeatures::default();
    rank.add_extend(500, 1500);
    for plan in [
        ParallelPlan::tensor(8),
        ParallelPlan { ep_size: 16, ..ParallelPlan::tensor(16) },
        ParallelPlan { dp_size: 4, ep_size: 2, ..ParallelPlan::tensor(8) },
    ] {
        let step = each_rank(&plan, rank);
        let other = law("DeepSeek-V3", plan);
        let knobs = Values::from([
            ("tp_size", f64::from(plan.tp_size)),
            ("dp_size", f64::from(plan.dp_size)),
            ("ep_size", f64::from(plan.ep_size)),
        ]);
        let mut values = point(&one, &step);
        values.extend(knobs);
        let time: &Expr = one.step_time();
        assert_eq!(time.evaluate(&values).unwrap(), at(&other, other.step_time(), &step));
    }
}

//! Tests of speculative decoding.

use proptest::prelude::*;
use sglsim_expr::{Context, Values};
use sglsim_hw::{Gpu, Topology};

use super::*;
use crate::{Coefficients, RankFeatures, StepFeatures, StepLaw};

fn model(name: &str) -> ModelShape {
    ModelShape::preset(name).unwrap()
}

fn resolved(config: SpeculativeConfig, name: &str, plan: ParallelPlan) -> Speculation {
    config.resolve(&model(name), None, &plan).unwrap()
}

fn law(
    name: &str,
    plan: ParallelPlan,
    config: SpeculativeConfig,
    acceptance: &Acceptance,
) -> SpeculativeLaw {
    let topology = Topology::of(Gpu::preset("H200").unwrap()).unwrap();
    let theta = Coefficients::for_architecture(topology.gpu().architecture);
    let target = StepLaw::of(&Context::new(), "", &model(name), &topology, &theta, &plan).unwrap();
    SpeculativeLaw::of(&target, &plan, &resolved(config, name, plan), acceptance).unwrap()
}

fn decoding(seqs: u64, context: u64, query: u64, ranks: usize) -> StepFeatures {
    let mut rank = RankFeatures::default();
    rank.set_decode(seqs, seqs, seqs * context, query);
    StepFeatures::of_ranks(&vec![rank; ranks])
}

#[test]
fn defaults_are_sglangs() {
    let of = |algorithm, name| {
        let config = SpeculativeConfig::new(algorithm);
        let speculation = resolved(config, name, ParallelPlan::tensor(8));
        (speculation.num_steps, speculation.eagle_topk, speculation.num_draft_tokens)
    };
    assert_eq!(of(SpeculativeAlgorithm::Eagle3, "Llama-3.1-70B"), (5, 4, 8));
    assert_eq!(of(SpeculativeAlgorithm::NextN, "DeepSeek-V3"), (3, 1, 4));
    assert_eq!(of(SpeculativeAlgorithm::Eagle3, "Qwen3-32B"), (3, 1, 4));
    assert_eq!(of(SpeculativeAlgorithm::Ngram, "Llama-3.1-70B"), (1, 10, 12));
}

#[test]
fn a_chain_verifies_one_token_more_than_it_drafts() {
    let config = SpeculativeConfig {
        speculative_num_steps: Some(6),
        speculative_num_draft_tokens: Some(20),
        ..SpeculativeConfig::new(SpeculativeAlgorithm::NextN)
    };
    assert_eq!(resolved(config, "DeepSeek-V3", ParallelPlan::tensor(8)).num_draft_tokens, 7);
}

#[test]
fn what_cannot_be_is_refused() {
    let refused = |config: SpeculativeConfig, name, plan| {
        config.resolve(&model(name), None, &plan).unwrap_err().to_string()
    };
    let tp = ParallelPlan::tensor(8);
    let next = SpeculativeConfig::new(SpeculativeAlgorithm::NextN);
    let steps = SpeculativeConfig { speculative_num_steps: Some(0), ..next };
    assert_eq!(
        refused(steps, "DeepSeek-V3", tp),
        "`speculative_num_steps` is 0, allowed is 1 to 64"
    );
    assert!(refused(next, "Llama-3.1-8B", tp).contains("no MTP layer"));
    let eagle = SpeculativeConfig::new(SpeculativeAlgorithm::Eagle3);
    let many = SpeculativeConfig {
        speculative_num_steps: Some(2),
        speculative_eagle_topk: Some(2),
        speculative_num_draft_tokens: Some(8),
        ..eagle
    };
    assert_eq!(
        refused(many, "Llama-3.1-8B", tp),
        "`speculative_num_draft_tokens` is 8, allowed is 1 to 7"
    );
    let alone = SpeculativeConfig::new(SpeculativeAlgorithm::Standalone);
    assert!(refused(alone, "Llama-3.1-8B", tp).contains("needs a draft model"));
    let deep = ParallelPlan { pp_size: 2, ..tp };
    assert!(refused(next, "DeepSeek-V3", deep).contains("pp_size > 1"));
}

#[test]
fn rates_are_shares() {
    let refused = |law: Acceptance| law.check().unwrap_err().to_string();
    assert_eq!(
        refused(Acceptance::PerPosition { rates: vec![0.9, 1.5] }),
        "accept rate of position 2 is 1.5, allowed is 0 to 1"
    );
    assert!(refused(Acceptance::PerPosition { rates: vec![] }).contains("position 1"));
    assert!(refused(Acceptance::Geometric { rate: f64::NAN }).contains("NaN"));
}

#[test]
fn reserved_slots_are_sglangs() {
    let plan = ParallelPlan::tensor(8);
    let chain = resolved(SpeculativeConfig::new(SpeculativeAlgorithm::NextN), "DeepSeek-V3", plan);
    assert_eq!((chain.reserved_tokens(1), chain.reserved_tokens(64)), (8, 8));
    let tree = resolved(SpeculativeConfig::new(SpeculativeAlgorithm::Eagle), "Llama-3.1-8B", plan);
    // 2·5·4; with pages of 64 each of 4 branches has ⌈(63 + 5)/64⌉ = 2 pages.
    assert_eq!((tree.reserved_tokens(1), tree.reserved_tokens(64)), (40, 2 * 4 * 64 * 2));
}

#[test]
fn a_tree_accepts_more_than_the_chain_inside_it() {
    let plan = ParallelPlan::tensor(8);
    let rate = Acceptance::Geometric { rate: 0.6 };
    let tree =
        law("Llama-3.1-8B", plan, SpeculativeConfig::new(SpeculativeAlgorithm::Eagle), &rate);
    let chain = SpeculativeConfig {
        speculative_num_steps: Some(5),
        ..SpeculativeConfig::new(SpeculativeAlgorithm::Eagle)
    };
    let chain = law("Llama-3.1-8B", plan, chain, &rate);
    let length = |law: &SpeculativeLaw| law.accept_length().evaluate(law.values()).unwrap();
    // 1 + 0.6 + 0.36 + … + 0.6⁵ for the chain.
    assert!((length(&chain) - 2.38336).abs() < 1e-12);
    // Seven paths: 0.6, 0.36, 0.216, 0.24 (second), 0.144 (second then first, and first then
    // second), 0.1296.
    let paths = [0.6, 0.36, 0.216, 0.24, 0.144, 0.144, 0.1296];
    assert!((length(&tree) - 1.0 - paths.iter().sum::<f64>()).abs() < 1e-12, "{}", length(&tree));
}

#[test]
fn an_iteration_is_draft_verify_and_extend() {
    let plan = ParallelPlan::tensor(8);
    let rate = Acceptance::Geometric { rate: 0.8 };
    let law = law("DeepSeek-V3", plan, SpeculativeConfig::new(SpeculativeAlgorithm::NextN), &rate);
    let step = decoding(16, 3000, 4, 1);
    let mut point = law.values().clone();
    point.extend(StepFeatures::NAMES.into_iter().zip(step.as_array()));
    let part = |name| {
        let (_, time) = law.parts().iter().find(|(part, _)| *part == name).unwrap();
        time.evaluate(&point).unwrap()
    };
    let device = part("t_verify") + part("t_draft") + part("t_draft_extend");
    let seconds = law.compile().unwrap().seconds(&step);
    assert!((seconds - device.max(part("t_host"))).abs() < 1e-12);
    // One layer of 61 on a quarter of the tokens, and an LM head: a small part of the target.
    let pass = part("t_draft") / 2.0;
    assert!(pass > part("t_verify") / 200.0 && pass < part("t_verify") / 20.0, "{pass}");
}

#[test]
fn prompts_pass_the_draft_model_once() {
    let plan = ParallelPlan { dp_size: 8, ep_size: 8, ..ParallelPlan::tensor(8) };
    let rate = Acceptance::Geometric { rate: 0.8 };
    let law = law("DeepSeek-V3", plan, SpeculativeConfig::new(SpeculativeAlgorithm::NextN), &rate);
    let mut rank = RankFeatures::default();
    rank.add_extend(0, 1000);
    let step = StepFeatures::of_ranks(&[rank; 8]);
    let mut point = law.values().clone();
    point.extend(StepFeatures::NAMES.into_iter().zip(step.as_array()));
    let (_, drafting) = law.parts().iter().find(|(part, _)| *part == "t_draft").unwrap();
    assert_eq!(drafting.evaluate(&point).unwrap(), 0.0);
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    /// Probabilities are a distribution, and their mean is the law's length.
    #[test]
    fn draws_have_the_expected_length(
        rates in prop::collection::vec(0.0f64..=1.0, 1..7),
        geometric: bool,
        tree: bool,
    ) {
        let acceptance = match geometric {
            true => Acceptance::Geometric { rate: rates[0] },
            false => Acceptance::PerPosition { rates },
        };
        let plan = ParallelPlan::tensor(8);
        let config = SpeculativeConfig {
            speculative_num_steps: (!tree).then_some(4),
            ..SpeculativeConfig::new(SpeculativeAlgorithm::Eagle)
        };
        let speculation = resolved(config, "Llama-3.1-8B", plan);
        let probabilities = acceptance.probabilities(&speculation);
        let total: f64 = probabilities.iter().sum();
        prop_assert!((total - 1.0).abs() < 1e-12, "{total}");
        let mean: f64 = (1..).zip(&probabilities).map(|(n, p)| f64::from(n) * p).sum();
        let law = law("Llama-3.1-8B", plan, config, &acceptance);
        let expected = law.accept_length().evaluate(law.values()).unwrap();
        prop_assert!((mean - expected).abs() < 1e-9, "{mean} {expected}");
        let most = f64::from(speculation.num_steps) + 1.0;
        prop_assert!((1.0..=most + 1e-12).contains(&expected));
    }

    /// The number of steps is a symbol: the law at other steps is the law built for them.
    #[test]
    fn steps_are_a_symbol(steps in 1u32..9, rate in 0.0f64..=1.0, seqs in 1u64..64) {
        let acceptance = Acceptance::Geometric { rate };
        let plan = ParallelPlan::tensor(8);
        let of = |steps| {
            let config = SpeculativeConfig {
                speculative_num_steps: Some(steps),
                ..SpeculativeConfig::new(SpeculativeAlgorithm::NextN)
            };
            law("DeepSeek-V3", plan, config, &acceptance)
        };
        let step = decoding(seqs, 2000, u64::from(steps) + 1, 1);
        let features: Values = StepFeatures::NAMES.into_iter().zip(step.as_array()).collect();
        let at = |law: &SpeculativeLaw, more: Values| {
            let mut point = law.values().clone();
            point.extend(features.clone());
            point.extend(more);
            law.time_per_token().evaluate(&point).unwrap()
        };
        let rebuilt = at(&of(steps), Values::new());
        let moved = at(&of(3), Values::from([("speculative_num_steps", f64::from(steps))]));
        prop_assert!((rebuilt - moved).abs() <= 1e-12 * rebuilt);
    }
}

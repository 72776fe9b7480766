//! A plan in our own text: its values are known, its regime is told.

use proptest::prelude::*;
use sglsim_expr::{Context, Limits, Module, Reach, Terms, Values};

fn planner() -> Module {
    let text = include_str!("planner.sglsim");
    Module::parse(&Context::new(), text).unwrap_or_else(|problems| panic!("{problems}"))
}

const KNOBS: [&str; 7] = ["np", "nd", "chunk", "batch_tokens", "tp", "dp", "ep"];

fn at(point: [f64; 7]) -> Values {
    KNOBS.into_iter().zip(point).collect()
}

/// Throughput, prefill and decode time by plain loops in another language.
#[test]
fn values_are_those_of_plain_loops() {
    let module = planner();
    for (point, throughput) in [
        ([6.0, 2.0, 3584.0, 544_768.0, 1.0, 32.0, 32.0], 174_592.8568112116),
        ([11.0, 5.0, 4864.0, 315_392.0, 1.0, 16.0, 16.0], 163_197.75058520344),
        ([8.0, 4.0, 2048.0, 262_144.0, 2.0, 8.0, 16.0], 60_578.808229936534),
        ([3.0, 5.0, 512.0, 65_536.0, 8.0, 2.0, 16.0], 7_348.558731549586),
        ([1.0, 3.0, 256.0, 8_192.0, 16.0, 1.0, 16.0], 757.6418101786826),
        ([10.0, 6.0, 1408.0, 307_200.0, 1.0, 16.0, 16.0], 147_528.15602284131),
        ([2.0, 2.0, 640.0, 40_960.0, 4.0, 16.0, 64.0], 31_803.279724112213),
    ] {
        let got = module.evaluate(&at(point)).unwrap();
        assert!((got - throughput).abs() <= 1e-12 * throughput, "{got} instead of {throughput}");
        assert_eq!(module.violated(&at(point)).unwrap(), Vec::<&str>::new());
    }
}

#[test]
fn the_regime_is_told() {
    let module = planner();
    insta::assert_snapshot!("regime", module.regime(&Values::new()).unwrap());
    let crowded = at([2.0, 6.0, 1024.0, 131_072.0, 4.0, 4.0, 16.0]);
    insta::assert_snapshot!("regime_crowded", module.regime(&crowded).unwrap());
}

#[test]
fn it_is_read_back() {
    let module = planner();
    let text = module.to_text().unwrap();
    assert_eq!(Module::parse(module.objective.context(), &text).unwrap(), module);
    let simple = module.objective.simplify(&Limits::default());
    println!("planner: cost {} -> {}, {:?}", simple.cost_before, simple.cost_after, simple.stop);
}

/// What decides, by which arm and in which terms of a sum, and the violated constraints.
type Regime = (Vec<(String, String, Option<Terms>)>, Vec<String>);

proptest! {
    #![proptest_config(ProptestConfig::with_cases(8))]

    /// Up to a change everything decides as before; at the change it does not.
    #[test]
    fn a_change_is_the_first_one(
        np in 1..64u32, nd in 1..64u32, chunk in 1..64u32, batch in 1..256u32,
        tp in 0..4u32, dp in 0..5u32, ep in 0..6u32, shares in prop::collection::vec(0.0..1.0f64, 4),
    ) {
        let module = planner();
        let power = |e: u32| f64::from(1u32 << e);
        let (np, nd) = (f64::from(np), f64::from(nd));
        let (chunk, batch) = (f64::from(128 * chunk), f64::from(4096 * batch));
        let point = at([np, nd, chunk, batch, power(tp), power(dp), power(ep)]);
        let regime = |values: &Values| -> Regime {
            let arms = module.active_arms(values).unwrap();
            let arms = arms.into_iter().map(|arm| (arm.decides, arm.arm, arm.terms)).collect();
            (arms, module.violated(values).unwrap().into_iter().map(str::to_owned).collect())
        };
        let here = regime(&point);
        let report = module.regime(&point).unwrap();
        for symbol in &report.symbols {
            let whole = symbol.value.fract() == 0.0 && symbol.value < 1e9;
            for reach in [&symbol.down, &symbol.up] {
                let (until, changes) = match reach {
                    Reach::Change { at, .. } => (*at, true),
                    Reach::Same { until } | Reach::Unknown { until } => (*until, false),
                    _ => unreachable!("there are three"),
                };
                for share in &shares {
                    // Not the last bits before a change.
                    let value = symbol.value + (until - symbol.value) * share * (1.0 - 1e-7);
                    let value = if whole { value.trunc() } else { value };
                    let value = if value == until { symbol.value } else { value };
                    let there = regime(&point.clone().with(&symbol.name, value));
                    prop_assert_eq!(&here, &there, "{} = {}", symbol.name, value);
                }
                if changes {
                    let there = regime(&point.clone().with(&symbol.name, until));
                    prop_assert_ne!(&here, &there, "{} = {}", symbol.name, until);
                }
            }
        }
    }
}

//! The steady state: its distance from simulation, and the laws that it obeys.

use std::sync::OnceLock;

use proptest::prelude::*;
use sglsim_engine::{DeploymentPlan, Report, Scenario};
use sglsim_expr::Values;
use sglsim_formula::{Formula, Frozen, Load, Metric};

use crate::scenarios::{AGGREGATED, DISAGGREGATED, DP_ATTENTION, fixed, freeze, plan, scenario};

/// Output tokens per second while the deployment is full: between the first and the last quarter of
/// the finishes.
fn full_throughput(report: &Report) -> f64 {
    let mut finished: Vec<f64> =
        report.requests.iter().filter_map(|request| Some(request.finished?.seconds())).collect();
    finished.sort_by(f64::total_cmp);
    let (from, to) = (finished.len() / 4, finished.len() * 3 / 4);
    let rate = (to - from) as f64 / (finished[to] - finished[from]);
    rate * report.total_output_tokens as f64 / report.completed as f64
}

/// The table of `docs/guide/formulas.md`; `cargo test -- --nocapture formula_is_close` prints it.
#[test]
fn formula_is_close_to_simulation() {
    const MOST: f64 = 0.10;
    let one = "Aggregated(workers: 1)";
    let capped = "Aggregated(workers: 1, max_running_requests: Some(64))";
    let ranks = "Aggregated(workers: 1, tp_size: 16, dp_size: 16, ep_size: 16, \
                 max_running_requests: Some(512))";
    let pd = |prefill: u32| {
        format!("Disaggregated(prefill: (workers: {prefill}, tp_size: 4), decode: (tp_size: 4))")
    };
    let deployments = [
        ("8B, one GPU", "Llama-3.1-8B", one.to_owned(), "Burst"),
        ("8B, one GPU, 64 requests at most", "Llama-3.1-8B", capped.to_owned(), "Burst"),
        ("70B, 1 prefill + 1 decode of TP4", "Llama-3.1-70B", pd(1), "Burst"),
        ("70B, 3 prefill + 1 decode of TP4", "Llama-3.1-70B", pd(3), "Burst"),
        ("the same, 64 users", "Llama-3.1-70B", pd(3), "ClosedLoop(concurrency: 64)"),
        ("DeepSeek-V3, 16 attention ranks", "DeepSeek-V3", ranks.to_owned(), "Burst"),
    ];
    for (name, model, deployment, arrivals) in deployments {
        let mut row = format!("| {name} |");
        for (input, output) in [(500, 500), (1000, 100), (4000, 50), (10_000, 200), (100, 1000)] {
            let workload = format!(
                "Synthetic(arrivals: {arrivals}, input_len: Uniform(min: 1, max: {}), \
                 output_len: Uniform(min: 1, max: {}), requests: 5000)",
                2 * input,
                2 * output
            );
            let scenario = scenario(model, &deployment, &workload);
            let (report, frozen) = freeze(&scenario);
            let formula = throughput(&plan(&scenario), &frozen);
            let computed = formula.module.evaluate(&Values::new()).unwrap();
            let error = computed / full_throughput(&report) - 1.0;
            row += &format!(" {:+.1} % |", 100.0 * error);
            assert!(error.abs() < MOST, "{name}, {input} + {output} tokens: off by {error:+.3}");
        }
        println!("{row}");
    }
}

fn throughput(plan: &DeploymentPlan, frozen: &Frozen) -> Formula {
    Formula::of(plan, Metric::OutputThroughput, frozen).unwrap()
}

/// One deployment of each kind.
fn plans() -> &'static [DeploymentPlan; 3] {
    static PLANS: OnceLock<[DeploymentPlan; 3]> = OnceLock::new();
    PLANS.get_or_init(|| {
        let plan = |model, deployment| {
            let scenario: Scenario = scenario(model, deployment, &fixed("Burst", 1, 1, 1));
            plan(&scenario)
        };
        [
            plan("Llama-3.1-8B", AGGREGATED),
            plan("Llama-3.1-70B", DISAGGREGATED),
            plan("DeepSeek-V3", DP_ATTENTION),
        ]
    })
}

fn loads() -> impl Strategy<Value = Load> {
    prop_oneof![
        Just(Load::Unlimited),
        (0.01..100.0).prop_map(|request_rate| Load::Open { request_rate }),
        (1_u32..2000, 0.0..10.0).prop_map(|(users, mean_think_time)| Load::Closed {
            max_concurrency: f64::from(users),
            mean_think_time,
        }),
    ]
}

/// Prompts, the share that is cached, outputs.
fn workloads() -> impl Strategy<Value = (f64, f64, f64)> {
    (1_u32..20_000, 0.0..0.99, 1_u32..2000)
        .prop_map(|(prompt, share, output)| (f64::from(prompt), share, f64::from(output)))
}

fn no_less(more: f64, less: f64) -> bool {
    more >= less * (1.0 - 1e-12)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(16))]

    #[test]
    fn more_workers_and_bandwidth_never_hurt(
        (prompt, share, output) in workloads(),
        load in loads(),
        workers in 1_u32..50,
    ) {
        let frozen = Frozen::assumed(prompt, (share * prompt).floor(), output, load).unwrap();
        for plan in plans() {
            let formula = throughput(plan, &frozen);
            let scope = if plan.pools.len() == 1 { "" } else { "decode_" };
            let bandwidth = format!("{scope}hbm_bandwidth");
            let now = formula.module.values.get(&bandwidth).unwrap();
            let names: &[&str] = if plan.pools.len() == 1 { &["N"] } else { &["N_p", "N_d"] };
            for name in names {
                let at = |count: u32| {
                    formula.module.evaluate(&Values::from([(*name, f64::from(count))])).unwrap()
                };
                let (less, more) = (at(workers), at(workers + 1));
                prop_assert!(less > 0.0);
                // Queues of a closed loop are approximations, which need not fit together exactly.
                let slack = if matches!(load, Load::Closed { .. }) { 0.03 } else { 0.0 };
                prop_assert!(
                    no_less(more, less * (1.0 - slack)),
                    "{name} {workers}: {less} to {more}"
                );
            }
            let faster = formula.module.evaluate(&Values::from([(bandwidth, 2.0 * now)])).unwrap();
            let slower = formula.module.evaluate(&Values::new()).unwrap();
            let slack = if matches!(load, Load::Closed { .. }) { 0.03 } else { 0.0 };
            prop_assert!(no_less(faster, slower * (1.0 - slack)));
        }
    }

    #[test]
    fn throughputs_fit_together(
        (prompt, share, output) in workloads(),
        load in loads(),
    ) {
        let frozen = Frozen::assumed(prompt, (share * prompt).floor(), output, load).unwrap();
        for plan in plans() {
            let value = |metric| {
                Formula::of(plan, metric, &frozen).unwrap().evaluate(&Values::new()).unwrap()
            };
            let rate = value(Metric::RequestThroughput);
            let near = |a: f64, b: f64| (a - b).abs() <= 1e-12 * b;
            prop_assert!(near(value(Metric::OutputThroughput), rate * output));
            prop_assert!(near(value(Metric::InputThroughput), rate * prompt));
            prop_assert!(near(value(Metric::TotalThroughput), rate * (prompt + output)));
            let gpus = f64::from(plan.gpus());
            prop_assert!(near(value(Metric::OutputThroughputPerGpu) * gpus, rate * output));
            prop_assert!(no_less(value(Metric::MaxOutputThroughput), rate * output));
            if let Load::Open { request_rate } = load {
                prop_assert!(no_less(request_rate, rate));
            }
            if let Load::Closed { max_concurrency, mean_think_time } = load {
                prop_assert!(no_less(max_concurrency, rate * mean_think_time));
            }
        }
    }
}

/// With one token per output nothing decodes; with one user nothing overlaps.
#[test]
fn edges_are_finite_and_right() {
    let closed =
        |max_concurrency, mean_think_time| Load::Closed { max_concurrency, mean_think_time };
    let loads =
        [Load::Unlimited, Load::Open { request_rate: 1.0 }, closed(1.0, 0.0), closed(50.0, 1.0)];
    for (plan, load) in plans().iter().flat_map(|plan| loads.map(|load| (plan, load))) {
        let single = Frozen::assumed(1000.0, 0.0, 1.0, load).unwrap();
        let value = throughput(plan, &single).evaluate(&Values::new()).unwrap();
        assert!(value.is_finite() && value > 0.0, "{value} under {load:?}");
        if matches!(load, Load::Unlimited) {
            continue;
        }
        let ttft = Metric::Latency(sglsim_formula::Latency::Ttft, sglsim_formula::Statistic::Mean);
        let ttft = Formula::of(plan, ttft, &single).unwrap().evaluate(&Values::new()).unwrap();
        assert!((0.005..10.0).contains(&ttft), "TTFT {ttft} under {load:?}");
    }
    let alone = Load::Closed { max_concurrency: 1.0, mean_think_time: 0.0 };
    let frozen = Frozen::assumed(1000.0, 0.0, 100.0, alone).unwrap();
    for plan in &plans()[..2] {
        let rate = Formula::of(plan, Metric::RequestThroughput, &frozen).unwrap();
        let latency = Formula::of(plan, Metric::E2eLatency, &frozen).unwrap();
        let (rate, latency) =
            (rate.evaluate(&Values::new()).unwrap(), latency.evaluate(&Values::new()).unwrap());
        // A worker that overlaps computes a step more, which is thrown away.
        assert!((rate * latency - 1.0).abs() < 0.05, "{rate} against 1/{latency}");
    }
}

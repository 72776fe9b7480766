//! The engine against the naive simulation, and against a formula of queueing theory.

use proptest::prelude::*;
use sglsim_engine::{CostModel, Report, RngStreams, Scenario, Simulation, StepFeatures, WorkerId};

use crate::naive::{Job, Server, simulate};
use crate::scenarios::base_with;
use crate::watch::{Shared, TokenTimes};

/// The requests of an open-loop scenario.
fn jobs(scenario: &Scenario) -> Vec<Job> {
    let streams = RngStreams::new(scenario.seed);
    let mut workload = scenario.workload.build(".".as_ref(), streams).unwrap();
    std::iter::from_fn(|| workload.pop())
        .map(|request| Job {
            arrival: request.arrival.seconds(),
            prompt: request.prompt.tokens(),
            output: request.output_len as usize,
        })
        .collect()
}

fn watched(scenario: &Scenario) -> (Report, TokenTimes) {
    let tokens = Shared::new(TokenTimes::default());
    let simulation = Simulation::new(scenario.clone()).unwrap();
    let report = simulation.observer(tokens.watch()).run().unwrap();
    (report, tokens.take())
}

fn compare(scenario: &Scenario) {
    let simulation = Simulation::new(scenario.clone()).unwrap();
    let pool = &simulation.plan().pools[0];
    let server = Server {
        chunk: pool.scheduler.chunked_prefill_size.map(u64::from),
        max_prefill_tokens: u64::from(pool.scheduler.max_prefill_tokens),
        graphs: pool.cuda_graphs.clone(),
        // Lengths of synthetic answers are known.
        counts_exactly: pool.config.disable_radix_cache,
        overlap: pool.overlaps(),
    };
    let mut law = pool.law.compile().unwrap();
    let naive = simulate(&jobs(scenario), &server, |features| law.seconds(features));
    let (report, tokens) = watched(scenario);
    assert_eq!(report.retractions, 0, "the oracle has ample memory");
    assert_eq!(naive.len(), tokens.times.len());
    let close = |a: f64, b: f64| (a - b).abs() <= 1e-9;
    for (id, (naive, engine)) in naive.iter().zip(&tokens.times).enumerate() {
        assert_eq!(naive.len(), engine.len(), "tokens of request {id}");
        for (token, (naive, engine)) in naive.iter().zip(engine).enumerate() {
            assert!(close(*naive, *engine), "token {token} of {id}: {naive} s, {engine} s");
        }
    }
    let gaps = |times: &[Vec<f64>]| -> Vec<f64> {
        let mut gaps: Vec<f64> =
            times.iter().flat_map(|times| times.windows(2).map(|two| two[1] - two[0])).collect();
        gaps.sort_by(f64::total_cmp);
        gaps
    };
    let gaps = gaps(&naive);
    assert_eq!(gaps.len() as u64, report.itl.count);
    if let (Some(most), Some(least)) = (gaps.last(), gaps.first()) {
        assert!(close(report.itl.max, *most));
        for (q, found) in [(0.5, report.itl.p50), (0.9, report.itl.p90), (0.99, report.itl.p99)] {
            // The histogram rounds by 0.1 % to either side of the gap at this rank.
            let rank = ((gaps.len() as f64 * q).ceil() as usize).clamp(1, gaps.len()) - 1;
            let exact = gaps[rank];
            assert!((found - exact).abs() <= 1.1e-3 * exact + 1e-9, "p{q}: {found}, {exact}");
            assert!(found <= *most + 1e-12 && found >= least * 0.998);
        }
    }
}

proptest! {
    #![proptest_config(crate::scenarios::cases(24))]

    #[test]
    fn engine_is_the_naive_simulation(
        chunk in prop_oneof![Just(-1), 32_i64..3000],
        prefill in prop_oneof![Just(16_384_u32), 100_u32..2000],
        graph in 0_u32..20,
        rate in 2.0_f64..100.0,
        input in 1_u32..1500,
        output in 1_u32..60,
        requests in 1_u32..60,
        cache in any::<bool>(),
        normal in any::<bool>(),
        seed in any::<u32>(),
    ) {
        let load = format!(
            r#"{{"Synthetic": {{"arrivals": {{"Poisson": {{"rate": {rate}}}}},
                "input_len": {{"Uniform": {{"min": 1, "max": {input}}}}},
                "output_len": {{"Uniform": {{"min": 1, "max": {output}}}}},
                "requests": {requests}}}}}"#
        );
        compare(&base_with(&[
            ("deployment.chunked_prefill_size", &chunk.to_string()),
            ("deployment.max_prefill_tokens", &prefill.to_string()),
            ("deployment.cuda_graph_max_bs", &graph.max(1).to_string()),
            ("deployment.disable_cuda_graph", if graph == 0 { "true" } else { "false" }),
            ("deployment.disable_radix_cache", &cache.to_string()),
            ("deployment.disable_overlap_schedule", &normal.to_string()),
            ("workload", &load),
            ("seed", &seed.to_string()),
        ]));
    }
}

#[derive(Debug)]
struct Constant(f64);

impl CostModel for Constant {
    fn name(&self) -> &str {
        "constant"
    }

    fn step_seconds(&mut self, _step: &StepFeatures) -> f64 {
        self.0
    }
}

/// One request a step and one token each make the worker an M/D/1 queue: the mean wait is
/// ρD / (2(1 − ρ)) (Pollaczek and Khinchine).
#[test]
fn waits_are_those_of_an_m_d_1_queue() {
    let service = 0.01;
    for (utilisation, tolerance) in [(0.3, 0.03), (0.7, 0.05)] {
        let load = format!(
            r#"{{"Synthetic": {{"arrivals": {{"Poisson": {{"rate": {}}}}},
                "input_len": {{"Fixed": 64}}, "output_len": {{"Fixed": 1}},
                "requests": 40000}}}}"#,
            utilisation / service
        );
        // A request of the overlap loop is taken from the queue while the one before runs.
        let scenario = base_with(&[
            ("deployment.chunked_prefill_size", "64"),
            ("deployment.disable_overlap_schedule", "true"),
            ("workload", &load),
        ]);
        let simulation = Simulation::new(scenario).unwrap();
        let report = simulation.cost_model(move |_: WorkerId, _| Box::new(Constant(service)));
        let report = report.run().unwrap();
        let wait = utilisation * service / (2.0 * (1.0 - utilisation));
        let found = report.queue_time.mean;
        assert!((found / wait - 1.0).abs() < tolerance, "{found} s, M/D/1 says {wait} s");
        assert!((report.pools[0].busy_share / utilisation - 1.0).abs() < tolerance);
        assert!(!report.formula_available, "a constant is not a law");
        assert_eq!(report.latency_source, "constant");
    }
}

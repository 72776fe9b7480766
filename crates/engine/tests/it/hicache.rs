//! The host tier in the clock: what comes back, what it costs, and what waits for a copy.

use std::fmt::Write as _;

use proptest::prelude::*;
use sglsim_engine::{
    DeploymentPlan, Event, Observer, Report, Scenario, SimTime, Simulation, StepFeatures,
    TokenCount, WritePolicy,
};

use crate::scenarios::{base_with, bytes, cases, run};
use crate::watch::Shared;

/// Prompts of four blocks of 512 tokens, each long after the one before.
fn prompts(firsts: &[u32]) -> String {
    firsts.iter().enumerate().fold(String::new(), |mut text, (at, first)| {
        let blocks: Vec<u32> = (*first..first + 4).collect();
        let time = 5000 * at;
        writeln!(
            text,
            r#"{{"timestamp": {time}, "input_length": 2048, "output_length": 2, "hash_ids": {blocks:?}}}"#
        )
        .unwrap();
        text
    })
}

/// One worker with room for two of the prompts, and a host tier.
fn scenario(folder: &tempfile::TempDir, trace: &str, fields: &[(&str, &str)]) -> Scenario {
    let path = folder.path().join("trace.jsonl");
    std::fs::write(&path, trace).unwrap();
    let workload = format!(r#"Trace(file: "{}")"#, path.display());
    let usual = [
        ("deployment.max_total_tokens", "5000"),
        ("deployment.enable_hierarchical_cache", "true"),
        ("workload", &workload),
    ];
    base_with(&[&usual, fields].concat())
}

#[derive(Debug, Default)]
struct Watch {
    /// Tokens cached and those of them that came from the host, for each admission.
    hits: Vec<(TokenCount, TokenCount)>,
    /// Admitted since the last step, from the host.
    loading: TokenCount,
    /// What each step was measured by, what it loaded, and what it took.
    steps: Vec<(StepFeatures, TokenCount, f64)>,
}

impl Observer for Watch {
    fn on_event(&mut self, _at: SimTime, event: &Event<'_>) {
        match *event {
            Event::Admitted { cached, host, .. } => {
                self.hits.push((cached, host));
                self.loading += host;
            }
            Event::Step { cost, features, .. } => {
                let loaded = std::mem::take(&mut self.loading);
                self.steps.push((*features, loaded, cost.get()));
            }
            _ => {}
        }
    }
}

fn watched(scenario: &Scenario) -> (Report, Watch) {
    let watch = Shared::new(Watch::default());
    let simulation = Simulation::new(scenario.clone()).unwrap().observer(watch.watch());
    (simulation.run().unwrap(), watch.take())
}

/// By hand: the pool of 5,000 slots holds two prompts of 2,048 tokens. The third evicts the first, which
/// the host has. When the first comes again, all but its last token come back (one is always computed),
/// and the step that computes that one waits for them layer by layer.
#[test]
fn what_the_device_evicted_comes_back_from_the_host() {
    let folder = tempfile::tempdir().unwrap();
    let scenario = scenario(&folder, &prompts(&[0, 10, 20, 0]), &[]);
    let (report, watch) = watched(&scenario);
    assert_eq!(watch.hits, [(0, 0), (0, 0), (0, 0), (2047, 2047)]);
    assert_eq!((report.total_cached_tokens, report.total_host_cached_tokens), (2047, 2047));

    let plan = DeploymentPlan::of(&scenario, folder.path()).unwrap();
    let mut law = plan.pools[0].program();
    let mut copies = plan.pools[0].host_tier.as_ref().unwrap().law.compile().unwrap();
    for (features, loaded, took) in &watch.steps {
        let expected = copies.step_seconds(law.seconds(features), *loaded);
        // A cost is found as a difference of times of some 10 s.
        assert!((took - expected).abs() < 1e-12, "{took} s, by the law {expected} s");
    }
    let loads: Vec<_> = watch.steps.iter().filter(|(_, loaded, _)| *loaded > 0).collect();
    assert_eq!(loads.len(), 1);
    let (features, _, took) = loads[0];
    assert!(*took > law.seconds(features), "a copy costs something");

    let without = scenario.with("deployment.enable_hierarchical_cache", "false").unwrap();
    assert_eq!(watched(&without).1.hits, [(0, 0); 4]);
}

/// A prompt is copied to the host once a second request has used it: the first prompt is, the second one
/// is not and is gone for good.
#[test]
fn selective_write_through_keeps_what_was_used_twice() {
    let folder = tempfile::tempdir().unwrap();
    let policy = ("deployment.hicache_write_policy", "WriteThroughSelective");
    let scenario = scenario(&folder, &prompts(&[0, 0, 10, 20, 30, 0, 10]), &[policy]);
    let hits = watched(&scenario).1.hits;
    assert_eq!(hits, [(0, 0), (2047, 0), (0, 0), (0, 0), (0, 0), (2047, 2047), (0, 0)]);
}

/// Under write-back an eviction copies first and the step waits for it; under write-through nothing does.
#[test]
fn write_back_makes_the_step_wait_for_the_copy() {
    let folder = tempfile::tempdir().unwrap();
    let trace = prompts(&[0, 10, 20, 0]);
    let third = |policy: &str| {
        let scenario = scenario(&folder, &trace, &[("deployment.hicache_write_policy", policy)]);
        let (report, watch) = watched(&scenario);
        assert_eq!(watch.hits[3].1, 2047, "{policy}");
        let plan = DeploymentPlan::of(&scenario, folder.path()).unwrap();
        let copies = plan.pools[0].host_tier.as_ref().unwrap().law.compile().unwrap();
        (report.requests[2].ttft().unwrap().get(), copies)
    };
    let (through, _) = third("WriteThrough");
    let (back, mut copies) = third("WriteBack");
    // The evicted prompt and its answer: the tree keeps them apart, and both leaves go.
    let waits = copies.seconds(2048) + copies.seconds(1);
    assert!((back - through - waits).abs() < 1e-9, "{back} s, {through} s, {waits} s");
}

/// All memory is locked by a slow copy to the host and nobody runs: the next request waits for its end,
/// and is not lost.
#[test]
fn a_request_waits_for_memory_that_is_being_copied() {
    let folder = tempfile::tempdir().unwrap();
    let trace = prompts(&[0, 10]).replace("5000", "200");
    let slow = [
        ("deployment.max_total_tokens", "2500"),
        ("coefficients", r#"{"host_copy_efficiency": 0.001}"#),
    ];
    let scenario = scenario(&folder, &trace, &slow);
    let plan = DeploymentPlan::of(&scenario, folder.path()).unwrap();
    let copy = plan.pools[0].host_tier.as_ref().unwrap().law.compile().unwrap().seconds(2048);
    assert!(copy > 1.0);
    let (report, _) = watched(&scenario);
    assert_eq!(report.completed, 2);
    let first = report.requests[0].prefilled.unwrap().seconds();
    let admitted = report.requests[1].admitted.unwrap().seconds();
    assert!((admitted - (first + copy)).abs() < 0.05, "{admitted} s, copied at {}", first + copy);
}

#[test]
fn settings_that_cannot_be_are_refused() {
    let refusal = |fields: &[(&str, &str)]| {
        let scenario = base_with(fields);
        DeploymentPlan::of(&scenario, ".".as_ref()).expect_err("it is refused").to_string()
    };
    let on = ("deployment.enable_hierarchical_cache", "true");
    for (fields, message) in [
        (vec![on, ("deployment.disable_radix_cache", "true")], "false with disable_radix_cache"),
        (vec![on, ("deployment.scheduler", "vllm")], "unless `scheduler` is sglang"),
        (
            vec![on, ("deployment.hicache_ratio", "-1.0")],
            "`deployment.Aggregated.hicache_ratio` is -1",
        ),
        (vec![on, ("deployment.hicache_size", "1e9")], "hicache_size` is 1000000000, allowed is"),
    ] {
        let refused = refusal(&fields);
        assert!(refused.contains(message), "{refused}");
    }
    let error = base_with(&[]).with("hardware.host_link", "\"PCIe9\"").unwrap();
    let error = DeploymentPlan::of(&error, ".".as_ref()).unwrap_err();
    let source = std::error::Error::source(&error).unwrap().to_string();
    assert!(source.contains("PCIe"), "{source}");
}

proptest! {
    #![proptest_config(cases(24))]

    /// Under pressure on both tiers every request ends, all memory comes back, and the same scenario gives
    /// the same bytes.
    #[test]
    fn every_request_ends_under_every_write_policy(
        policy in proptest::sample::select(WritePolicy::ALL.to_vec()),
        pool in 3_000_u32..8_000,
        ratio in 0.1_f64..2.0,
        page in prop_oneof![Just(1_u32), Just(16), Just(64)],
        rate in 1.0_f64..60.0,
        efficiency in prop_oneof![Just(0.8), Just(0.01)],
    ) {
        let load = format!(
            "Synthetic(arrivals: Poisson(rate: {rate}),
                sessions: (turns: Uniform(min: 1, max: 5), think: Exponential(mean: 0.5)),
                input_len: Uniform(min: 1, max: 700), output_len: Uniform(min: 1, max: 60),
                requests: 60)"
        );
        let scenario = base_with(&[
            ("workload", &load),
            ("deployment.enable_hierarchical_cache", "true"),
            ("deployment.hicache_write_policy", &format!("{policy:?}")),
            ("deployment.hicache_ratio", &ratio.to_string()),
            ("deployment.max_total_tokens", &(pool / page * page).to_string()),
            ("deployment.page_size", &page.to_string()),
            ("coefficients", &format!("{{\"host_copy_efficiency\": {efficiency}}}")),
        ]);
        let report = run(&scenario);
        prop_assert_eq!(report.completed + report.refused, 60);
        prop_assert!(report.total_host_cached_tokens <= report.total_cached_tokens);
        prop_assert_eq!(bytes(&report, &scenario), bytes(&run(&scenario), &scenario));
    }
}

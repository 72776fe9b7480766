//! Schedulers and their options, chosen by a scenario.

use sglsim_engine::{Report, Scenario, ScenarioError};

use crate::scenarios::{base_with, run};

const LOAD: &str = r#"{"Synthetic": {"arrivals": {"Poisson": {"rate": 40.0}},
    "input_len": {"Uniform": {"min": 1, "max": 3000}},
    "output_len": {"Uniform": {"min": 1, "max": 300}}, "requests": 200}}"#;

fn loaded(fields: &[(&str, &str)]) -> Report {
    run(&base_with(
        &[&[("workload", LOAD), ("deployment.chunked_prefill_size", "512")], fields].concat(),
    ))
}

#[test]
fn every_scheduler_serves_every_request_and_each_in_its_own_way() {
    let tails: Vec<f64> = ["sglang", "vllm", "sarathi", "orca", "static"]
        .into_iter()
        .map(|name| {
            let report = loaded(&[("deployment.scheduler", name)]);
            assert_eq!((report.completed, report.refused), (200, 0), "{name}");
            report.itl.max
        })
        .collect();
    let [sglang, vllm, sarathi, orca, r#static] = tails[..] else { panic!("{tails:?}") };
    // Chunks beside decodes bound the longest gap between two tokens; whole prompts do not, and a
    // prefill that goes first even less so. A static batch is never interrupted.
    assert!(vllm < orca && sarathi < orca && orca < sglang && r#static < sglang, "{tails:?}");
}

#[test]
fn mixed_chunk_shortens_the_longest_gap() {
    let gap = |mixed: &str| loaded(&[("deployment.enable_mixed_chunk", mixed)]).itl.max;
    assert!(gap("true") < gap("false") / 2.0);
}

#[test]
fn requests_beyond_the_queue_limit_are_refused_and_counted() {
    let report = loaded(&[
        ("deployment.max_queued_requests", "3"),
        ("deployment.max_running_requests", "4"),
    ]);
    assert!(report.refused > 50, "{} refused", report.refused);
    assert_eq!(report.completed + report.refused, 200);
}

#[track_caller]
fn refusal(fields: &[(&str, &str)]) -> String {
    let scenario: Scenario = base_with(fields);
    let planned = sglsim_engine::DeploymentPlan::of(&scenario, ".".as_ref());
    let error: ScenarioError = planned.expect_err("it is refused");
    error.to_string()
}

#[test]
fn schedulers_for_comparison_take_no_queue_order() {
    let refused =
        refusal(&[("deployment.scheduler", "orca"), ("deployment.schedule_policy", "lpm")]);
    assert!(refused.contains("schedule_policy` is lpm"), "{refused}");
}

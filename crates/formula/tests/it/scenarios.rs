//! Scenarios that the tests share.

use sglsim_engine::{DeploymentPlan, Report, Scenario, Simulation};
use sglsim_formula::Frozen;

/// A scenario of a model, a deployment and a workload.
pub(crate) fn scenario(model: &str, deployment: &str, workload: &str) -> Scenario {
    let text = format!(
        "(model: \"{model}\", hardware: (gpu: \"H200\"), deployment: {deployment}, \
         router: (policy: RoundRobin), workload: {workload})"
    );
    Scenario::from_ron(&text).unwrap_or_else(|error| panic!("{text}: {error}"))
}

/// Requests of fixed lengths.
pub(crate) fn fixed(arrivals: &str, input: u32, output: u32, requests: u32) -> String {
    format!(
        "Synthetic(arrivals: {arrivals}, input_len: Fixed({input}), output_len: Fixed({output}), \
         requests: {requests})"
    )
}

/// Requests of mixed lengths.
pub(crate) fn mixed(arrivals: &str, requests: u32) -> String {
    format!(
        "Synthetic(arrivals: {arrivals}, input_len: LogNormal(mean: 1500, cv: 1.0, max: 12000), \
         output_len: LogNormal(mean: 150, cv: 0.7, max: 1000), \
         prefix: (groups: 8, len: Fixed(512)), requests: {requests})"
    )
}

pub(crate) const AGGREGATED: &str = "Aggregated(workers: 2, tp_size: 1)";

pub(crate) const DISAGGREGATED: &str =
    "Disaggregated(prefill: (workers: 2, tp_size: 2), decode: (workers: 1, tp_size: 4))";

/// DeepSeek-V3 with attention replicas on all GPUs.
pub(crate) const DP_ATTENTION: &str =
    "Aggregated(workers: 1, tp_size: 16, dp_size: 16, ep_size: 16)";

pub(crate) fn plan(scenario: &Scenario) -> DeploymentPlan {
    DeploymentPlan::of(scenario, ".".as_ref()).unwrap()
}

pub(crate) fn run(scenario: &Scenario) -> Report {
    Simulation::new(scenario.clone()).unwrap().run().unwrap()
}

pub(crate) fn freeze(scenario: &Scenario) -> (Report, Frozen) {
    let report = run(scenario);
    let frozen = Frozen::of(&report, scenario).unwrap();
    (report, frozen)
}

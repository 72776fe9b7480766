//! The steady state: its distance from simulation, and the laws that it obeys.

use proptest::prelude::*;
use sglsim_engine::{Report, Scenario};
use sglsim_expr::Values;
use sglsim_formula::{Formula, Frozen, Load, Metric};

use crate::scenarios::{
    AGGREGATED, DISAGGREGATED, DP_ATTENTION, fixed, freeze, mixed, plan, scenario,
};

/// Output tokens per second while the deployment is full: between the finish of the first and the
/// last quarter of the requests.
fn full_throughput(report: &Report) -> f64 {
    let mut finished: Vec<f64> =
        report.requests.iter().filter_map(|request| Some(request.finished?.seconds())).collect();
    finished.sort_by(f64::total_cmp);
    let (from, to) = (finished.len() / 4, finished.len() * 3 / 4);
    let rate = (to - from) as f64 / (finished[to] - finished[from]);
    rate * report.total_output_tokens as f64 / report.completed as f64
}

/// The formula over the simulation, less 1.
fn error(scenario: &Scenario) -> f64 {
    let (report, frozen) = freeze(scenario);
    let formula = Formula::of(&plan(scenario), Metric::OutputThroughput, &frozen).unwrap();
    let simulated = full_throughput(&report);
    let computed = formula.evaluate(&Values::new()).unwrap();
    println!(
        "{:>10.0} {:>10.0} {:>+7.1} %  most in flight {}, mean {:.0}",
        simulated,
        computed,
        100.0 * (computed / simulated - 1.0),
        report.max_concurrent_requests,
        report.concurrency
    );
    println!(
        "     batches {:?} kv {:?} retractions {}",
        report.pools.iter().map(|p| p.decode_batch).collect::<Vec<_>>(),
        report.pools.iter().map(|p| p.kv_usage).collect::<Vec<_>>(),
        report.retractions
    );
    computed / simulated - 1.0
}

#[test]
fn explore() {
    let random = |arrivals: &str, input: u32, output: u32, requests: u32| {
        format!(
            "Synthetic(arrivals: {arrivals}, input_len: Uniform(min: 1, max: {}), output_len: \
             Uniform(min: 1, max: {}), requests: {requests})",
            2 * input,
            2 * output
        )
    };
    let one = "Aggregated(workers: 1)";
    let capped = "Aggregated(workers: 1, max_running_requests: Some(64))";
    let dp = "Aggregated(workers: 1, tp_size: 16, dp_size: 16, ep_size: 16, max_running_requests: Some(512))";
    let pd = |p: u32, d: u32| {
        format!(
            "Disaggregated(prefill: (workers: {p}, tp_size: 4), decode: (workers: {d}, tp_size: 4))"
        )
    };
    for (input, output) in [(500, 500), (1000, 100), (4000, 50), (10000, 200), (100, 1000)] {
        let n = 4000;
        let workload = random("Burst", input, output, n);
        println!("{input} {output} aggregated");
        error(&scenario("Llama-3.1-8B", one, &workload));
        println!("{input} {output} aggregated capped");
        error(&scenario("Llama-3.1-8B", capped, &workload));
        println!("{input} {output} 1p 1d");
        error(&scenario("Llama-3.1-70B", &pd(1, 1), &workload));
        println!("{input} {output} 3p 1d");
        error(&scenario("Llama-3.1-70B", &pd(3, 1), &workload));
        println!("{input} {output} dp");
        error(&scenario("DeepSeek-V3", dp, &workload));
        let workload = random("ClosedLoop(concurrency: 64)", input, output, n);
        println!("{input} {output} closed 64, aggregated");
        error(&scenario("Llama-3.1-8B", one, &workload));
        println!("{input} {output} closed 64, 3p 1d");
        error(&scenario("Llama-3.1-70B", &pd(3, 1), &workload));
    }
    println!("mixed");
    error(&scenario("Llama-3.1-8B", one, &mixed("Burst", 5000)));
    error(&scenario("Llama-3.1-8B", capped, &mixed("Burst", 5000)));
    let _ = (AGGREGATED, DISAGGREGATED, DP_ATTENTION);
}

//! Latencies of one request: what the engine does on an idle system.

use sglsim_engine::Scenario;
use sglsim_expr::Values;
use sglsim_formula::{Formula, Metric};

use crate::scenarios::{fixed, freeze, plan, scenario};

/// Compares the formulas with the last request of a run, whose requests never meet.
#[track_caller]
fn check(scenario: &Scenario) {
    let (plan, (report, frozen)) = (plan(scenario), freeze(scenario));
    let request = report.requests.last().unwrap();
    let at = Values::from([
        ("prompt_tokens", request.prompt_tokens as f64),
        ("cached_tokens", request.cached_tokens as f64),
        ("output_tokens", request.output_tokens as f64),
    ]);
    let value = |metric| Formula::of(&plan, metric, &frozen).unwrap().evaluate(&at).unwrap();
    let what = format!("{} {:?} {at:?}", scenario.model, scenario.deployment);
    let ttft = request.ttft().unwrap().get();
    let e2e = request.e2e().unwrap().get();
    let tpot = request.tpot().map_or(0.0, |tpot| tpot.get());
    // Differences of times late in a run have lost digits.
    let arrival = request.arrival.seconds();
    let slack = |want: f64| 1e-12 + 4.0 * arrival * f64::EPSILON / want;
    let within = |metric, want: f64| {
        let got = value(metric);
        assert!((got - want).abs() <= slack(want) * want, "{metric} {what}: {got:e} not {want:e}");
    };
    within(Metric::Ttft, ttft);
    within(Metric::E2eLatency, e2e);
    assert!((value(Metric::Itl) - tpot).abs() <= 1e-9 * tpot, "itl {what}");
    if let Some(transfer) = request.transfer_time() {
        // It may be much shorter than the times that it is the difference of.
        let got = value(Metric::TransferTime);
        assert!((got - transfer.get()).abs() <= 1e-12 * (ttft + arrival), "transfer {what}");
    }
}

#[test]
fn one_request_alone_takes_what_the_formula_says() {
    let deployments = [
        ("Llama-3.1-8B", "Aggregated(tp_size: 1, chunked_prefill_size: Some(1024))"),
        ("Llama-3.1-8B", "Aggregated(tp_size: 2, disable_cuda_graph: true)"),
        ("Llama-3.1-8B", "Aggregated(chunked_prefill_size: Some(-1))"),
        ("DeepSeek-V3", "Aggregated(tp_size: 16, dp_size: 16, ep_size: 16)"),
        ("Qwen3-235B-A22B", "Aggregated(tp_size: 8, dp_size: 2, ep_size: 4)"),
        ("gpt-oss-120b", "Aggregated(tp_size: 4)"),
        (
            "Llama-3.1-70B",
            "Disaggregated(prefill: (tp_size: 4, chunked_prefill_size: Some(2048)), \
             decode: (tp_size: 8))",
        ),
        (
            "DeepSeek-V3",
            "Disaggregated(prefill: (tp_size: 16, chunked_prefill_size: Some(1024)), \
             decode: (tp_size: 16, dp_size: 16, ep_size: 16))",
        ),
    ];
    for (model, deployment) in deployments {
        for (input, output) in [(1, 1), (100, 2), (1024, 20), (1025, 3), (9000, 50), (20_001, 7)] {
            check(&scenario(model, deployment, &fixed("Burst", input, output, 1)));
        }
    }
}

/// A network so slow that the transfer outlasts the prefill: every piece waits for the one before.
#[test]
fn slow_networks_queue_the_pieces() {
    for latency in ["0.0", "0.03", "2.0"] {
        for efficiency in ["0.003", "0.05", "0.8"] {
            for (input, output) in [(1000, 3), (5000, 3), (20_001, 2)] {
                let deployment = "Disaggregated(\
                     prefill: (tp_size: 1, chunked_prefill_size: Some(2048)), decode: (tp_size: 1))";
                let scenario = scenario("Qwen3-8B", deployment, &fixed("Burst", input, output, 1))
                    .with("coefficients", &format!("{{\"transfer_latency\": {latency}, \"transfer_efficiency\": {efficiency}}}"))
                    .unwrap();
                check(&scenario);
            }
        }
    }
}

#[test]
fn cached_prefixes_are_skipped() {
    let workload = "Synthetic(arrivals: Constant(rate: 0.01), prefix: (groups: 1, len: Fixed(3000)), \
         input_len: Fixed(5000), output_len: Fixed(5), requests: 2)";
    for deployment in [
        "Aggregated(chunked_prefill_size: Some(2048))",
        "Disaggregated(prefill: (chunked_prefill_size: Some(2048)), decode: ())",
    ] {
        let scenario = scenario("Llama-3.1-8B", deployment, workload);
        let report = crate::scenarios::run(&scenario);
        assert_eq!(report.requests[1].cached_tokens, 3000);
        check(&scenario);
    }
}

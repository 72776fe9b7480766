//! Goodput under an objective, and which resource keeps requests from it.

use sglsim_engine::{Report, Resource, Scenario, Seconds, Simulation, Slo};

fn run(deployment: &str, workload: &str) -> Report {
    let scenario = Scenario::from_ron(&format!(
        r#"(
            model: "Llama-3.1-8B",
            hardware: (gpu: "H100-SXM"),
            deployment: {deployment},
            workload: Synthetic({workload}),
        )"#
    ));
    Simulation::new(scenario.unwrap()).unwrap().run().unwrap()
}

fn slo(ttft: f64, tpot: f64) -> Slo {
    let bound = |seconds| Some(Seconds::new(seconds).unwrap());
    Slo { ttft: bound(ttft), tpot: bound(tpot), ..Slo::default() }
}

#[track_caller]
fn check(report: &Report, slo: Slo, expected: Option<Resource>) {
    let found = report.bottleneck(&slo);
    assert_eq!(found.map(|found| found.resource), expected, "{found:?}");
}

const PAIR: &str = "Disaggregated(prefill: (workers: 1), decode: (workers: 1))";
const LIGHT: &str =
    "arrivals: Constant(rate: 1.0), input_len: Fixed(2000), output_len: Fixed(50), requests: 40";

#[test]
fn a_light_load_has_no_bottleneck() {
    let report = run(PAIR, LIGHT);
    check(&report, Slo::default(), None);
    check(&report, slo(1.0, 0.05), None);
    assert_eq!(report.good_requests(&slo(1.0, 0.05)), 40);
}

#[test]
fn too_few_prefill_workers_are_not_mistaken_for_short_memory() {
    // Prompts that wait for prefill hold all of a small decode pool, so that most requests wait for
    // room there.
    let short = "Disaggregated(prefill: (workers: 1), \
                 decode: (workers: 1, max_total_tokens: Some(60000)))";
    let load = "arrivals: Burst, input_len: Fixed(8000), output_len: Fixed(2), requests: 60";
    let report = run(short, load);
    let waits = |record: &sglsim_engine::RequestRecord| {
        record.queued.unwrap().since(record.arrival) > record.queue_time().unwrap()
    };
    let for_room = report.requests.iter().filter(|record| waits(record)).count();
    assert!(for_room > 30, "{for_room}");
    check(&report, Slo::default(), Some(Resource::Prefill));
    check(&report, slo(1.0, 0.05), Some(Resource::Prefill));
}

#[test]
fn long_answers_in_a_small_pool_wait_for_memory() {
    let small = "Disaggregated(prefill: (workers: 1), \
                 decode: (workers: 1, max_total_tokens: Some(20000)))";
    let load = "arrivals: Poisson(rate: 4.0), input_len: Fixed(2000), output_len: Fixed(400), requests: 80";
    let report = run(small, load);
    check(&report, Slo::default(), Some(Resource::KvMemory));
    check(&report, slo(1.0, 0.05), Some(Resource::KvMemory));
    let one = "Aggregated(max_total_tokens: Some(20000))";
    check(&run(one, load), Slo::default(), Some(Resource::KvMemory));
}

#[test]
fn a_tight_tpot_is_missed_by_decode() {
    let report = run(PAIR, LIGHT);
    check(&report, slo(1.0, 0.001), Some(Resource::Decode));
    assert_eq!(report.good_requests(&slo(1.0, 0.001)), 0);
}

#[test]
fn goodput_grows_with_every_bound_up_to_the_throughput() {
    let load = "arrivals: Poisson(rate: 8.0), input_len: LogNormal(mean: 3000, cv: 1.0, max: 30000), \
         output_len: Uniform(min: 1, max: 200), requests: 200";
    let report = run(PAIR, load);
    let bounds = [0.0, 0.006, 0.007, 0.008, 0.03, 0.06, 0.1, 0.2, 1.0, 10.0, 1e6];
    let mut seen = Vec::new();
    for pair in bounds.windows(2) {
        for other in bounds {
            let goodput = |ttft, tpot| report.goodput(&slo(ttft, tpot));
            assert!(goodput(pair[0], other) <= goodput(pair[1], other));
            assert!(goodput(other, pair[0]) <= goodput(other, pair[1]));
            seen.push(goodput(pair[0], other).to_bits());
        }
    }
    seen.sort_unstable();
    seen.dedup();
    assert!(seen.len() > 5, "the bounds tell requests apart");
    assert_eq!(report.goodput(&slo(1e6, 1e6)), report.request_throughput());
    assert_eq!(report.goodput(&Slo::default()), report.request_throughput());
}

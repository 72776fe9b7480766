//! Benchmarks of `sglsim-engine`: whole runs, in requests per second.
//!
//! `engine/fabric` is the cost of a flow event. `engine/run/decode-heavy` is the cost of a step (a thousand sequences decode together), the
//! others that of requests.

use std::hint::black_box;

use criterion::{BatchSize, Criterion, Throughput, criterion_group, criterion_main};
use sglsim_engine::{FairShares, LinkId, Scenario, Simulation};

/// Long prompts with much in common on four prefill and four decode workers, in the proportions of
/// the Mooncake conversation trace.
const MOONCAKE_LIKE: &str = r#"(
    model: "Llama-3.1-70B",
    hardware: (gpu: "H100-SXM"),
    deployment: Disaggregated(
        prefill: (workers: 4, tp_size: 4),
        decode: (workers: 4, tp_size: 4),
    ),
    workload: Synthetic(
        arrivals: Poisson(rate: 3.3),
        prefix: (groups: 200, len: LogNormal(mean: 4000, cv: 1.0, max: 32000), skew: 0.9),
        input_len: LogNormal(mean: 8000, cv: 1.2, max: 90000),
        output_len: LogNormal(mean: 340, cv: 0.7, max: 2000),
        requests: 2000,
    ),
)"#;

/// Short prompts and long outputs: nearly every step decodes.
const DECODE_HEAVY: &str = r#"(
    model: "Llama-3.1-8B",
    hardware: (gpu: "H100-SXM"),
    deployment: Aggregated(workers: 1),
    workload: Synthetic(
        arrivals: Burst,
        input_len: Fixed(100),
        output_len: Uniform(min: 1000, max: 2000),
        requests: 1000,
    ),
)"#;

/// Conversations whose every turn repeats what was said.
const SESSIONS: &str = r#"(
    model: "Llama-3.1-8B",
    hardware: (gpu: "H100-SXM"),
    deployment: Aggregated(workers: 4),
    workload: Synthetic(
        arrivals: Poisson(rate: 4.0),
        sessions: (turns: Uniform(min: 2, max: 8), think: Exponential(mean: 5.0)),
        prefix: (groups: 8, len: Fixed(1000)),
        input_len: LogNormal(mean: 300, cv: 1.0, max: 4000),
        output_len: LogNormal(mean: 200, cv: 0.7, max: 1000),
        requests: 2000,
    ),
)"#;

fn run(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("engine/run");
    group.sample_size(10);
    for (name, text) in
        [("mooncake-like", MOONCAKE_LIKE), ("decode-heavy", DECODE_HEAVY), ("sessions", SESSIONS)]
    {
        let scenario = Scenario::from_ron(text).expect("the scenario is well formed");
        let prepare = || Simulation::new(scenario.clone()).expect("the scenario can be simulated");
        let requests = prepare().run().expect("it runs").requests.len();
        group.throughput(Throughput::Elements(requests as u64));
        group.bench_function(name, |bencher| {
            let start = |simulation: Simulation| simulation.run().expect("it runs");
            bencher.iter_batched(prepare, |s| black_box(start(s)), BatchSize::PerIteration);
        });
    }
    group.finish();
}

/// From the text of a scenario to laws ready to run.
fn prepare(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("engine/prepare");
    group.throughput(Throughput::Elements(1));
    group.sample_size(10);
    group.bench_function("4p4d", |bencher| {
        bencher.iter(|| {
            let scenario = Scenario::from_ron(black_box(MOONCAKE_LIKE)).expect("well formed");
            Simulation::new(scenario).expect("it can be simulated")
        });
    });
    group.finish();
}

/// A flow event: one flow leaves and another one comes, while so many share the network.
fn fabric(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("engine/fabric");
    group.throughput(Throughput::Elements(1));
    let link = LinkId::from_index;
    for flows in [16, 64, 256, 1024] {
        // Every sender has four flows, to four of as many receivers, eight connections each.
        let senders = flows / 4;
        let mut shares = FairShares::new(vec![40e9; 16 * senders]);
        let path = |flow: usize| -> Vec<(LinkId, f64)> {
            let (from, to) = (flow / 4, (flow * 7 + flow / 4) % senders);
            let nics = 0..8;
            nics.flat_map(|nic| [8 * from + nic, 8 * (senders + to) + nic])
                .map(|at| (link(at), 1.0))
                .collect()
        };
        let paths: Vec<_> = (0..flows).map(path).collect();
        let mut ids: Vec<_> = paths.iter().map(|path| shares.add(path, 40e9)).collect();
        let mut at = 0;
        group.bench_function(format!("shared/{flows}"), |bencher| {
            bencher.iter(|| {
                at = (at + 1) % flows;
                shares.remove(ids[at]);
                ids[at] = shares.add(&paths[at], 40e9);
                shares.touched().len()
            });
        });
        // One flow for each pair: nobody shares anything.
        let mut shares = FairShares::new(vec![40e9; 16 * flows]);
        let path = |flow: usize| -> Vec<(LinkId, f64)> {
            (0..16).map(|nic| (link(16 * flow + nic), 1.0)).collect()
        };
        let paths: Vec<_> = (0..flows).map(path).collect();
        let mut ids: Vec<_> = paths.iter().map(|path| shares.add(path, 40e9)).collect();
        group.bench_function(format!("apart/{flows}"), |bencher| {
            bencher.iter(|| {
                at = (at + 1) % flows;
                shares.remove(ids[at]);
                ids[at] = shares.add(&paths[at], 40e9);
                shares.touched().len()
            });
        });
    }
    group.finish();
}

criterion_group!(benches, run, prepare, fabric);
criterion_main!(benches);

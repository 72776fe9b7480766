//! How fast and how large a run is, beside the figures of other simulators.
//!
//! ```text
//! cargo run --release -p sglsim-engine --example speed -- mooncake_conversation.jsonl.gz [--million]
//! cargo run --release -p sglsim-engine --example speed -- --fleet
//! ```
//!
//! The Mooncake conversation trace on one worker and on eight, a million decode steps, and with
//! `--million` synthetic runs of 10 k, 100 k and 1 M requests on 32 workers. `--fleet` grows a
//! disaggregated fleet at constant load per worker, up to 1 M requests on 64 + 128 workers. Reading the trace is not
//! counted. The memory is the most that the process ever held, so it only grows from line to line.
//!
//! Figures of others on the same trace: NVIDIA Dynamo's mocker, CPU time on two cores; Vidur's steps.
#![expect(clippy::print_stdout, reason = "an example that prints its result")]
#![expect(clippy::disallowed_types, reason = "it measures time")]

use std::error::Error;
use std::time::Instant;

use sglsim_engine::{Report, Scenario, Simulation};

const TRACE: &str = r#"(
    model: "Llama-3.1-8B",
    hardware: (gpu: "B200"),
    deployment: Aggregated(workers: 1),
    workload: Trace(file: "PATH", format: Mooncake),
    oversized_requests: Refuse,
)"#;

const STEPS: &str = r#"(
    model: "Llama-3.1-8B",
    hardware: (gpu: "H100-SXM"),
    deployment: Aggregated(workers: 1, max_running_requests: 8),
    workload: Synthetic(
        arrivals: Burst, input_len: Fixed(100), output_len: Fixed(50000), requests: 160,
    ),
)"#;

const MANY: &str = r#"(
    model: "Llama-3.1-8B",
    hardware: (gpu: "H100-SXM"),
    deployment: Aggregated(workers: 32),
    router: (policy: RoundRobin),
    workload: Synthetic(
        arrivals: Poisson(rate: 150.0),
        input_len: LogNormal(mean: 1000, cv: 1.0, max: 16000),
        output_len: LogNormal(mean: 200, cv: 0.7, max: 2000),
        requests: 10000,
    ),
)"#;

/// A fleet: twice as many decode workers as prefill workers, load in proportion.
const FLEET: &str = r#"(
    model: "Llama-3.1-8B",
    hardware: (gpu: "H100-SXM"),
    deployment: Disaggregated(prefill: (workers: 64), decode: (workers: 128)),
    router: (policy: CacheAware(), decode_policy: Some(PowerOfTwo)),
    workload: Synthetic(
        arrivals: Poisson(rate: 400.0),
        input_len: LogNormal(mean: 1000, cv: 1.0, max: 16000),
        output_len: LogNormal(mean: 200, cv: 0.7, max: 2000),
        prefix: (groups: 2000, len: Uniform(min: 200, max: 2000), skew: 0.8),
        requests: 100000,
    ),
)"#;

/// The most memory this process has held \[MB\], where the system tells.
fn peak_memory() -> Option<u64> {
    let status = std::fs::read_to_string("/proc/self/status").ok()?;
    let line = status.lines().find(|line| line.starts_with("VmHWM"))?;
    line.split_whitespace().nth(1)?.parse::<u64>().ok().map(|kib| kib / 1000)
}

fn run(
    name: &str,
    text: &str,
    changes: &[(&str, &str)],
    others: &str,
) -> Result<Report, Box<dyn Error>> {
    let mut scenario = Scenario::from_ron(text)?;
    for (path, value) in changes {
        scenario = scenario.with(path, value)?;
    }
    let mut simulation = Simulation::new(scenario)?;
    simulation.prepare_workload()?;
    let start = Instant::now();
    let report = simulation.on_record(|_, _| ()).run()?;
    let seconds = start.elapsed().as_secs_f64();
    let steps: u64 = report.pools.iter().map(|pool| pool.prefill_steps + pool.decode_steps).sum();
    let memory = peak_memory().map_or("?".to_owned(), |memory| memory.to_string());
    println!(
        "{name:<34} {seconds:>8.3} s {:>9} requests {:>6.2} M steps/s {memory:>6} MB   {others}",
        report.completed,
        steps as f64 / seconds / 1e6,
    );
    Ok(report)
}

fn main() -> Result<(), Box<dyn Error>> {
    let mut arguments = std::env::args().skip(1);
    let path = arguments.next().ok_or("usage: speed TRACE.jsonl.gz [--million] | --fleet")?;
    if path == "--fleet" {
        return fleet();
    }
    let trace = TRACE.replace("PATH", &path);
    let page = |size| ("deployment.page_size", size);
    run("one worker, page 64", &trace, &[page("64")], "mocker 1.5 s")?;
    run("one worker, page 1", &trace, &[], "mocker 5.5 s")?;
    let eight = [("deployment.workers", "8"), ("router.policy", "CacheAware()")];
    let paged = [&eight[..], &[page("64")]].concat();
    run("eight, cache aware, page 64", &trace, &paged, "mocker 8.8 s")?;
    run("eight, cache aware, page 1", &trace, &eight, "mocker 128.8 s, 2.5 GB")?;
    run("eight sequences decode", STEPS, &[], "mocker 0.043 M steps/s, Vidur 0.004")?;
    if arguments.next().is_some_and(|flag| flag == "--million") {
        for requests in ["10000", "100000", "1000000"] {
            run("synthetic, 32 workers", MANY, &[("workload.requests", requests)], "")?;
        }
    }
    Ok(())
}

/// Growth with the number of workers, and a million requests on 64 prefill and 128 decode workers.
fn fleet() -> Result<(), Box<dyn Error>> {
    let of = |prefill: u32, policy: &str, requests: &str| {
        let name = format!("{prefill} prefill, {} decode, {policy}", 2 * prefill);
        let (rate, decode) = (f64::from(prefill) * 6.25, 2 * prefill);
        let changes = [
            ("deployment.prefill.workers", &*prefill.to_string()),
            ("deployment.decode.workers", &*decode.to_string()),
            ("workload.arrivals.rate", &*rate.to_string()),
            ("workload.requests", requests),
            ("router.policy", policy),
        ];
        run(&name, FLEET, &changes, "")
    };
    for policy in ["RoundRobin", "CacheAware()"] {
        for prefill in [8, 16, 32, 64] {
            of(prefill, policy, "100000")?;
        }
    }
    of(64, "CacheAware()", "1000000").map(|_| ())
}

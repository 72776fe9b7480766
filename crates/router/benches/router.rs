//! Benchmarks of `sglsim-router`: one decision and the end of an earlier response.

use std::collections::VecDeque;

use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use sglsim_radix::{Prompt, Span};
use sglsim_router::{Outcome, PolicyConfig, Response, RouteRequest, Router};
use sglsim_units::{RngStreams, SimTime, WorkerId};

/// A prompt of 20 spans: a system prompt of 16, a conversation of 1024, and its own end.
fn prompt(id: u64) -> Prompt {
    let content = |level: u64, of: u64| level << 32 | (id % of);
    (0..20)
        .map(|level| {
            let of = match level {
                0..4 => 16,
                4..16 => 1024,
                _ => u64::MAX,
            };
            Span::new(content(level, of), 512)
        })
        .collect()
}

fn benches(c: &mut Criterion) {
    let prompts: Vec<Prompt> = (0..8192).map(prompt).collect();
    let mut group = c.benchmark_group("router");
    group.throughput(Throughput::Elements(1));
    for (name, config) in [
        ("cache_aware", PolicyConfig::default()),
        ("power_of_two", PolicyConfig::PowerOfTwo),
        ("round_robin", PolicyConfig::RoundRobin),
    ] {
        for workers in [8, 128] {
            group.bench_function(format!("{name}/{workers}-workers"), |b| {
                let policy = config.build(RngStreams::new(1)).expect("defaults are allowed");
                let mut router = Router::new(policy, (0..workers).map(WorkerId));
                let mut in_flight = VecDeque::new();
                let mut next = prompts.iter().cycle();
                b.iter(|| {
                    let prompt = next.next().expect("it never ends");
                    let request = RouteRequest::new(prompt, SimTime::ZERO);
                    let worker = router.route(&request).expect("all are healthy");
                    let response = Response {
                        worker,
                        routing_key: None,
                        outcome: Outcome::Success,
                        at: SimTime::ZERO,
                    };
                    in_flight.push_back(response);
                    if in_flight.len() > 256 {
                        let done = in_flight.pop_front().expect("256 are in flight");
                        router.finished(&done).expect("it is in the pool");
                    }
                    worker
                });
            });
        }
    }
    group.finish();
}

criterion_group!(all, benches);
criterion_main!(all);

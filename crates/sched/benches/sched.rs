//! Benchmarks of `sglsim-sched`: what a step costs the simulator.
//!
//! `sched/decode_step` must not grow with the batch.

use std::hint::black_box;

use criterion::{BatchSize, BenchmarkId, Criterion, Throughput, criterion_group, criterion_main};
use sglsim_radix::{EvictionPolicy, PagePool, PageSize, Prompt, RadixCache, Span};
use sglsim_sched::{
    BatchState, ForwardMode, Labels, Memory, SchedulePolicyName, Scheduler, SchedulerConfig,
    SglangScheduler, Submission, testing::seed,
};
use sglsim_units::{RequestId, RngStreams, SimTime};

fn rank(page_size: u32) -> (SchedulerConfig, BatchState) {
    let page = PageSize::new(page_size).expect("pages are not empty");
    let mut config = SchedulerConfig::new(1 << 56, 1 << 20);
    config.page_size = page_size;
    let cache = RadixCache::new(page, EvictionPolicy::Lru);
    let memory = Memory::new(PagePool::new(config.max_total_num_tokens, page), Box::new(cache));
    let batch = BatchState::new(config.clone(), memory).expect("valid settings");
    (config, batch)
}

/// A request whose prompt shares its first 512 tokens with a hundred others.
fn request(id: u32, max_new_tokens: u64) -> Submission {
    let shared = Span::new(u64::from(id % 100), 512);
    let own = Span::new(1_000_000 + u64::from(id), 512);
    Submission {
        id: RequestId(id),
        prompt: Prompt::new(vec![shared, own]),
        output_content: u64::MAX - u64::from(id),
        max_new_tokens,
        stop_after: max_new_tokens,
        ignore_eos: false,
        arrival: SimTime::ZERO,
        labels: Labels::default(),
    }
}

fn step(scheduler: &mut SglangScheduler, batch: &mut BatchState) -> ForwardMode {
    let mode = scheduler.next_step(batch, SimTime::ZERO).expect("a step is chosen");
    batch.begin_step(mode).expect("there is memory");
    batch.finish_step(SimTime::ZERO);
    mode
}

/// One decode step of a batch in which nobody finishes, however often it is run.
fn decode_step(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("sched/decode_step");
    group.throughput(Throughput::Elements(1));
    for running in [256_u32, 2048, 16_384] {
        let (config, mut batch) = rank(16);
        for id in 0..running {
            let new = request(id, 1 << 50);
            let committed = new.prompt.tokens() + u64::from(id % 16);
            seed::running(&mut batch, new, 1 + u64::from(id % 16), committed);
        }
        let mut scheduler = SglangScheduler::new(&config);
        group.bench_function(BenchmarkId::from_parameter(running), |bencher| {
            bencher.iter(|| black_box(step(&mut scheduler, &mut batch)));
        });
    }
    group.finish();
}

/// One pass over a queue: order, match, admit, compute, publish; eight requests fit the budget.
fn prefill_pass(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("sched/prefill_pass");
    group.throughput(Throughput::Elements(8));
    for policy in [SchedulePolicyName::Fcfs, SchedulePolicyName::Lpm] {
        let name = policy.name();
        let waiting = 128;
        group.bench_function(BenchmarkId::new(name, waiting), |bencher| {
            let start = || {
                let (config, mut batch) = rank(1);
                for id in 0..waiting {
                    batch.submit(request(id, 100)).expect("it fits");
                }
                let scheduler = SglangScheduler::with_policy(
                    &config,
                    policy.build(&config, RngStreams::new(1)).expect("no priorities"),
                );
                (scheduler, batch)
            };
            bencher.iter_batched_ref(
                start,
                |(scheduler, batch)| black_box(step(scheduler, batch)),
                BatchSize::LargeInput,
            );
        });
    }
    group.finish();
}

criterion_group!(benches, decode_step, prefill_pass);
criterion_main!(benches);

//! Benchmarks of `sglsim-workload`: reading and replaying a trace, drawing requests.

use std::io::Write;
use std::path::{Path, PathBuf};

use criterion::{BatchSize, Criterion, Throughput, criterion_group, criterion_main};
use flate2::{Compression, write::GzEncoder};
use sglsim_units::{RngStreams, Seconds};
use sglsim_workload::testing::serve;
use sglsim_workload::{
    Arrivals, DurationLaw, LengthLaw, ReplayOptions, Sessions, SyntheticConfig, Trace, TraceFormat,
};

const REQUESTS: usize = 12_031;

/// The Mooncake conversation trace if `SGLSIM_DATA` is set, else one of its size.
fn trace_file(folder: &Path) -> PathBuf {
    if let Some(data) = std::env::var_os("SGLSIM_DATA") {
        return Path::new(&data).join("traces/mooncake_conversation.jsonl.gz");
    }
    let path = folder.join("trace.jsonl.gz");
    let file = std::fs::File::create(&path).expect("a temporary file");
    let mut gzip = GzEncoder::new(file, Compression::default());
    for row in 0..REQUESTS {
        let ids: Vec<usize> = (0..24).map(|block| (row * 15 + block * 7919) % 182_790).collect();
        let (at, len) = (row / 10 * 3000, 24 * 512 - row % 500);
        writeln!(
            gzip,
            r#"{{"timestamp": {at}, "input_length": {len}, "output_length": 343, "hash_ids": {ids:?}}}"#
        )
        .expect("room for a temporary file");
    }
    gzip.finish().expect("room for a temporary file");
    path
}

fn traces(c: &mut Criterion) {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let path = trace_file(folder.path());
    let read = || Trace::read(&path, TraceFormat::Auto, None).expect("a valid trace");
    let trace = read();

    let mut group = c.benchmark_group("workload");
    group.sample_size(20).throughput(Throughput::Elements(REQUESTS as u64));
    group.bench_function("read/mooncake-12k", |b| b.iter(read));
    group.bench_function("replay/mooncake-12k", |b| {
        b.iter_batched(
            || trace.replay(&ReplayOptions::default()).expect("valid options"),
            |mut replay| serve(&mut replay, REQUESTS, |_| Seconds::ZERO),
            BatchSize::LargeInput,
        );
    });
    group.finish();
}

fn synthetic(c: &mut Criterion) {
    const REQUESTS: u64 = 100_000;
    let lengths = LengthLaw::LogNormal { mean: 1200.0, cv: 0.8, max: 32_768 };
    let output = LengthLaw::Random { len: 512, range_ratio: 0.5 };
    let open =
        SyntheticConfig::new(Arrivals::Poisson { rate: 10.0 }, lengths.clone(), output, REQUESTS);
    let mut talk = open.clone();
    talk.sessions = Some(Sessions {
        turns: LengthLaw::Uniform { min: 1, max: 10 },
        think: DurationLaw::Exponential { mean: 5.0 },
        max_prompt_len: None,
    });

    let mut group = c.benchmark_group("workload");
    group.sample_size(20).throughput(Throughput::Elements(REQUESTS));
    for (name, config) in [("poisson", open), ("sessions", talk)] {
        group.bench_function(format!("synthetic/{name}-100k"), |b| {
            b.iter_batched(
                || config.build(RngStreams::new(42)).expect("a valid configuration"),
                |mut workload| serve(&mut *workload, usize::MAX, |_| Seconds::ZERO),
                BatchSize::LargeInput,
            );
        });
    }
    group.finish();
}

criterion_group!(benches, traces, synthetic);
criterion_main!(benches);

//! Benchmarks of `sglsim-expr`: building, compiling and evaluating a step law of a few hundred
//! operations. Throughput is per instruction of the tape.

#![expect(clippy::print_stdout, reason = "reports what it measured")]

use std::hint::black_box;

use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use sglsim_expr::{Interval, Limits};

mod law;

use law::{INPUTS, law};

fn expr(c: &mut Criterion) {
    let mut group = c.benchmark_group("expr");
    let law = law();
    let program = law.compile(&INPUTS).expect("all symbols are inputs");
    let mut eval = program.evaluator();
    let mut inputs = [100.0, 5000.0, 2.0, 8.0];

    group.throughput(Throughput::Elements(program.instructions() as u64));
    group.bench_function("eval/law", |b| {
        b.iter(|| {
            inputs[0] = if inputs[0] > 4000.0 { 1.0 } else { inputs[0] + 1.0 };
            eval.eval1(black_box(&inputs))
        });
    });
    let mut derivatives = [0.0; 4];
    let mut gradient = program.gradient();
    group.bench_function("gradient/law", |b| {
        b.iter(|| {
            inputs[0] = if inputs[0] > 4000.0 { 1.0 } else { inputs[0] + 1.0 };
            gradient.eval(black_box(&inputs), &mut derivatives)
        });
    });

    let boxes = inputs.map(|x| Interval::new(x, x * 1.1));
    let mut intervals = program.intervals();
    group.bench_function("intervals/law", |b| b.iter(|| intervals.eval1(black_box(&boxes))));

    let columns: Vec<Vec<f64>> =
        inputs.iter().map(|x| (0..4096).map(|k| x + f64::from(k)).collect()).collect();
    let columns: Vec<&[f64]> = columns.iter().map(Vec::as_slice).collect();
    let mut out = vec![0.0; 4096];
    let mut batch = program.batch();
    group.throughput(Throughput::Elements(4096 * program.instructions() as u64));
    group.bench_function("batch/law", |b| {
        b.iter(|| batch.eval(black_box(&columns), &mut [&mut out]));
    });
    group.throughput(Throughput::Elements(law.size() as u64));
    group.bench_function("build/law", |b| b.iter(law::law));
    group.bench_function("compile/law", |b| b.iter(|| law.compile(&INPUTS)));
    group.bench_function("sympy/law", |b| b.iter(|| law.to_sympy()));
    group.sample_size(10);
    group.bench_function("simplify/law", |b| b.iter(|| law.simplify(&Limits::default())));
    let simplified = law.simplify(&Limits::default());
    println!("{:?}: {} -> {}", simplified.stop, simplified.cost_before, simplified.cost_after);
    group.finish();
}

criterion_group!(benches, expr);
criterion_main!(benches);

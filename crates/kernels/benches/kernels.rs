//! Benchmarks of `sglsim-kernels`: building, compiling and running the step law.

use std::hint::black_box;

use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use sglsim_expr::Context;
use sglsim_hw::{Gpu, Topology};
use sglsim_kernels::{Coefficients, ParallelPlan, RankFeatures, StepFeatures, StepLaw};
use sglsim_model::ModelShape;

fn law(model: &str, plan: ParallelPlan) -> StepLaw {
    let topology = Topology::of(Gpu::preset("H100").expect("a preset")).expect("its links");
    let theta = Coefficients::for_architecture(topology.gpu().architecture);
    let model = ModelShape::preset(model).expect("a preset");
    StepLaw::of(&Context::new(), "", &model, &topology, &theta, &plan).expect("a valid plan")
}

fn step(criterion: &mut Criterion) {
    let tp = ParallelPlan::tensor;
    let replicas = ParallelPlan { dp_size: 8, ep_size: 8, ..tp(8) };
    let cases = [
        ("llama-70b-tp4", "Llama-3.1-70B", tp(4)),
        ("deepseek-v3-tp8", "DeepSeek-V3", tp(8)),
        ("deepseek-v3-dp8", "DeepSeek-V3", replicas),
    ];
    let mut group = criterion.benchmark_group("kernels/step");
    group.throughput(Throughput::Elements(1));
    for (id, model, plan) in cases {
        let mut program = law(model, plan).compile().expect("a valid law");
        let mut rank = RankFeatures::default();
        rank.set_decode(64, 64, 64_000, 1);
        let mut features = StepFeatures::of_ranks(&vec![rank; plan.dp_size as usize]);
        group.bench_function(id, |bench| {
            bench.iter(|| {
                features.decode_context += 1.0;
                program.seconds(black_box(&features))
            });
        });
    }
    group.finish();

    let mut group = criterion.benchmark_group("kernels/build");
    for (id, model, plan) in cases {
        group.bench_function(id, |bench| bench.iter(|| law(black_box(model), plan)));
    }
    group.finish();

    let mut group = criterion.benchmark_group("kernels/compile");
    for (id, model, plan) in cases {
        let law = law(model, plan);
        group.bench_function(id, |bench| bench.iter(|| black_box(&law).compile()));
    }
    group.finish();
}

criterion_group!(benches, step);
criterion_main!(benches);

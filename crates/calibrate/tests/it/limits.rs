//! No law is faster than the hardware on any row of the published tables.
//!
//! The limits are written here once more, from the datasheet and what a call must at least compute,
//! read or send, and know nothing of the laws.

use std::collections::BTreeMap;
use std::path::PathBuf;

use sglsim_calibrate::{Dataset, Rows, TableScore, score};
use sglsim_hw::{Gpu, Precision, Topology};
use sglsim_kernels::Coefficients;

/// KV beyond which a repeated call cannot find all of it in the L2 cache of 50 MB \[B\].
const BEYOND_L2: f64 = 100e6;

const TABLES: [&str; 6] = [
    "gemm/gemm_perf__sglang-0.5.14.csv.gz",
    "attention/context_attention_perf__sglang-0.5.14.csv.gz",
    "attention/generation_attention_perf__sglang-0.5.14.csv.gz",
    "mla/generation_mla_perf__sglang-0.5.14.csv.gz",
    "comm/nccl_perf__nccl-2.29.2.csv.gz",
    "comm/custom_allreduce_perf__sglang-0.5.14.csv.gz",
];

/// Least time of a call \[s\]: of its arithmetic, of its traffic; nothing if this test knows none.
fn limit(topology: &Topology, table: &TableScore, call: &str) -> Option<f64> {
    let numbers: BTreeMap<&str, f64> = call
        .split(' ')
        .map(|word| word.split_once('=').unwrap())
        .map(|(name, value)| (name, value.parse().unwrap()))
        .collect();
    let of = |name: &str| numbers[name];
    let gpu = topology.gpu();
    let peak = |precision| gpu.peak_flops(precision).unwrap().get();
    let wide = table.dtype == "bf16";
    let (size, precision) = if wide { (2.0, Precision::Bf16) } else { (1.0, Precision::Fp8) };
    let reading = |bytes: f64| bytes / gpu.hbm_bandwidth.get();
    let cache = if table.dtype.ends_with("fp8") { 1.0 } else { 2.0 };
    let read_kv = |bytes: f64| if bytes > BEYOND_L2 { reading(bytes - BEYOND_L2) } else { 0.0 };
    Some(match table.op.split(' ').next()? {
        "gemm" => {
            let (m, n, k) = (of("m"), of("n"), of("k"));
            let bytes = size * k * (m + n) + 2.0 * m * n;
            f64::max(2.0 * m * n * k / peak(precision), reading(bytes))
        }
        "prefill_attention" => {
            let (new, window) = (of("new_tokens"), of("window"));
            let early = if window > 0.0 { new.min(window) } else { new };
            let pairs = early * (early + 1.0) / 2.0 + (new - early) * window;
            // Values are at least two thirds as wide as keys.
            let flops = of("batch") * of("heads") * pairs * 10.0 / 3.0 * of("head_dim");
            let of_kv = if cache < 2.0 { Precision::Fp8 } else { Precision::Bf16 };
            flops / peak(of_kv)
        }
        "decode_attention" => {
            let (context, window) = (of("context"), of("window"));
            let seen = if window > 0.0 { context.min(window) } else { context };
            let width = of("head_dim") * 5.0 / 3.0;
            read_kv(of("batch") * seen * of("kv_heads") * width * cache)
        }
        "mla_decode" => {
            let tokens = of("batch") * of("context");
            let flops = 2.0 * tokens * of("heads") * (576.0 + 512.0);
            f64::max(flops / peak(Precision::Bf16), read_kv(tokens * 576.0 * cache))
        }
        "nccl_all_reduce" | "all_reduce" | "eager_all_reduce" | "all_gather" | "reduce_scatter" => {
            let ranks = of("ranks");
            of("bytes") * (ranks - 1.0) / ranks / topology.scale_up().bandwidth.get()
        }
        _ => return None,
    })
}

#[test]
fn no_law_is_faster_than_the_hardware() {
    let Some(folder) = std::env::var_os("SGLSIM_DATA").map(PathBuf::from) else {
        println!("skipped: SGLSIM_DATA is not set");
        return;
    };
    for (gpu, tables) in [("H100", "h100_sxm"), ("H200", "h200_sxm")] {
        let gpu = Gpu::preset(gpu).unwrap();
        let topology = Topology::of(gpu.clone()).unwrap();
        let mut data = Dataset::new();
        for table in TABLES {
            data.add(folder.join("aiconfigurator").join(tables).join(table)).unwrap();
        }
        let score = score(&data, &topology, &Coefficients::for_gpu(&gpu), Rows::All).unwrap();
        let mut checked = 0;
        for table in &score.tables {
            for point in &table.points {
                let Some(limit) = limit(&topology, table, &point.call) else { continue };
                checked += 1;
                assert!(
                    point.predicted >= limit,
                    "{} {} on {}: {} takes {:e} s, the hardware {limit:e} s at least",
                    table.op,
                    table.dtype,
                    gpu.name,
                    point.call,
                    point.predicted,
                );
            }
        }
        println!("{}: {checked} calls, none faster than the hardware", gpu.name);
        assert!(checked > 100_000, "only {checked} calls on {}", gpu.name);
    }
}

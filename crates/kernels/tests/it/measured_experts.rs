//! Routed experts against measurements of an H100 SXM, with the default coefficients.
//!
//! Data: as in `measured.rs`. Bounds are a little above what the defaults reach, which are rounded.

use sglsim_hw::Precision;
use sglsim_kernels::operator::moe::{AutoRunner, Experts, Routing};
use sglsim_kernels::operator::{MatrixFormat, OperatorLaw};

use crate::measured::{Bench, Table, table};

const NAMES: [&str; 3] = ["num_tokens", "moe_tp_size", "moe_ep_size"];

/// Shapes that were measured with the rows of other ranks sent to a local expert.
const CLAMPED: [&str; 4] = ["704", "2688", "14336", "16384"];

/// Errors of all rows of a table, law by law: one per shape and distribution.
fn errors(
    table: &Table,
    format: MatrixFormat,
    bytes: [f64; 2],
    mode: Option<bool>,
    keep: impl Fn(&csv::StringRecord) -> bool,
) -> Vec<f64> {
    let shape = ["hidden_size", "inter_size", "topk", "num_experts", "distribution"]
        .map(|name| table.column(name));
    let key = |row: &csv::StringRecord| shape.map(|at| row[at].to_owned());
    let mut shapes: Vec<_> = table.rows.iter().filter(|row| keep(row)).map(key).collect();
    shapes.sort();
    shapes.dedup();
    let mut all = Vec::new();
    for shape in shapes {
        let rows = table.rows.iter().filter(|row| key(row) == shape && keep(row)).cloned();
        let part = table.with(rows.collect());
        let bench = Bench::new(&NAMES);
        let [tokens, tp, ep] = [0, 1, 2].map(|at| bench.symbols[at].clone());
        let [hidden_size, intermediate_size, top_k, num_experts] =
            [0, 1, 2, 3].map(|at| shape[at].parse().unwrap());
        let routing = match shape[4].strip_prefix("power_law_") {
            Some(alpha) => Routing::PowerLaw { alpha: alpha.parse().unwrap() },
            None => Routing::Balanced,
        };
        let call = Experts {
            tokens_here: tokens.clone(),
            tokens,
            num_experts,
            top_k,
            hidden_size,
            intermediate_size,
            tp_size: tp,
            ep_size: ep,
            routing,
            low_latency: mode.map(|low_latency| bench.on.sm_count.context().truth(low_latency)),
            format,
            bytes_per_weight: bytes[0],
            bytes_per_input: bytes[1],
        };
        let law = AutoRunner.time(&call, &bench.on);
        all.extend(bench.all_errors(&NAMES, &law, &part.numbers(&NAMES)));
    }
    all
}

#[track_caller]
fn check(what: &str, mut errors: Vec<f64>, (median, p90): (f64, f64)) {
    errors.sort_by(f64::total_cmp);
    let (found, tail) = (errors[errors.len() / 2], errors[errors.len() * 9 / 10]);
    println!(
        "{what}: median error {:.1} %, 90th percentile {:.1} %, {} rows",
        found * 100.0,
        tail * 100.0,
        errors.len()
    );
    assert!(found < median && tail < p90, "{what}: {found:.3} and {tail:.3}");
}

#[test]
fn fused_and_marlin() {
    for (dtype, format, bytes, allowed) in [
        ("bfloat16", MatrixFormat::Bf16, [2.0, 2.0], (0.08, 0.25)),
        ("fp8_block", MatrixFormat::Fp8Block, [1.0, 1.0], (0.08, 0.25)),
        ("int4_wo", MatrixFormat::Int4, [0.516, 2.0], (0.13, 0.32)),
        ("w4a16_mxfp4", MatrixFormat::Fp4, [0.531, 2.0], (0.1, 0.28)),
    ] {
        let Some(table) = table("moe/moe_perf__sglang-0.5.14.csv.gz") else { return };
        let table = table.only(&[("moe_dtype", dtype)]);
        let [kernel, inner, tp, ep] = ["kernel_source", "inter_size", "moe_tp_size", "moe_ep_size"]
            .map(|name| table.column(name));
        let errors = errors(&table, format, bytes, None, |row| {
            let known = ["sglang_fused_moe_triton", "sglang_marlin_moe"].contains(&&row[kernel]);
            let inner_of = |row: &csv::StringRecord| {
                row[inner].parse::<u32>().unwrap() / row[tp].parse::<u32>().unwrap()
            };
            // Narrower blocks have no scales of their own: another kernel.
            let scaled = format != MatrixFormat::Fp8Block || inner_of(row).is_multiple_of(128);
            known && scaled && (&row[ep] == "1" || !CLAMPED.contains(&&row[inner]))
        });
        check(&format!("experts, {dtype}"), errors, allowed);
    }
}

#[test]
fn behind_an_all_to_all() {
    for (file, low_latency, allowed) in
        [("context", false, (0.1, 0.25)), ("generation", true, (0.08, 0.25))]
    {
        let path = format!("moe/wideep_{file}_moe_perf__sglang-0.5.10.csv.gz");
        let Some(table) = table(&path) else { return };
        let errors =
            errors(&table, MatrixFormat::Fp8Block, [1.0, 1.0], Some(low_latency), |_| true);
        check(&format!("experts behind DeepEP, {file}"), errors, allowed);
    }
    assert!(MatrixFormat::Fp8Block.precision() == Precision::Fp8);
}

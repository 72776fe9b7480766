//! Fits of tables whose law is known.

use std::fmt::Write as _;
use std::path::{Path, PathBuf};

use sglsim_calibrate::{Dataset, FitOptions, Mapping, Rows, fit, score};
use sglsim_hw::{Gpu, Topology};
use sglsim_kernels::Coefficients;

fn h100() -> (Topology, Coefficients) {
    let topology = Topology::of(Gpu::preset("H100").unwrap()).unwrap();
    let theta = Coefficients::for_architecture(topology.gpu().architecture);
    (topology, theta)
}

fn table(folder: &Path, name: &str, header: &str, rows: impl Iterator<Item = [f64; 3]>) -> PathBuf {
    let mut text = format!("{header}\n");
    for [a, b, t] in rows {
        writeln!(text, "{a},{b},{t}").unwrap();
    }
    let path = folder.join(name);
    std::fs::write(&path, text).unwrap();
    path
}

/// Matrix products of one shape, and element-wise calls of many widths at 60 % of an H100's memory
/// bandwidth.
fn two_operators(folder: &Path) -> Dataset {
    let products = (0..12).map(|i| {
        let m = f64::from(1_u32 << i);
        [m, 4096.0, 4e-6 + (2.0 * m * 4096.0 * 4096.0 / 600e12).max(1.2e-5)]
    });
    let widths = (1..=40).flat_map(|width| [64.0, 512.0, 8192.0].map(|rows| (width, rows)));
    let element_wise = widths.map(|(width, rows)| {
        let bytes = f64::from(width * 1024);
        [rows, bytes, 2e-6 + rows * bytes / (0.6 * 3.35e12)]
    });
    let mut data = Dataset::new();
    for (path, mapping) in [
        (
            table(folder, "gemm.csv", "m,n,t", products),
            r#"(operator: "gemm", time: "t [s]", arguments: {"m": "m", "n": "n", "k": "n"})"#,
        ),
        (
            table(folder, "norm.csv", "rows,bytes,t", element_wise),
            r#"(operator: "elementwise", time: "t [s]",
                arguments: {"rows": "rows", "bytes_per_row": "bytes [B]"})"#,
        ),
    ] {
        data.add_mapped(&path, &[Mapping::from_ron(mapping).unwrap()]).unwrap();
    }
    data
}

#[test]
fn finds_what_the_table_was_made_of() {
    let folder = tempfile::tempdir().unwrap();
    let (topology, theta) = h100();
    let data = two_operators(folder.path());
    let found = fit(&data, &topology, &theta, &FitOptions::default(), &mut |_, _, _| {}).unwrap();
    let part = found.parts.iter().find(|part| part.families == "elementwise").unwrap();
    let value = |name: &str| {
        let found = part.coefficients.iter().find(|it| it.name == name);
        found.unwrap_or_else(|| panic!("no {name} in {:?}", part.coefficients)).value
    };
    let (share, latency) = (value("elementwise_efficiency"), value("elementwise_latency"));
    assert!((share / 0.6 - 1.0).abs() < 0.005, "{share}");
    assert!((latency / 2e-6 - 1.0).abs() < 0.02, "{latency}");
    assert!(part.held_out.unwrap().p90_ape < 0.01, "{:?}", part.held_out);
}

/// Of a table with one shape, all or nothing would be held out: single calls are, instead.
#[test]
fn one_shape_alone_is_split_by_calls() {
    let folder = tempfile::tempdir().unwrap();
    let (topology, theta) = h100();
    let data = two_operators(folder.path());
    let points = |rows| -> usize {
        let score = score(&data, &topology, &theta, rows).unwrap();
        let gemms = score.tables.iter().filter(|table| table.file == "gemm.csv");
        gemms.map(|table| table.points.len()).sum()
    };
    let mut options = FitOptions::default();
    let mut held_out = 0;
    for seed in 0..20 {
        options.held_out.seed = seed;
        let fitted = points(Rows::Fitted(options.held_out));
        assert!(fitted > 0, "seed {seed}");
        assert_eq!(fitted + points(Rows::HeldOut(options.held_out)), points(Rows::All));
        held_out += points(Rows::HeldOut(options.held_out));
    }
    let share = held_out as f64 / (20 * points(Rows::All)) as f64;
    assert!((0.05..0.4).contains(&share), "{share}");
}

/// The tables of both known data sets are recognised, and their rows are calls that laws express.
#[test]
fn published_tables_are_expressed() {
    let Some(folder) = std::env::var_os("SGLSIM_DATA").map(PathBuf::from) else {
        println!("skipped: SGLSIM_DATA is not set");
        return;
    };
    let (topology, theta) = h100();
    for (file, ops) in [
        (
            "vidur/profiling/compute/h100/meta-llama/Llama-2-7b-hf/mlp.csv.gz",
            &["gemm", "elementwise"][..],
        ),
        ("vidur/profiling/network/h100_dgx/all_reduce.csv", &["nccl_all_reduce"]),
        (
            "aiconfigurator/h100_sxm/comm/custom_allreduce_perf__sglang-0.5.14.csv.gz",
            &["all_reduce"],
        ),
        ("aiconfigurator/h100_sxm/mla/generation_mla_perf__sglang-0.5.14.csv.gz", &["mla_decode"]),
    ] {
        let mut data = Dataset::new();
        data.add(folder.join(file)).unwrap();
        let score = score(&data, &topology, &theta, Rows::All).unwrap();
        for op in ops {
            let rows = score.tables.iter().filter(|table| table.op.starts_with(op));
            let points: usize = rows.map(|table| table.points.len()).sum();
            println!("{file}: {points} calls of {op}");
            assert!(points > 20, "{file}: {points} calls of {op}");
        }
    }
}

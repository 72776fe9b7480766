//! The calibrations that come with sglsim, fitted anew: `fixtures/calibration/*.ron`.

use std::path::{Path, PathBuf};
use std::process::Command;

use crate::run;

/// A GPU: its preset, the calibration's file, the folder of its tables, and what the names of the
/// tables begin with. Of one table in several versions the newest, but for DeepEP across nodes, which
/// only an older version has.
const GPUS: &[(&str, &str, &str, &[&str])] = &[
    ("H100-SXM", "h100.ron", "aiconfigurator/h100_sxm", HOPPER),
    ("H200", "h200.ron", "aiconfigurator/h200_sxm", HOPPER),
    (
        "A100-80G-SXM",
        "a100.ron",
        "vidur/profiling",
        &[
            "compute/a100/codellama/CodeLlama-34b-Instruct-hf/mlp.csv",
            "compute/a100/internlm/internlm-20b/attention_tp1_median.csv",
            "compute/a100/internlm/internlm-20b/mlp.csv",
            "compute/a100/meta-llama/Llama-2-70b-hf/attention_tp1_median.csv",
            "compute/a100/meta-llama/Llama-2-70b-hf/mlp.csv",
            "compute/a100/meta-llama/Llama-2-7b-hf/attention_tp1_median.csv",
            "compute/a100/meta-llama/Llama-2-7b-hf/mlp.csv",
            "compute/a100/meta-llama/Meta-Llama-3-70B/mlp.csv",
            "compute/a100/meta-llama/Meta-Llama-3-8B/mlp.csv",
            "compute/a100/Qwen/Qwen-72B/mlp.csv",
            "network/a100_dgx/all_reduce.csv",
        ],
    ),
];

const HOPPER: &[&str] = &[
    "attention/context_attention_perf__sglang-0.5.14.csv",
    "attention/generation_attention_perf__sglang-0.5.14.csv",
    "comm/custom_allreduce_perf__sglang-0.5.14.csv",
    "comm/nccl_perf__nccl-2.29.2.csv",
    "comm/wideep_deepep_ll_perf__sglang-0.5.12.csv",
    "comm/wideep_deepep_ll_perf__sglang-0.5.6.post2.csv",
    "comm/wideep_deepep_normal_perf__sglang-0.5.12.csv",
    "comm/wideep_deepep_normal_perf__sglang-0.5.6.post2.csv",
    "gemm/gemm_perf__sglang-0.5.14.csv",
    "mla/context_mla_perf__sglang-0.5.14.csv",
    "mla/generation_mla_perf__sglang-0.5.14.csv",
    "moe/moe_perf__sglang-0.5.14.csv",
    "moe/wideep_context_moe_perf__sglang-0.5.10.csv",
    "moe/wideep_generation_moe_perf__sglang-0.5.10.csv",
];

/// Fits the calibrations of the named GPUs, or of all, to the tables below the folder in
/// `SGLSIM_DATA`. The same tables give the same files, but for the day.
pub(crate) fn calibrate(root: &Path, only: &[String]) -> Result<(), String> {
    let data = std::env::var_os("SGLSIM_DATA").map(PathBuf::from).ok_or(
        "SGLSIM_DATA is not set: it names the folder with the tables (aiconfigurator, vidur); \
         see fixtures/README.md",
    )?;
    let known = GPUS.iter().map(|(gpu, ..)| *gpu).collect::<Vec<_>>().join(", ");
    if let Some(unknown) = only.iter().find(|name| GPUS.iter().all(|(gpu, ..)| gpu != name)) {
        return Err(format!("there is no table of `{unknown}`; known: {known}"));
    }
    let wanted = |gpu: &str| only.is_empty() || only.iter().any(|name| name == gpu);
    // The files are part of the program: kept apart until all are there, or it would be built for each.
    let shipped = root.join("fixtures/calibration");
    let fresh = std::env::temp_dir().join(format!("sglsim-calibrate-{}", std::process::id()));
    std::fs::create_dir_all(&fresh).map_err(|error| format!("{}: {error}", fresh.display()))?;
    let at = |file: &str| match fresh.join(file) {
        fresh if fresh.exists() => fresh,
        _ => shipped.join(file),
    };
    for (gpu, file, folder, tables) in GPUS.iter().filter(|(gpu, ..)| wanted(gpu)) {
        let mut cargo = Command::new(std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into()));
        cargo
            .current_dir(root)
            .args(["run", "--quiet", "--release", "--locked", "--package", "sglsim-cli", "--"])
            .args(["calibrate", "fit", "--gpu", gpu, "--output"])
            .arg(fresh.join(file));
        // H200 from what was found for the same dies in H100, which comes first.
        if *gpu == "H200" {
            cargo.arg("--start").arg(at("h100.ron"));
        }
        cargo.arg("--table");
        for table in *tables {
            cargo.arg(found(&data.join(folder), table)?);
        }
        run(&mut cargo)?;
    }
    for (gpu, file, ..) in GPUS.iter().filter(|(gpu, ..)| wanted(gpu)) {
        std::fs::copy(fresh.join(file), shipped.join(file))
            .map_err(|error| format!("the calibration of {gpu}: {error}"))?;
    }
    std::fs::remove_dir_all(&fresh).map_err(|error| format!("{}: {error}", fresh.display()))
}

/// A table, plain or gzipped.
fn found(folder: &Path, table: &str) -> Result<PathBuf, String> {
    let plain = folder.join(table);
    let zipped = folder.join(format!("{table}.gz"));
    [zipped, plain]
        .into_iter()
        .find(|path| path.exists())
        .ok_or_else(|| format!("there is no `{table}` in {}", folder.display()))
}

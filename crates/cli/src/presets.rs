//! `sglsim presets`.

use std::fmt::Write;

use comfy_table::Table;
use sglsim_hw::{Gpu, Link, Precision};
use sglsim_model::{Attention, ModelShape};

use crate::failure::Failure;
use crate::number::{NONE, count, fixed, gib};
use crate::output;
use crate::table::{lines, table, text};

/// Arguments of `presets`.
#[derive(Debug, clap::Args)]
pub(crate) struct Arguments {
    /// What to list; everything if left out
    kind: Option<Kind>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
enum Kind {
    /// GPUs
    #[value(alias = "gpus")]
    Gpu,
    /// Links inside and between nodes
    #[value(alias = "links")]
    Link,
    /// Models
    #[value(alias = "models")]
    Model,
}

pub(crate) fn run(arguments: &Arguments) -> Result<(), Failure> {
    let wanted = |kind| arguments.kind.is_none_or(|only| only == kind);
    let mut parts = Vec::new();
    if wanted(Kind::Gpu) {
        parts.push(gpus()?);
    }
    if wanted(Kind::Link) {
        parts.push(links()?);
    }
    if wanted(Kind::Model) {
        parts.push(models()?);
    }
    output::print(&parts.join("\n"))
}

/// A table and, below it, where each line comes from.
fn with_sources(out: &Table, sources: &[(&str, String)]) -> String {
    let mut out = text(out);
    out.push_str("\nsources\n");
    for line in lines(sources).lines() {
        let _ = writeln!(out, "  {line}");
    }
    out
}

fn gpus() -> Result<String, Failure> {
    let header = ["GPU", "memory", "bandwidth", "bf16", "fp8", "fp4", "node"];
    let mut out = table(&header, &["GPU", "node"]);
    let mut sources = Vec::new();
    for name in Gpu::names() {
        let gpu = Gpu::preset(name)?;
        let peak = |precision| match gpu.peak.get(precision) {
            Some(rate) => format!("{} TFLOP/s", fixed(rate.get() / 1e12, 0)),
            None => NONE.to_owned(),
        };
        out.add_row([
            gpu.name.clone(),
            gib(gpu.hbm_capacity),
            format!("{:.2} TB/s", gpu.hbm_bandwidth.get() / 1e12),
            peak(Precision::Bf16),
            peak(Precision::Fp8),
            peak(Precision::Fp4),
            format!("{} × {}", gpu.gpus_per_node, gpu.scale_up),
        ]);
        sources.push((name, gpu.source));
    }
    Ok(with_sources(&out, &sources))
}

fn links() -> Result<String, Failure> {
    let mut out = table(&["link", "bandwidth", "latency"], &["link"]);
    let mut sources = Vec::new();
    for name in Link::names() {
        let link = Link::preset(name)?;
        out.add_row([
            link.name.clone(),
            format!("{:.0} GB/s", link.bandwidth.get() / 1e9),
            format!("{:.1} µs", link.latency.get() * 1e6),
        ]);
        sources.push((name, link.source));
    }
    Ok(with_sources(&out, &sources))
}

fn models() -> Result<String, Failure> {
    let header = ["model", "parameters", "layers", "attention", "experts", "KV per token"];
    let mut out = table(&header, &["model", "attention"]);
    let mut sources = Vec::new();
    for name in ModelShape::names() {
        let model = ModelShape::preset(name)?;
        let attention = match &model.attention {
            Attention::Gqa(gqa) => {
                format!("GQA {}/{}", model.num_attention_heads, gqa.kv_heads)
            }
            Attention::Mla(mla) => format!("MLA {}", mla.kv_lora_rank),
        };
        let experts = match &model.moe {
            Some(moe) => format!("{} of {}", moe.top_k, moe.num_experts),
            None => NONE.to_owned(),
        };
        out.add_row([
            model.name.clone(),
            format!("{:.1} B", model.parameters().total() as f64 / 1e9),
            count(u64::from(model.layers)),
            attention,
            experts,
            format!("{} B", fixed(model.kv_bytes_per_token().get(), 0)),
        ]);
        sources.push((name, model.source));
    }
    Ok(with_sources(&out, &sources))
}

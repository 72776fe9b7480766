//! `sglsim presets`.

use comfy_table::{Table, presets::UTF8_HORIZONTAL_ONLY};
use sglsim_hw::{Gpu, Link, Precision};
use sglsim_model::{Attention, ModelShape};

use crate::failure::Failure;

/// Arguments of `presets`.
#[derive(Debug, clap::Args)]
pub(crate) struct Arguments {
    /// What to list; everything if left out
    kind: Option<Kind>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
enum Kind {
    /// GPUs
    Gpu,
    /// Links inside and between nodes
    Link,
    /// Models
    Model,
}

pub(crate) fn run(arguments: &Arguments) -> Result<(), Failure> {
    let wanted = |kind| arguments.kind.is_none_or(|only| only == kind);
    if wanted(Kind::Gpu) {
        println!("{}", gpus()?);
    }
    if wanted(Kind::Link) {
        println!("{}", links()?);
    }
    if wanted(Kind::Model) {
        println!("{}", models()?);
    }
    Ok(())
}

fn table(header: &[&str]) -> Table {
    let mut table = Table::new();
    table.load_style(UTF8_HORIZONTAL_ONLY);
    table.set_header(header.to_vec());
    table
}

fn gpus() -> Result<Table, Failure> {
    let mut out = table(&["GPU", "memory", "bandwidth", "bf16", "fp8", "fp4", "node", "source"]);
    for name in Gpu::names() {
        let gpu = Gpu::preset(name)?;
        let peak = |precision| match gpu.peak.get(precision) {
            Some(rate) => format!("{:.0} TFLOP/s", rate.get() / 1e12),
            None => "–".to_owned(),
        };
        out.add_row([
            gpu.name.clone(),
            format!("{:.1} GiB", gpu.hbm_capacity.get() / f64::from(1 << 30)),
            format!("{:.2} TB/s", gpu.hbm_bandwidth.get() / 1e12),
            peak(Precision::Bf16),
            peak(Precision::Fp8),
            peak(Precision::Fp4),
            format!("{} × {}", gpu.gpus_per_node, gpu.scale_up),
            gpu.source.clone(),
        ]);
    }
    Ok(out)
}

fn links() -> Result<Table, Failure> {
    let mut out = table(&["link", "bandwidth", "latency", "source"]);
    for name in Link::names() {
        let link = Link::preset(name)?;
        out.add_row([
            link.name.clone(),
            format!("{:.0} GB/s", link.bandwidth.get() / 1e9),
            format!("{:.1} µs", link.latency.get() * 1e6),
            link.source.clone(),
        ]);
    }
    Ok(out)
}

fn models() -> Result<Table, Failure> {
    let mut out =
        table(&["model", "parameters", "layers", "attention", "experts", "KV/token", "source"]);
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
            None => "–".to_owned(),
        };
        out.add_row([
            model.name.clone(),
            format!("{:.1} B", model.parameters().total() as f64 / 1e9),
            model.layers.to_string(),
            attention,
            experts,
            format!("{:.0} B", model.kv_bytes_per_token().get()),
            model.source.clone(),
        ]);
    }
    Ok(out)
}

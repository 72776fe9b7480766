//! Dense matrix products and routed experts.

use sglsim_expr::Expr;
use sglsim_kernels::operator::MatrixFormat;
use sglsim_kernels::operator::gemm::Gemm;
use sglsim_kernels::operator::moe::{Experts, Routing};
use sglsim_model::Dtype;

use super::{Call, Operator, count, size, word};

pub(super) const GEMM: Operator = Operator {
    name: "gemm",
    doc: "a dense matrix product, (m, k) × (k, n)",
    arguments: &[
        count("m", "rows of activations [token]"),
        count("n", "columns of the weight [1]"),
        count("k", "inner dimension [1]"),
        word("dtype", "'bf16'", "number format"),
    ],
    shapes: &[&["n", "k"]],
    law: gemm,
};

fn gemm(call: &Call<'_>) -> Result<Expr, String> {
    let (format, bytes_per_weight, bytes_per_input) = format(call)?;
    let gemm = Gemm {
        m: call.count("m"),
        n: call.count("n"),
        k: call.count("k"),
        format,
        bytes_per_weight,
        bytes_per_input,
    };
    Ok(call.laws.gemm.time(&gemm, call.on))
}

pub(super) const EXPERTS: Operator = Operator {
    name: "experts",
    doc: "the routed experts of one layer on one rank, both grouped GEMMs with routing and activation",
    arguments: &[
        count("tokens", "tokens that are routed, over all ranks that share the experts [token]"),
        size("hidden_size", "input and output width [1]"),
        size("inter_size", "inner width of an expert over all ranks [1]"),
        size("top_k", "experts per token [1]"),
        size("num_experts", "experts of the layer over all ranks [1]"),
        count("moe_tp_size", "ranks over which an expert is split [1]"),
        count("ep_size", "ranks over which whole experts are spread [1]"),
        word("dtype", "'bf16'", "number format"),
        word("kernel", "'triton'", "kernel"),
        word("mode", "'none'", "all-to-all in front: none, normal or low_latency"),
        word(
            "distribution",
            "'balanced'",
            "how tokens spread over the experts: balanced, random, or power_law_ and its exponent",
        ),
    ],
    shapes: &[&["hidden_size", "inter_size", "top_k", "num_experts"]],
    law: experts,
};

fn experts(call: &Call<'_>) -> Result<Expr, String> {
    let (format, bytes_per_weight, bytes_per_input) = format(call)?;
    let kernels = ["triton", "sglang_fused_moe_triton", "sglang_marlin_moe", "deepepmoe"];
    if !kernels.contains(&call.word("kernel")) {
        return Err(format!("no law for the kernel {}", call.word("kernel")));
    }
    let truth = |low_latency| Some(call.on.sm_count.context().truth(low_latency));
    let low_latency = match call.word("mode") {
        "none" => None,
        "normal" => truth(false),
        "low_latency" => truth(true),
        other => return Err(format!("no law for the mode {other}")),
    };
    let experts = Experts {
        tokens: call.count("tokens"),
        tokens_here: call.count("tokens"),
        num_experts: call.size("num_experts")?,
        top_k: call.size("top_k")?,
        hidden_size: call.size("hidden_size")?,
        intermediate_size: call.size("inter_size")?,
        tp_size: call.count("moe_tp_size"),
        ep_size: call.count("ep_size"),
        routing: routing(call.word("distribution"))?,
        low_latency,
        format,
        bytes_per_weight,
        bytes_per_input,
    };
    Ok(call.laws.experts.time(&experts, call.on))
}

fn routing(distribution: &str) -> Result<Routing, String> {
    let unknown = || format!("no law for the distribution {distribution}");
    match distribution {
        // Measurements call it uniform if every expert gets the same number of rows.
        "balanced" | "uniform" => Ok(Routing::Balanced),
        "random" => Ok(Routing::Uniform),
        _ => {
            let alpha = distribution.strip_prefix("power_law_").ok_or_else(unknown)?;
            Ok(Routing::PowerLaw { alpha: alpha.parse().map_err(|_| unknown())? })
        }
    }
}

/// Format, size of a weight and size of an input \[B\].
fn format(call: &Call<'_>) -> Result<(MatrixFormat, f64, f64), String> {
    let (format, weight, input) = match call.word("dtype") {
        "bf16" | "bfloat16" | "fp16" | "float16" | "half" => {
            (MatrixFormat::Bf16, Dtype::Bf16, Dtype::Bf16)
        }
        "fp8" => (MatrixFormat::Fp8, Dtype::Fp8, Dtype::Fp8),
        "fp8_block" => (MatrixFormat::Fp8Block, Dtype::Fp8, Dtype::Fp8),
        "int8" => (MatrixFormat::Int8, Dtype::Int8, Dtype::Int8),
        "int4_wo" | "int4" => (MatrixFormat::Int4, Dtype::Int4, Dtype::Bf16),
        "w4a16_mxfp4" => (MatrixFormat::Fp4, Dtype::Mxfp4, Dtype::Bf16),
        "nvfp4" | "fp4" => (MatrixFormat::Fp4, Dtype::Fp4, Dtype::Fp4),
        other => return Err(format!("no law for the number format {other}")),
    };
    Ok((format, weight.bytes(), input.bytes()))
}

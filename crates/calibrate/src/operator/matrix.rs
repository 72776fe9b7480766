//! Dense matrix products and routed experts.

use sglsim_expr::Expr;
use sglsim_kernels::operator::MatrixFormat;
use sglsim_kernels::operator::gemm::Gemm;
use sglsim_kernels::operator::moe::Experts;

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
        word("distribution", "'balanced'", "how tokens spread over the experts"),
    ],
    shapes: &[&["hidden_size", "inter_size", "top_k", "num_experts"]],
    law: experts,
};

fn experts(call: &Call<'_>) -> Result<Expr, String> {
    let (format, bytes_per_weight, bytes_per_input) = format(call)?;
    if !["triton", "sglang_fused_moe_triton"].contains(&call.word("kernel")) {
        return Err(format!("no law for the kernel {}", call.word("kernel")));
    }
    if !["balanced", "uniform"].contains(&call.word("distribution")) {
        return Err(format!("no law for the distribution {}", call.word("distribution")));
    }
    let experts = Experts {
        tokens: call.count("tokens"),
        num_experts: call.size("num_experts")?,
        top_k: call.size("top_k")?,
        hidden_size: call.size("hidden_size")?,
        intermediate_size: call.size("inter_size")? / call.count("moe_tp_size"),
        ep_size: call.count("ep_size"),
        format,
        bytes_per_weight,
        bytes_per_input,
    };
    Ok(call.laws.experts.time(&experts, call.on))
}

/// Format, size of a weight and size of an input \[B\]. Scales of a block of 128 × 128 weights are
/// four bytes, those of a group of 32 or 128 narrow weights one or two.
fn format(call: &Call<'_>) -> Result<(MatrixFormat, f64, f64), String> {
    Ok(match call.word("dtype") {
        "bf16" | "bfloat16" | "fp16" | "float16" | "half" => (MatrixFormat::Bf16, 2.0, 2.0),
        "fp8" => (MatrixFormat::Fp8, 1.0, 1.0),
        "fp8_block" => (MatrixFormat::Fp8Block, 1.0, 1.0),
        "int8" => (MatrixFormat::Int8, 1.0, 1.0),
        "int4_wo" | "int4" => (MatrixFormat::Int4, 0.516, 2.0),
        "w4a16_mxfp4" => (MatrixFormat::Int4, 0.531, 2.0),
        "nvfp4" | "fp4" => (MatrixFormat::Fp4, 0.5625, 0.5625),
        other => return Err(format!("no law for the number format {other}")),
    })
}

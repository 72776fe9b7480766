//! Number formats from `quantization_config`.

use serde_json::Value;

use super::config::{Config, refused};
use crate::{Dtype, ModelError};

/// Formats of the weights of a checkpoint.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Formats {
    /// Attention, dense FFNs and shared experts.
    pub(super) weights: Dtype,
    /// Routed experts.
    pub(super) experts: Dtype,
}

/// The formats that the config's quantisation gives.
///
/// A list of exceptions is read for one thing: if it names the attention of a mixture of experts,
/// as gpt-oss does, the experts alone are quantised.
pub(super) fn formats(
    config: &Config,
    activations: Dtype,
    has_experts: bool,
) -> Result<Formats, ModelError> {
    let Some(quantization) = config.get("quantization_config") else {
        return Ok(Formats { weights: activations, experts: activations });
    };
    let experts = format(quantization)?;
    let experts_only = has_experts && (experts == Dtype::Mxfp4 || keeps_attention(quantization));
    Ok(Formats { weights: if experts_only { activations } else { experts }, experts })
}

fn format(quantization: &Value) -> Result<Dtype, ModelError> {
    let text = |field| quantization.get(field).and_then(Value::as_str);
    let method = text("quant_method").unwrap_or_default();
    match method {
        "fp8" | "fbgemm_fp8" | "w8a8_fp8" => Ok(Dtype::Fp8),
        "w8a8_int8" => Ok(Dtype::Int8),
        "mxfp4" => Ok(Dtype::Mxfp4),
        "gptq" | "awq" | "gptq_marlin" | "awq_marlin" => integer_format(
            "quantization_config.bits",
            quantization.get("bits").or_else(|| quantization.get("w_bit")),
        ),
        "compressed-tensors" => compressed_tensors(quantization),
        "modelopt" | "modelopt_fp4" => match text("quant_algo") {
            Some("FP8") => Ok(Dtype::Fp8),
            Some("NVFP4") => Ok(Dtype::Fp4),
            other => Err(refused("quantization_config.quant_algo", &other.into(), "FP8, NVFP4")),
        },
        _ => Err(refused(
            "quantization_config.quant_method",
            &method.into(),
            "fp8, fbgemm_fp8, w8a8_fp8, w8a8_int8, mxfp4, gptq, awq, compressed-tensors, modelopt",
        )),
    }
}

/// The first group's weights; groups of different formats in one checkpoint are not told apart.
fn compressed_tensors(quantization: &Value) -> Result<Dtype, ModelError> {
    let field = "quantization_config.config_groups";
    let groups = quantization.get("config_groups").and_then(Value::as_object);
    let weights = groups
        .and_then(|groups| groups.values().next())
        .and_then(|group| group.get("weights"))
        .ok_or_else(|| refused(field, &Value::Null, "a group with `weights`"))?;
    let bits = weights.get("num_bits");
    match (weights.get("type").and_then(Value::as_str), bits.and_then(Value::as_u64)) {
        (Some("float"), Some(8)) => Ok(Dtype::Fp8),
        (Some("float"), Some(4)) => Ok(Dtype::Fp4),
        (Some("int"), _) => integer_format(&format!("{field}.weights.num_bits"), bits),
        _ => Err(refused(field, weights, "`type` float or int with `num_bits` 4 or 8")),
    }
}

fn integer_format(field: &str, bits: Option<&Value>) -> Result<Dtype, ModelError> {
    match bits.and_then(Value::as_u64) {
        Some(4) => Ok(Dtype::Int4),
        Some(8) => Ok(Dtype::Int8),
        _ => Err(refused(field, bits.unwrap_or(&Value::Null), "4, 8")),
    }
}

fn keeps_attention(quantization: &Value) -> bool {
    ["modules_to_not_convert", "ignore", "exclude_modules"]
        .into_iter()
        .filter_map(|field| quantization.get(field).and_then(Value::as_array))
        .flatten()
        .filter_map(Value::as_str)
        .any(|module| module.trim_end_matches(['.', '*', '$']).ends_with("self_attn"))
}

//! DeepGEMM's grouped kernels, behind an all-to-all.

use sglsim_expr::{Expr, max, piecewise};

use super::Experts;
use crate::Hardware;
use crate::operator::{OperatorLaw, present};

/// DeepGEMM's grouped fp8 kernels: contiguous rows after DeepEP's normal dispatch, masked ones after
/// its low-latency dispatch.
///
/// # Formula
///
/// As [`FusedMoe`](super::FusedMoe) with tiles of 64 × 128 and no sorting; activations move
/// `R·(10i + 5h) + [normal]·tokens_here·3h` bytes. `t₀` of the contiguous kernels is mostly their
/// launches from Python, which a CUDA graph cannot hold.
///
/// # Source
///
/// SGLang 0.5.23, `layers/moe/moe_runner/deep_gemm.py`; DeepGEMM README; the rest derived.
#[derive(Clone, Copy, Debug)]
pub struct DeepGemm;

impl OperatorLaw<Experts> for DeepGemm {
    fn name(&self) -> &str {
        "deep gemm experts"
    }

    fn time(&self, call: &Experts, on: &Hardware) -> Expr {
        let own = &on.theta.experts_deep_gemm;
        let load = call.busiest(on);
        let peak = on.peak_flops(call.format.precision()) * &own.efficiency;
        let places = &own.blocks_per_sm * &on.sm_count;
        let gemm = call.tiled(&load, (64, 128), peak, &places, &own.wave_quantisation);
        let weights =
            call.weight_time(&load.active, &(&on.hbm_bandwidth * &own.bandwidth_efficiency));
        let low_latency = call.low_latency.clone().unwrap_or_else(|| {
            // Without an all-to-all the rows are sorted as after a normal dispatch.
            on.hbm_bandwidth.context().truth(false)
        });
        let masked = piecewise([(low_latency, 1)], 0);
        let scattered = (1 - &masked) * &call.tokens_here * (3 * call.hidden_size);
        let bytes = &load.rows * (10 * call.inner() + 5 * call.hidden_size) + scattered;
        let latency = &own.contiguous_latency + masked * (&own.latency - &own.contiguous_latency);
        present(&call.tokens) * latency
            + max(&weights, gemm + (1 - &own.overlap) * &weights)
            + bytes / (&on.hbm_bandwidth * &own.activation_efficiency)
    }
}

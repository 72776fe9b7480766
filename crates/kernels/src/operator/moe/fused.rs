//! SGLang's fused Triton kernels.

use sglsim_expr::{Expr, max, min, piecewise};

use super::{Experts, tuned};
use crate::Hardware;
use crate::operator::{MatrixFormat, OperatorLaw, present};

/// Rows, by inner dimension, of the tile that one thread block computes.
type Tile = (u32, u32);

/// SGLang's fused Triton kernels: sort rows by expert, gate and up, activation, down, sum.
///
/// # Formula
///
/// With `R` rows through `A` active experts of `W = 3·h·i` weights, over tiles of `m × n`, and all
/// `slots = tokens_here·k`:
///
/// ```text
/// compute = 2·W·max(A·m, R + A·m/2) / (peak·η)                   an expert's last tile is half full
/// wave    = (h + i)·2·m·n·blocks·SMs / (peak·η)                  one block per place, all in parallel
/// gemm    = max(wave, compute + q·wave)
/// weights = A·W·b / (BW·η_w)
/// t = [tokens>0]·t₀ + min(t_sort, slots·t_slot) + max(weights, gemm + (1−overlap)·weights)
///     + (slots·(4i + 4h) + R·(8i or, quantised, 9i) + tokens_here·4h) / (BW·η_a)
/// ```
///
/// Tiles: from a configuration file where SGLang ships one for the GPU and shape, else 64 × 64 in 16
/// bits or 64 × 128 in 8; in 16 bits, 16 × 32 for no more tokens than experts, if that is faster.
///
/// Under expert parallelism without an all-to-all every rank has all tokens. The rows of other ranks'
/// experts cost no arithmetic, but their places in the activations are written, read and summed all
/// the same: that is why such a rank takes several times its share of the arithmetic.
///
/// # Source
///
/// SGLang 0.5.23, `layers/moe/moe_runner/triton_utils/fused_moe.py` and
/// `fused_moe_triton_config.py:get_default_config`; the rest derived.
#[derive(Clone, Copy, Debug)]
pub struct FusedMoe;

impl OperatorLaw<Experts> for FusedMoe {
    fn name(&self) -> &str {
        "fused triton experts"
    }

    fn time(&self, call: &Experts, on: &Hardware) -> Expr {
        let computed = on.supported(call.format);
        // Weights of 4 bits are widened where the GPU cannot multiply them, by kernels of their own.
        let own = on.theta.experts(match call.format {
            MatrixFormat::Fp4 => call.format,
            _ => computed,
        });
        let load = call.busiest(on);
        let gemm = |tile: Tile, efficiency: &Expr, blocks: &Expr| {
            let peak = on.peak_flops(computed.precision()) * efficiency;
            call.tiled(&load, tile, peak, &(blocks * &on.sm_count), &own.wave_quantisation)
        };
        let default = if call.format == MatrixFormat::Bf16 {
            let large = gemm((64, 64), &own.efficiency, &own.blocks_per_sm);
            let small = gemm((16, 32), &own.small_efficiency, &own.small_blocks_per_sm);
            let few = (&call.tokens * &call.ep_size).le(call.num_experts);
            piecewise([(few, min(small, &large))], large)
        } else {
            gemm((64, 128), &own.efficiency, &own.blocks_per_sm)
        };
        let gemm = match tuned::is_tuned(call, on) {
            Some(is_tuned) => {
                let tuned = gemm((64, 128), &own.tuned_efficiency, &own.tuned_blocks_per_sm);
                piecewise([(is_tuned, tuned)], default)
            }
            None => default,
        };
        let weights =
            call.weight_time(&load.active, &(&on.hbm_bandwidth * &own.bandwidth_efficiency));
        let slots = call.slots();
        present(&call.tokens) * &own.latency
            + min(present(&call.tokens) * &own.sort_latency, &slots * &own.slot_latency)
            + max(&weights, gemm + (1 - &own.overlap) * &weights)
            + call.activation_time(
                &slots,
                &load.rows,
                &(&on.hbm_bandwidth * &own.activation_efficiency),
            )
    }
}

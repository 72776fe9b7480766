//! Marlin: weights of 4 bits, multiplied in 16.

use sglsim_expr::{Expr, max, min};
use sglsim_hw::Precision;

use super::Experts;
use crate::Hardware;
use crate::operator::{OperatorLaw, present};

/// Rows of the largest tile.
const TILE: u32 = 64;

/// Marlin's persistent kernels: tiles of 8 to 64 rows, as few as an expert's rows need.
///
/// # Formula
///
/// ```text
/// compute = 2·W·(R + A·idle) / (peak·η)
/// weights = b·W·(A + reread·max(0, R/64 − A/2)) / (BW·η_w)      widened again for every tile of rows
/// gemm    = max(compute, (h + i)·t_step)
/// t = [tokens>0]·t₀ + min(t_sort, slots·t_slot) + max(weights, gemm + (1−overlap)·weights) + activations
/// ```
///
/// # Source
///
/// Frantar et al., "MARLIN", 2024, and SGLang 0.5.23, `fused_marlin_moe.py`; the form of the
/// re-reading is derived.
#[derive(Clone, Copy, Debug)]
pub struct Marlin;

impl OperatorLaw<Experts> for Marlin {
    fn name(&self) -> &str {
        "marlin experts"
    }

    fn time(&self, call: &Experts, on: &Hardware) -> Expr {
        let own = &on.theta.experts_int4;
        let load = call.busiest(on);
        let peak = on.peak_flops(Precision::Bf16) * &own.efficiency;
        let rows = &load.rows + &load.active * &own.idle_rows;
        let compute = rows * (2 * call.expert_weights() / peak);
        let one_tile =
            present(&call.tokens) * (call.inner() + call.hidden_size) * &own.step_latency;
        let further = max(&load.rows / TILE - &load.active / 2, 0);
        let weights = call.weight_time(
            &(&load.active + further * &own.reread),
            &(&on.hbm_bandwidth * &own.bandwidth_efficiency),
        );
        let slots = call.slots();
        present(&call.tokens) * &own.latency
            + min(present(&call.tokens) * &own.sort_latency, &slots * &own.slot_latency)
            + max(&weights, max(compute, one_tile) + (1 - &own.overlap) * &weights)
            + call.activation_time(
                &slots,
                &load.rows,
                &(&on.hbm_bandwidth * &own.activation_efficiency),
            )
    }
}

//! The routed experts of one layer.

use sglsim_expr::{Expr, max, pow};

use super::{MatrixFormat, OperatorLaw, present};
use crate::Hardware;

mod coefficients;

pub use coefficients::{ExpertsCoefficients, ExpertsTheta, RoutingCoefficients, RoutingTheta};

/// Both grouped GEMMs of the experts on one rank, with routing and activation.
#[derive(Clone, Debug)]
pub struct Experts {
    /// Tokens that are routed, over all ranks that share the experts \[token\].
    pub tokens: Expr,
    /// Experts of the layer, over all ranks \[1\].
    pub num_experts: u32,
    /// Experts per token \[1\].
    pub top_k: u32,
    /// Input and output width \[1\].
    pub hidden_size: u32,
    /// Inner width of an expert on this rank \[1\].
    pub intermediate_size: Expr,
    /// Ranks over which whole experts are spread \[1\].
    pub ep_size: Expr,
    /// Number format of inputs and weights.
    pub format: MatrixFormat,
    /// Size of one weight \[B\].
    pub bytes_per_weight: f64,
    /// Size of one input activation \[B\].
    pub bytes_per_input: f64,
}

impl Experts {
    /// Experts of this rank that get at least one token, on average \[1\].
    ///
    /// # Formula
    ///
    /// `E/ep · (1 − (1 − k/E)^tokens)`: each token picks `k` of `E` experts, uniformly and
    /// independently of the others.
    #[must_use]
    pub fn active_experts(&self) -> Expr {
        let missed = 1.0 - f64::from(self.top_k) / f64::from(self.num_experts);
        if missed <= 0.0 {
            return present(&self.tokens) * self.num_experts / &self.ep_size;
        }
        (1 - pow(missed, &self.tokens)) * self.num_experts / &self.ep_size
    }

    /// Rows through the experts of this rank, on average \[token\].
    #[must_use]
    pub fn rows(&self) -> Expr {
        &self.tokens * self.top_k / &self.ep_size
    }

    /// Weights of one expert on this rank \[1\]: gate, up and down projection.
    #[must_use]
    pub fn expert_weights(&self) -> Expr {
        3 * self.hidden_size * &self.intermediate_size
    }
}

/// Roofline over the experts that are hit.
///
/// # Formula
///
/// ```text
/// rows = imbalance·tokens·k/ep + 64/2·active          imbalance only if ep > 1
/// t = [tokens>0]·t₀ + max( 2·3·h·i·rows / (peak·η_c),  (3·h·i·b·active + activations) / (BW·η_m) )
/// ```
///
/// Every expert that is hit fills its last tile of 64 rows only by half, on average.
///
/// # Source
///
/// Derived; number of distinct experts as for the occupancy problem.
#[derive(Clone, Copy, Debug)]
pub struct GroupedRoofline;

/// Half a tile of rows, wasted on average per expert that is hit \[token\].
const WASTED_ROWS: u32 = 32;

impl OperatorLaw<Experts> for GroupedRoofline {
    fn name(&self) -> &str {
        "grouped roofline"
    }

    fn time(&self, call: &Experts, on: &Hardware) -> Expr {
        let theta = &on.theta;
        let format = on.supported(call.format);
        let own = theta.experts(format);
        let active = call.active_experts();
        // A single rank has all rows, however they are spread over its experts.
        let imbalance = 1 + (&theta.expert.imbalance - 1) * present(&(&call.ep_size - 1));
        let rows = imbalance * call.rows();
        let weights = call.expert_weights();
        let row_time = 2 * &weights / (on.peak_flops(format.precision()) * &own.efficiency);
        let compute = &rows * &row_time + &active * (WASTED_ROWS * row_time);
        // Input and output of the block, and the inner activations written and read back.
        let bytes_per_row = &call.intermediate_size * 8
            + (call.bytes_per_input + 2.0) * f64::from(call.hidden_size);
        let bandwidth = &on.hbm_bandwidth * &own.bandwidth_efficiency;
        let memory = active * (weights * call.bytes_per_weight / &bandwidth)
            + rows * (bytes_per_row / bandwidth);
        present(&call.tokens) * &own.latency + max(compute, memory)
    }
}

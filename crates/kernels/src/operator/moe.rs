//! The routed experts of one layer.

use sglsim_expr::{Expr, max, pow};

use super::{MatrixFormat, OperatorLaw, present};
use crate::Hardware;

mod coefficients;
mod deep_gemm;
mod fused;
mod marlin;
mod routing;
mod tuned;

pub use coefficients::{
    DeepGemmCoefficients, DeepGemmTheta, ExpertsCoefficients, ExpertsTheta, MarlinCoefficients,
    MarlinTheta, RoutingCoefficients, RoutingTheta,
};
pub use deep_gemm::DeepGemm;
pub use fused::FusedMoe;
pub use marlin::Marlin;
use routing::Load;
pub use routing::Routing;

/// Size of an activation \[B\].
const ACTIVATION: u32 = 2;

/// Both grouped GEMMs of the experts on one rank, with sorting, activation and sum.
#[derive(Clone, Debug)]
pub struct Experts {
    /// Tokens that are routed, over all ranks that share the experts \[token\].
    pub tokens: Expr,
    /// Tokens whose hidden state this rank has: all of them, or those that an all-to-all brought
    /// \[token\].
    pub tokens_here: Expr,
    /// Experts of the layer, over all ranks \[1\].
    pub num_experts: u32,
    /// Experts per token \[1\].
    pub top_k: u32,
    /// Input and output width \[1\].
    pub hidden_size: u32,
    /// Inner width of an expert, over all ranks \[1\].
    pub intermediate_size: u32,
    /// Ranks over which an expert is split \[1\].
    pub tp_size: Expr,
    /// Ranks over which whole experts are spread \[1\].
    pub ep_size: Expr,
    /// How popular the experts are.
    pub routing: Routing,
    /// If tokens come by an all-to-all, whether by its low-latency kernels (Boolean).
    pub low_latency: Option<Expr>,
    /// Number format of inputs and weights.
    pub format: MatrixFormat,
    /// Size of one weight \[B\].
    pub bytes_per_weight: f64,
    /// Size of one input activation \[B\].
    pub bytes_per_input: f64,
}

impl Experts {
    /// Experts of a rank that get at least one token, on average \[1\].
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

    /// Rows through the experts of a rank, on average \[token\].
    #[must_use]
    pub fn rows(&self) -> Expr {
        &self.tokens * self.top_k / &self.ep_size
    }

    /// Rows through the experts of the busiest rank \[token\], by [`Experts::routing`] alone.
    #[must_use]
    pub fn busiest_rows(&self) -> Expr {
        self.load().rows
    }

    /// Inner width of an expert on this rank \[1\].
    #[must_use]
    pub fn inner(&self) -> Expr {
        self.intermediate_size / &self.tp_size
    }

    /// Weights of one expert on this rank \[1\]: gate, up and down projection.
    #[must_use]
    pub fn expert_weights(&self) -> Expr {
        3 * self.hidden_size * self.inner()
    }

    /// The busiest rank's load, times the imbalance that a run has measured.
    fn busiest(&self, on: &Hardware) -> Load {
        // A single rank has all rows, however they are spread over its experts.
        let shared = present(&(&self.ep_size - 1));
        let imbalance = 1 + (&on.theta.expert.imbalance - 1) * shared;
        let load = self.load();
        Load { rows: load.rows * imbalance, ..load }
    }

    /// Places for a row in this rank's activations, used or not \[token\].
    fn slots(&self) -> Expr {
        &self.tokens_here * self.top_k
    }

    /// Time of both grouped GEMMs in tiles, of which `places` thread blocks run at once \[s\].
    fn tiled(
        &self,
        load: &Load,
        (m, n): (u32, u32),
        peak: Expr,
        places: &Expr,
        quantisation: &Expr,
    ) -> Expr {
        let rows = max(m * &load.active, &load.rows + (m / 2) * &load.active);
        let compute = rows * (2 * self.expert_weights() / &peak);
        let steps = self.inner() + self.hidden_size;
        let wave = present(&self.tokens) * (steps * (2 * m * n) * places / peak);
        max(&wave, compute + quantisation * &wave)
    }

    /// Time to read the weights of so many experts \[s\].
    fn weight_time(&self, experts: &Expr, bandwidth: &Expr) -> Expr {
        experts * (self.expert_weights() * self.bytes_per_weight / bandwidth)
    }

    /// Time to write and read activations \[s\]: gate, up and down of every place; the activation
    /// of the rows that count, quantised if the input is; input and output.
    fn activation_time(&self, slots: &Expr, rows: &Expr, bandwidth: &Expr) -> Expr {
        let inner = self.inner();
        let quantised = self.bytes_per_input < f64::from(ACTIVATION);
        let per_slot = 2 * ACTIVATION * (&inner + self.hidden_size);
        let per_row = inner * if quantised { 9 } else { 8 };
        slots * (per_slot / bandwidth)
            + rows * (per_row / bandwidth)
            + &self.tokens_here * (2 * ACTIVATION * self.hidden_size / bandwidth)
    }
}

/// SGLang's choice of kernels (`moe_runner_backend auto`): DeepGEMM for fp8 behind an all-to-all, Marlin for weights of 4 bits, Triton else.
///
/// # Source
///
/// SGLang 0.5.23, `arg_groups/moe_hook.py`.
#[derive(Clone, Copy, Debug)]
pub struct AutoRunner;

impl OperatorLaw<Experts> for AutoRunner {
    fn name(&self) -> &str {
        "auto"
    }

    fn time(&self, call: &Experts, on: &Hardware) -> Expr {
        match on.supported(call.format) {
            MatrixFormat::Fp8 | MatrixFormat::Fp8Block if call.low_latency.is_some() => {
                DeepGemm.time(call, on)
            }
            MatrixFormat::Int4 => Marlin.time(call, on),
            _ => FusedMoe.time(call, on),
        }
    }
}

//! Kernels that read and write every element once: norms, activations, rotary embedding, copies.

use sglsim_expr::Expr;

use super::{OperatorLaw, present};
use crate::Hardware;

mod coefficients;

pub use coefficients::{ElementwiseCoefficients, ElementwiseTheta};

/// Row-wise work bound by memory.
#[derive(Clone, Debug)]
pub struct Elementwise {
    /// Rows \[token\].
    pub rows: Expr,
    /// Bytes read and written per row \[B\].
    pub bytes_per_row: Expr,
}

/// `t = [rows>0]·t₀ + rows·bytes/(BW·η)`, with `elementwise_latency` and `elementwise_efficiency`.
///
/// # Source
///
/// Derived: every byte moves once.
#[derive(Clone, Copy, Debug)]
pub struct MemoryBound;

impl OperatorLaw<Elementwise> for MemoryBound {
    fn name(&self) -> &str {
        "memory bound"
    }

    fn time(&self, call: &Elementwise, on: &Hardware) -> Expr {
        present(&call.rows) * &on.theta.elementwise.latency
            + &call.rows * (&call.bytes_per_row / on.elementwise_bandwidth())
    }
}

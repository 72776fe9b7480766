//! The guide: one formula from its first operator to a solver.
//!
//! | chapter | about |
//! |---|---|
//! | [`build`] | symbols, operators, units, kernels, sums, fixed points; the text form |
//! | [`simplify`] | normal form, closed sums, pruning, the e-graph |
//! | [`evaluate`] | one point, many points, many threads |
//! | [`differentiate`] | gradients, elasticities, steps |
//! | [`bound`] | ranges over a box, contraction, a search that proves its result |
//! | [`analyse`] | what decides, how far until it changes, monotonicity, special cases |
//! | [`export`] | SymPy, solvers and everything else |
//!
//! All chapters use [`DECODE`], a decode worker of a disaggregated server.

pub mod analyse;
pub mod bound;
pub mod build;
pub mod differentiate;
pub mod evaluate;
pub mod export;
pub mod simplify;

/// The running example: a decode worker, in the text form of formulas.
///
#[doc = concat!("```text\n", include_str!("decode.sglsim"), "```")]
pub const DECODE: &str = include_str!("decode.sglsim");

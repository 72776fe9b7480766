//! Integration tests of `sglsim-expr`.
#![expect(clippy::unwrap_used, reason = "helpers of tests fail by panicking too")]
#![expect(clippy::print_stdout, reason = "tests say what they skipped and measured")]

mod boxes;
mod build;
mod casadi;
mod checks;
mod depth;
mod dimension;
mod envelope;
mod errors;
mod evaluate;
mod evaluators;
mod export;
mod facts;
mod fuzz;
mod guide;
mod intervals;
mod jax;
mod mathml;
mod mistakes;
mod oracle;
mod plain;
mod planner;
mod random;
mod regime;
mod schema;
mod server;
mod simplify;
mod solvers;
mod sources;
mod special;
mod sums;
mod sympy;
mod text;

//! Integration tests of `sglsim-kernels`.

#![expect(clippy::unwrap_used, reason = "functions that tests share may panic as tests do")]
#![expect(clippy::print_stdout, reason = "tests say what they skipped and measured")]

mod breakdown;
mod files;
mod laws;
mod measured;
mod measured_experts;
mod measured_links;
mod numbers;
mod operators;
mod plans;
mod scenario;
mod server_args;
mod sympy;

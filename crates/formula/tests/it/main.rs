//! Integration tests of `sglsim-formula`.
#![expect(clippy::unwrap_used, reason = "helpers of tests may panic as tests do")]
#![expect(clippy::print_stdout, reason = "tests say what they skipped and measured")]

mod exports;
mod frozen;
mod history;
mod python;
mod request;
mod scenarios;
mod steady;
mod step;

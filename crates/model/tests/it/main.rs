//! Integration tests of `sglsim-model`.

#![expect(clippy::unwrap_used, reason = "helpers of tests may panic as tests do")]

mod counts;
mod draft;
mod files;
mod hf;
mod hf_errors;

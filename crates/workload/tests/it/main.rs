//! Integration tests of `sglsim-workload`.
#![expect(clippy::unwrap_used, reason = "helpers of tests are tests")]

mod config;
mod conformance;
mod laws;
mod malformed;
mod sessions;
mod synthetic;
mod traces;

//! Integration tests of `sglsim-workload`.

mod config;
mod laws;
mod malformed;
mod synthetic;
mod traces;

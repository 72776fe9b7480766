//! Benchmarks of `sglsim-router`.
fn main() {}

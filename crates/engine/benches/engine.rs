//! Benchmarks of `sglsim-engine`.
fn main() {}

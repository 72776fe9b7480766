//! Benchmarks of `sglsim-workload`.
fn main() {}

//! Benchmarks of `sglsim-kernels`.
fn main() {}

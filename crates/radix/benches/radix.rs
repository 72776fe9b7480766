//! Benchmarks of `sglsim-radix`.
fn main() {}

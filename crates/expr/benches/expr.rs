//! Benchmarks of `sglsim-expr`.
fn main() {}

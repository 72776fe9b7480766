//! Benchmarks of `sglsim-sched`.
fn main() {}

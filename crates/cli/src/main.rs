//! The sglsim program.
fn main() {}

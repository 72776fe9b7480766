//! Integration tests of `sglsim-kernels`.

mod laws;
mod measured;
mod numbers;
mod scenario;

//! Integration tests of `sglsim-radix`.

mod conformance;
mod data;
mod life;
mod model;
mod mooncake;
mod sglang;
mod tree;

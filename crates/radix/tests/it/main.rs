//! Integration tests of `sglsim-radix`.

mod conformance;
mod data;
mod keys;
mod life;
mod model;
mod mooncake;
mod sglang;
mod tree;

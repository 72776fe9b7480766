//! Integration tests of `sglsim-expr`.

mod build;
mod depth;
mod errors;
mod evaluate;
mod sums;

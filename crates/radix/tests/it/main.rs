//! Integration tests of `sglsim-radix`.

mod tree;

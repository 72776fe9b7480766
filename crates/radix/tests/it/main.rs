//! Integration tests of `sglsim-radix`.

//! Integration tests of `sglsim-formula`.

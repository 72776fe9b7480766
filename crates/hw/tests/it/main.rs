//! Integration tests of `sglsim-hw`.

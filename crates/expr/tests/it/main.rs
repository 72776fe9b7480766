//! Integration tests of `sglsim-expr`.

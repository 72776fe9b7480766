//! Integration tests of `sglsim-router`.

//! Integration tests of `sglsim-model`.

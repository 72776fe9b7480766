//! Integration tests of `sglsim-engine`.

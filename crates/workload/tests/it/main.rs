//! Integration tests of `sglsim-workload`.

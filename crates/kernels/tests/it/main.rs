//! Integration tests of `sglsim-kernels`.

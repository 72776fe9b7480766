//! Integration tests of `sglsim-cli`.

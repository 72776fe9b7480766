//! Integration tests of `sglsim-sched`.

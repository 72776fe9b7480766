//! Integration tests of `sglsim-sched`.

mod conformance;

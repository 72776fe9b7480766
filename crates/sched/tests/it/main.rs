//! Integration tests of `sglsim-sched`.

#![expect(clippy::unwrap_used, reason = "helpers of tests may panic as tests do")]

mod admission;
mod broken;
mod conformance;
mod decode;
mod loops;
mod moves;
mod overlap;
mod prefill;
mod rank;
mod ratio;
mod retraction;

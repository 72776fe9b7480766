//! Integration tests of `sglsim-sched`.

mod admission;
mod broken;
mod conformance;
mod decode;
mod moves;
mod prefill;
mod rank;
mod ratio;
mod retraction;

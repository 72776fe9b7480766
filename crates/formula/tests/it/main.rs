//! Integration tests of `sglsim-formula`.

mod exports;
mod frozen;
mod python;
mod request;
mod scenarios;
mod steady;
mod step;

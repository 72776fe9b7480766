//! The program as a user runs it: what it prints, what it writes, how it fails.

#![expect(clippy::unwrap_used, reason = "helpers of tests may panic as tests do")]

mod bad_input;
mod calibrate;
mod explain;
mod formula;
mod guide;
mod program;
mod readme;
mod request;
mod run;
mod scenarios;
mod sensitivity;
mod sweep;
mod words;

//! The program as a user runs it: what it prints, what it writes, how it fails.

#![expect(clippy::unwrap_used, reason = "helpers of tests may panic as tests do")]
#![expect(clippy::print_stdout, reason = "tests say aloud what they skip")]

mod bad_input;
mod calibrate;
mod explain;
mod formula;
mod guide;
mod program;
mod request;
mod run;
mod scenarios;
mod sensitivity;
mod sweep;
mod words;

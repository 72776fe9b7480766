//! Tables, fits and scores, end to end.

#![expect(clippy::unwrap_used, reason = "helpers of tests may panic as tests do")]

mod bad_input;
mod files;
mod fits;
mod formats;
mod limits;
mod recovery;
mod score;

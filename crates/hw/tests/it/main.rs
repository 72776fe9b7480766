//! Integration tests of `sglsim-hw`.

#![expect(clippy::unwrap_used, reason = "helpers of tests may panic as tests do")]

mod files;
mod presets;
mod topology;

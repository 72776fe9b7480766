//! Integration tests of `sglsim-router`.

mod cache_aware;
mod config;
mod conformance;
mod pools;

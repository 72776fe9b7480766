//! Requests: trace readers and synthetic generators.

mod content;
mod request;

pub use content::{fresh_content, output_content, prefix_content};
pub use request::{Finished, Request, Workload};

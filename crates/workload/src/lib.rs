//! Requests: trace readers and synthetic generators.

mod content;
mod error;
mod request;
mod trace;

pub use content::{fresh_content, output_content, prefix_content};
pub use error::{TraceError, TraceErrorKind, WorkloadError};
pub use request::{Finished, Request, Workload};
pub use trace::{LengthSummary, Replay, ReplayOptions, Trace, TraceFormat, TraceRow, TraceSummary};

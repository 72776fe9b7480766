//! Recorded traces: read once, replayed as often as wanted.

mod blocks;
mod clock;
mod columns;
mod format;
mod json;
mod labels;
mod lines;
mod replay;
mod sessions;
mod summary;
mod table;

use std::path::Path;
use std::sync::Arc;

use sglsim_radix::Prompt;
use sglsim_units::{Labels, SimTime};

pub use format::TraceFormat;
pub use replay::{Replay, ReplayOptions};
pub use summary::{LengthSummary, TraceSummary};

use crate::error::{TraceError, TraceErrorKind, WorkloadError, check, shortened};
use format::Form;
use lines::Lines;
use table::Rows;

/// A recorded trace: arrival, prompt and output length of each request, in order of time.
///
/// Arrivals count from the first request. Cheap to clone; [`Trace::replay`] makes a workload of it.
///
/// ```
/// use std::io::Write;
/// use sglsim_workload::{ReplayOptions, Trace, TraceFormat, Workload};
///
/// let mut file = tempfile::NamedTempFile::new()?;
/// writeln!(file, r#"{{"timestamp": 0, "input_length": 600, "output_length": 20, "hash_ids": [0, 1]}}"#)?;
/// writeln!(file, r#"{{"timestamp": 3000, "input_length": 500, "output_length": 9, "hash_ids": [0]}}"#)?;
///
/// let trace = Trace::read(file.path(), TraceFormat::Auto, None)?;
/// assert_eq!(trace.summary().input.total, 1100);
///
/// let mut replay = trace.replay(&ReplayOptions { speed: 2.0, ..ReplayOptions::default() })?;
/// let first = replay.pop().ok_or("a request")?;
/// assert_eq!(first.prompt.tokens(), 600);
/// assert_eq!(replay.peek().ok_or("a second")?.seconds(), 1.5); // twice as fast
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Debug)]
pub struct Trace {
    name: Arc<str>,
    rows: Arc<Rows>,
}

/// One request of a [`Trace`] made by hand.
#[derive(Clone, Debug)]
pub struct TraceRow {
    /// When it arrives \[s\].
    pub arrival: SimTime,
    /// Its prompt, at least one token.
    pub prompt: Prompt,
    /// Tokens to generate, at least 1.
    pub output_len: u32,
    /// Namespace, priority, routing key.
    pub labels: Labels,
}

impl Trace {
    /// Reads a trace file, plain or gzipped.
    ///
    /// `block_size` replaces the block size of a format with hashed blocks \[token\].
    ///
    /// # Errors
    ///
    /// [`WorkloadError::Trace`] with file, line, field and value for the first thing that is
    /// malformed: nothing is skipped or repaired. Timestamps may repeat but not go back.
    /// [`WorkloadError::OutOfRange`] for a block size of zero or for a format without blocks.
    pub fn read(
        path: &Path,
        format: TraceFormat,
        block_size: Option<u32>,
    ) -> Result<Self, WorkloadError> {
        let mut lines = Lines::open(path)?;
        let empty = || TraceError::new(path, None, TraceErrorKind::Empty);
        let first = lines.next()?.ok_or_else(empty)?.to_owned();
        let form = format.form(&first).ok_or_else(|| {
            lines.error(TraceErrorKind::UnknownFormat {
                line: shortened(&first),
                known: TraceFormat::known(),
            })
        })?;
        let mut rows = match form {
            Form::Blocks(mut blocks) => {
                if let Some(size) = block_size {
                    check("block_size", size, 1..=u32::MAX)?;
                    blocks.block_size = size;
                }
                blocks.read(&first, &mut lines)?
            }
            Form::Sessions(mut sessions) => {
                if let Some(size) = block_size {
                    check("block_size", size, 1..=u32::MAX)?;
                    sessions.block_size = size;
                }
                sessions.read(&first, &mut lines)?
            }
            Form::Columns(columns) => {
                if let Some(size) = block_size {
                    let allowed = "nothing: the trace is CSV, which has no blocks";
                    return Err(WorkloadError::out_of_range("block_size", size, allowed));
                }
                columns.read(&first, &mut lines)?
            }
        };
        if rows.len() == 0 {
            return Err(empty().into());
        }
        rows.shrink();
        let name = path.file_name().unwrap_or(path.as_os_str()).to_string_lossy();
        Ok(Self { name: name.into(), rows: Arc::new(rows) })
    }

    /// A trace of requests made by hand, in order of time. Arrivals are kept as they are.
    ///
    /// # Errors
    ///
    /// [`WorkloadError::OutOfRange`] if there is no request, a prompt or output is empty, or an
    /// arrival is earlier than the one before.
    pub fn from_rows(
        name: &str,
        requests: impl IntoIterator<Item = TraceRow>,
    ) -> Result<Self, WorkloadError> {
        let mut rows = Rows::default();
        let mut before = SimTime::ZERO;
        for (index, request) in requests.into_iter().enumerate() {
            let field = |field| format!("rows[{index}].{field}");
            check(&field("prompt.tokens"), request.prompt.tokens(), 1..=u64::MAX)?;
            check(&field("output_len"), request.output_len, 1..=u32::MAX)?;
            if request.arrival < before {
                let allowed = format!("at least {before}, the arrival before");
                return Err(WorkloadError::out_of_range(
                    &field("arrival"),
                    request.arrival,
                    allowed,
                ));
            }
            before = request.arrival;
            rows.append(
                before.seconds(),
                request.output_len,
                request.prompt.elements().iter().copied(),
            );
            rows.label(request.labels);
        }
        check("rows", rows.len(), 1..=usize::MAX)?;
        Ok(Self { name: name.into(), rows: Arc::new(rows) })
    }

    /// Name of the file, without its folder.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Number of requests.
    #[must_use]
    pub fn requests(&self) -> usize {
        self.rows.len()
    }

    /// Counts, rates and percentiles.
    #[must_use]
    pub fn summary(&self) -> TraceSummary {
        TraceSummary::of(&self.rows)
    }

    /// A workload that replays the trace.
    ///
    /// # Errors
    ///
    /// [`WorkloadError::OutOfRange`] if an option is out of its range, or `max_new_tokens` is less
    /// than an output of the trace.
    pub fn replay(&self, options: &ReplayOptions) -> Result<Replay, WorkloadError> {
        Replay::new(self.clone(), options)
    }
}

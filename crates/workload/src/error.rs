//! Errors: a configuration or a trace file that cannot be used.

use std::fmt;
use std::io;
use std::ops::RangeInclusive;
use std::path::{Path, PathBuf};

/// A workload cannot be made.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum WorkloadError {
    /// A trace file was refused; the source says why.
    #[error(transparent)]
    Trace(#[from] TraceError),
    /// A field of the configuration has a value that it cannot have.
    #[error("`{field}` is {value}, allowed is {allowed}")]
    OutOfRange {
        /// Path of the field, such as `arrivals.rate`.
        field: String,
        /// The refused value.
        value: String,
        /// The allowed values, in words.
        allowed: String,
    },
    /// Nothing in the configuration ends the workload.
    #[error("{arrivals} arrivals never end by themselves; give {give}")]
    Endless {
        /// The arrival law.
        arrivals: &'static str,
        /// The fields that would end it.
        give: &'static str,
    },
}

impl WorkloadError {
    pub(crate) fn out_of_range(
        field: &str,
        value: impl fmt::Display,
        allowed: impl fmt::Display,
    ) -> Self {
        Self::OutOfRange {
            field: field.to_owned(),
            value: value.to_string(),
            allowed: allowed.to_string(),
        }
    }
}

/// Refuses a number outside `allowed`; NaN is outside every range.
pub(crate) fn check<T: PartialOrd + fmt::Display>(
    field: &str,
    value: T,
    allowed: RangeInclusive<T>,
) -> Result<(), WorkloadError> {
    if allowed.contains(&value) {
        return Ok(());
    }
    let words = format!("from {} to {}", allowed.start(), allowed.end());
    Err(WorkloadError::out_of_range(field, value, words))
}

/// A trace file cannot be read: where, and as [`source`](std::error::Error::source) why.
#[derive(Debug, thiserror::Error)]
#[error("cannot read trace `{}`{}", path.display(), at(*line))]
pub struct TraceError {
    path: PathBuf,
    line: Option<u64>,
    #[source]
    kind: TraceErrorKind,
}

fn at(line: Option<u64>) -> String {
    line.map(|line| format!(" at line {line}")).unwrap_or_default()
}

fn at_column(column: Option<usize>) -> String {
    column.map(|column| format!(" at column {column}")).unwrap_or_default()
}

impl TraceError {
    pub(crate) fn new(path: &Path, line: Option<u64>, kind: TraceErrorKind) -> Self {
        Self { path: path.to_owned(), line, kind }
    }

    /// The file.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// The line, from 1, if the trouble is in one.
    #[must_use]
    pub fn line(&self) -> Option<u64> {
        self.line
    }

    /// What is wrong.
    #[must_use]
    pub fn kind(&self) -> &TraceErrorKind {
        &self.kind
    }
}

/// Why a trace file was refused.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum TraceErrorKind {
    /// The file cannot be opened or read.
    #[error("{0}")]
    Io(io::Error),
    /// The gzip stream is cut off or damaged.
    #[error("the gzip stream is cut off or damaged ({0})")]
    Gzip(io::Error),
    /// There is no request in the file.
    #[error("there is no request in it")]
    Empty,
    /// A line is not UTF-8.
    #[error("byte {byte} of the line is not UTF-8")]
    NotUtf8 {
        /// The first bad byte, from 1.
        byte: usize,
    },
    /// A line is too long to be a request.
    #[error("the line is longer than {limit} bytes")]
    LineTooLong {
        /// The longest line that is read \[B\].
        limit: u64,
    },
    /// A blank line stands before the last request.
    #[error("the line is blank, and more requests follow")]
    Blank,
    /// A line is not a JSON object.
    #[error("the line is not a JSON object: {reason}{}", at_column(*column))]
    Json {
        /// What the parser stumbled over.
        reason: String,
        /// Where, from 1; `None` if the line as a whole is something else.
        column: Option<usize>,
    },
    /// A field or column is missing.
    #[error("there is no `{field}`{} (there are: {})", misspelt(misspelling.as_deref()), present.join(", "))]
    Missing {
        /// The missing field.
        field: &'static str,
        /// The present field that may be a misspelling of it.
        misspelling: Option<String>,
        /// All fields that are present.
        present: Vec<String>,
    },
    /// A value cannot be what it should be.
    #[error("`{field}` is {value}, allowed is {allowed}")]
    Value {
        /// The field.
        field: &'static str,
        /// The refused value, shortened.
        value: String,
        /// The allowed values, in words.
        allowed: String,
    },
    /// Two requests have one id.
    #[error("`{field}` is `{value}`, which an earlier line has already")]
    Repeated {
        /// The field.
        field: &'static str,
        /// The repeated value, shortened.
        value: String,
    },
    /// A turn of a conversation continues one that is not there.
    #[error(
        "turn {turn} of session `{session}` continues turn {parent}, which is not there (there are: {})",
        numbers(known)
    )]
    MissingTurn {
        /// The session, shortened.
        session: String,
        /// The turn.
        turn: u64,
        /// The turn that it continues.
        parent: u64,
        /// The turns of the session in the lines before.
        known: Vec<u64>,
    },
    /// The blocks do not cover the prompt.
    #[error(
        "`hash_ids` holds {found} blocks, but {input_length} tokens in blocks of {block_size} are {needed}"
    )]
    Blocks {
        /// Blocks in the line.
        found: usize,
        /// Blocks the prompt needs.
        needed: u64,
        /// Tokens of the prompt.
        input_length: u32,
        /// Tokens per block.
        block_size: u32,
    },
    /// A CSV line has another number of cells than its header.
    #[error("the line has {found} cells, the header has {expected}")]
    Cells {
        /// Cells of the line.
        found: usize,
        /// Cells of the header.
        expected: usize,
    },
    /// The first line fits no format that is known.
    #[error("the first line `{line}` fits no known format; known are: {known}")]
    UnknownFormat {
        /// The line, shortened.
        line: String,
        /// The formats and how they begin.
        known: String,
    },
}

fn misspelt(name: Option<&str>) -> String {
    name.map(|name| format!("; is `{name}` a misspelling of it?")).unwrap_or_default()
}

fn numbers(known: &[u64]) -> String {
    let known: Vec<String> = known.iter().map(u64::to_string).collect();
    if known.is_empty() { "none".to_owned() } else { known.join(", ") }
}

/// Shortens what a user wrote for a message.
pub(crate) fn shortened(text: &str) -> String {
    const LONGEST: usize = 80;
    match text.char_indices().nth(LONGEST) {
        Some((end, _)) => format!("{}…", &text[..end]),
        None => text.to_owned(),
    }
}

//! What can be wrong with a hardware description.

use std::io;
use std::path::PathBuf;

use sglsim_units::Nearest;

use crate::Precision;

/// A hardware description was refused, or does not hold what was asked for.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum HwError {
    /// No preset has this name.
    #[error("unknown {kind} `{name}`{nearest}; known: {}", known.join(", "))]
    UnknownPreset {
        /// What was looked for: `GPU` or `link`.
        kind: &'static str,
        /// The name as given.
        name: String,
        /// The closest known name.
        nearest: Nearest,
        /// The names of all presets.
        known: Vec<String>,
    },
    /// The GPU has no matrix units for this number format.
    #[error("`{gpu}` has no {precision} matrix rate; it has: {}", has.iter().map(Precision::to_string).collect::<Vec<_>>().join(", "))]
    NoPeak {
        /// Name of the GPU.
        gpu: String,
        /// The format asked for.
        precision: Precision,
        /// The formats it has.
        has: Vec<Precision>,
    },
    /// A figure is outside its range.
    #[error("`{field}` of `{of}` is {value}, allowed is {allowed}")]
    OutOfRange {
        /// Name of the GPU, link or node.
        of: String,
        /// Name of the field.
        field: &'static str,
        /// The refused value.
        value: f64,
        /// The allowed range, in words.
        allowed: &'static str,
    },
    /// The text is not a description of the expected kind.
    #[error("line {line}, column {column}{}: {reason}{nearest}", at(field))]
    Syntax {
        /// Line, from 1.
        line: usize,
        /// Column, from 1.
        column: usize,
        /// Path of the field, such as `peak.fp8`; empty if it is the whole text.
        field: String,
        /// What was found and what was expected.
        reason: String,
        /// The closest known field or variant, if an unknown one was found.
        nearest: Nearest,
    },
    /// The file cannot be read.
    #[error("cannot be read: {0}")]
    Read(io::Error),
    /// Something is wrong with a file. The message includes what.
    #[error("{}: {problem}", path.display())]
    File {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        problem: Box<HwError>,
    },
}

/// `, at `peak.fp8``, or nothing outside any field.
fn at(field: &str) -> String {
    if field.is_empty() { String::new() } else { format!(", at `{field}`") }
}

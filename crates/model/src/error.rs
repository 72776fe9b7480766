//! What can be wrong with a model description.

use std::io;
use std::path::PathBuf;

use sglsim_units::Nearest;

/// A model description was refused.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ModelError {
    /// No preset has this name.
    #[error("unknown model `{name}`{nearest}; known: {}", known.join(", "))]
    UnknownPreset {
        /// The name as given.
        name: String,
        /// The closest known name.
        nearest: Nearest,
        /// The names of all presets.
        known: Vec<String>,
    },
    /// A field has a value that no model has, or that contradicts another field.
    #[error("`{field}` is {value}, allowed is {allowed}")]
    OutOfRange {
        /// Name of the field, as the file spells it.
        field: String,
        /// The refused value.
        value: String,
        /// The allowed values, in words.
        allowed: String,
    },
    /// A field that this architecture needs is not there.
    #[error("`{field}` is missing, {architecture} needs it{nearest}")]
    Missing {
        /// Name of the field, as the file spells it.
        field: &'static str,
        /// The architecture, such as `LlamaForCausalLM`.
        architecture: String,
        /// The closest field that is there.
        nearest: Nearest,
    },
    /// The text is not a description of the expected kind.
    #[error("line {line}, column {column}{}: {reason}{nearest}", at(field))]
    Syntax {
        /// Line, from 1.
        line: usize,
        /// Column, from 1.
        column: usize,
        /// Path of the field, such as `moe.top_k`; empty if it is the whole text.
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
        problem: Box<ModelError>,
    },
}

/// `, at `moe.top_k``, or nothing outside any field.
fn at(field: &str) -> String {
    if field.is_empty() { String::new() } else { format!(", at `{field}`") }
}

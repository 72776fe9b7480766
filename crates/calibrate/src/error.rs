//! What can be wrong with a table, a mapping or a fit.

use std::io;
use std::path::PathBuf;

use sglsim_expr::ExprError;
use sglsim_hw::HwError;
use sglsim_kernels::KernelError;
use sglsim_units::Nearest;

/// Measurements cannot be read, or nothing can be fitted to them.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum CalibrateError {
    /// A file cannot be read, or is not what its first bytes say it is.
    #[error("cannot read `{}`", path.display())]
    Read {
        /// The file.
        path: PathBuf,
        /// Why.
        #[source]
        source: io::Error,
    },
    /// A table has no rows.
    #[error("`{}` has no rows{}", path.display(), if *header { " below its header" } else { " and no header" })]
    Empty {
        /// The file.
        path: PathBuf,
        /// Whether it has a header at least.
        header: bool,
    },
    /// A row does not have the header's columns.
    #[error("{}:{line}: the row has {found} cells, the header has {expected}", path.display())]
    Ragged {
        /// The file.
        path: PathBuf,
        /// Line, from 1.
        line: u64,
        /// Cells of the row.
        found: u64,
        /// Cells of the header.
        expected: u64,
    },
    /// A table lacks a column that its mapping reads.
    #[error(
        "`{}` has no column `{column}`, which `{of}` reads{nearest}; it has: {}",
        path.display(), known.join(", ")
    )]
    MissingColumn {
        /// The file.
        path: PathBuf,
        /// The column looked for.
        column: String,
        /// What reads it: an operator's argument or its time.
        of: String,
        /// The closest column that there is.
        nearest: Nearest,
        /// All columns that there are.
        known: Vec<String>,
    },
    /// A cell does not hold what its column must.
    #[error("{}:{line}:{column}: `{name}` is `{value}`, {problem}", path.display())]
    Cell {
        /// The file.
        path: PathBuf,
        /// Line, from 1.
        line: u64,
        /// Column, from 1.
        column: usize,
        /// Name of the column.
        name: String,
        /// What the cell holds.
        value: String,
        /// What is wrong with it.
        problem: String,
    },
    /// A column's name says another unit than the mapping.
    #[error("{}:1:{column}: `{name}` says {named}, but the mapping reads it in {mapped}", path.display())]
    MixedUnits {
        /// The file.
        path: PathBuf,
        /// Column, from 1.
        column: usize,
        /// Name of the column.
        name: String,
        /// The unit in its name.
        named: &'static str,
        /// The unit of the mapping.
        mapped: String,
    },
    /// No built-in format has the table's name and columns.
    #[error(
        "`{}` is in no known format, its columns are: {}; known formats: {}",
        path.display(), columns.join(", "), formats.join(", ")
    )]
    UnknownFormat {
        /// The file.
        path: PathBuf,
        /// Its columns.
        columns: Vec<String>,
        /// Names of the built-in formats.
        formats: Vec<String>,
    },
    /// A mapping cannot be.
    #[error("mapping{}: {problem}{nearest}", of(operator))]
    Mapping {
        /// The operator that it is for; empty if it has none yet.
        operator: String,
        /// What is wrong.
        problem: String,
        /// The known name that may have been meant.
        nearest: Nearest,
    },
    /// The text of a mapping or of a table is not RON.
    #[error("mapping, line {line}, column {column}: {reason}{nearest}")]
    Syntax {
        /// Line, from 1.
        line: usize,
        /// Column, from 1.
        column: usize,
        /// What was found and what was expected.
        reason: String,
        /// The known name that may have been meant.
        nearest: Nearest,
    },
    /// Nothing of what was given can be fitted.
    #[error("nothing to fit: {reason}")]
    Nothing {
        /// Why not.
        reason: String,
    },
    /// A setting is out of range.
    #[error("`{field}` is {value}, allowed is {allowed}")]
    OutOfRange {
        /// The setting.
        field: &'static str,
        /// Its value.
        value: f64,
        /// The allowed range, in words.
        allowed: &'static str,
    },
    /// A law or a coefficient. The message says which.
    #[error(transparent)]
    Kernel(#[from] KernelError),
    /// An expression cannot be compiled. The message says what.
    #[error(transparent)]
    Expr(#[from] ExprError),
    /// The hardware. The message says what.
    #[error(transparent)]
    Hw(#[from] HwError),
}

fn of(operator: &str) -> String {
    if operator.is_empty() { String::new() } else { format!(" of `{operator}`") }
}

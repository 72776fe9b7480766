//! What can be wrong with a law, a plan, or what they are asked for.

use std::io;
use std::path::PathBuf;

use sglsim_expr::ExprError;
use sglsim_hw::HwError;
use sglsim_model::ModelError;
use sglsim_units::{Bytes, Nearest, UnitError};

/// A law cannot be built, or a plan cannot work.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum KernelError {
    /// An expression cannot be built or compiled. The message says what.
    #[error(transparent)]
    Expr(#[from] ExprError),
    /// The hardware does not have what a law needs. The message says what.
    #[error(transparent)]
    Hw(#[from] HwError),
    /// A shape is no model. The message says why.
    #[error(transparent)]
    Model(#[from] ModelError),
    /// A quantity is out of range. The message says which.
    #[error(transparent)]
    Unit(#[from] UnitError),
    /// No coefficient has this name.
    #[error("unknown coefficient `{name}`{nearest}")]
    UnknownCoefficient {
        /// The name as given.
        name: String,
        /// The closest known name.
        nearest: Nearest,
    },
    /// A coefficient is out of range.
    #[error("coefficient `{name}` is {value}{}, allowed is {low} to {high}", unit_word(unit))]
    Coefficient {
        /// Its name.
        name: String,
        /// The refused value.
        value: f64,
        /// Its unit.
        unit: &'static str,
        /// The least allowed value.
        low: f64,
        /// The greatest allowed value.
        high: f64,
    },
    /// A text is not a calibration.
    #[error("calibration, line {line}, column {column}: {reason}")]
    CalibrationSyntax {
        /// Line, from 1.
        line: usize,
        /// Column, from 1.
        column: usize,
        /// What was found and what was expected.
        reason: String,
    },
    /// A calibration has a version that is not known.
    #[error("calibration of version {found}, known is {known}")]
    CalibrationVersion {
        /// Its version.
        found: u32,
        /// The version that this crate reads.
        known: u32,
    },
    /// No calibration comes with this crate under that name.
    #[error("there is no calibration `{name}`{nearest} (known: {known}; a file ends in .ron)")]
    UnknownCalibration {
        /// The name as given.
        name: String,
        /// The closest known name.
        nearest: Nearest,
        /// All of them.
        known: String,
    },
    /// A calibration file cannot be read.
    #[error("cannot read calibration `{}`", path.display())]
    CalibrationRead {
        /// The file.
        path: PathBuf,
        /// Why.
        #[source]
        source: io::Error,
    },
    /// A calibration file is refused.
    #[error("in calibration `{}`", path.display())]
    CalibrationFile {
        /// The file.
        path: PathBuf,
        /// Why.
        #[source]
        problem: Box<KernelError>,
    },
    /// A parallel size does not fit the model or another size.
    #[error("`{field}` is {value}, but {rule}; allowed: {}; nearest: {nearest}", listed(allowed))]
    ParallelSize {
        /// The field of the plan.
        field: &'static str,
        /// The refused value.
        value: u32,
        /// What it violates, with the numbers.
        rule: String,
        /// Values that would do, ascending.
        allowed: Vec<u32>,
        /// The one of them closest to `value`.
        nearest: u32,
    },
    /// A setting is valid in SGLang but not simulated yet, or not together with another.
    #[error("`{field}` is {value}: {reason}")]
    Unsupported {
        /// The field.
        field: &'static str,
        /// The refused value.
        value: String,
        /// Why, and what would do.
        reason: String,
    },
    /// A size of a speculation is out of range.
    #[error("`{field}` is {value}, allowed is {allowed}")]
    Speculation {
        /// The field.
        field: &'static str,
        /// The refused value.
        value: u32,
        /// The allowed range, in words.
        allowed: String,
    },
    /// A rate at which drafted tokens are accepted is no share.
    #[error("accept rate of position {position} is {value}, allowed is 0 to 1")]
    Acceptance {
        /// Position of the drafted token, from 1.
        position: usize,
        /// The refused value; NaN if there is none.
        value: f64,
    },
    /// A memory setting is out of range.
    #[error("`{field}` is {value}, allowed is {allowed}")]
    Memory {
        /// The field.
        field: &'static str,
        /// The refused value.
        value: f64,
        /// The allowed range, in words.
        allowed: &'static str,
    },
    /// The weights leave no room for the KV cache.
    #[error(
        "{needed_gib:.1} GiB per GPU are needed for weights and one page of KV, of {available_gib:.1} GiB available at tp_size {tp_size}; {}",
        would_fit(*smallest_tp_size),
        needed_gib = needed.get() / GIB,
        available_gib = available.get() / GIB
    )]
    DoesNotFit {
        /// Memory needed per GPU \[B\].
        needed: Bytes,
        /// Memory available per GPU for weights and KV \[B\].
        available: Bytes,
        /// The plan's `tp_size`.
        tp_size: u32,
        /// The smallest `tp_size` that would fit, if any does.
        smallest_tp_size: Option<u32>,
    },
}

const GIB: f64 = 1_073_741_824.0;

fn listed(values: &[u32]) -> String {
    values.iter().map(u32::to_string).collect::<Vec<_>>().join(", ")
}

fn would_fit(tp_size: Option<u32>) -> String {
    match tp_size {
        Some(tp) => format!("the smallest tp_size that fits is {tp}"),
        None => "no tp_size fits".to_owned(),
    }
}

/// A unit behind a number; dimensionless numbers have none.
fn unit_word(unit: &str) -> String {
    if unit == "1" { String::new() } else { format!(" {unit}") }
}

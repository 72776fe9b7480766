//! What can be wrong with a scenario.

use std::borrow::Borrow;
use std::io;
use std::path::{Path, PathBuf};

use sglsim_hw::HwError;
use sglsim_kernels::KernelError;
use sglsim_model::ModelError;
use sglsim_router::RouteError;
use sglsim_sched::SchedError;
use sglsim_units::Nearest;
use sglsim_workload::WorkloadError;

/// A scenario cannot be simulated.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ScenarioError {
    /// The file cannot be read.
    #[error("cannot read scenario `{}`", path.display())]
    Read {
        /// The file.
        path: PathBuf,
        /// Why.
        #[source]
        source: io::Error,
    },
    /// The text is not a scenario.
    #[error("{}line {line}, column {column}{}: {message}{nearest}{}", place(file.as_deref()), field(path), has(known))]
    Syntax {
        /// The file, if it came from one.
        file: Option<Box<Path>>,
        /// Line, from 1.
        line: usize,
        /// Column, from 1.
        column: usize,
        /// Path of the field, such as `deployment.decode`; empty at the top.
        path: String,
        /// What is wrong there.
        message: Box<str>,
        /// The known name that may have been meant.
        nearest: Nearest,
        /// All names that are known there.
        known: &'static [&'static str],
    },
    /// `--set` names a field that does not exist.
    #[error("there is no field `{path}`: `{parent}` has no `{name}`{nearest}{}", whole(known))]
    UnknownField {
        /// The whole path.
        path: String,
        /// The last part of it that exists.
        parent: String,
        /// The part that does not.
        name: String,
        /// The known name that may have been meant.
        nearest: Nearest,
        /// All names there; none if the parent is `None` or a plain value.
        known: Box<[String]>,
    },
    /// A law has no such parameter.
    #[error("the laws of the deployment have no parameter `{name}`{hint}")]
    UnknownParameter {
        /// What was asked for.
        name: String,
        /// The closest one.
        hint: Nearest,
    },
    /// `--set` gives a field a value it cannot have.
    #[error("`{path}` cannot be {value}: {message}{nearest}")]
    BadValue {
        /// The path.
        path: String,
        /// The value.
        value: String,
        /// Why not.
        message: String,
        /// The known name that may have been meant.
        nearest: Nearest,
    },
    /// A field is out of range.
    #[error("`{field}` is {value}, allowed is {allowed}")]
    OutOfRange {
        /// Path of the field.
        field: String,
        /// Its value.
        value: String,
        /// What is allowed.
        allowed: String,
    },
    /// Two entries of the fault schedule are about the same thing at the same time.
    #[error("`faults[{first}]` and `faults[{second}]` overlap: {what}")]
    Overlap {
        /// The first one, from 0.
        first: usize,
        /// The second one.
        second: usize,
        /// What they have in common.
        what: String,
    },
    /// Several things, found in one go.
    #[error("{} things are wrong:{}", all.len(), list(all))]
    Several {
        /// All of them.
        all: Vec<ScenarioError>,
    },
    /// The model.
    #[error("in `model`")]
    Model(#[source] ModelError),
    /// GPUs or links.
    #[error("in `{field}`")]
    Hardware {
        /// Which hardware.
        field: String,
        /// Why.
        #[source]
        source: HwError,
    },
    /// The parallel plan, the memory or the laws of a pool.
    #[error("in `{pool}`")]
    Pool {
        /// Path of the pool.
        pool: &'static str,
        /// Why.
        #[source]
        source: KernelError,
    },
    /// Settings of a pool's scheduler.
    #[error("in `{pool}`")]
    Scheduler {
        /// Path of the pool.
        pool: &'static str,
        /// Why.
        #[source]
        source: SchedError,
    },
    /// The router.
    #[error("in `router`")]
    Router(#[source] RouteError),
    /// The workload.
    #[error("in `workload`")]
    Workload(#[source] WorkloadError),
}

impl ScenarioError {
    /// What is wrong, if anything is.
    pub(crate) fn check(mut all: Vec<Self>) -> Result<(), Self> {
        match all.len() {
            0 => Ok(()),
            1 => Err(all.remove(0)),
            _ => Err(Self::Several { all }),
        }
    }
}

/// Each with its causes, on a line of its own.
fn list(all: &[ScenarioError]) -> String {
    let mut text = String::new();
    for error in all {
        text.push_str("\n  ");
        let mut next: Option<&dyn std::error::Error> = Some(error);
        while let Some(error) = next {
            text.push_str(&error.to_string());
            next = error.source();
            if next.is_some() {
                text.push_str(": ");
            }
        }
    }
    text
}

fn place(file: Option<&Path>) -> String {
    file.map(|file| format!("scenario `{}`, ", file.display())).unwrap_or_default()
}

fn field(path: &str) -> String {
    // A place that has no name yet is written `?`.
    let path = path.trim_end_matches('?').trim_end_matches('.');
    if path.is_empty() { String::new() } else { format!(", field `{path}`") }
}

fn has<S: Borrow<str>>(known: &[S]) -> String {
    if known.is_empty() { String::new() } else { format!(" (known: {})", known.join(", ")) }
}

/// The names, or how to set what has none.
fn whole(known: &[String]) -> String {
    if known.is_empty() { "; it can only be set as a whole".to_owned() } else { has(known) }
}

//! Why there is no formula.

use std::path::PathBuf;

use sglsim_engine::{EngineError, SimTime, WorkerId};
use sglsim_expr::ExprError;
use sglsim_kernels::KernelError;
use sglsim_units::Nearest;

use crate::Metric;

/// Why a formula cannot be made.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum FormulaError {
    /// There is no metric of this name.
    #[error("there is no metric `{name}`{hint} (known: {})", known.join(", "))]
    UnknownMetric {
        /// What was asked for.
        name: String,
        /// The closest name.
        hint: Nearest,
        /// All names.
        known: Vec<&'static str>,
    },
    /// The deployment has no such metric.
    #[error("`{metric}` is not defined for {deployment}; ask for {instead}")]
    Unavailable {
        /// The metric.
        metric: Metric,
        /// The kind of deployment.
        deployment: &'static str,
        /// Metrics that it has instead.
        instead: &'static str,
    },
    /// A formula has no such symbol.
    #[error("the formula has no knob `{name}`{hint} (knobs: {}; each of its {} parameters may be \
        named, too)", knobs.join(", "), parameters.len())]
    UnknownKnob {
        /// What was asked for.
        name: String,
        /// The closest symbol.
        hint: Nearest,
        /// What may be decided.
        knobs: Vec<String>,
        /// The other symbols, which may be named, too.
        parameters: Vec<String>,
    },
    /// A configuration that cannot be has no value.
    #[error("the configuration is infeasible: {}", constraints.join("; "))]
    Infeasible {
        /// The constraints that it breaks, each with what it demands.
        constraints: Vec<String>,
    },
    /// The error of a formula cannot be measured.
    #[error(
        "the error of `{metric}` cannot be measured by simulation: no run around the scenario has it; \
         ask for a throughput under the scenario's own load, or for a metric of a run"
    )]
    NotMeasurable {
        /// The metric.
        metric: Metric,
    },
    /// Requests that never run out wait without end.
    #[error(
        "`{metric}` needs a load: where all requests come at once, or never run out, each waits as long \
         as the run takes; give the workload a rate or a number of users"
    )]
    NoLoad {
        /// The metric.
        metric: Metric,
    },
    /// A metric that only a run has.
    #[error("`{metric}` is a metric of a run; it has no formula of the configuration alone")]
    OnlyOfARun {
        /// The metric.
        metric: Metric,
    },
    /// The steps were costed by something that is no law.
    #[error(
        "no formula is available: the steps of the run were costed by `{cost}`, which is no law; \
         return `true` from `CostModel::is_law` only for the compiled step law of the pool"
    )]
    OpaqueCost {
        /// Name of the cost model.
        cost: String,
    },
    /// Nothing that happened before explains an instant of the run.
    #[error(
        "no formula is available: at {at} worker {worker} did something at a moment that no step, \
         transfer or arrival explains"
    )]
    Unexplained {
        /// When.
        at: SimTime,
        /// Where.
        worker: WorkerId,
    },
    /// A step or transfer of the run took another time than its law says.
    #[error(
        "no formula is available: the laws of the scenario put at {replayed} s what happened at \
         {at} s in the run"
    )]
    NotTheLaw {
        /// When it happened \[s\].
        at: f64,
        /// When it would have happened by the laws \[s\].
        replayed: f64,
    },
    /// A formula says something else than the report of its own run.
    #[error("no formula is available: `{metric}` would be {value}, but the report says {report}")]
    Disagrees {
        /// The metric.
        metric: Metric,
        /// Value of the formula.
        value: f64,
        /// Value of the report.
        report: f64,
    },
    /// No request of the run has the latency.
    #[error("no request of the run has a value for `{metric}`")]
    EmptySample {
        /// The metric.
        metric: Metric,
    },
    /// A value is not a finite number.
    #[error("a time of the run is {value} s at these values, which is not finite")]
    NotFinite {
        /// What it is.
        value: f64,
    },
    /// The simulation failed.
    #[error(transparent)]
    Engine(#[from] EngineError),
    /// A run in which no request finished freezes nothing.
    #[error("no request of the run finished, so there is nothing to freeze")]
    NothingFinished,
    /// A frozen value is out of its range.
    #[error("frozen `{field}` is {value}, allowed is {allowed}")]
    FrozenOutOfRange {
        /// The field.
        field: &'static str,
        /// Its value.
        value: f64,
        /// What is allowed.
        allowed: &'static str,
    },
    /// A file of frozen values cannot be read or written.
    #[error("cannot {action} the frozen values in `{}`", path.display())]
    File {
        /// What was tried.
        action: &'static str,
        /// The file.
        path: PathBuf,
        /// Why it failed.
        #[source]
        source: std::io::Error,
    },
    /// A file of frozen values was written by a later version of this crate.
    #[error("`{}` has version {version} of frozen values, and this program knows up to {known}", path.display())]
    LaterVersion {
        /// The file.
        path: PathBuf,
        /// Its version.
        version: u32,
        /// The newest that is known.
        known: u32,
    },
    /// Frozen values are of another scenario.
    #[error(
        "the frozen values are of the {field} `{frozen}`, but the scenario has `{scenario}`; freeze \
         them again with `sglsim freeze`"
    )]
    OtherScenario {
        /// What differs.
        field: &'static str,
        /// As it was.
        frozen: String,
        /// As it is.
        scenario: String,
    },
    /// A file of frozen values has another form.
    #[error("`{}` is no file of frozen values", path.display())]
    Format {
        /// The file.
        path: PathBuf,
        /// Where and why.
        #[source]
        source: Box<ron::error::SpannedError>,
    },
    /// A law cannot be built.
    #[error(transparent)]
    Kernel(#[from] KernelError),
    /// An expression cannot be built or evaluated.
    #[error(transparent)]
    Expr(#[from] ExprError),
}

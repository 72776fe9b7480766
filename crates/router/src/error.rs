//! Why a request could not be routed, or a configuration was refused.

use std::fmt;

use sglsim_units::WorkerId;

/// Routing failed, or a policy cannot be made.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
#[non_exhaustive]
pub enum RouteError {
    /// There is no worker at all.
    #[error("`{policy}` has no workers to choose from")]
    NoWorkers {
        /// Name of the policy.
        policy: String,
    },
    /// Every worker is unhealthy.
    #[error("`{policy}` has no healthy worker: {workers} of {workers} are unhealthy")]
    NoHealthyWorker {
        /// Name of the policy.
        policy: String,
        /// Number of workers.
        workers: usize,
    },
    /// A policy chose what it may not choose: a bug in it.
    #[error(
        "`{policy}` chose position {position} of {workers} workers, which is {}",
        if *position < *workers { "unhealthy" } else { "out of range" }
    )]
    InvalidChoice {
        /// Name of the policy.
        policy: String,
        /// What it returned.
        position: usize,
        /// Number of workers.
        workers: usize,
    },
    /// A worker is not in this router's pool.
    #[error("{worker} is not in this pool of {workers} workers")]
    UnknownWorker {
        /// The worker asked about.
        worker: WorkerId,
        /// Number of workers.
        workers: usize,
    },
    /// A parameter is outside its range.
    #[error("`{field}` is {value}, allowed is {allowed}")]
    OutOfRange {
        /// Name of the parameter.
        field: &'static str,
        /// The refused value.
        value: f64,
        /// What is allowed.
        allowed: &'static str,
    },
    /// Routing to one pool of a disaggregated deployment failed.
    #[error("cannot route to the {pool} pool")]
    Pool {
        /// Which pool.
        pool: Pool,
        /// What went wrong there.
        #[source]
        source: Box<RouteError>,
    },
}

/// A pool of workers of a disaggregated deployment.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Pool {
    /// Those that extend prompts.
    Prefill,
    /// Those that decode.
    Decode,
}

impl fmt::Display for Pool {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Pool::Prefill => "prefill",
            Pool::Decode => "decode",
        })
    }
}

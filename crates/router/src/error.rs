//! Why a request could not be routed, or a configuration was refused.

use std::fmt;
use std::ops::RangeBounds;

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
    /// No worker may be chosen.
    #[error(
        "`{policy}` has no worker to choose: all {workers} are unhealthy or cut off by their circuit breaker"
    )]
    NoAvailableWorker {
        /// Name of the policy.
        policy: String,
        /// Number of workers.
        workers: usize,
    },
    /// A policy has no worker for this request.
    #[error("`{policy}` cannot place the request: {reason}")]
    NotPlaced {
        /// Name of the policy.
        policy: String,
        /// Why.
        reason: &'static str,
    },
    /// A policy chose what is not there: a bug in it.
    #[error("`{policy}` chose position {position} of {workers} workers")]
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
        value: String,
        /// What is allowed.
        allowed: &'static str,
    },
    /// A policy that sglang-router has for prefill pools only.
    #[error("`{policy}` is for prefill pools, and cannot be the policy of {pool}")]
    PrefillOnly {
        /// Name of the policy.
        policy: &'static str,
        /// Whose policy it was to be.
        pool: &'static str,
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

impl RouteError {
    /// Whether the router answers the request with status 503, and tries it again later: no worker
    /// may be chosen now, or none for this request.
    #[must_use]
    pub fn is_unavailable(&self) -> bool {
        match self {
            Self::NoWorkers { .. } | Self::NoAvailableWorker { .. } | Self::NotPlaced { .. } => {
                true
            }
            Self::Pool { source, .. } => source.is_unavailable(),
            _ => false,
        }
    }

    /// Whether `value` is in the range that `allowed` describes.
    pub(crate) fn check<N: PartialOrd + fmt::Display>(
        field: &'static str,
        value: N,
        range: impl RangeBounds<N>,
        allowed: &'static str,
    ) -> Result<(), Self> {
        if range.contains(&value) {
            return Ok(());
        }
        Err(Self::OutOfRange { field, value: value.to_string(), allowed })
    }
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

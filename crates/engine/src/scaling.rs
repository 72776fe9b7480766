//! How many workers a pool should have: the seam, and a policy that follows the load.

use std::fmt;

use serde::{Deserialize, Serialize};
use sglsim_units::{Seconds, SimTime};

/// A pool as an autoscaler sees it.
#[derive(Clone, Copy, Debug, PartialEq)]
#[non_exhaustive]
pub struct PoolView<'a> {
    /// `worker`, `prefill` or `decode`.
    pub name: &'a str,
    /// Workers that take requests.
    pub up: u32,
    /// Workers that are starting.
    pub starting: u32,
    /// Workers that it had at the start, which it keeps.
    pub least: u32,
    /// All workers, those on standby included.
    pub most: u32,
    /// Requests that the router has given to its workers and that have not ended.
    pub in_flight: u32,
}

/// Decides how many workers each pool should have.
///
/// # Implementing
///
/// *Observes* the pools at fixed intervals; *controls* how many workers each should have; *owns* what it
/// remembers. The engine keeps the answer between the workers that the pool
/// had at the start and all it has, starts workers on
/// standby, lowest number first, which take requests after the start-up time, and stops workers, highest
/// number first, when their requests have ended.
pub trait Autoscaler: fmt::Debug + Send {
    /// Name in reports.
    fn name(&self) -> &str;

    /// Workers that each pool should have, in order of the pools; a pool that it leaves out stays as it is.
    fn decide(&mut self, now: SimTime, pools: &[PoolView<'_>]) -> Vec<u32>;
}

/// How pools grow and shrink, as it stands in a scenario: [`TargetLoad`] on every pool that has workers on
/// standby.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct AutoscaleConfig {
    /// Time between two decisions \[s\].
    #[serde(default = "ten_seconds")]
    pub interval: Seconds,
    /// Time until a worker that is started takes requests \[s\].
    #[serde(default = "a_minute")]
    pub start_up: Seconds,
    /// Requests in flight that one worker should have.
    pub target_load: f64,
}

fn ten_seconds() -> Seconds {
    Seconds::new(10.0).expect("a constant")
}

fn a_minute() -> Seconds {
    Seconds::new(60.0).expect("a constant")
}

/// As many workers as give each at most so many requests in flight; one at a time when there are too many.
///
/// ```
/// use sglsim_engine::{Autoscaler, TargetLoad};
/// assert_eq!(TargetLoad::new(10.0).name(), "target load");
/// ```
#[derive(Clone, Copy, Debug)]
pub struct TargetLoad {
    target: f64,
}

impl TargetLoad {
    /// A policy with this many requests in flight for each worker, at least a thousandth.
    #[must_use]
    pub fn new(target: f64) -> Self {
        Self { target: target.max(1e-3) }
    }
}

impl Autoscaler for TargetLoad {
    fn name(&self) -> &str {
        "target load"
    }

    fn decide(&mut self, _now: SimTime, pools: &[PoolView<'_>]) -> Vec<u32> {
        let wanted = |pool: &PoolView<'_>| {
            #[expect(
                clippy::cast_possible_truncation,
                clippy::cast_sign_loss,
                reason = "a quotient of what is not negative; a cast saturates"
            )]
            let needed = (f64::from(pool.in_flight) / self.target).ceil() as u32;
            let there = pool.up + pool.starting;
            if needed < there { there - 1 } else { needed }
        };
        pools.iter().map(wanted).collect()
    }
}

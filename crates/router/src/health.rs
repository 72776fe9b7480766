//! Health checks of workers.

use serde::{Deserialize, Serialize};
use sglsim_units::{Seconds, SimTime};

use crate::RouteError;

/// How the router learns that a worker is down or back, under the names of SGLang's command line.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct HealthCheckConfig {
    /// Time between two checks of a worker \[s\].
    pub health_check_interval_secs: Seconds,
    /// Failed checks in a row after which a worker is unhealthy, at least 1.
    pub health_failure_threshold: u32,
    /// Good checks in a row after which it is healthy again, at least 1.
    pub health_success_threshold: u32,
}

impl Default for HealthCheckConfig {
    fn default() -> Self {
        Self {
            health_check_interval_secs: Seconds::new(60.0).expect("a minute is a duration"),
            health_failure_threshold: 3,
            health_success_threshold: 2,
        }
    }
}

impl HealthCheckConfig {
    /// Checks the ranges.
    ///
    /// # Errors
    ///
    /// [`RouteError::OutOfRange`].
    pub fn check(&self) -> Result<(), RouteError> {
        let interval = self.health_check_interval_secs.get();
        RouteError::check("health_check_interval_secs", interval, 1e-3.., "at least 0.001")?;
        for (field, value) in [
            ("health_failure_threshold", self.health_failure_threshold),
            ("health_success_threshold", self.health_success_threshold),
        ] {
            RouteError::check(field, value, 1.., "at least 1")?;
        }
        Ok(())
    }

    /// When a worker that is down, or up again, since `since` is seen as such: checks are made at whole
    /// multiples of the interval.
    ///
    /// ```
    /// use sglsim_router::HealthCheckConfig;
    /// use sglsim_units::SimTime;
    ///
    /// let checks = HealthCheckConfig::default();
    /// let at = |seconds| SimTime::new(seconds);
    /// assert_eq!(checks.seen(at(100.0)?, false), at(240.0)?); // checks at 120, 180 and 240 s fail
    /// assert_eq!(checks.seen(at(300.0)?, true), at(420.0)?);
    /// # Ok::<(), sglsim_units::UnitError>(())
    /// ```
    #[must_use]
    pub fn seen(&self, since: SimTime, is_up: bool) -> SimTime {
        let interval = self.health_check_interval_secs.get();
        let needed =
            if is_up { self.health_success_threshold } else { self.health_failure_threshold };
        let check = (since.seconds() / interval).floor() + f64::from(needed);
        SimTime::new(check * interval).unwrap_or(since)
    }
}

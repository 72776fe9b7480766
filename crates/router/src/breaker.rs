//! Not asking a worker that fails all the time.

use serde::{Deserialize, Serialize};
use sglsim_units::{Seconds, SimTime};

use crate::RouteError;

/// When a worker's circuit breaker opens and closes, under the names of SGLang's command line.
///
/// `cb_window_duration_secs` of that command line is not here: nothing there reads it.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct CircuitBreakerConfig {
    /// Failures in a row that open it, at least 1.
    pub cb_failure_threshold: u32,
    /// Successes in a row that close it when it is half open, at least 1.
    pub cb_success_threshold: u32,
    /// How long it stays open before it is half open \[s\].
    pub cb_timeout_duration_secs: Seconds,
    /// Whether workers have none.
    pub disable_circuit_breaker: bool,
}

impl Default for CircuitBreakerConfig {
    fn default() -> Self {
        Self {
            cb_failure_threshold: 10,
            cb_success_threshold: 3,
            cb_timeout_duration_secs: Seconds::new(60.0).expect("a minute is a duration"),
            disable_circuit_breaker: false,
        }
    }
}

impl CircuitBreakerConfig {
    /// Checks the ranges.
    ///
    /// # Errors
    ///
    /// [`RouteError::OutOfRange`].
    pub fn check(&self) -> Result<(), RouteError> {
        RouteError::check("cb_failure_threshold", self.cb_failure_threshold, 1.., "at least 1")?;
        RouteError::check("cb_success_threshold", self.cb_success_threshold, 1.., "at least 1")
    }
}

/// The circuit breaker of one worker.
///
/// ```text
/// closed     all traffic           -> open       after cb_failure_threshold failures in a row
/// open       no traffic            -> half open  after cb_timeout_duration_secs
/// half open  all traffic           -> closed     after cb_success_threshold successes in a row
///                                  -> open       after one failure
/// ```
///
/// # Source
///
/// sglang-router 0.3.2, `core/circuit_breaker.rs`.
///
/// ```
/// use sglsim_router::{CircuitBreaker, CircuitBreakerConfig};
/// use sglsim_units::SimTime;
///
/// let mut breaker = CircuitBreaker::new(CircuitBreakerConfig::default());
/// for _ in 0..10 {
///     breaker.record(false, SimTime::ZERO);
/// }
/// assert!(!breaker.allows(SimTime::new(59.0)?));
/// assert!(breaker.allows(SimTime::new(60.0)?)); // half open: everything is let through
/// # Ok::<(), sglsim_units::UnitError>(())
/// ```
#[derive(Clone, Copy, Debug)]
pub struct CircuitBreaker {
    config: CircuitBreakerConfig,
    state: State,
    /// Outcomes of the same kind in a row: failures when closed, successes when half open.
    in_a_row: u32,
}

#[derive(Clone, Copy, Debug, PartialEq)]
enum State {
    Closed,
    Open { since: SimTime },
    HalfOpen,
}

impl CircuitBreaker {
    /// A closed breaker.
    #[must_use]
    pub fn new(config: CircuitBreakerConfig) -> Self {
        Self { config, state: State::Closed, in_a_row: 0 }
    }

    /// Whether the worker may be asked at `now`.
    pub fn allows(&mut self, now: SimTime) -> bool {
        self.settle(now);
        !matches!(self.state, State::Open { .. })
    }

    /// Notes that a request ended well, or not. While nobody has asked, an open breaker stays open.
    pub fn record(&mut self, is_success: bool, now: SimTime) {
        if self.config.disable_circuit_breaker {
            return;
        }
        let counts = match self.state {
            State::Closed => !is_success,
            State::HalfOpen => is_success,
            // A request from before it opened.
            State::Open { .. } => return,
        };
        self.in_a_row = if counts { self.in_a_row + 1 } else { 0 };
        match self.state {
            State::Closed if self.in_a_row >= self.config.cb_failure_threshold => self.open(now),
            State::HalfOpen if !is_success => self.open(now),
            State::HalfOpen if self.in_a_row >= self.config.cb_success_threshold => {
                self.state = State::Closed;
                self.in_a_row = 0;
            }
            _ => {}
        }
    }

    fn open(&mut self, now: SimTime) {
        self.state = State::Open { since: now };
        self.in_a_row = 0;
    }

    fn settle(&mut self, now: SimTime) {
        if let State::Open { since } = self.state
            && now >= since + self.config.cb_timeout_duration_secs
        {
            self.state = State::HalfOpen;
        }
    }
}

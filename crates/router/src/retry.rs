//! Trying again.

use rand::RngExt;
use rand_core::Rng;
use serde::{Deserialize, Serialize};
use sglsim_units::Seconds;

use crate::RouteError;

/// How often and when a failed request is tried again, under the names of SGLang's command line.
///
/// # Source
///
/// sglang-router 0.3.2, `core/retry.rs`.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct RetryConfig {
    /// Attempts in all, the first one included, at least 1.
    pub retry_max_retries: u32,
    /// Pause before the second attempt \[ms\].
    pub retry_initial_backoff_ms: u64,
    /// Longest pause before jitter \[ms\].
    pub retry_max_backoff_ms: u64,
    /// Growth of the pause from one attempt to the next, at least 1.
    pub retry_backoff_multiplier: f64,
    /// Share of the pause that is added or taken off at random, between 0 and 1.
    pub retry_jitter_factor: f64,
    /// Whether there is one attempt only.
    pub disable_retries: bool,
}

impl Default for RetryConfig {
    fn default() -> Self {
        Self {
            retry_max_retries: 5,
            retry_initial_backoff_ms: 50,
            retry_max_backoff_ms: 30_000,
            retry_backoff_multiplier: 1.5,
            retry_jitter_factor: 0.2,
            disable_retries: false,
        }
    }
}

impl RetryConfig {
    /// Checks the ranges.
    ///
    /// # Errors
    ///
    /// [`RouteError::OutOfRange`].
    pub fn check(&self) -> Result<(), RouteError> {
        RouteError::check("retry_max_retries", self.retry_max_retries, 1..=1000, "1 to 1000")?;
        let growth = self.retry_backoff_multiplier;
        RouteError::check("retry_backoff_multiplier", growth, 1.0..=1e3, "1 to 1000")?;
        RouteError::check("retry_jitter_factor", self.retry_jitter_factor, 0.0..=1.0, "0 to 1")
    }

    /// Attempts in all.
    #[must_use]
    pub fn attempts(&self) -> u32 {
        if self.disable_retries { 1 } else { self.retry_max_retries }
    }

    /// Pause after the attempt number `attempt`, which is 1 for the first, in whole milliseconds
    /// \[s\].
    ///
    /// # Panics
    ///
    /// Never, with parameters that pass [`check`](RetryConfig::check).
    ///
    /// ```text
    /// min(initial * multiplier ^ (attempt - 1), max) * (1 ± jitter)
    /// ```
    ///
    /// ```
    /// use sglsim_router::RetryConfig;
    /// use sglsim_units::RngStreams;
    ///
    /// let config = RetryConfig { retry_jitter_factor: 0.0, ..RetryConfig::default() };
    /// let mut rng = RngStreams::new(0).stream("router/retry");
    /// let pauses = [1, 2, 3].map(|attempt| config.pause(attempt, &mut rng).get());
    /// assert_eq!(pauses, [0.050, 0.075, 0.112]);
    /// ```
    #[expect(
        clippy::cast_precision_loss,
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "pauses are whole milliseconds, far below 2^53"
    )]
    pub fn pause(&self, attempt: u32, rng: &mut impl Rng) -> Seconds {
        let power = i32::try_from(attempt.saturating_sub(1)).unwrap_or(i32::MAX);
        let grown =
            self.retry_initial_backoff_ms as f64 * self.retry_backoff_multiplier.powi(power);
        let pause = (grown as u64).min(self.retry_max_backoff_ms) as f64;
        let jitter = self.retry_jitter_factor;
        let scale = if jitter > 0.0 { rng.random_range(-jitter..=jitter) } else { 0.0 };
        let milliseconds = (pause + (pause * scale).round()).max(0.0);
        Seconds::new(milliseconds / 1e3).expect("a pause is a duration")
    }

    /// Whether a request that ended with this HTTP status is tried again.
    #[must_use]
    pub fn is_retryable(status: u16) -> bool {
        matches!(status, 408 | 429 | 500 | 502 | 503 | 504)
    }
}

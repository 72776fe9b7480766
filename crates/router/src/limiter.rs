//! How many requests the router lets through, and the queue of the others.

use std::collections::VecDeque;

use serde::{Deserialize, Serialize};
use sglsim_units::{RequestId, Seconds, SimTime};

use crate::RouteError;

/// Limits of the router, under the names of SGLang's command line.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct LimiterConfig {
    /// Size of the bucket of tokens, of which every request takes one until its response ends; -1 is no
    /// limit.
    pub max_concurrent_requests: i64,
    /// Tokens that come into the bucket every second; as many as it holds by default.
    pub rate_limit_tokens_per_second: Option<u32>,
    /// Requests that may wait for a token; others are refused with status 429.
    pub queue_size: u32,
    /// How long a request waits for one before it is refused with status 408 \[s\].
    pub queue_timeout_secs: Seconds,
}

impl Default for LimiterConfig {
    fn default() -> Self {
        Self {
            max_concurrent_requests: -1,
            rate_limit_tokens_per_second: None,
            queue_size: 100,
            queue_timeout_secs: Seconds::new(60.0).expect("a minute is a duration"),
        }
    }
}

impl LimiterConfig {
    /// Checks the ranges.
    ///
    /// # Errors
    ///
    /// [`RouteError::OutOfRange`].
    pub fn check(&self) -> Result<(), RouteError> {
        let most = self.max_concurrent_requests;
        if most != -1 {
            let allowed = "from 1 to 1000000000, or -1 for no limit";
            RouteError::check("max_concurrent_requests", most, 1..=1_000_000_000, allowed)?;
        }
        let rate = self.rate_limit_tokens_per_second.unwrap_or(1);
        RouteError::check("rate_limit_tokens_per_second", rate, 1.., "at least 1")
    }
}

/// What the limiter says to a request that arrives.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Admission {
    /// It has a token.
    Admitted,
    /// It waits for one.
    Queued,
    /// The queue is full.
    Refused,
}

/// A bucket of tokens, which come back at a rate and with every response that ends, and a queue.
///
/// # Source
///
/// sglang-router 0.3.2, `middleware.rs:concurrency_limit_middleware`, `core/token_bucket.rs`.
///
/// ```
/// use sglsim_router::{Admission, Limiter, LimiterConfig};
/// use sglsim_units::{RequestId, SimTime};
///
/// let config = LimiterConfig {
///     max_concurrent_requests: 1,
///     queue_size: 1,
///     ..LimiterConfig::default()
/// };
/// let mut limiter = Limiter::new(config);
/// let answers = [0, 1, 2].map(|id| limiter.arrive(SimTime::ZERO, RequestId(id)));
/// assert_eq!(answers, [Admission::Admitted, Admission::Queued, Admission::Refused]);
/// assert_eq!(limiter.next(), Some(SimTime::new(1.0)?)); // one token a second
/// # Ok::<(), sglsim_units::UnitError>(())
/// ```
#[derive(Clone, Debug)]
pub struct Limiter {
    config: LimiterConfig,
    tokens: f64,
    since: SimTime,
    /// Who waits, and until when.
    waiting: VecDeque<(RequestId, SimTime)>,
}

impl Limiter {
    /// A full bucket.
    #[must_use]
    pub fn new(config: LimiterConfig) -> Self {
        let tokens = config.max_concurrent_requests.max(0) as f64;
        Self { config, tokens, since: SimTime::ZERO, waiting: VecDeque::new() }
    }

    fn is_off(&self) -> bool {
        self.config.max_concurrent_requests < 0
    }

    fn rate(&self) -> f64 {
        let own = self.config.rate_limit_tokens_per_second.map(f64::from);
        own.unwrap_or(self.config.max_concurrent_requests as f64)
    }

    fn refill(&mut self, now: SimTime, more: f64) {
        let passed = now.since(self.since).get();
        let most = self.config.max_concurrent_requests as f64;
        self.tokens = (self.tokens + passed * self.rate() + more).min(most);
        self.since = now;
    }

    /// A request arrives.
    pub fn arrive(&mut self, now: SimTime, request: RequestId) -> Admission {
        if self.is_off() {
            return Admission::Admitted;
        }
        self.refill(now, 0.0);
        if self.waiting.is_empty() && self.tokens >= 1.0 {
            self.tokens -= 1.0;
            return Admission::Admitted;
        }
        if self.waiting.len() >= self.config.queue_size as usize {
            return Admission::Refused;
        }
        self.waiting.push_back((request, now + self.config.queue_timeout_secs));
        Admission::Queued
    }

    /// The response of a request that had a token has ended.
    pub fn release(&mut self, now: SimTime) {
        if !self.is_off() {
            self.refill(now, 1.0);
        }
    }

    /// A request that waits has gone away.
    pub fn forget(&mut self, request: RequestId) {
        self.waiting.retain(|(waiting, _)| *waiting != request);
    }

    /// When the first request in the queue gets a token or has waited too long.
    #[must_use]
    pub fn next(&self) -> Option<SimTime> {
        let (_, until) = *self.waiting.front()?;
        let missing = Seconds::new((1.0 - self.tokens).max(0.0) / self.rate()).ok()?;
        Some(until.min(self.since + missing))
    }

    /// Takes the first request out of the queue at the instant that [`next`](Limiter::next) announced,
    /// and says whether it has a token.
    pub fn pop(&mut self, now: SimTime) -> Option<(RequestId, bool)> {
        let (request, until) = *self.waiting.front()?;
        self.refill(now, 0.0);
        // The instant at which a token is whole may be rounded down.
        let has_token = self.tokens >= 1.0 - 1e-9;
        if has_token {
            self.tokens = (self.tokens - 1.0).max(0.0);
        } else if now < until {
            return None;
        }
        self.waiting.pop_front();
        Some((request, has_token))
    }
}

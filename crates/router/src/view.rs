//! What a policy sees.

use sglsim_radix::Prompt;
use sglsim_units::{SimTime, WorkerId};

/// A request to be routed, as the router knows it. The output length is not in it.
#[derive(Clone, Copy, Debug)]
pub struct RouteRequest<'a> {
    prompt: &'a Prompt,
    now: SimTime,
}

impl<'a> RouteRequest<'a> {
    /// A request with `prompt` that is routed at `now`.
    #[must_use]
    pub fn new(prompt: &'a Prompt, now: SimTime) -> Self {
        Self { prompt, now }
    }

    /// The prompt.
    #[must_use]
    pub fn prompt(&self) -> &'a Prompt {
        self.prompt
    }

    /// The time of the decision \[s\]; never earlier than that of the decision before.
    #[must_use]
    pub fn now(&self) -> SimTime {
        self.now
    }
}

/// One worker of the pool, as the router knows it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct WorkerView {
    id: WorkerId,
    is_healthy: bool,
    in_flight: u32,
    polled_tokens: Option<u64>,
}

impl WorkerView {
    /// A healthy worker without load.
    #[must_use]
    pub fn new(id: WorkerId) -> Self {
        Self { id, is_healthy: true, in_flight: 0, polled_tokens: None }
    }

    /// The same worker, healthy or not.
    #[must_use]
    pub fn with_health(self, is_healthy: bool) -> Self {
        Self { is_healthy, ..self }
    }

    /// The same worker with so many requests in flight.
    #[must_use]
    pub fn with_in_flight(self, in_flight: u32) -> Self {
        Self { in_flight, ..self }
    }

    /// The same worker with a polled token load, or none known \[token\].
    #[must_use]
    pub fn with_polled_tokens(self, polled_tokens: Option<u64>) -> Self {
        Self { polled_tokens, ..self }
    }

    /// Which worker. Positions in the pool may change, ids do not.
    #[must_use]
    pub fn id(&self) -> WorkerId {
        self.id
    }

    /// Whether it may be chosen: health checks pass and its circuit breaker is not open.
    ///
    /// Freshness: as of the last health check or response (`--health-check-interval-secs`, 60 s).
    #[must_use]
    pub fn is_healthy(&self) -> bool {
        self.is_healthy
    }

    /// Requests that this router has sent to it and whose response has not ended: SGLang's "load".
    ///
    /// Freshness: exact, but blind to requests of other routers.
    #[must_use]
    pub fn in_flight(&self) -> u32 {
        self.in_flight
    }

    /// Tokens waiting or running there, as it said itself when polled \[token\]; `None` if it was
    /// never asked or does not answer, as SGLang 0.5.23, which has no `/get_load` any more.
    ///
    /// Freshness: as of the last poll (`--worker-startup-check-interval`, 30 s).
    #[must_use]
    pub fn polled_tokens(&self) -> Option<u64> {
        self.polled_tokens
    }
}

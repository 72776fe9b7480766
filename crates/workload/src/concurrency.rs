//! A bound on the requests in flight, as a client keeps it.

use sglsim_units::{RequestId, SimTime};

use crate::error::{WorkloadError, check};
use crate::request::{Finished, Request, Workload};

/// Lets at most so many requests of another workload be in flight.
///
/// A request that would exceed the bound waits at the client, first come first served, and arrives
/// when an earlier one has finished: its latency starts only then. This is `--max-concurrency` of
/// SGLang's `bench_serving` (a semaphore around each send).
#[derive(Debug)]
pub struct MaxConcurrency {
    inner: Box<dyn Workload>,
    limit: u32,
    in_flight: u32,
    /// When the bound was last left: what waited then arrives no earlier.
    free_since: SimTime,
    /// Whose end that was.
    freed_by: Option<RequestId>,
}

impl MaxConcurrency {
    /// Bounds `inner` to `limit` requests in flight.
    ///
    /// # Errors
    ///
    /// [`WorkloadError::OutOfRange`] if `limit` is zero.
    pub fn new(inner: Box<dyn Workload>, limit: u32) -> Result<Self, WorkloadError> {
        check("max_concurrency", limit, 1..=u32::MAX)?;
        Ok(Self { inner, limit, in_flight: 0, free_since: SimTime::ZERO, freed_by: None })
    }
}

impl Workload for MaxConcurrency {
    fn name(&self) -> &str {
        self.inner.name()
    }

    fn total(&self) -> Option<u64> {
        self.inner.total()
    }

    fn peek(&self) -> Option<SimTime> {
        let planned = self.inner.peek()?;
        (self.in_flight < self.limit).then_some(planned.max(self.free_since))
    }

    fn pop(&mut self) -> Option<Request> {
        let arrival = self.peek()?;
        let request = self.inner.pop()?;
        self.in_flight += 1;
        Some(Request { arrival, ..request })
    }

    fn released_by(&self) -> Option<RequestId> {
        match self.inner.peek() {
            Some(planned) if planned < self.free_since => self.freed_by,
            _ => self.inner.released_by(),
        }
    }

    fn on_finished(&mut self, done: &Finished) {
        if self.in_flight == self.limit {
            self.free_since = done.at;
            self.freed_by = Some(done.id);
        }
        self.in_flight = self.in_flight.saturating_sub(1);
        self.inner.on_finished(done);
    }
}

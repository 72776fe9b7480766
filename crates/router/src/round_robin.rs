//! One after the other.

use crate::policy::{count_healthy, nth_healthy};
use crate::{RouteError, RoutePolicy, RouteRequest, WorkerView};

/// A counter modulo the number of healthy workers.
///
/// # Source
///
/// sglang-router 0.3.2, `policies/round_robin.rs`.
#[derive(Clone, Debug, Default)]
pub struct RoundRobin {
    counter: usize,
}

impl RoundRobin {
    /// A policy that starts with the first worker.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }
}

impl RoutePolicy for RoundRobin {
    fn name(&self) -> &str {
        "round_robin"
    }

    fn route(
        &mut self,
        _request: &RouteRequest<'_>,
        workers: &[WorkerView],
    ) -> Result<usize, RouteError> {
        let healthy = count_healthy(self.name(), workers)?;
        let turn = self.counter % healthy;
        self.counter = self.counter.wrapping_add(1);
        Ok(nth_healthy(workers, turn))
    }
}

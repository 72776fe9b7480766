//! One after the other.

use crate::{RouteError, RoutePolicy, RouteRequest, WorkerView};

/// A counter modulo the number of workers that may be chosen.
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
        let turn = self.counter % workers.len();
        self.counter = self.counter.wrapping_add(1);
        Ok(turn)
    }
}

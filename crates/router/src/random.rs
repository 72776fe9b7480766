//! Any of them.

use rand::RngExt;
use rand_pcg::Pcg64Mcg;
use sglsim_units::RngStreams;

use crate::{RouteError, RoutePolicy, RouteRequest, WorkerView};

/// Uniform over the workers.
///
/// # Source
///
/// sglang-router 0.3.2, `policies/random.rs`.
#[derive(Clone, Debug)]
pub struct Random {
    rng: Pcg64Mcg,
}

impl Random {
    /// A policy that draws from the stream `router/random`.
    #[must_use]
    pub fn new(streams: RngStreams) -> Self {
        Self { rng: streams.stream("router/random") }
    }
}

impl RoutePolicy for Random {
    fn name(&self) -> &str {
        "random"
    }

    fn route(
        &mut self,
        _request: &RouteRequest<'_>,
        workers: &[WorkerView],
    ) -> Result<usize, RouteError> {
        Ok(self.rng.random_range(0..workers.len()))
    }
}

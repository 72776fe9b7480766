//! The better of two.

use rand::RngExt;
use rand_pcg::Pcg64Mcg;
use sglsim_units::RngStreams;

use crate::policy::{count_healthy, nth_healthy};
use crate::{RouteError, RoutePolicy, RouteRequest, WorkerView};

/// The less loaded of two distinct healthy workers drawn at random; the first of them on a tie.
///
/// Load is the polled token count if it is known of both, else the number of requests in flight.
///
/// # Source
///
/// sglang-router 0.3.2, `policies/power_of_two.rs`. With SGLang 0.5.23 token counts are never
/// known (it has no `/get_load`), so that the counts in flight decide.
#[derive(Clone, Debug)]
pub struct PowerOfTwo {
    rng: Pcg64Mcg,
}

impl PowerOfTwo {
    /// A policy that draws from the stream `router/power_of_two`.
    #[must_use]
    pub fn new(streams: RngStreams) -> Self {
        Self { rng: streams.stream("router/power_of_two") }
    }
}

impl RoutePolicy for PowerOfTwo {
    fn name(&self) -> &str {
        "power_of_two"
    }

    fn route(
        &mut self,
        _request: &RouteRequest<'_>,
        workers: &[WorkerView],
    ) -> Result<usize, RouteError> {
        let healthy = count_healthy(self.name(), workers)?;
        if healthy == 1 {
            return Ok(nth_healthy(workers, 0));
        }
        let first = self.rng.random_range(0..healthy);
        let other = self.rng.random_range(0..healthy - 1);
        let second = if other >= first { other + 1 } else { other };
        let (first, second) = (nth_healthy(workers, first), nth_healthy(workers, second));
        let (a, b) = (&workers[first], &workers[second]);
        let first_wins = match (a.polled_tokens(), b.polled_tokens()) {
            (Some(a), Some(b)) => a <= b,
            _ => a.in_flight() <= b.in_flight(),
        };
        Ok(if first_wins { first } else { second })
    }
}

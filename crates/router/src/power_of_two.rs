//! The better of two.

use rand::RngExt;
use rand_pcg::Pcg64Mcg;
use sglsim_units::RngStreams;

use crate::{RouteError, RoutePolicy, RouteRequest, WorkerView};

/// The less loaded of two distinct workers drawn at random; the first of them on a tie.
///
/// Load is the polled token count if it is known of both, else the number of requests in flight.
///
/// # Source
///
/// sglang-router 0.3.2, `policies/power_of_two.rs`. It polls `/get_load` of every worker each
/// `worker_startup_check_interval`, and takes workers that do not know it, as those of SGLang
/// 0.5.23, for equally loaded from the first poll on: the policy is then [`Random`](crate::Random).
/// Before one pool it is that from the beginning, as the router does not count requests in flight
/// for it there ([`PolicyConfig::is_load_counted`](crate::PolicyConfig::is_load_counted)).
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
        if workers.len() == 1 {
            return Ok(0);
        }
        let first = self.rng.random_range(0..workers.len());
        let other = self.rng.random_range(0..workers.len() - 1);
        let second = if other >= first { other + 1 } else { other };
        let (a, b) = (&workers[first], &workers[second]);
        let first_wins = match (a.polled_tokens(), b.polled_tokens()) {
            (Some(a), Some(b)) => a <= b,
            _ => a.in_flight() <= b.in_flight(),
        };
        Ok(if first_wins { first } else { second })
    }
}

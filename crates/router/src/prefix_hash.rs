//! The same beginning, the same worker, unless that has too much to do.

use serde::{Deserialize, Serialize};
use sglsim_radix::Key;
use sglsim_units::WorkerId;

use crate::policy::first_least;
use crate::ring::HashRing;
use crate::{RouteError, RoutePolicy, RouteRequest, RoutingKey, WorkerView};

/// By the hash of the prompt's first tokens on a ring; the least loaded worker if the one found
/// there has more than `load_factor` times the mean load.
///
/// ```text
/// limit = load_factor * (requests in flight + 1) / workers
/// the worker of the ring                           if it has at most `limit` in flight
/// else the first with least load                   if that has at most `limit`
/// else the worker of the ring
/// ```
///
/// A pool without any request in flight has no limit.
///
/// # Source
///
/// sglang-router 0.3.2, `policies/prefix_hash.rs`. It needs token ids, which that router has in its
/// gRPC mode only: over HTTP every request is answered with status 503.
#[derive(Clone, Debug)]
pub struct PrefixHash {
    config: PrefixHashConfig,
    ring: HashRing,
}

/// Parameters of [`PrefixHash`].
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct PrefixHashConfig {
    /// Tokens of the prompt that are hashed, at least 1 \[token\].
    pub prefix_token_count: u32,
    /// How much more than the mean a worker may have in flight, at least 1.
    pub load_factor: f64,
}

/// Those of sglang-router's library; its command line has none.
impl Default for PrefixHashConfig {
    fn default() -> Self {
        Self { prefix_token_count: 256, load_factor: 1.25 }
    }
}

impl PrefixHash {
    /// A policy with an empty ring.
    ///
    /// # Errors
    ///
    /// [`RouteError::OutOfRange`] if a parameter is outside its range.
    pub fn new(config: PrefixHashConfig) -> Result<Self, RouteError> {
        RouteError::check("prefix_token_count", config.prefix_token_count, 1.., "at least 1")?;
        RouteError::check("load_factor", config.load_factor, 1.0..=1e6, "1 to 1e6")?;
        Ok(Self { config, ring: HashRing::default() })
    }
}

impl RoutePolicy for PrefixHash {
    fn name(&self) -> &str {
        "prefix_hash"
    }

    fn route(
        &mut self,
        request: &RouteRequest<'_>,
        workers: &[WorkerView],
    ) -> Result<usize, RouteError> {
        self.ring.learn(workers);
        let prompt = request.prompt();
        let first = prompt.tokens().min(u64::from(self.config.prefix_token_count));
        let hash = Key::new(prompt).cursor().hash_of_next(first, 0);
        let found = self.ring.find(RoutingKey::of(&format!("{hash:016x}")), workers);
        let found = found.expect("the ring has just learnt the workers");

        let total: u64 = workers.iter().map(|worker| u64::from(worker.in_flight())).sum();
        #[expect(clippy::cast_precision_loss, reason = "loads are far below 2^53")]
        let mean = (total + 1) as f64 / workers.len() as f64;
        let is_light = |at: usize| {
            total == 0 || f64::from(workers[at].in_flight()) <= mean * self.config.load_factor
        };
        if is_light(found) {
            return Ok(found);
        }
        let least = first_least(workers, WorkerView::in_flight);
        Ok(if is_light(least) { least } else { found })
    }

    fn on_removed(&mut self, worker: WorkerId) {
        self.ring.remove(worker);
    }
}

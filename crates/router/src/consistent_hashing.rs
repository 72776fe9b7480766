//! The same key, the same worker.

use rand::RngExt;
use rand_pcg::Pcg64Mcg;
use serde::{Deserialize, Serialize};
use sglsim_units::{RngStreams, WorkerId};

use crate::ring::HashRing;
use crate::{RouteError, RoutePolicy, RouteRequest, WorkerView};

/// By routing key; at random without one. A request that asks for a worker gets that or nobody.
///
/// In front of HTTP workers sglang-router takes the key's hash modulo the number of workers that
/// may be chosen, so that nearly every key moves when one worker vanishes. With `hash_ring` (its
/// gRPC and multi-model modes) only the keys of that worker move.
///
/// # Source
///
/// sglang-router 0.3.2, `policies/consistent_hashing.rs`. The hash ring is kept by model, and looked
/// up without one over HTTP: it is never found there.
#[derive(Clone, Debug)]
pub struct ConsistentHashing {
    rng: Pcg64Mcg,
    ring: Option<HashRing>,
}

/// Parameters of [`ConsistentHashing`].
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct ConsistentHashingConfig {
    /// Whether a worker that vanishes moves its own keys only.
    pub hash_ring: bool,
}

impl ConsistentHashing {
    /// A policy that draws from the stream `router/consistent_hashing` for requests without a key.
    #[must_use]
    pub fn new(config: ConsistentHashingConfig, streams: RngStreams) -> Self {
        Self {
            rng: streams.stream("router/consistent_hashing"),
            ring: config.hash_ring.then(HashRing::default),
        }
    }

    fn not_placed(&self, reason: &'static str) -> RouteError {
        RouteError::NotPlaced { policy: self.name().to_owned(), reason }
    }
}

impl RoutePolicy for ConsistentHashing {
    fn name(&self) -> &str {
        "consistent_hashing"
    }

    fn route(
        &mut self,
        request: &RouteRequest<'_>,
        workers: &[WorkerView],
    ) -> Result<usize, RouteError> {
        if let Some(target) = request.target() {
            let is_there = target < workers.len();
            return is_there.then_some(target).ok_or_else(|| {
                self.not_placed("the worker it asks for is not among those that may be chosen")
            });
        }
        let Some(key) = request.routing_key() else {
            return Ok(self.rng.random_range(0..workers.len()));
        };
        match &mut self.ring {
            Some(ring) => {
                ring.learn(workers);
                Ok(ring.find(key, workers).expect("the ring has just learnt the workers"))
            }
            None => {
                let turn = key.position() % workers.len() as u64;
                Ok(usize::try_from(turn).expect("below the number of workers"))
            }
        }
    }

    fn on_removed(&mut self, worker: WorkerId) {
        if let Some(ring) = &mut self.ring {
            ring.remove(worker);
        }
    }
}

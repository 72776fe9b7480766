//! Policies as they stand in a scenario file.

use serde::{Deserialize, Serialize};
use sglsim_units::RngStreams;

use crate::{
    Bucket, BucketConfig, CacheAware, CacheAwareConfig, ConsistentHashing, ConsistentHashingConfig,
    Manual, ManualConfig, PowerOfTwo, PrefixHash, PrefixHashConfig, Random, RoundRobin, RouteError,
    RoutePolicy,
};

/// A routing policy and its parameters; what is left out has the default of SGLang's command line.
///
/// In a scenario: `RoundRobin`, `Random`, `PowerOfTwo`, `CacheAware()`,
/// `CacheAware(cache_threshold: 0.5)`, `Manual(assignment_mode: MinLoad)`, …
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[non_exhaustive]
pub enum PolicyConfig {
    /// [`RoundRobin`].
    RoundRobin,
    /// [`Random`].
    Random,
    /// [`PowerOfTwo`].
    PowerOfTwo,
    /// [`CacheAware`].
    CacheAware(CacheAwareConfig),
    /// [`Bucket`], for prefill pools.
    Bucket(BucketConfig),
    /// [`PrefixHash`].
    PrefixHash(PrefixHashConfig),
    /// [`ConsistentHashing`].
    ConsistentHashing(ConsistentHashingConfig),
    /// [`Manual`].
    Manual(ManualConfig),
}

impl PolicyConfig {
    /// The policy, its random stream taken from `streams`.
    ///
    /// Give the pools of a disaggregated deployment different [`RngStreams::child`]ren.
    ///
    /// # Errors
    ///
    /// [`RouteError::OutOfRange`] if a parameter is outside its range.
    pub fn build(self, streams: RngStreams) -> Result<Box<dyn RoutePolicy>, RouteError> {
        Ok(match self {
            Self::RoundRobin => Box::new(RoundRobin::new()),
            Self::Random => Box::new(Random::new(streams)),
            Self::PowerOfTwo => Box::new(PowerOfTwo::new(streams)),
            Self::CacheAware(config) => Box::new(CacheAware::new(config, streams)?),
            Self::Bucket(config) => Box::new(Bucket::new(config)?),
            Self::PrefixHash(config) => Box::new(PrefixHash::new(config)?),
            Self::ConsistentHashing(config) => Box::new(ConsistentHashing::new(config, streams)),
            Self::Manual(config) => Box::new(Manual::new(config, streams)),
        })
    }

    /// Whether sglang-router 0.3.2 counts requests in flight for this policy.
    ///
    /// In front of prefill and decode pools it always does. In front of one pool it counts for
    /// `cache_aware` and `manual` only, so that `power_of_two` sees equal loads there, whatever is
    /// in flight (`routers/http/router.rs:route_typed_request_once`).
    #[must_use]
    pub fn is_load_counted(self, is_disaggregated: bool) -> bool {
        is_disaggregated || !matches!(self, Self::PowerOfTwo)
    }
}

/// SGLang's default policy.
impl Default for PolicyConfig {
    fn default() -> Self {
        Self::CacheAware(CacheAwareConfig::default())
    }
}

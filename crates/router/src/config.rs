//! Policies as they stand in a scenario file.

use serde::{Deserialize, Serialize};
use sglsim_units::{RngStreams, Seconds};

use crate::{
    CacheAware, CacheAwareConfig, PowerOfTwo, Random, RoundRobin, RouteError, RoutePolicy,
};

/// A routing policy and its parameters; what is left out has the default of SGLang's command line.
///
/// In RON: `RoundRobin`, `Random`, `PowerOfTwo`, `CacheAware()` or
/// `CacheAware(cache_threshold: 0.5)`.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
#[non_exhaustive]
pub enum PolicyConfig {
    /// [`RoundRobin`].
    RoundRobin,
    /// [`Random`].
    Random,
    /// [`PowerOfTwo`].
    PowerOfTwo,
    /// [`CacheAware`]; the fields are those of [`CacheAwareConfig`].
    CacheAware {
        /// Share of the prompt that must match, between 0 and 1.
        #[serde(default = "cache_threshold")]
        cache_threshold: f64,
        /// Difference of loads above which the pool may be out of balance \[request\].
        #[serde(default = "balance_abs_threshold")]
        balance_abs_threshold: u32,
        /// Ratio of loads above which the pool may be out of balance, at least 1.
        #[serde(default = "balance_rel_threshold")]
        balance_rel_threshold: f64,
        /// Time between evictions \[s\]; 0 for never.
        #[serde(default = "eviction_interval")]
        eviction_interval: Seconds,
        /// Size of one worker's part of the tree that an eviction leaves \[character\].
        #[serde(default = "max_tree_size")]
        max_tree_size: u64,
    },
}

fn cache_threshold() -> f64 {
    CacheAwareConfig::default().cache_threshold
}

fn balance_abs_threshold() -> u32 {
    CacheAwareConfig::default().balance_abs_threshold
}

fn balance_rel_threshold() -> f64 {
    CacheAwareConfig::default().balance_rel_threshold
}

fn eviction_interval() -> Seconds {
    CacheAwareConfig::default().eviction_interval
}

fn max_tree_size() -> u64 {
    CacheAwareConfig::default().max_tree_size
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
            Self::CacheAware {
                cache_threshold,
                balance_abs_threshold,
                balance_rel_threshold,
                eviction_interval,
                max_tree_size,
            } => Box::new(CacheAware::new(CacheAwareConfig {
                cache_threshold,
                balance_abs_threshold,
                balance_rel_threshold,
                eviction_interval,
                max_tree_size,
            })?),
        })
    }
}

impl From<CacheAwareConfig> for PolicyConfig {
    fn from(config: CacheAwareConfig) -> Self {
        Self::CacheAware {
            cache_threshold: config.cache_threshold,
            balance_abs_threshold: config.balance_abs_threshold,
            balance_rel_threshold: config.balance_rel_threshold,
            eviction_interval: config.eviction_interval,
            max_tree_size: config.max_tree_size,
        }
    }
}

/// SGLang's default policy.
impl Default for PolicyConfig {
    fn default() -> Self {
        CacheAwareConfig::default().into()
    }
}

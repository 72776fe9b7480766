//! Which leaf goes first.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

use crate::RadixError;

/// Order in which a [`RadixCache`](crate::RadixCache) evicts its leaves
/// (`--radix-eviction-policy`).
///
/// # Source
///
/// SGLang 0.5.23, `mem_cache/evict_policy.py`. `Fifo`, `Filo` and `Mru` can be had in its code but
/// not at its command line.
#[derive(
    Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize,
)]
pub enum EvictionPolicy {
    /// Least recently used first.
    #[default]
    Lru,
    /// Least often inserted first, then least recently used.
    Lfu,
    /// Segmented LRU: those inserted once before those inserted again, each least recently used
    /// first.
    Slru,
    /// Oldest first.
    Fifo,
    /// Youngest first.
    Filo,
    /// Most recently used first.
    Mru,
    /// Lowest priority first, then least recently used.
    Priority,
}

impl EvictionPolicy {
    /// Every policy, in order of declaration.
    pub const ALL: [EvictionPolicy; 7] =
        [Self::Lru, Self::Lfu, Self::Slru, Self::Fifo, Self::Filo, Self::Mru, Self::Priority];

    /// SGLang's name of it.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Lru => "lru",
            Self::Lfu => "lfu",
            Self::Slru => "slru",
            Self::Fifo => "fifo",
            Self::Filo => "filo",
            Self::Mru => "mru",
            Self::Priority => "priority",
        }
    }

    /// The sort key of a leaf; the smallest is evicted first.
    pub(crate) fn rank(self, usage: &Usage) -> Rank {
        let (class, time) = match self {
            Self::Lru => (0, usage.last_access),
            Self::Lfu => (i64::from(usage.hits), usage.last_access),
            Self::Slru => (i64::from(usage.hits >= SLRU_PROTECTED_HITS), usage.last_access),
            Self::Fifo => (0, usage.created),
            Self::Filo => (0, !usage.created),
            Self::Mru => (0, !usage.last_access),
            Self::Priority => (usage.priority, usage.last_access),
        };
        Rank { class, time }
    }
}

/// Inserts after which segmented LRU protects a node.
const SLRU_PROTECTED_HITS: u32 = 2;

/// What is remembered of a node's use.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Usage {
    pub(crate) last_access: u64,
    pub(crate) created: u64,
    pub(crate) hits: u32,
    pub(crate) priority: i64,
}

/// Place in the order of eviction.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Rank {
    class: i64,
    time: u64,
}

/// The logical clock that recency is read from.
///
/// SGLang's draws a few more times, for the root and for values that are replaced at once. Only the
/// order of the others decides anything, and that is the same.
#[derive(Clone, Debug, Default)]
pub(crate) struct Clock(u64);

impl Clock {
    /// A time later than all before it.
    pub(crate) fn draw(&mut self) -> u64 {
        self.0 += 1;
        self.0
    }
}

impl fmt::Display for EvictionPolicy {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

impl FromStr for EvictionPolicy {
    type Err = RadixError;

    fn from_str(name: &str) -> Result<Self, RadixError> {
        Self::ALL.into_iter().find(|policy| policy.name() == name).ok_or_else(|| {
            RadixError::UnknownEvictionPolicy {
                name: name.to_owned(),
                known: Self::ALL.map(Self::name).to_vec(),
            }
        })
    }
}

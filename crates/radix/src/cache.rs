//! The seam: what every prefix cache answers.

use std::fmt;

use crate::element::Span;
use crate::{Element, Key, NodeId, PageSize};

/// Which prefix of a prompt has its KV on this worker, and what may go.
///
/// The cache keeps no KV and owns no memory: it counts tokens. Whoever calls it holds the
/// [`PagePool`](crate::PagePool), gives the tokens that [`insert`](PrefixCache::insert) kept to the
/// cache, and takes back those that [`evict`](PrefixCache::evict) freed.
///
/// # Implementing
///
/// *Observes* keys and the calls made; *controls* what is kept, the order of eviction and the
/// granularity of both; *owns* its own entries and its own logical clock (never the wall clock).
/// *Called* from one thread, in the order of the simulated events.
///
/// Laws, checked by `testing::conformance` (feature `testing`), unless the cache keeps nothing:
///
/// 1. right after `insert(k)`, `match_prefix(k)` returns the length of `k` floored to pages;
/// 2. a match is a page multiple, no longer than the key, and never longer than the longest common
///    prefix with something inserted in the same namespace;
/// 3. `evictable_tokens() + protected_tokens()` is the number of tokens kept: it grows by
///    `tokens - present` at an insert, and falls by what `evict` returns;
/// 4. a locked node and all before it survive any eviction; `lock` and `unlock` only move tokens
///    between evictable and protected;
/// 5. `evict(n)` frees at least `min(n, evictable_tokens())` and returns what it freed;
/// 6. equal calls give equal answers;
/// 7. a cache with a host tier brings exactly the `host_tokens` of a match back, and they are part of
///    the next one; its host tier never holds more than its capacity.
///
/// ```
/// # #[cfg(feature = "testing")] {
/// use sglsim_radix::{EvictionPolicy, RadixCache, testing};
/// testing::conformance(|page_size| Box::new(RadixCache::new(page_size, EvictionPolicy::Lru)));
/// # }
/// ```
#[diagnostic::on_unimplemented(
    message = "`{Self}` is not a prefix cache over `{E}`",
    note = "see the section `Implementing` of `PrefixCache`"
)]
pub trait PrefixCache<E: Element = Span>: fmt::Debug + Send {
    /// Name in reports, such as `"radix-lru"`.
    fn name(&self) -> &str;

    /// Tokens of one page; every length that the cache answers is a multiple of it.
    fn page_size(&self) -> PageSize;

    /// Finds the longest kept prefix of `key`, floored to pages, and marks it as used.
    fn match_prefix(&mut self, key: Key<'_, E>) -> PrefixMatch;

    /// Keeps `key`, floored to pages, and marks it as used.
    ///
    /// `inserted_len` is how much of the key the same request has inserted before \[token\]: caches
    /// that count uses count one request once.
    fn insert(&mut self, key: Key<'_, E>, inserted_len: u64) -> Inserted;

    /// Protects `node` and everything before it from eviction, until unlocked as often as locked.
    ///
    /// `node` must come from this cache and must not have been evicted since; implementations
    /// panic otherwise. [`NodeId::ROOT`] is always allowed and protects nothing.
    fn lock(&mut self, node: NodeId);

    /// Takes back one [`lock`](PrefixCache::lock) of `node`.
    fn unlock(&mut self, node: NodeId);

    /// Frees at least `tokens` tokens, or all that is evictable, and returns how many \[token\].
    fn evict(&mut self, tokens: u64) -> u64;

    /// Brings what a match found on the host only back to the device, and returns how many tokens that
    /// is \[token\]. The caller has set as many slots aside and locked [`PrefixMatch::end`].
    ///
    /// A cache without a host tier has nothing to bring.
    fn load_back(&mut self, _end: NodeId) -> u64 {
        0
    }

    /// What [`load_back`](PrefixCache::load_back) brought since the last call has arrived.
    fn finish_loads(&mut self) {}

    /// The next copy to the host that has begun and was not told yet.
    fn next_backup(&mut self) -> Option<Backup> {
        None
    }

    /// A copy to the host is done, and with it the lock that it held.
    fn finish_backup(&mut self, _backup: Backup) {}

    /// Tokens that the host tier holds, and the most it can \[token\]; nothing without one.
    fn host_usage(&self) -> (u64, u64) {
        (0, 0)
    }

    /// Kept tokens that nobody has locked \[token\].
    fn evictable_tokens(&self) -> u64;

    /// Kept tokens under a lock \[token\].
    fn protected_tokens(&self) -> u64;

    /// The order in which a walk of the tree meets requests that end at these nodes: of the children
    /// of a node first the one that most requests lie on or below, then the oldest; what ends at the
    /// node itself comes after them. A cache that is no tree leaves them as they are.
    ///
    /// # Source
    ///
    /// SGLang 0.5.23, `mem_cache/base_prefix_cache.py:_dfs_weight_order`.
    fn dfs_weight_order(&self, ends: &[NodeId]) -> Vec<usize> {
        (0..ends.len()).collect()
    }
}

/// What [`PrefixCache::match_prefix`] found: a prefix on the device and, in a cache with a host tier,
/// what follows it on the host only.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PrefixMatch {
    /// Length of the prefix on the device \[token\].
    pub tokens: u64,
    /// Where it ends; lock this to keep it.
    pub node: NodeId,
    /// Length of what follows on the host \[token\].
    pub host_tokens: u64,
    /// Where that ends: `node` if nothing follows.
    pub end: NodeId,
}

impl PrefixMatch {
    /// A match on the device only.
    #[must_use]
    pub fn on_device(tokens: u64, node: NodeId) -> Self {
        Self { tokens, node, host_tokens: 0, end: node }
    }
}

/// A copy of KV to the host that a cache has begun. Its prefix is locked until
/// [`PrefixCache::finish_backup`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Backup {
    /// What is copied ends here.
    pub node: NodeId,
    /// Length of what is copied \[token\].
    pub tokens: u64,
    /// Whether an eviction waits for it: nothing is locked then, and nothing has to be finished.
    pub blocking: bool,
}

/// What [`PrefixCache::insert`] did.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Inserted {
    /// Length that was there already \[token\]: the caller's copy of it is a duplicate.
    pub present: u64,
    /// Length that is there now \[token\]: the key floored to pages, or 0 if nothing is kept.
    pub tokens: u64,
    /// Where it ends; lock this to keep it.
    pub node: NodeId,
}

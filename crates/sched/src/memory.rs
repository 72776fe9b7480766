//! The KV memory of one rank: the page pool and the prefix cache that lives in it.

use sglsim_radix::{Holding, Key, NoCache, PagePool, PrefixCache, PrefixMatch};
use sglsim_units::TokenCount;

/// Pool and cache, and the rule that joins them: what is free plus what can be evicted is what can
/// be allocated.
///
/// Invariant `KV-1`: free + evictable + protected + held by requests = capacity.
#[derive(Debug)]
pub struct Memory {
    pool: PagePool,
    cache: Box<dyn PrefixCache>,
}

impl Memory {
    /// An empty pool with an empty cache in it.
    #[must_use]
    pub fn new(pool: PagePool, cache: Box<dyn PrefixCache>) -> Self {
        Self { pool, cache }
    }

    /// KV slots in all \[token\].
    #[must_use]
    pub fn capacity(&self) -> TokenCount {
        self.pool.capacity()
    }

    /// Free slots \[token\].
    #[must_use]
    pub fn available(&self) -> TokenCount {
        self.pool.available()
    }

    /// Slots of cached prefixes that nobody holds \[token\].
    #[must_use]
    pub fn evictable(&self) -> TokenCount {
        self.cache.evictable_tokens()
    }

    /// Slots of cached prefixes that some request holds \[token\].
    #[must_use]
    pub fn protected(&self) -> TokenCount {
        self.cache.protected_tokens()
    }

    /// Free or evictable slots \[token\].
    #[must_use]
    pub fn allocatable(&self) -> TokenCount {
        self.available() + self.evictable()
    }

    /// Slots that are neither free nor evictable \[token\] (SGLang's `num_used_tokens`).
    #[must_use]
    pub fn used(&self) -> TokenCount {
        self.capacity() - self.allocatable()
    }

    /// Whether prefixes are kept at all.
    #[must_use]
    pub fn caches(&self) -> bool {
        self.cache.name() != <NoCache as PrefixCache>::name(&NoCache::new(self.pool.page_size()))
    }

    /// Whether what was used longest ago is evicted first, as far as use can be refreshed.
    #[must_use]
    pub(crate) fn evicts_least_recent(&self) -> bool {
        matches!(self.cache.name(), "radix-lru" | "hiradix-lru")
    }

    /// Looks a prompt up. Counts as a use of what it finds.
    pub fn match_prefix(&mut self, key: Key<'_>) -> PrefixMatch {
        self.cache.match_prefix(key)
    }

    pub(crate) fn cache(&mut self) -> &mut dyn PrefixCache {
        self.cache.as_mut()
    }

    /// Evicts until `tokens` slots are free, or nothing evictable is left.
    pub(crate) fn make_room(&mut self, tokens: TokenCount) {
        let free = self.available();
        if free < tokens {
            let freed = self.cache.evict(tokens - free);
            self.pool.release(freed);
        }
    }

    /// Takes free slots; `false` and nothing taken if there are too few.
    #[must_use]
    pub(crate) fn allocate(&mut self, tokens: TokenCount) -> bool {
        tokens == 0 || self.pool.allocate(tokens).is_ok()
    }

    pub(crate) fn release(&mut self, tokens: TokenCount) {
        self.pool.release(tokens);
    }

    /// Publishes the first tokens of a request; slots that turned out to be duplicates are free
    /// again.
    pub(crate) fn checkpoint(&mut self, held: &mut Holding, key: Key<'_>, prompt: TokenCount) {
        let duplicates = held.checkpoint(self.cache.as_mut(), key, prompt);
        self.pool.release(duplicates);
    }
}

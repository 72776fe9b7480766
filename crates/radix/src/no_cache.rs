//! The cache that keeps nothing.

use crate::{Element, Inserted, Key, NodeId, PageSize, PrefixCache, PrefixMatch};

/// `--disable-radix-cache`: nothing matches, nothing is kept.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct NoCache {
    page_size: PageSize,
}

impl NoCache {
    /// A cache of nothing, for a pool with pages of `page_size`.
    #[must_use]
    pub fn new(page_size: PageSize) -> Self {
        Self { page_size }
    }
}

impl<E: Element> PrefixCache<E> for NoCache {
    fn name(&self) -> &str {
        "none"
    }

    fn page_size(&self) -> PageSize {
        self.page_size
    }

    fn match_prefix(&mut self, _key: Key<'_, E>) -> PrefixMatch {
        PrefixMatch::on_device(0, NodeId::ROOT)
    }

    fn insert(&mut self, _key: Key<'_, E>, _inserted_len: u64) -> Inserted {
        Inserted { present: 0, tokens: 0, node: NodeId::ROOT }
    }

    fn lock(&mut self, _node: NodeId) {}

    fn unlock(&mut self, _node: NodeId) {}

    fn evict(&mut self, _tokens: u64) -> u64 {
        0
    }

    fn evictable_tokens(&self) -> u64 {
        0
    }

    fn protected_tokens(&self) -> u64 {
        0
    }
}

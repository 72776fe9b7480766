//! Publishing what a request has computed: one operation for every moment of its life.

use crate::{Element, Key, NodeId, PrefixCache};

/// A request's share of a prefix cache: how far its tokens are the cache's, and the lock on them.
///
/// ```
/// use sglsim_radix::{EvictionPolicy, Holding, Key, PageSize, PrefixCache, Prompt, RadixCache, Span};
///
/// let mut cache = RadixCache::new(PageSize::ONE, EvictionPolicy::Lru);
/// let prompt = Prompt::new(vec![Span::new(1, 100)]);
/// let found = cache.match_prefix(Key::new(&prompt).first(99));
/// let mut first = Holding::lock(&mut cache, found);
/// let mut second = Holding::lock(&mut cache, found);
/// assert_eq!(first.checkpoint(&mut cache, Key::new(&prompt), 100), 0);
/// // An equal prompt of the same batch was computed twice: its copy can go.
/// assert_eq!(second.checkpoint(&mut cache, Key::new(&prompt), 100), 100);
/// first.unlock(&mut cache);
/// assert_eq!(cache.protected_tokens(), 100); // the second still holds them
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Holding {
    node: NodeId,
    protected: u64,
    inserted: u64,
}

impl Holding {
    /// Locks the prefix that a request was found to have.
    #[must_use]
    pub fn lock<E: Element>(
        cache: &mut (impl PrefixCache<E> + ?Sized),
        found: crate::PrefixMatch,
    ) -> Self {
        cache.lock(found.node);
        Self { node: found.node, protected: found.tokens, inserted: 0 }
    }

    /// Leading tokens that the cache owns (SGLang's `cache_protected_len`) \[token\].
    #[must_use]
    pub fn protected(self) -> u64 {
        self.protected
    }

    /// Leading tokens that the request has put there itself (`cache_inserted_len`) \[token\].
    #[must_use]
    pub fn inserted(self) -> u64 {
        self.inserted
    }

    /// Where they end.
    #[must_use]
    pub fn node(self) -> NodeId {
        self.node
    }

    /// Publishes `key`, the tokens computed so far, and moves the lock to its end. Returns how many
    /// of them turned out to be there already without being this request's: duplicates that the
    /// caller gives back to the pool \[token\].
    ///
    /// If `key` goes on behind the prompt, the cache keeps the prompt apart from the answer and one
    /// priority higher, so that the answer can be evicted without it.
    ///
    /// # Source
    ///
    /// SGLang 0.5.23, `mem_cache/unified_radix_cache.py:checkpoint_into_tree`.
    pub fn checkpoint<E: Element>(
        &mut self,
        cache: &mut (impl PrefixCache<E> + ?Sized),
        key: Key<'_, E>,
        prompt_tokens: u64,
    ) -> u64 {
        let kept = cache.insert(key, self.inserted);
        let prompt = cache.page_size().floor(prompt_tokens);
        if 0 < prompt && prompt < kept.tokens {
            let priority = key.priority().saturating_add(1);
            cache.insert(key.first(prompt).with_priority(priority), prompt);
        }
        let duplicates = kept.present.saturating_sub(self.protected);
        cache.lock(kept.node);
        cache.unlock(self.node);
        *self = Self {
            node: kept.node,
            protected: kept.tokens,
            inserted: self.inserted.max(kept.tokens),
        };
        duplicates
    }

    /// Lets go.
    pub fn unlock<E: Element>(self, cache: &mut (impl PrefixCache<E> + ?Sized)) {
        cache.unlock(self.node);
    }
}

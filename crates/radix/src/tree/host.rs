//! HiCache: the host tier under the tree, which keeps what the device evicts.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

use super::{ROOT, RadixCache};
use crate::eviction::Rank;
use crate::{Backup, Element, NodeId, PagePool, RadixError};

/// A shorter prefix on the host is computed again rather than brought back \[token\] (SGLang 0.5.23,
/// `mem_cache/unified_radix_cache.py`, `load_back_threshold`).
pub const LOAD_BACK_THRESHOLD: u64 = 10;

/// When KV is copied to the host (`--hicache-write-policy`).
///
/// # Source
///
/// SGLang 0.5.23, `mem_cache/unified_radix_cache.py:init_hicache`.
#[derive(
    Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize,
)]
pub enum WritePolicy {
    /// As soon as it is in the tree.
    #[default]
    WriteThrough,
    /// Once a second request has used it.
    WriteThroughSelective,
    /// When the device evicts it; the eviction waits for the copy.
    WriteBack,
}

impl WritePolicy {
    /// Every policy, in order of declaration.
    pub const ALL: [Self; 3] = [Self::WriteThrough, Self::WriteThroughSelective, Self::WriteBack];

    /// SGLang's name of it.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::WriteThrough => "write_through",
            Self::WriteThroughSelective => "write_through_selective",
            Self::WriteBack => "write_back",
        }
    }

    /// Uses of a node after which it is copied; never for its uses under `WriteBack`.
    fn threshold(self) -> Option<u32> {
        match self {
            Self::WriteThrough => Some(1),
            Self::WriteThroughSelective => Some(2),
            Self::WriteBack => None,
        }
    }
}

impl fmt::Display for WritePolicy {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

impl FromStr for WritePolicy {
    type Err = RadixError;

    fn from_str(name: &str) -> Result<Self, RadixError> {
        Self::ALL.into_iter().find(|policy| policy.name() == name).ok_or_else(|| {
            RadixError::UnknownWritePolicy {
                name: name.to_owned(),
                known: Self::ALL.map(Self::name).to_vec(),
            }
        })
    }
}

/// The host's side of the tree.
#[derive(Clone, Debug)]
pub(super) struct HostTier {
    pub(super) pool: PagePool,
    policy: WritePolicy,
    /// Exactly the unlocked nodes without children whose KV is here only, in order of eviction.
    pub(super) leaves: BTreeSet<(Rank, u32)>,
    /// Copies that have begun and were not told yet.
    pub(super) begun: VecDeque<Backup>,
    /// `WriteBack`: nodes that are on the device too, in the order in which they came to be. Some may
    /// not be any more.
    duplicates: BTreeMap<u64, u32>,
    next_duplicate: u64,
    /// `WriteBack`: ends of what was brought back and has not arrived.
    loading: Vec<NodeId>,
}

impl<E: Element> RadixCache<E> {
    /// The same cache above a host tier of `capacity` tokens, floored to pages (SGLang's
    /// `--enable-hierarchical-cache`). To be called on an empty cache.
    ///
    /// What the device evicts stays in the tree if it has been copied to the host, and a match tells it
    /// apart: see [`PrefixMatch`](crate::PrefixMatch). The host evicts its leaves in the same order.
    ///
    /// # Source
    ///
    /// SGLang 0.5.23, `mem_cache/unified_radix_cache.py` and
    /// `mem_cache/unified_cache/unified_tree_core.py`, full attention only.
    ///
    /// ```
    /// use sglsim_radix::{
    ///     EvictionPolicy, Key, PageSize, PrefixCache, Prompt, RadixCache, Span, WritePolicy,
    /// };
    ///
    /// let mut cache = RadixCache::new(PageSize::ONE, EvictionPolicy::Lru)
    ///     .with_host_tier(1000, WritePolicy::WriteThrough);
    /// let prompt = Prompt::new(vec![Span::new(1, 100)]);
    /// cache.insert(Key::new(&prompt), 0);
    /// assert_eq!(cache.evict(1), 0); // it is being copied to the host, and locked
    /// let backup = cache.next_backup().unwrap();
    /// cache.finish_backup(backup);
    /// assert_eq!(cache.evict(1), 100);
    ///
    /// let found = cache.match_prefix(Key::new(&prompt));
    /// assert_eq!((found.tokens, found.host_tokens), (0, 100));
    /// cache.lock(found.end);
    /// assert_eq!(cache.load_back(found.end), 100);
    /// assert_eq!(cache.match_prefix(Key::new(&prompt)).tokens, 100);
    /// ```
    #[must_use]
    pub fn with_host_tier(mut self, capacity: u64, policy: WritePolicy) -> Self {
        self.name = format!("hi{}", self.name);
        self.host = Some(HostTier {
            pool: PagePool::new(capacity, self.page_size),
            policy,
            leaves: BTreeSet::new(),
            begun: VecDeque::new(),
            duplicates: BTreeMap::new(),
            next_duplicate: 0,
            loading: Vec::new(),
        });
        self
    }

    fn writes_back(&self) -> bool {
        self.host.as_ref().is_some_and(|host| host.policy == WritePolicy::WriteBack)
    }

    /// Whether uses are counted: under `WriteBack` SGLang does not.
    pub(super) fn counts_hits(&self) -> bool {
        !self.writes_back()
    }

    /// Copies a node to the host if it has been used often enough, after what precedes it.
    pub(super) fn back_up_if_due(&mut self, node: u32) {
        let Some(host) = &self.host else { return };
        let threshold = host.policy.threshold().unwrap_or(u32::MAX);
        if self.nodes[node].on_host || self.nodes[node].usage.hits < threshold {
            return;
        }
        let (mut chain, mut at) = (vec![], node);
        while at != ROOT && !self.nodes[at].on_host {
            chain.push(at);
            at = self.nodes[at].parent;
        }
        for node in chain.into_iter().rev() {
            if !self.take_host_room(node) {
                return;
            }
            self.lock_path(node);
            self.tell_backup(node, false);
        }
    }

    fn tell_backup(&mut self, node: u32, blocking: bool) {
        let backup =
            Backup { node: self.nodes.id(node), tokens: self.nodes[node].tokens, blocking };
        self.host.as_mut().expect("only a host tier is copied to").begun.push_back(backup);
    }

    /// Makes room for a node on the host, whose KV will be there; `false` if there cannot be any.
    fn take_host_room(&mut self, node: u32) -> bool {
        let tokens = self.nodes[node].tokens;
        let host = self.host.as_mut().expect("only a host tier has room");
        let lacking = tokens.saturating_sub(host.pool.available());
        if lacking > 0 && self.evict_host(lacking) < lacking {
            return false;
        }
        let host = self.host.as_mut().expect("it was there before");
        host.pool.allocate(tokens).expect("there is room now");
        self.nodes[node].on_host = true;
        true
    }

    /// Whether a leaf that the device evicts is on the host, or can be copied there at once. Making
    /// room for it may enter it into the order of eviction again; it is in none afterwards.
    pub(super) fn keeps_on_host(&mut self, leaf: u32) -> bool {
        if self.nodes[leaf].on_host {
            return true;
        }
        if !self.writes_back() || !self.take_host_room(leaf) {
            self.unlist(leaf);
            return false;
        }
        self.unlist(leaf);
        self.note_duplicate(leaf);
        self.tell_backup(leaf, true);
        true
    }

    /// The device lets go of a leaf that the host has.
    pub(super) fn demote(&mut self, leaf: u32) {
        self.nodes[leaf].on_device = false;
        let parent = self.nodes[leaf].parent;
        self.nodes[parent].device_children -= 1;
        self.list(leaf);
        self.list(parent);
    }

    /// Frees at least `tokens` tokens of the host, or all that can be, and returns how many.
    fn evict_host(&mut self, tokens: u64) -> u64 {
        let mut freed = if self.writes_back() { self.reclaim_duplicates(tokens) } else { 0 };
        while freed < tokens {
            let host = self.host.as_mut().expect("only a host tier evicts");
            let Some((_, leaf)) = host.leaves.pop_first() else { break };
            let gone = self.remove(leaf);
            let host = self.host.as_mut().expect("it was there before");
            if let Some(place) = gone.duplicate {
                host.duplicates.remove(&place);
            }
            host.pool.release(gone.tokens);
            freed += gone.tokens;
        }
        freed
    }

    /// Drops host copies of what is on the device too, those that the device is about to evict last.
    ///
    /// # Source
    ///
    /// SGLang 0.5.23, `unified_tree_core.py:_reclaim_full_host_duplicates`.
    fn reclaim_duplicates(&mut self, tokens: u64) -> u64 {
        let mut freed = 0;
        for spare_leaves in [true, false] {
            let mut from = 0;
            while freed < tokens {
                let host = self.host.as_mut().expect("only a host tier has copies");
                let Some((&place, &node)) = host.duplicates.range(from..).next() else { break };
                from = place + 1;
                let is_leaf = self.nodes[node].locks == 0 && self.nodes[node].device_children == 0;
                let is_copy = self.nodes[node].on_device && self.nodes[node].on_host;
                if spare_leaves && is_copy && is_leaf {
                    continue;
                }
                let host = self.host.as_mut().expect("it was there before");
                host.duplicates.remove(&place);
                if is_copy {
                    host.pool.release(self.nodes[node].tokens);
                    freed += self.nodes[node].tokens;
                    self.nodes[node].on_host = false;
                }
                self.nodes[node].duplicate = None;
            }
        }
        freed
    }

    /// Remembers a node that is on both tiers, in its old place if it was before.
    pub(super) fn note_duplicate(&mut self, node: u32) {
        let Some(host) = &mut self.host else { return };
        let entry = &mut self.nodes[node];
        let is_copy = entry.on_device && entry.on_host;
        if host.policy == WritePolicy::WriteBack && is_copy && entry.duplicate.is_none() {
            entry.duplicate = Some(host.next_duplicate);
            host.duplicates.insert(host.next_duplicate, node);
            host.next_duplicate += 1;
        }
    }

    /// A request brought the KV of a node that was on the host only: it computed it again.
    pub(super) fn take_fresh(&mut self, node: u32) {
        self.raise(node);
        self.note_duplicate(node);
    }

    /// The KV of a node, whose parent has its own there, is on the device from now on.
    fn raise(&mut self, node: u32) {
        let parent = self.nodes[node].parent;
        self.unlist(node);
        self.unlist(parent);
        let entry = &mut self.nodes[node];
        entry.on_device = true;
        if entry.locks > 0 {
            self.protected += entry.tokens;
        } else {
            self.evictable += entry.tokens;
        }
        self.nodes[parent].device_children += 1;
        self.list(node);
    }

    /// See [`PrefixCache::load_back`](crate::PrefixCache::load_back).
    pub(super) fn load_path(&mut self, end: NodeId) -> u64 {
        let (mut path, mut at, mut tokens) = (vec![], self.nodes.resolve(end), 0);
        while !self.nodes[at].on_device {
            path.push(at);
            tokens += self.nodes[at].tokens;
            at = self.nodes[at].parent;
        }
        for node in path.into_iter().rev() {
            self.raise(node);
        }
        if tokens > 0 && self.writes_back() {
            self.host.as_mut().expect("something was there").loading.push(end);
        }
        tokens
    }

    /// See [`PrefixCache::finish_loads`](crate::PrefixCache::finish_loads).
    pub(super) fn note_loaded(&mut self) {
        let Some(host) = &mut self.host else { return };
        let mut loading = std::mem::take(&mut host.loading);
        for end in loading.drain(..) {
            // Whoever asked for it may have let go of it, and it may be gone.
            let mut at = self.nodes.find(end).unwrap_or(ROOT);
            while at != ROOT {
                self.note_duplicate(at);
                at = self.nodes[at].parent;
            }
        }
        self.host.as_mut().expect("it was there before").loading = loading;
    }
}

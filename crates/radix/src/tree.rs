//! SGLang's radix tree: pages, splits, recency, locks, and eviction of whole leaves.

use std::collections::BTreeSet;

use hashbrown::HashTable;
use smallvec::SmallVec;

use crate::arena::Arena;
use crate::element::Span;
use crate::eviction::{Clock, Rank, Usage};
use crate::{
    Backup, Cursor, Element, EvictionPolicy, Inserted, Key, NodeId, PageSize, PrefixCache,
    PrefixMatch,
};

use host::HostTier;

/// SGLang's prefix cache, decision by decision.
///
/// A node holds a run of whole pages. Children are told apart by their first page, so prompts that
/// differ inside their first page share nothing. A node that is matched only partly is split at
/// the page boundary, by lookups too, and the part behind the cut becomes more recent by it: the
/// exact LRU order depends on where nodes were cut. Eviction frees whole leaves.
///
/// A lookup costs one hash table access and one comparison per node on the path, and allocates
/// nothing unless it splits. Leaves that may go are kept in order all the time: eviction of one
/// costs O(log leaves).
///
/// # Source
///
/// SGLang 0.5.23, `mem_cache/unified_radix_cache.py` and `mem_cache/radix_cache.py`.
///
/// # Examples
///
/// ```
/// use sglsim_radix::{EvictionPolicy, Key, PageSize, PrefixCache, Prompt, RadixCache, Span};
///
/// let mut cache = RadixCache::new(PageSize::ONE, EvictionPolicy::Lru);
/// let long = Prompt::new(vec![Span::new(1, 1000)]);
/// let kept = cache.insert(Key::new(&long), 0);
/// cache.lock(kept.node);
/// assert_eq!((cache.evictable_tokens(), cache.protected_tokens()), (0, 1000));
/// assert_eq!(cache.evict(1), 0);
///
/// // A shorter lookup splits the node; the lock now covers both parts.
/// assert_eq!(cache.match_prefix(Key::new(&long).first(300)).tokens, 300);
/// cache.unlock(kept.node);
/// assert_eq!(cache.evict(1), 700); // whole leaves go
/// assert_eq!(cache.evictable_tokens(), 300);
/// ```
#[derive(Clone, Debug)]
pub struct RadixCache<E: Element = Span> {
    page_size: PageSize,
    policy: EvictionPolicy,
    name: String,
    nodes: Arena<Node<E>>,
    /// All nodes but the root, by parent, namespace and first page.
    children: HashTable<u32>,
    /// Exactly the unlocked leaves, in order of eviction. The index only tells equal ranks apart.
    leaves: BTreeSet<(Rank, u32)>,
    clock: Clock,
    evictable: u64,
    protected: u64,
    host: Option<HostTier>,
}

const ROOT: u32 = 0;

#[derive(Clone, Debug)]
struct Node<E> {
    run: SmallVec<[E; 2]>,
    tokens: u64,
    /// Hash of parent, namespace and first page, for `children`.
    hash: u64,
    namespace: u32,
    parent: u32,
    children: u32,
    /// Those of them that are on the device.
    device_children: u32,
    locks: u32,
    usage: Usage,
    /// Where its KV is: on the device, on the host, or on both.
    on_device: bool,
    on_host: bool,
    /// Its place among the copies that the host can do without.
    duplicate: Option<u64>,
}

impl<E: Element> RadixCache<E> {
    /// An empty cache.
    #[must_use]
    pub fn new(page_size: PageSize, policy: EvictionPolicy) -> Self {
        let root = Node {
            run: SmallVec::new(),
            tokens: 0,
            hash: 0,
            namespace: 0,
            parent: ROOT,
            children: 0,
            device_children: 0,
            locks: 0,
            usage: Usage::default(),
            on_device: true,
            on_host: false,
            duplicate: None,
        };
        Self {
            page_size,
            policy,
            name: format!("radix-{policy}"),
            nodes: Arena::new(root),
            children: HashTable::new(),
            leaves: BTreeSet::new(),
            clock: Clock::default(),
            evictable: 0,
            protected: 0,
            host: None,
        }
    }

    /// The order of eviction.
    #[must_use]
    pub fn policy(&self) -> EvictionPolicy {
        self.policy
    }

    /// Number of nodes, the root not counted.
    #[must_use]
    pub fn nodes(&self) -> usize {
        self.nodes.len() - 1
    }

    /// Length of the longest prefix of `key` kept on any tier, floored to pages \[token\], without
    /// leaving a trace: nothing is split, and no recency changes.
    #[must_use]
    pub fn peek(&self, key: Key<'_, E>) -> u64 {
        let mut cursor = key.whole_pages(self.page_size).cursor();
        let (mut at, mut matched) = (ROOT, 0);
        while let Some((child, common)) = self.child(at, &mut cursor, key.namespace()) {
            matched += common;
            if common < self.nodes[child].tokens {
                break;
            }
            at = child;
        }
        matched
    }

    /// The child of `at` that shares at least a page with `cursor`, and how much it shares;
    /// `cursor` goes as far.
    fn child(&self, at: u32, cursor: &mut Cursor<'_, E>, namespace: u32) -> Option<(u32, u64)> {
        let page = u64::from(self.page_size.get());
        if cursor.left() < page {
            return None;
        }
        let hash = cursor.hash_of_next(page, seed(at, namespace));
        let (mut shared, mut behind) = (0, *cursor);
        let found = self.children.find(hash, |&child| {
            let node = &self.nodes[child];
            if node.hash != hash || node.parent != at || node.namespace != namespace {
                return false;
            }
            behind = *cursor;
            shared = Cursor::over(&node.run).common_prefix(&mut behind);
            shared >= page
        });
        let common = self.page_size.floor(shared);
        if let Some(&child) = found {
            if common == shared {
                *cursor = behind;
            } else {
                cursor.skip(common);
            }
            return Some((child, common));
        }
        None
    }

    /// One step down: the child that `cursor` goes on with, split if it goes only partly along.
    fn descend(&mut self, at: u32, cursor: &mut Cursor<'_, E>, namespace: u32) -> Option<u32> {
        let (child, common) = self.child(at, cursor, namespace)?;
        Some(if common < self.nodes[child].tokens { self.split(child, common) } else { child })
    }

    /// Makes what is left of `cursor` a new leaf under `parent`.
    fn add_leaf(
        &mut self,
        parent: u32,
        mut cursor: Cursor<'_, E>,
        key: Key<'_, E>,
        hits: u32,
    ) -> u32 {
        let (tokens, namespace) = (cursor.left(), key.namespace());
        let hash = cursor.hash_of_next(u64::from(self.page_size.get()), seed(parent, namespace));
        let usage = Usage {
            last_access: self.clock.draw(),
            created: self.clock.draw(),
            hits,
            priority: key.priority(),
        };
        let mut run = SmallVec::new();
        cursor.for_each_run(tokens, |part| run.push(part));
        self.unlist(parent);
        self.nodes[parent].children += 1;
        self.nodes[parent].device_children += 1;
        let leaf = self.nodes.insert(Node {
            run,
            tokens,
            hash,
            namespace,
            parent,
            children: 0,
            device_children: 0,
            locks: 0,
            usage,
            on_device: true,
            on_host: false,
            duplicate: None,
        });
        self.adopt(leaf);
        self.list(leaf);
        self.evictable += tokens;
        leaf
    }

    /// Cuts the first `at` tokens of `lower` off into a new node above it, and returns that.
    fn split(&mut self, lower: u32, at: u64) -> u32 {
        self.unlist(lower);
        let old = &self.nodes[lower];
        let mut cursor = Cursor::over(&old.run);
        let (mut front, mut rest) = (SmallVec::new(), SmallVec::new());
        cursor.for_each_run(at, |run| front.push(run));
        cursor.for_each_run(old.tokens - at, |run| rest.push(run));

        let upper = Node {
            run: front,
            tokens: at,
            children: 1,
            device_children: u32::from(old.on_device),
            duplicate: None,
            ..*old
        };
        let (hash, namespace, is_noted) = (old.hash, old.namespace, old.duplicate.is_some());
        let upper = self.nodes.insert(upper);
        *self.children.find_mut(hash, |&child| child == lower).expect("every node is a child") =
            upper;

        let lower_hash = Cursor::over(&rest)
            .hash_of_next(u64::from(self.page_size.get()), seed(upper, namespace));
        let last_access = self.clock.draw();
        let node = &mut self.nodes[lower];
        node.run = rest;
        node.tokens -= at;
        node.hash = lower_hash;
        node.parent = upper;
        node.usage.last_access = last_access;
        self.adopt(lower);
        self.list(lower);
        if is_noted {
            self.note_duplicate(upper);
        }
        upper
    }

    /// Puts `child` into the table of children under its hash.
    fn adopt(&mut self, child: u32) {
        let nodes = &self.nodes;
        self.children.insert_unique(nodes[child].hash, child, |&child| nodes[child].hash);
    }

    /// The order of eviction that `at` belongs to now, if it may be evicted: of the device, or of the
    /// host if its KV is there only.
    fn order_of(&mut self, at: u32) -> Option<(&mut BTreeSet<(Rank, u32)>, Rank)> {
        let node = &self.nodes[at];
        if at == ROOT || node.locks > 0 || node.device_children > 0 {
            return None;
        }
        let rank = self.policy.rank(&node.usage);
        if node.on_device {
            return Some((&mut self.leaves, rank));
        }
        if node.children > 0 {
            return None;
        }
        self.host.as_mut().map(|host| (&mut host.leaves, rank))
    }

    /// Enters `node` in the order of eviction if it may be evicted.
    fn list(&mut self, node: u32) {
        if let Some((order, rank)) = self.order_of(node) {
            order.insert((rank, node));
        }
    }

    /// Takes `node` out of the order of eviction: to be called before its rank changes.
    fn unlist(&mut self, node: u32) {
        if let Some((order, rank)) = self.order_of(node) {
            order.remove(&(rank, node));
        }
    }

    /// Takes `node`, which has no children and is in no order of eviction, out of the tree.
    fn remove(&mut self, node: u32) -> Node<E> {
        self.children
            .find_entry(self.nodes[node].hash, |&child| child == node)
            .expect("every node is a child")
            .remove();
        let gone = self.nodes.remove(node);
        let parent = &mut self.nodes[gone.parent];
        parent.children -= 1;
        parent.device_children -= u32::from(gone.on_device);
        self.list(gone.parent);
        gone
    }

    fn lock_path(&mut self, mut at: u32) {
        while at != ROOT {
            self.unlist(at);
            let node = &mut self.nodes[at];
            if node.locks == 0 && node.on_device {
                self.evictable -= node.tokens;
                self.protected += node.tokens;
            }
            node.locks += 1;
            at = node.parent;
        }
    }

    fn unlock_path(&mut self, mut at: u32) {
        while at != ROOT {
            let node = &mut self.nodes[at];
            node.locks = node.locks.checked_sub(1).expect("a node is unlocked only when locked");
            let (is_free, parent) = (node.locks == 0, node.parent);
            if is_free && node.on_device {
                self.evictable += node.tokens;
                self.protected -= node.tokens;
            }
            if is_free {
                self.list(at);
            }
            at = parent;
        }
    }

    /// Notes a use of `node`.
    fn use_node(&mut self, node: u32, change: impl FnOnce(&mut Usage)) {
        self.unlist(node);
        change(&mut self.nodes[node].usage);
        self.list(node);
    }
}

/// Tells the children of different parents and namespaces apart.
fn seed(parent: u32, namespace: u32) -> u64 {
    u64::from(parent) << 32 | u64::from(namespace)
}

impl<E: Element> PrefixCache<E> for RadixCache<E> {
    fn name(&self) -> &str {
        &self.name
    }

    fn page_size(&self) -> PageSize {
        self.page_size
    }

    fn match_prefix(&mut self, key: Key<'_, E>) -> PrefixMatch {
        let mut cursor = key.whole_pages(self.page_size).cursor();
        let (mut last, all) = (ROOT, cursor.left());
        let (mut on_device, mut tokens) = (ROOT, 0);
        while let Some(child) = self.descend(last, &mut cursor, key.namespace()) {
            last = child;
            if self.nodes[child].on_device {
                (on_device, tokens) = (child, all - cursor.left());
            }
        }
        // SGLang gives each node above a hair less than the one below it. Of the nodes of one path
        // only one is ever a leaf, so that this decides nothing, and one time does for all.
        let (mut node, time) = (last, self.clock.draw());
        while node != ROOT {
            self.use_node(node, |usage| usage.last_access = time);
            node = self.nodes[node].parent;
        }
        PrefixMatch {
            tokens,
            node: self.nodes.id(on_device),
            host_tokens: all - cursor.left() - tokens,
            end: self.nodes.id(last),
        }
    }

    fn insert(&mut self, key: Key<'_, E>, inserted_len: u64) -> Inserted {
        let mut cursor = key.whole_pages(self.page_size).cursor();
        let (mut last, tokens, mut present) = (ROOT, cursor.left(), 0);
        let counts = self.counts_hits();
        while let Some(child) = self.descend(last, &mut cursor, key.namespace()) {
            let time = self.clock.draw();
            let is_new_to_request = tokens - cursor.left() > inserted_len;
            self.use_node(child, |usage| {
                usage.last_access = time;
                usage.hits += u32::from(counts && is_new_to_request);
                usage.priority = usage.priority.max(key.priority());
            });
            if self.nodes[child].on_device {
                present = tokens - cursor.left();
            } else {
                self.take_fresh(child);
            }
            if is_new_to_request {
                self.back_up_if_due(child);
            }
            last = child;
        }
        if cursor.left() > 0 {
            let is_new_to_request = tokens > inserted_len;
            last = self.add_leaf(last, cursor, key, u32::from(counts && is_new_to_request));
            if is_new_to_request {
                self.back_up_if_due(last);
            }
        }
        Inserted { present, tokens, node: self.nodes.id(last) }
    }

    fn lock(&mut self, node: NodeId) {
        let at = self.nodes.resolve(node);
        self.lock_path(at);
    }

    fn unlock(&mut self, node: NodeId) {
        let at = self.nodes.resolve(node);
        self.unlock_path(at);
    }

    fn evict(&mut self, tokens: u64) -> u64 {
        let mut freed = 0;
        while freed < tokens
            && let Some((_, leaf)) = self.leaves.pop_first()
        {
            let leaf_tokens = self.nodes[leaf].tokens;
            freed += leaf_tokens;
            self.evictable -= leaf_tokens;
            if self.keeps_on_host(leaf) {
                self.demote(leaf);
            } else {
                self.remove(leaf);
            }
        }
        freed
    }

    fn load_back(&mut self, end: NodeId) -> u64 {
        self.load_path(end)
    }

    fn finish_loads(&mut self) {
        self.note_loaded();
    }

    fn next_backup(&mut self) -> Option<Backup> {
        self.host.as_mut()?.begun.pop_front()
    }

    fn finish_backup(&mut self, backup: Backup) {
        if !backup.blocking {
            self.unlock(backup.node);
        }
    }

    fn host_usage(&self) -> (u64, u64) {
        self.host.as_ref().map_or((0, 0), |host| (host.pool.in_use(), host.pool.capacity()))
    }

    fn evictable_tokens(&self) -> u64 {
        self.evictable
    }

    fn protected_tokens(&self) -> u64 {
        self.protected
    }

    fn dfs_weight_order(&self, ends: &[NodeId]) -> Vec<usize> {
        self.weigh(ends)
    }
}

mod dfs;
mod host;

pub use host::{LOAD_BACK_THRESHOLD, WritePolicy};

#[cfg(test)]
mod tests;

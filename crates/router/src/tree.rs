//! The router's approximate tree: which prompts were sent to which workers.

use std::cmp::Reverse;
use std::collections::{BTreeMap, BTreeSet};

use hashbrown::HashTable;
use sglsim_radix::{Cursor, Key, Prompt, Span};
use sglsim_units::WorkerId;
use smallvec::SmallVec;

/// A radix tree of prompts whose nodes know the workers ("tenants") that were sent a prompt
/// through them.
///
/// # Source
///
/// sglang-router 0.3.2, `policies/tree.rs`, over tokens where that is over characters. Details that
/// decide something, and are the same here: a node's tenant of choice is the one that made it, as
/// long as it has not been evicted; passing a node does not refresh it, only the end of an inserted
/// prompt is stamped; one match in eight stamps the node that it ends at.
///
/// Where the real tree takes any tenant (a hash order), this one takes the one stamped last, of
/// equals the one that came to the node first.
#[derive(Clone, Debug)]
pub struct TenantTree {
    nodes: Vec<Node>,
    free: Vec<u32>,
    /// All nodes but the root, by parent and first token.
    children: HashTable<u32>,
    sizes: BTreeMap<WorkerId, u64>,
    epoch: u64,
    /// Tenants that came to a node so far.
    came: u64,
}

/// What [`TenantTree::match_prefix`] found.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TenantMatch {
    /// Length of the longest prefix that was sent to anyone \[token\].
    pub tokens: u64,
    /// Whom it was sent to; `None` if the prefix is empty.
    pub tenant: Option<WorkerId>,
}

const ROOT: u32 = 0;

#[derive(Clone, Debug, Default)]
struct Node {
    run: SmallVec<[Span; 2]>,
    tokens: u64,
    hash: u64,
    parent: u32,
    /// Sorted by worker; empty for the root and for slots that are free. A tenant of a node is one
    /// of its parent too.
    tenants: SmallVec<[Tenant; 1]>,
    chosen: Option<WorkerId>,
}

#[derive(Clone, Copy, Debug)]
struct Tenant {
    worker: WorkerId,
    /// Children of the node that have this tenant: at 0 the node is a leaf of the tenant's tree.
    children: u32,
    stamp: u64,
    /// When it came to the node, as a count of all that came.
    came: u64,
}

impl Node {
    fn find(&self, worker: WorkerId) -> Result<usize, usize> {
        self.tenants.binary_search_by_key(&worker, |tenant| tenant.worker)
    }

    fn tenant_mut(&mut self, worker: WorkerId) -> Option<&mut Tenant> {
        self.find(worker).ok().map(|at| &mut self.tenants[at])
    }
}

impl Default for TenantTree {
    fn default() -> Self {
        Self::new()
    }
}

impl TenantTree {
    /// An empty tree.
    #[must_use]
    pub fn new() -> Self {
        Self {
            nodes: vec![Node::default()],
            free: Vec::new(),
            children: HashTable::new(),
            sizes: BTreeMap::new(),
            epoch: 0,
            came: 0,
        }
    }

    /// Tokens that `worker` was sent and that are still remembered \[token\].
    #[must_use]
    pub fn size(&self, worker: WorkerId) -> u64 {
        self.sizes.get(&worker).copied().unwrap_or(0)
    }

    /// Number of nodes, the root not counted.
    #[must_use]
    pub fn nodes(&self) -> usize {
        self.nodes.len() - self.free.len() - 1
    }

    /// The longest prefix of `prompt` that was sent to anyone, and to whom.
    ///
    /// A node that is matched only partly counts.
    pub fn match_prefix(&mut self, prompt: &Prompt) -> TenantMatch {
        let mut cursor = Key::new(prompt).cursor();
        let mut last = ROOT;
        while let Some((child, common)) = self.child(last, cursor) {
            cursor.skip(common);
            last = child;
            if common < self.nodes[child as usize].tokens {
                break;
            }
        }
        let tenant = self.choose_tenant(last);
        let epoch = self.next_epoch();
        if epoch.is_multiple_of(8)
            && let Some(worker) = tenant
            && let Some(entry) = self.nodes[last as usize].tenant_mut(worker)
        {
            entry.stamp = epoch;
        }
        TenantMatch { tokens: prompt.tokens() - cursor.left(), tenant }
    }

    /// Notes that `prompt` was sent to `worker`.
    pub fn insert(&mut self, prompt: &Prompt, worker: WorkerId) {
        let mut cursor = Key::new(prompt).cursor();
        let mut last = ROOT;
        while cursor.left() > 0 {
            let Some((child, common)) = self.child(last, cursor) else {
                self.add_leaf(last, cursor, worker);
                return;
            };
            cursor.skip(common);
            last = if common < self.nodes[child as usize].tokens {
                self.split(child, common)
            } else {
                child
            };
            self.attach(last, worker);
        }
        let stamp = self.next_epoch();
        if let Some(tenant) = self.nodes[last as usize].tenant_mut(worker) {
            tenant.stamp = stamp;
        }
    }

    /// Takes tenants that were sent more than `tokens` tokens off their least recently stamped
    /// leaves, until none has more.
    pub fn evict_above(&mut self, tokens: u64) {
        if self.sizes.values().all(|size| *size <= tokens) {
            return;
        }
        let mut leaves = BTreeSet::new();
        for (node, at) in self.nodes.iter().zip(0_u32..) {
            for tenant in node.tenants.iter().filter(|tenant| tenant.children == 0) {
                if self.size(tenant.worker) > tokens {
                    leaves.insert((tenant.stamp, at, tenant.worker));
                }
            }
        }
        while let Some((_, leaf, worker)) = leaves.pop_first() {
            if self.size(worker) <= tokens {
                continue;
            }
            let parent = self.nodes[leaf as usize].parent;
            self.detach(leaf, worker);
            if let Some(tenant) = self.nodes[parent as usize].tenant_mut(worker)
                && tenant.children == 0
            {
                leaves.insert((tenant.stamp, parent, worker));
            }
        }
    }

    /// Forgets `worker`.
    pub fn remove_tenant(&mut self, worker: WorkerId) {
        self.sizes.remove(&worker);
        for at in 1..self.nodes.len() {
            let node = &mut self.nodes[at];
            if let Ok(position) = node.find(worker) {
                node.tenants.remove(position);
                self.remove_if_empty(at);
            }
        }
    }

    /// The child of `at` that begins with the token at `cursor`, and how far they agree.
    fn child(&self, at: u32, cursor: Cursor<'_, Span>) -> Option<(u32, u64)> {
        cursor.peek()?;
        let hash = cursor.hash_of_next(1, u64::from(at));
        let mut common = 0;
        let found = self.children.find(hash, |&child| {
            let node = &self.nodes[child as usize];
            if node.hash != hash || node.parent != at {
                return false;
            }
            common = Cursor::over(&node.run).common_prefix(&mut cursor.clone());
            common > 0
        });
        found.map(|&child| (child, common))
    }

    /// The tenant that a match ending at `at` is sent to.
    fn choose_tenant(&mut self, at: u32) -> Option<WorkerId> {
        let node = &mut self.nodes[at as usize];
        if node.chosen.is_none_or(|chosen| node.find(chosen).is_err()) {
            let recent = node.tenants.iter().max_by_key(|t| (t.stamp, Reverse(t.came)));
            node.chosen = recent.map(|tenant| tenant.worker);
        }
        node.chosen
    }

    fn next_epoch(&mut self) -> u64 {
        self.epoch += 1;
        self.epoch - 1
    }

    fn next_came(&mut self) -> u64 {
        self.came += 1;
        self.came
    }

    /// Makes what is left of `cursor` a leaf under `parent` that `worker` has.
    fn add_leaf(&mut self, parent: u32, mut cursor: Cursor<'_, Span>, worker: WorkerId) {
        let tokens = cursor.left();
        let hash = cursor.hash_of_next(1, u64::from(parent));
        let (stamp, came) = (self.next_epoch(), self.next_came());
        let mut run = SmallVec::new();
        cursor.for_each_run(tokens, |part| run.push(part));
        let leaf = self.place(Node {
            run,
            tokens,
            hash,
            parent,
            tenants: SmallVec::from_iter([Tenant { worker, children: 0, stamp, came }]),
            chosen: Some(worker),
        });
        self.adopt(leaf);
        self.count_new(leaf, worker);
    }

    /// Makes `worker` a tenant of `at` if it is none yet; its stamp is then that of the unused.
    fn attach(&mut self, at: u32, worker: WorkerId) {
        if let Err(position) = self.nodes[at as usize].find(worker) {
            let tenant = Tenant { worker, children: 0, stamp: 0, came: self.next_came() };
            self.nodes[at as usize].tenants.insert(position, tenant);
            self.count_new(at, worker);
        }
    }

    /// Counts a tenant that `at` did not have before.
    fn count_new(&mut self, at: u32, worker: WorkerId) {
        let Node { tokens, parent, .. } = self.nodes[at as usize];
        *self.sizes.entry(worker).or_default() += tokens;
        if let Some(tenant) = self.nodes[parent as usize].tenant_mut(worker) {
            tenant.children += 1;
        }
    }

    /// Takes `worker` off its leaf `at`.
    fn detach(&mut self, at: u32, worker: WorkerId) {
        let node = &mut self.nodes[at as usize];
        let position = node.find(worker).expect("a leaf of a tenant has that tenant");
        node.tenants.remove(position);
        let (tokens, parent) = (node.tokens, node.parent);
        *self.sizes.get_mut(&worker).expect("every tenant has a size") -= tokens;
        if let Some(tenant) = self.nodes[parent as usize].tenant_mut(worker) {
            tenant.children -= 1;
        }
        self.remove_if_empty(at as usize);
    }

    /// Frees node `at` if nobody has it; nobody has its children then.
    fn remove_if_empty(&mut self, at: usize) {
        if self.nodes[at].tenants.is_empty() {
            let index = u32::try_from(at).expect("nodes are numbered by u32");
            self.children
                .find_entry(self.nodes[at].hash, |&child| child == index)
                .expect("every node is a child")
                .remove();
            self.nodes[at] = Node::default();
            self.free.push(index);
        }
    }

    /// Cuts the first `at` tokens of `lower` off into a new node above it, and returns that.
    fn split(&mut self, lower: u32, at: u64) -> u32 {
        let old = &self.nodes[lower as usize];
        let (hash, rest_tokens) = (old.hash, old.tokens - at);
        let mut cursor = Cursor::over(&old.run);
        let (mut front, mut rest) = (SmallVec::new(), SmallVec::new());
        cursor.for_each_run(at, |part| front.push(part));
        cursor.for_each_run(rest_tokens, |part| rest.push(part));
        let tenants = old.tenants.iter().map(|tenant| Tenant { children: 1, ..*tenant }).collect();
        let upper = self.place(Node {
            run: front,
            tokens: at,
            hash,
            parent: self.nodes[lower as usize].parent,
            tenants,
            chosen: self.nodes[lower as usize].chosen,
        });
        *self.children.find_mut(hash, |&child| child == lower).expect("every node is a child") =
            upper;
        let node = &mut self.nodes[lower as usize];
        node.hash = Cursor::over(&rest).hash_of_next(1, u64::from(upper));
        node.run = rest;
        node.tokens = rest_tokens;
        node.parent = upper;
        self.adopt(lower);
        upper
    }

    fn place(&mut self, node: Node) -> u32 {
        if let Some(index) = self.free.pop() {
            self.nodes[index as usize] = node;
            return index;
        }
        self.nodes.push(node);
        u32::try_from(self.nodes.len() - 1).expect("a tree has fewer than 2^32 nodes")
    }

    /// Puts `child` into the table of children under its hash.
    fn adopt(&mut self, child: u32) {
        let nodes = &self.nodes;
        let hash = |child: u32| nodes[child as usize].hash;
        self.children.insert_unique(hash(child), child, |&child| hash(child));
    }
}

#[cfg(test)]
mod tests;

//! Invariants of the tree's own bookkeeping, after every operation of random sequences.

use std::panic::{AssertUnwindSafe, catch_unwind};

use proptest::prelude::*;

use super::*;
use crate::testing::{Operation, operations};

/// Recomputes from the nodes alone what the tree keeps up to date.
fn check_invariants(cache: &RadixCache) {
    let page = cache.page_size;
    let live: Vec<u32> = cache.children.iter().copied().collect();
    assert_eq!(live.len(), cache.nodes(), "every node is a child, once");
    let (mut evictable, mut protected, mut on_host) = (0, 0, 0);
    let (mut leaves, mut host_leaves) = (BTreeSet::new(), BTreeSet::new());
    let writes_through = cache.host.is_some() && cache.counts_hits();
    for &at in &live {
        let node = &cache.nodes[at];
        let parent = &cache.nodes[node.parent];
        assert!(node.tokens > 0 && page.floor(node.tokens) == node.tokens, "whole pages");
        assert_eq!(node.run.iter().map(|e| u64::from(e.tokens())).sum::<u64>(), node.tokens);
        assert!(node.run.windows(2).all(|pair| pair[0].join(pair[1]).is_none()), "joined");
        let first_page = Cursor::over(&node.run)
            .hash_of_next(u64::from(page.get()), seed(node.parent, node.namespace));
        assert_eq!(node.hash, first_page);
        assert!(node.on_device || node.on_host, "what is nowhere is not in the tree");
        if node.parent != ROOT {
            assert!(parent.locks >= node.locks, "locks cover all ancestors");
            assert!(parent.usage.priority >= node.usage.priority, "priorities fall downwards");
            assert_eq!(parent.namespace, node.namespace);
            assert!(parent.on_device || !node.on_device, "what precedes it is on the device too");
            assert!(parent.on_host || !node.on_host || !writes_through, "heads are copied first");
        }
        let children: Vec<_> =
            live.iter().filter(|&&child| cache.nodes[child].parent == at).collect();
        let on_device = children.iter().filter(|&&&child| cache.nodes[child].on_device).count();
        assert_eq!(children.len(), node.children as usize);
        assert_eq!(on_device, node.device_children as usize);
        on_host += if node.on_host { node.tokens } else { 0 };
        match (node.on_device, node.locks) {
            (true, 0) => evictable += node.tokens,
            (true, _) => protected += node.tokens,
            (false, _) => {}
        }
        let entry = (cache.policy.rank(&node.usage), at);
        if node.on_device && node.locks == 0 && on_device == 0 {
            leaves.insert(entry);
        }
        if !node.on_device && node.locks == 0 && children.is_empty() {
            host_leaves.insert(entry);
        }
    }
    assert_eq!((evictable, protected), (cache.evictable, cache.protected));
    assert_eq!(leaves, cache.leaves, "exactly the unlocked leaves, at their present rank");
    let ranks: BTreeSet<Rank> = leaves.into_iter().map(|(rank, _)| rank).collect();
    assert_eq!(ranks.len(), cache.leaves.len(), "no two leaves tie");
    if let Some(host) = &cache.host {
        assert_eq!(host_leaves, host.leaves, "exactly what the host may evict");
        assert_eq!(on_host, host.pool.in_use(), "what is on the host takes its room, once");
    }
    assert_eq!(on_host, cache.host_usage().0);
}

fn caches() -> impl Strategy<Value = RadixCache> {
    let page_size = prop_oneof![Just(1), Just(4), Just(16)];
    let policy = proptest::sample::select(EvictionPolicy::ALL.to_vec());
    let write = proptest::sample::select(WritePolicy::ALL.to_vec());
    let host = proptest::option::of((prop_oneof![Just(32_u64), Just(96), Just(4096)], write));
    (page_size, policy, host).prop_map(|(page_size, policy, host)| {
        let cache = RadixCache::new(PageSize::new(page_size).unwrap(), policy);
        match host {
            Some((capacity, write)) => cache.with_host_tier(capacity, write),
            None => cache,
        }
    })
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 256, ..ProptestConfig::default() })]

    #[test]
    fn bookkeeping_is_right_after_every_operation(
        mut cache in caches(),
        operations in operations(40),
        acknowledged in proptest::collection::vec(0_usize..3, 40),
    ) {
        let (mut locks, mut backups) = (Vec::new(), Vec::new());
        for (operation, acknowledged) in operations.into_iter().zip(acknowledged) {
            match operation {
                Operation::Match { prompt, tokens, namespace } => {
                    let key = Key::new(&prompt).first(tokens).in_namespace(namespace);
                    let peeked = cache.peek(key);
                    let found = cache.match_prefix(key);
                    prop_assert_eq!(found.tokens + found.host_tokens, peeked);
                }
                Operation::Insert { prompt, inserted_len, namespace, priority } => {
                    let key = Key::new(&prompt).in_namespace(namespace).with_priority(priority);
                    let done = cache.insert(key, inserted_len);
                    prop_assert_eq!(cache.peek(key), done.tokens);
                }
                Operation::Lock { prompt, namespace } => {
                    let key = Key::new(&prompt).in_namespace(namespace);
                    let found = cache.match_prefix(key);
                    cache.lock(found.end);
                    locks.push(found.end);
                    // Some are held without being brought back, as by a request that does not fit.
                    if found.host_tokens % 3 != 0 {
                        prop_assert_eq!(cache.load_back(found.end), found.host_tokens);
                        cache.finish_loads();
                    }
                }
                Operation::Unlock { which } => {
                    if !locks.is_empty() {
                        let which = which % locks.len();
                        cache.unlock(locks.swap_remove(which));
                    }
                }
                Operation::Evict { tokens } => {
                    cache.evict(tokens);
                }
            }
            // Copies take their time: until they are done, what they copy is locked.
            backups.extend(std::iter::from_fn(|| cache.next_backup()));
            for backup in backups.drain(..acknowledged.min(backups.len())) {
                cache.finish_backup(backup);
            }
            check_invariants(&cache);
        }
    }
}

#[test]
fn a_node_that_is_gone_is_not_taken_for_another() {
    let mut cache = RadixCache::<u32>::new(PageSize::ONE, EvictionPolicy::Lru);
    let node = cache.insert(Key::of(&[1, 2]), 0).node;
    cache.evict(1);
    cache.insert(Key::of(&[3, 4]), 0); // takes the free slot
    let locked = catch_unwind(AssertUnwindSafe(|| cache.lock(node)));
    assert!(locked.is_err(), "a node of another generation was locked");
}

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
    let (mut evictable, mut protected, mut leaves) = (0, 0, BTreeSet::new());
    for &at in &live {
        let node = &cache.nodes[at];
        let parent = &cache.nodes[node.parent];
        assert!(node.tokens > 0 && page.floor(node.tokens) == node.tokens, "whole pages");
        assert_eq!(node.run.iter().map(|e| u64::from(e.tokens())).sum::<u64>(), node.tokens);
        assert!(node.run.windows(2).all(|pair| pair[0].join(pair[1]).is_none()), "joined");
        let first_page = Cursor::over(&node.run)
            .hash_of_next(u64::from(page.get()), seed(node.parent, node.namespace));
        assert_eq!(node.hash, first_page);
        if node.parent != ROOT {
            assert!(parent.locks >= node.locks, "locks cover all ancestors");
            assert!(parent.usage.priority >= node.usage.priority, "priorities fall downwards");
            assert_eq!(parent.namespace, node.namespace);
        }
        let children = live.iter().filter(|&&child| cache.nodes[child].parent == at).count();
        assert_eq!(children, node.children as usize);
        if node.locks == 0 {
            evictable += node.tokens;
            if children == 0 {
                leaves.insert((cache.policy.rank(&node.usage), at));
            }
        } else {
            protected += node.tokens;
        }
    }
    assert_eq!((evictable, protected), (cache.evictable, cache.protected));
    assert_eq!(leaves, cache.leaves, "exactly the unlocked leaves, at their present rank");
    let ranks: BTreeSet<Rank> = leaves.into_iter().map(|(rank, _)| rank).collect();
    assert_eq!(ranks.len(), cache.leaves.len(), "no two leaves tie");
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 64, ..ProptestConfig::default() })]

    #[test]
    fn bookkeeping_is_right_after_every_operation(
        page_size in prop_oneof![Just(1), Just(4), Just(16)],
        policy in proptest::sample::select(EvictionPolicy::ALL.to_vec()),
        operations in operations(40),
    ) {
        let page_size = PageSize::new(page_size).unwrap();
        let mut cache = RadixCache::new(page_size, policy);
        let mut locks = Vec::new();
        for operation in operations {
            match operation {
                Operation::Match { prompt, tokens, namespace } => {
                    let key = Key::new(&prompt).first(tokens).in_namespace(namespace);
                    let peeked = cache.peek(key);
                    prop_assert_eq!(cache.match_prefix(key).tokens, peeked);
                }
                Operation::Insert { prompt, inserted_len, namespace, priority } => {
                    let key = Key::new(&prompt).in_namespace(namespace).with_priority(priority);
                    let done = cache.insert(key, inserted_len);
                    prop_assert_eq!(cache.peek(key), done.tokens);
                }
                Operation::Lock { prompt, namespace } => {
                    let key = Key::new(&prompt).in_namespace(namespace);
                    let node = cache.match_prefix(key).node;
                    cache.lock(node);
                    locks.push(node);
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

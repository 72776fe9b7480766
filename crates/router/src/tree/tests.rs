//! The tree's bookkeeping, and the tree against a list of what was sent where.

use std::collections::BTreeSet;

use proptest::prelude::*;
use sglsim_radix::testing::prompts;

use super::*;

/// Recomputes from the nodes alone what the tree keeps up to date.
fn check_invariants(tree: &TenantTree) {
    let live: Vec<u32> = tree.children.iter().copied().collect();
    assert_eq!(live.len(), tree.nodes());
    let mut sizes: BTreeMap<WorkerId, u64> = BTreeMap::new();
    for &at in &live {
        let node = &tree.nodes[at as usize];
        assert!(!node.tenants.is_empty(), "a node has a tenant");
        assert!(node.tenants.windows(2).all(|pair| pair[0].worker < pair[1].worker), "sorted");
        for tenant in &node.tenants {
            *sizes.entry(tenant.worker).or_default() += node.tokens;
            let parent = &tree.nodes[node.parent as usize];
            assert!(node.parent == ROOT || parent.find(tenant.worker).is_ok(), "its parent's too");
            let children = live.iter().filter(|&&child| {
                let child = &tree.nodes[child as usize];
                child.parent == at && child.find(tenant.worker).is_ok()
            });
            assert_eq!(children.count(), tenant.children as usize);
        }
    }
    for (worker, size) in &tree.sizes {
        assert_eq!(sizes.get(worker).copied().unwrap_or(0), *size, "{worker}");
    }
}

/// The token at each position.
fn tokens(prompt: &Prompt) -> Vec<(u64, u32)> {
    let spans = prompt.elements().iter();
    spans
        .flat_map(|span| (span.offset..span.offset + span.len).map(|at| (span.content, at)))
        .collect()
}

fn common(a: &[(u64, u32)], b: &[(u64, u32)]) -> usize {
    a.iter().zip(b).take_while(|(a, b)| a == b).count()
}

#[derive(Clone, Debug)]
enum Step {
    Insert(Prompt, u32),
    Match(Prompt),
    Evict(u64),
    Remove(u32),
}

fn steps() -> impl Strategy<Value = Vec<Step>> {
    proptest::collection::vec(
        prop_oneof![
            6 => (prompts(), 0_u32..4).prop_map(|(prompt, worker)| Step::Insert(prompt, worker)),
            3 => prompts().prop_map(Step::Match),
            2 => (0_u64..150).prop_map(Step::Evict),
            1 => (0_u32..4).prop_map(Step::Remove),
        ],
        0..40,
    )
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 128, ..ProptestConfig::default() })]

    #[test]
    fn bookkeeping_is_right_after_every_step(steps in steps()) {
        let mut tree = TenantTree::new();
        for step in steps {
            match step {
                Step::Insert(prompt, worker) => {
                    tree.insert(&prompt, WorkerId(worker));
                    let found = tree.match_prefix(&prompt);
                    prop_assert_eq!(found.tokens, prompt.tokens());
                }
                Step::Match(prompt) => {
                    let found = tree.match_prefix(&prompt);
                    prop_assert_eq!(found.tenant.is_some(), found.tokens > 0);
                }
                Step::Evict(limit) => {
                    tree.evict_above(limit);
                    prop_assert!(tree.sizes.values().all(|size| *size <= limit));
                }
                Step::Remove(worker) => {
                    tree.remove_tenant(WorkerId(worker));
                    prop_assert_eq!(tree.size(WorkerId(worker)), 0);
                }
            }
            check_invariants(&tree);
        }
    }

    #[test]
    fn without_eviction_the_tree_is_a_list_of_what_was_sent(
        sent in proptest::collection::vec((prompts(), 0_u32..4), 0..20),
        asked in prompts(),
    ) {
        let mut tree = TenantTree::new();
        for (prompt, worker) in &sent {
            tree.insert(prompt, WorkerId(*worker));
        }
        let asked_tokens = tokens(&asked);
        let longest = sent.iter().map(|(prompt, _)| common(&tokens(prompt), &asked_tokens)).max();
        let found = tree.match_prefix(&asked);
        prop_assert_eq!(found.tokens, longest.unwrap_or(0) as u64);
        if let Some(tenant) = found.tenant {
            let is_true = sent.iter().any(|(prompt, worker)| {
                WorkerId(*worker) == tenant
                    && common(&tokens(prompt), &asked_tokens) as u64 == found.tokens
            });
            prop_assert!(is_true, "the tenant was sent the prefix that matched");
        }
        for worker in 0..4 {
            let prefixes: BTreeSet<Vec<(u64, u32)>> = sent
                .iter()
                .filter(|(_, sent_to)| *sent_to == worker)
                .flat_map(|(prompt, _)| {
                    let tokens = tokens(prompt);
                    (1..=tokens.len()).map(move |length| tokens[..length].to_vec())
                })
                .collect();
            prop_assert_eq!(tree.size(WorkerId(worker)), prefixes.len() as u64);
        }
    }
}

fn prompt(spans: &[(u64, u32)]) -> Prompt {
    spans.iter().map(|&(content, len)| Span::new(content, len)).collect()
}

#[test]
fn the_tenant_of_choice_is_the_one_that_made_the_node() {
    let mut tree = TenantTree::new();
    tree.insert(&prompt(&[(1, 10)]), WorkerId(1));
    tree.insert(&prompt(&[(1, 10)]), WorkerId(0));
    let tenant = |tree: &mut TenantTree| tree.match_prefix(&prompt(&[(1, 10)])).tenant;
    assert_eq!(tenant(&mut tree), Some(WorkerId(1)));
    tree.remove_tenant(WorkerId(1));
    assert_eq!(tenant(&mut tree), Some(WorkerId(0)));
}

#[test]
fn the_least_recently_stamped_leaf_goes_first() {
    let mut tree = TenantTree::new();
    let worker = WorkerId(0);
    let (old, new) = (prompt(&[(1, 10), (2, 10)]), prompt(&[(1, 10), (3, 10)]));
    tree.insert(&old, worker);
    tree.insert(&new, worker);
    tree.evict_above(25);
    assert_eq!((tree.match_prefix(&old).tokens, tree.match_prefix(&new).tokens), (10, 20));
    // Sent again, the other one is now the more recent.
    tree.insert(&old, worker);
    tree.evict_above(25);
    assert_eq!((tree.match_prefix(&old).tokens, tree.match_prefix(&new).tokens), (20, 10));
}

#[test]
fn one_match_in_eight_counts_as_use() {
    for (matches, survives) in [(6, false), (7, true)] {
        let mut tree = TenantTree::new();
        tree.insert(&prompt(&[(1, 10)]), WorkerId(0));
        tree.insert(&prompt(&[(2, 10)]), WorkerId(0));
        for _ in 0..matches {
            tree.match_prefix(&prompt(&[(1, 10)]));
        }
        tree.evict_above(10);
        assert_eq!(tree.match_prefix(&prompt(&[(1, 10)])).tokens > 0, survives, "{matches}");
    }
}

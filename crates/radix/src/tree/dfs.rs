//! Depth-first order over the tree, the branches that most requests lie on first.

use std::cmp::Reverse;
use std::collections::BTreeMap;

use super::{ROOT, RadixCache};
use crate::{Element, NodeId};

/// What is known of a node that requests lie on or below.
#[derive(Default)]
struct Branch {
    /// Requests on it or below.
    weight: usize,
    /// Requests that end on it.
    own: Vec<usize>,
    children: Vec<u32>,
}

impl<E: Element> RadixCache<E> {
    /// See [`PrefixCache::dfs_weight_order`](crate::PrefixCache::dfs_weight_order). Visits only the
    /// paths of `ends`: branches without requests add nothing to the order.
    pub(super) fn weigh(&self, ends: &[NodeId]) -> Vec<usize> {
        let mut branches: BTreeMap<u32, Branch> = BTreeMap::new();
        for (request, end) in ends.iter().enumerate() {
            let mut at = self.nodes.resolve(*end);
            let branch = branches.entry(at).or_default();
            branch.own.push(request);
            branch.weight += 1;
            while at != ROOT {
                let parent = self.nodes[at].parent;
                let is_new = branches[&at].weight == 1;
                let above = branches.entry(parent).or_default();
                above.weight += 1;
                if is_new {
                    above.children.push(at);
                }
                at = parent;
            }
        }
        let (mut order, mut stack) = (Vec::with_capacity(ends.len()), vec![(ROOT, false)]);
        while let Some((node, children_done)) = stack.pop() {
            let Some(branch) = branches.get(&node) else { continue };
            if children_done {
                order.extend(&branch.own);
                continue;
            }
            // A child keeps the creation time of the edge that leads to it, so this is their order.
            let mut children = branch.children.clone();
            children.sort_by_key(|child| {
                (Reverse(branches[child].weight), self.nodes[*child].usage.created)
            });
            stack.push((node, true));
            stack.extend(children.into_iter().rev().map(|child| (child, false)));
        }
        order
    }
}

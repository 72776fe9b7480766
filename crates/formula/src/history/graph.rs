//! A run as a max-plus system: instants, what each waited for, and what it took.

use std::ops::Range;

use sglsim_kernels::StepFeatures;
use sglsim_units::TokenCount;

/// Position of an instant in its [`Graph`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct NodeId(u32);

impl NodeId {
    fn index(self) -> usize {
        self.0 as usize
    }
}

/// How long it takes from what an instant waited for to the instant itself.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Take {
    /// So many seconds: nothing, a time to think, or an arrival since the start of the run.
    Fixed(f64),
    /// The step of this number.
    Step(u32),
    /// The transfer of this number.
    Transfer(u32),
}

/// `at = max(waits for) + takes`; an instant that waited for nothing counts from the start.
#[derive(Clone, Debug)]
struct Node {
    waits_for: Range<u32>,
    takes: Take,
}

/// A step: the pool of its worker and what its time was computed from.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Step {
    pub(crate) pool: usize,
    pub(crate) features: StepFeatures,
}

/// A piece of KV that travelled, and how many times as long as alone it took.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Transfer {
    pub(crate) tokens: TokenCount,
    pub(crate) stretch: f64,
}

/// The instants of a run in the order of time, each after what it waited for.
#[derive(Clone, Debug, Default)]
pub(crate) struct Graph {
    nodes: Vec<Node>,
    edges: Vec<NodeId>,
    pub(crate) steps: Vec<Step>,
    pub(crate) transfers: Vec<Transfer>,
}

/// Seconds of each step and of each transfer, by number.
#[derive(Clone, Debug, Default)]
pub(crate) struct Durations {
    pub(crate) steps: Vec<f64>,
    pub(crate) transfers: Vec<f64>,
}

impl Graph {
    /// Adds an instant. The first of equals in `waits_for` is what decided.
    pub(crate) fn push(
        &mut self,
        waits_for: impl IntoIterator<Item = NodeId>,
        takes: Take,
    ) -> NodeId {
        let from = id(self.edges.len());
        self.edges.extend(waits_for);
        self.nodes.push(Node { waits_for: from.0..id(self.edges.len()).0, takes });
        id(self.nodes.len() - 1)
    }

    fn waits_for(&self, node: &Node) -> &[NodeId] {
        &self.edges[node.waits_for.start as usize..node.waits_for.end as usize]
    }

    /// What decided an instant, if the others are at `at`: the first of the latest.
    fn decided_by(&self, node: &Node, at: &[f64]) -> Option<NodeId> {
        let mut candidates = self.waits_for(node).iter().copied();
        let first = candidates.next()?;
        Some(candidates.fold(first, |latest, next| {
            if at[next.index()] > at[latest.index()] { next } else { latest }
        }))
    }

    /// The recursion forward: all instants \[s\] with these durations.
    pub(crate) fn run(&self, durations: &Durations) -> Vec<f64> {
        let mut at: Vec<f64> = Vec::with_capacity(self.nodes.len());
        for node in &self.nodes {
            let begins = self.decided_by(node, &at).map_or(0.0, |latest| at[latest.index()]);
            at.push(begins + durations.of(node.takes));
        }
        at
    }

    /// A weighted sum of instants as a weighted sum of what they are made of, walking back along
    /// what decided: this is its value *and* its derivative by each duration.
    pub(crate) fn walk_back(&self, ends: &[(NodeId, f64)], at: &[f64]) -> Weights {
        let mut weight = vec![0.0; self.nodes.len()];
        for (node, share) in ends {
            weight[node.index()] += share;
        }
        let mut found = Weights {
            constant: 0.0,
            steps: vec![0.0; self.steps.len()],
            transfers: vec![0.0; self.transfers.len()],
        };
        for (node, weight_at) in self.nodes.iter().enumerate().rev() {
            let share = weight[node];
            if share == 0.0 {
                continue;
            }
            match weight_at.takes {
                Take::Fixed(seconds) => found.constant += share * seconds,
                Take::Step(step) => found.steps[step as usize] += share,
                Take::Transfer(transfer) => found.transfers[transfer as usize] += share,
            }
            if let Some(decided) = self.decided_by(weight_at, at) {
                weight[decided.index()] += share;
            }
        }
        found
    }
}

/// A metric as `constant + Σ weight·duration`.
#[derive(Clone, Debug)]
pub(crate) struct Weights {
    pub(crate) constant: f64,
    /// By number of the step.
    pub(crate) steps: Vec<f64>,
    /// By number of the transfer.
    pub(crate) transfers: Vec<f64>,
}

impl Durations {
    fn of(&self, takes: Take) -> f64 {
        match takes {
            Take::Fixed(seconds) => seconds,
            Take::Step(step) => self.steps[step as usize],
            Take::Transfer(transfer) => self.transfers[transfer as usize],
        }
    }
}

/// The instant of a node.
pub(crate) fn instant(at: &[f64], node: NodeId) -> f64 {
    at[node.index()]
}

#[expect(clippy::cast_possible_truncation, reason = "a run with 2^32 instants fits no memory")]
fn id(index: usize) -> NodeId {
    NodeId(index as u32)
}

/// The node of an index that is known to exist.
pub(crate) fn node(index: usize) -> NodeId {
    id(index)
}

#[cfg(test)]
mod tests;

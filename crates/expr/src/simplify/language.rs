//! The e-graph: binary arithmetic over opaque leaves, and the search in it.

use std::fmt;
use std::str::FromStr;
use std::time::Duration;

use egg::{BackoffScheduler, Extractor, RecExpr, Runner, StopReason, define_language};
use sglsim_units::{HashMap, HashSet};

use super::analysis::Analyst;
use super::extract::Cheapest;
use super::{Limits, Stop, rules};
use crate::arena::Arena;
use crate::node::{Id as NodeId, Node};
use crate::number::Number;

define_language! {
    /// Arithmetic of two operands; what is not arithmetic is a leaf.
    pub(super) enum Term {
        Constant(Constant),
        Leaf(Leaf),
        "+" = Add([egg::Id; 2]),
        "*" = Mul([egg::Id; 2]),
        "recip" = Recip(egg::Id),
        "^" = Power([egg::Id; 2]),
        "max" = Max([egg::Id; 2]),
        "min" = Min([egg::Id; 2]),
        "if" = If([egg::Id; 3]),
    }
}

/// A constant, ordered by its text so that nothing depends on addresses.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) struct Constant(pub(super) Number);

impl PartialOrd for Constant {
    fn partial_cmp(&self, other: &Constant) -> Option<std::cmp::Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for Constant {
    fn cmp(&self, other: &Constant) -> std::cmp::Ordering {
        let exact = |c: &Constant| !c.0.is_float();
        self.0.compare(other.0).then(exact(self).cmp(&exact(other)))
    }
}

impl fmt::Display for Constant {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// Integers, for the rules.
impl FromStr for Constant {
    type Err = std::num::ParseIntError;
    fn from_str(text: &str) -> Result<Constant, Self::Err> {
        text.parse::<i64>().map(|n| Constant(Number::from(n)))
    }
}

/// A node of the arena that is not looked into.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(super) struct Leaf(pub(super) NodeId);

impl fmt::Display for Leaf {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "n{}", self.0.0)
    }
}

impl FromStr for Leaf {
    type Err = std::num::ParseIntError;
    fn from_str(text: &str) -> Result<Leaf, Self::Err> {
        text.trim_start_matches('n').parse().map(|id| Leaf(NodeId(id)))
    }
}

/// The best form of every part, or nothing if the run cannot be trusted.
pub(super) struct Search {
    pub(super) stop: Stop,
    pub(super) found: Option<Vec<RecExpr<Term>>>,
}

pub(super) type Graph = egg::EGraph<Term, Analyst>;

/// Saturates an e-graph of `parts`. Where one part uses another, the other is a leaf.
pub(super) fn search(arena: &Arena, parts: &[NodeId], limits: &Limits) -> Search {
    let mut graph = Graph::new(Analyst::over(arena, parts));
    let boundaries: HashSet<NodeId> = parts.iter().copied().collect();
    let roots: Vec<egg::Id> = parts
        .iter()
        .map(|part| Entry { arena, boundaries: &boundaries, graph: &mut graph }.part(*part))
        .collect();
    graph.rebuild();
    let scheduler = BackoffScheduler::default().with_initial_match_limit(1000).with_ban_length(3);
    let runner = Runner::<Term, Analyst>::new(Analyst::default())
        .with_egraph(graph)
        .with_iter_limit(limits.iterations)
        .with_node_limit(limits.nodes)
        .with_time_limit(Duration::MAX)
        .with_scheduler(scheduler)
        .run(&rules::all());
    let stop = match runner.stop_reason {
        Some(StopReason::Saturated) => Stop::Saturated,
        Some(StopReason::NodeLimit(_)) => Stop::Nodes,
        _ => Stop::Iterations,
    };
    if runner.egraph.analysis.contradiction {
        return Search { stop: Stop::Contradiction, found: None };
    }
    let extractor = Extractor::new(&runner.egraph, Cheapest);
    let found = roots.iter().map(|root| extractor.find_best(*root).1).collect();
    Search { stop, found: Some(found) }
}

/// Enters one part into the e-graph.
struct Entry<'a> {
    arena: &'a Arena,
    boundaries: &'a HashSet<NodeId>,
    graph: &'a mut Graph,
}

impl Entry<'_> {
    fn part(&mut self, root: NodeId) -> egg::Id {
        let (arena, boundaries) = (self.arena, self.boundaries);
        let order = arena.reachable_while(&[root], |id| id == root || !boundaries.contains(&id));
        let mut ids: HashMap<NodeId, egg::Id> = HashMap::default();
        for id in order {
            let entered = self.node(id, &ids);
            ids.insert(id, entered);
        }
        ids[&root]
    }

    fn node(&mut self, id: NodeId, ids: &HashMap<NodeId, egg::Id>) -> egg::Id {
        match self.arena.shape(id) {
            Node::Number(n) => self.constant(n),
            Node::Add { constant, terms } => {
                let mut sum = None;
                for (term, c) in terms {
                    let term = self.child(term, ids);
                    let term = self.scaled(term, c);
                    sum = Some(self.joined(sum, term, Term::Add));
                }
                if !constant.is_zero() {
                    let constant = self.constant(constant);
                    sum = Some(self.joined(sum, constant, Term::Add));
                }
                sum.unwrap_or_else(|| self.constant(Number::ZERO))
            }
            Node::Mul { coefficient, factors } => {
                let mut product = None;
                for (base, e) in factors {
                    let base = self.child(base, ids);
                    let power = self.power(base, e);
                    product = Some(self.joined(product, power, Term::Mul));
                }
                let product = product.unwrap_or_else(|| self.constant(Number::ONE));
                self.scaled(product, coefficient)
            }
            Node::Max(arms) => self.fold(&arms, ids, Term::Max),
            Node::Min(arms) => self.fold(&arms, ids, Term::Min),
            Node::Piecewise { arms, otherwise } => {
                let mut value = self.child(otherwise, ids);
                for (guard, arm) in arms.iter().rev() {
                    let (guard, arm) =
                        (self.graph.add(Term::Leaf(Leaf(*guard))), self.child(*arm, ids));
                    value = self.graph.add(Term::If([guard, arm, value]));
                }
                value
            }
            _ => self.graph.add(Term::Leaf(Leaf(id))),
        }
    }

    /// An operand; another part or something not entered is a leaf.
    fn child(&mut self, id: NodeId, ids: &HashMap<NodeId, egg::Id>) -> egg::Id {
        ids.get(&id).copied().unwrap_or_else(|| self.graph.add(Term::Leaf(Leaf(id))))
    }

    fn constant(&mut self, n: Number) -> egg::Id {
        self.graph.add(Term::Constant(Constant(n)))
    }

    fn scaled(&mut self, x: egg::Id, c: Number) -> egg::Id {
        if c.is_one() {
            return x;
        }
        let c = self.constant(c);
        self.graph.add(Term::Mul([c, x]))
    }

    fn power(&mut self, base: egg::Id, e: Number) -> egg::Id {
        if e.is_negative() {
            let power = self.power(base, e.neg());
            return self.graph.add(Term::Recip(power));
        }
        match e.as_small_int() {
            Some(1) => base,
            Some(2) => self.graph.add(Term::Mul([base, base])),
            _ => {
                let e = self.constant(e);
                self.graph.add(Term::Power([base, e]))
            }
        }
    }

    fn fold(
        &mut self,
        list: &[NodeId],
        ids: &HashMap<NodeId, egg::Id>,
        node: fn([egg::Id; 2]) -> Term,
    ) -> egg::Id {
        let first = self.child(list[0], ids);
        list[1..].iter().fold(first, |folded, id| {
            let next = self.child(*id, ids);
            self.graph.add(node([folded, next]))
        })
    }

    fn joined(
        &mut self,
        left: Option<egg::Id>,
        right: egg::Id,
        node: fn([egg::Id; 2]) -> Term,
    ) -> egg::Id {
        left.map_or(right, |left| self.graph.add(node([left, right])))
    }
}

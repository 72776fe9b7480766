//! What is proven about every class of equal terms.

use egg::{Analysis, DidMerge, EGraph};
use sglsim_units::HashMap;

use super::language::{Constant, Term};
use crate::arena::Arena;
use crate::facts::Facts;
use crate::node::Id as NodeId;
use crate::number::Number;

/// Facts about the leaves, and whether two facts ever contradicted each other.
#[derive(Clone, Default)]
pub(super) struct Analyst {
    leaves: HashMap<NodeId, Facts>,
    pub(super) contradiction: bool,
}

/// Facts about a class, and its constant value if it has one.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Known {
    pub(super) facts: Facts,
    pub(super) constant: Option<Number>,
}

impl Analyst {
    pub(super) fn over(arena: &Arena, roots: &[NodeId]) -> Analyst {
        let leaves = arena.reachable(roots).into_iter().map(|id| (id, *arena.facts(id))).collect();
        Analyst { leaves, contradiction: false }
    }

    #[cfg(test)]
    pub(super) fn with_leaves(leaves: HashMap<NodeId, Facts>) -> Analyst {
        Analyst { leaves, contradiction: false }
    }
}

impl Analysis<Term> for Analyst {
    type Data = Known;

    fn make(graph: &mut EGraph<Term, Analyst>, term: &Term, _id: egg::Id) -> Known {
        let known = |id: &egg::Id| graph[*id].data;
        let (facts, constant) = match term {
            Term::Constant(c) => {
                return of_constant(c.0);
            }
            Term::Leaf(leaf) => {
                let facts = graph.analysis.leaves.get(&leaf.0).copied();
                (facts.unwrap_or_else(|| Facts { finite: false, ..Facts::any() }), None)
            }
            Term::Add([a, b]) => {
                let (a, b) = (known(a), known(b));
                (a.facts.add(&b.facts), both(a, b).map(|(x, y)| x.add(y)))
            }
            Term::Mul([a, b]) => {
                let (a, b) = (known(a), known(b));
                (a.facts.mul(&b.facts), both(a, b).map(|(x, y)| x.mul(y)))
            }
            Term::Recip(a) => {
                let a = known(a);
                // A float keeps its division: its reciprocal is rounded.
                let exact = a.constant.filter(|n| !n.is_float() && !n.is_zero());
                (a.facts.recip(), exact.map(Number::recip))
            }
            Term::Power([a, e]) => {
                let (a, e) = (known(a), known(e));
                let facts = match e.constant {
                    Some(e) => a.facts.pow(e.to_f64(), e.as_small_int()),
                    None => Facts { finite: false, ..Facts::any() },
                };
                (facts, None)
            }
            Term::Max([a, b]) => (known(a).facts.max(&known(b).facts), None),
            Term::Min([a, b]) => (known(a).facts.min(&known(b).facts), None),
            Term::If([p, a, b]) => {
                let hull = known(a).facts.hull(&known(b).facts);
                (Facts { finite: hull.finite && known(p).facts.finite, ..hull }, None)
            }
        };
        match constant.filter(|n| n.is_finite()) {
            Some(n) if facts.finite => of_constant(n),
            _ => Known { facts, constant: None },
        }
    }

    fn merge(&mut self, kept: &mut Known, other: Known) -> DidMerge {
        let merged = match self.intersect(kept, &other) {
            Some(merged) => merged,
            None => {
                self.contradiction = true;
                *kept
            }
        };
        let changed = DidMerge(merged != *kept, merged != other);
        *kept = merged;
        changed
    }

    fn modify(graph: &mut EGraph<Term, Analyst>, id: egg::Id) {
        if let Some(n) = graph[id].data.constant {
            let constant = graph.add(Term::Constant(Constant(n)));
            graph.union(id, constant);
        }
    }
}

impl Analyst {
    /// What holds if both hold; nothing if both cannot.
    fn intersect(&self, a: &Known, b: &Known) -> Option<Known> {
        let constant = match (a.constant, b.constant) {
            (Some(x), Some(y)) if !close(x.to_f64(), y.to_f64()) => return None,
            // Two forms of one number: the exact one, else the first.
            (Some(x), Some(y)) => Some(if x.is_float() && !y.is_float() { y } else { x }),
            (x, y) => x.or(y),
        };
        let (lo, hi) = (a.facts.lo.max(b.facts.lo), a.facts.hi.min(b.facts.hi));
        if lo > hi && !close(lo, hi) {
            return None;
        }
        let facts = Facts {
            lo: lo.min(hi),
            hi: lo.max(hi),
            integer: a.facts.integer || b.facts.integer,
            nonzero: a.facts.nonzero || b.facts.nonzero,
            // Forms of one value may be defined on different sets; only what both are counts.
            finite: a.facts.finite && b.facts.finite,
            ..a.facts
        };
        Some(Known { facts, constant })
    }
}

fn of_constant(n: Number) -> Known {
    let value = n.to_f64();
    let facts = Facts::constant(value, n.is_integer());
    let facts = Facts { lo: value.next_down(), hi: value.next_up(), ..facts };
    Known { facts: facts.settled(), constant: Some(n) }
}

fn both(a: Known, b: Known) -> Option<(Number, Number)> {
    a.constant.zip(b.constant)
}

/// Equal up to the rounding of a few operations.
fn close(a: f64, b: f64) -> bool {
    (a - b).abs() <= 1e-12 * a.abs().max(b.abs())
}

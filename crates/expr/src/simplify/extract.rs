//! From the e-graph back to the arena.

use egg::{CostFunction, Id as TermId, Language, RecExpr};
use sglsim_units::HashMap;

use super::language::Term;
use crate::arena::Arena;
use crate::build::Lattice;
use crate::node::Id;
use crate::number::Number;

/// The cost of a term as a tree, in tenths of an addition. Size breaks ties.
pub(super) struct Cheapest;

impl CostFunction<Term> for Cheapest {
    /// Cost, then number of terms.
    type Cost = (u64, u64);

    fn cost<C>(&mut self, term: &Term, mut costs: C) -> (u64, u64)
    where
        C: FnMut(TermId) -> (u64, u64),
    {
        let own = match term {
            Term::Constant(_) => 1,
            Term::Leaf(_) => 2,
            Term::Add(_) | Term::Mul(_) | Term::Max(_) | Term::Min(_) | Term::If(_) => 10,
            Term::Recip(_) => 30,
            Term::Power(_) => 60,
        };
        term.fold((own, 1), |(cost, size): (u64, u64), child| {
            let (more, terms) = costs(child);
            (cost.saturating_add(more), size.saturating_add(terms))
        })
    }
}

/// Builds a term in the arena, with some leaves replaced.
pub(super) fn build(arena: &mut Arena, recipe: &RecExpr<Term>, replaced: &HashMap<Id, Id>) -> Id {
    let mut ids: Vec<Id> = Vec::with_capacity(recipe.len());
    for term in recipe {
        let at = |id: &TermId| ids[usize::from(*id)];
        let one = Number::ONE;
        let new = match term {
            Term::Constant(c) => arena.make_number("simplify", c.0),
            // A leaf may contain parts that have changed themselves.
            Term::Leaf(leaf) => arena.rebuild(&[leaf.0], replaced)[0],
            Term::Add([a, b]) => arena.add(Number::ZERO, &[(at(a), one), (at(b), one)]),
            Term::Mul([a, b]) => arena.mul(one, &[(at(a), one), (at(b), one)]),
            Term::Recip(a) => arena.mul(one, &[(at(a), Number::MINUS_ONE)]),
            Term::Power([a, e]) => arena.power(at(a), at(e)),
            Term::Max([a, b]) => arena.lattice(Lattice::Max, &[at(a), at(b)]),
            Term::Min([a, b]) => arena.lattice(Lattice::Min, &[at(a), at(b)]),
            Term::If([p, a, b]) => arena.piecewise(&[(at(p), at(a))], at(b)),
        };
        ids.push(new);
    }
    *ids.last().expect("an extracted term has a root")
}

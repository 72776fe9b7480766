//! Which side of a part matters.
//!
//! If the solver only ever gains by making a part small, it is enough that the part is not below
//! its true value: a maximum is then bounded by its arms from below, without binaries.

use sglsim_units::HashMap;

use crate::arena::Arena;
use crate::node::{Id, Node};

/// What must be kept of a part's value.
#[derive(Clone, Copy, PartialEq, Eq, Default)]
pub(super) struct Polarity {
    /// It may not be too small.
    pub(super) below: bool,
    /// It may not be too large.
    pub(super) above: bool,
}

impl Polarity {
    pub(super) const BELOW: Polarity = Polarity { below: true, above: false };
    pub(super) const ABOVE: Polarity = Polarity { below: false, above: true };
    pub(super) const BOTH: Polarity = Polarity { below: true, above: true };

    fn flipped(self) -> Polarity {
        Polarity { below: self.above, above: self.below }
    }

    fn join(self, other: Polarity) -> Polarity {
        Polarity { below: self.below || other.below, above: self.above || other.above }
    }
}

impl Arena {
    /// The polarity of everything the objective and the conditions are made of.
    pub(super) fn polarities(
        &self,
        (objective, wanted): (Id, Polarity),
        conditions: &[Id],
    ) -> HashMap<Id, Polarity> {
        let mut found: HashMap<Id, Polarity> = HashMap::default();
        let mut roots = vec![objective];
        roots.extend(conditions);
        for condition in conditions {
            self.required(*condition, &mut found);
        }
        note(&mut found, objective, wanted);
        for id in self.reachable(&roots).into_iter().rev() {
            if let Some(polarity) = found.get(&id).copied() {
                self.pass_down(id, polarity, &mut found);
            }
        }
        found
    }

    /// `a ≤ b` that must hold: `a` may not be too small, `b` not too large.
    fn required(&self, condition: Id, found: &mut HashMap<Id, Polarity>) {
        match self.node(condition) {
            Node::And(list) => list.iter().for_each(|id| self.required(*id, found)),
            Node::Le(a, b) | Node::Lt(a, b) => {
                note(found, *a, Polarity::BELOW);
                note(found, *b, Polarity::ABOVE);
            }
            _ => note(found, condition, Polarity::BOTH),
        }
    }

    fn pass_down(&self, id: Id, polarity: Polarity, found: &mut HashMap<Id, Polarity>) {
        let node = self.shape(id);
        match &node {
            Node::Add { terms, .. } => {
                for (term, c) in terms {
                    let flip = c.is_negative();
                    note(found, *term, if flip { polarity.flipped() } else { polarity });
                }
            }
            Node::Mul { coefficient, factors } => {
                let positive = |id: &Id| self.facts(*id).non_negative();
                let single = factors.len() == 1 && factors[0].1.is_one();
                let rises = single || factors.iter().all(|(base, _)| positive(base));
                for (base, e) in factors {
                    let flip = coefficient.is_negative() != e.is_negative();
                    let passed = if flip { polarity.flipped() } else { polarity };
                    note(found, *base, if rises { passed } else { Polarity::BOTH });
                }
            }
            Node::Exp(a) | Node::Ln(a) | Node::Ceil(a) | Node::Floor(a) => {
                note(found, *a, polarity);
            }
            Node::Assume { value, .. } => note(found, *value, polarity),
            Node::Max(list) | Node::Min(list) => {
                list.iter().for_each(|arm| note(found, *arm, polarity));
            }
            Node::Piecewise { arms, otherwise } => {
                for (guard, value) in arms {
                    note(found, *guard, Polarity::BOTH);
                    note(found, *value, polarity);
                }
                note(found, *otherwise, polarity);
            }
            Node::MinOf(choices) => {
                for choice in choices {
                    note(found, choice.guard, Polarity::BOTH);
                    note(found, choice.value, polarity);
                }
            }
            _ => node.for_each_child(|child| note(found, child, Polarity::BOTH)),
        }
    }
}

fn note(found: &mut HashMap<Id, Polarity>, id: Id, polarity: Polarity) {
    let known = found.entry(id).or_default();
    *known = known.join(polarity);
}

//! What the domains decide: comparisons, dominated arms, constant steps.

use sglsim_units::HashMap;
use smallvec::SmallVec;

use crate::arena::Arena;
use crate::node::{Id, Node};
use crate::number::Number;

impl Arena {
    /// Rebuilds a node without what can never matter while all symbols are inside their domains.
    pub(crate) fn prune(&mut self, root: Id) -> Id {
        let mut done: HashMap<Id, Id> = HashMap::default();
        for id in self.reachable(&[root]) {
            let shape = self.shape(id).map(|child| done[&child], |number| *number);
            let new = match self.decide(&shape) {
                Some(decided) => decided,
                None => self.build(shape),
            };
            self.inherit(new, id);
            done.insert(id, new);
        }
        done[&root]
    }

    fn decide(&mut self, shape: &Node<Number>) -> Option<Id> {
        match shape {
            Node::Le(a, b) | Node::Lt(a, b) => {
                let strict = matches!(shape, Node::Lt(..));
                let (a, b) = (*self.facts(*a), *self.facts(*b));
                if !(a.finite && b.finite) {
                    return None;
                }
                let holds = if strict { a.hi < b.lo } else { a.hi <= b.lo };
                let fails = if strict { a.lo >= b.hi } else { a.lo > b.hi };
                (holds || fails).then(|| self.truth(holds))
            }
            Node::Eq(a, b) => {
                let (a, b) = (*self.facts(*a), *self.facts(*b));
                let apart = a.finite && b.finite && (a.hi < b.lo || b.hi < a.lo);
                apart.then(|| self.truth(false))
            }
            Node::Max(arms) => self.undominated(arms, true),
            Node::Min(arms) => self.undominated(arms, false),
            Node::MinOf(choices) => {
                let kept = self.undominated_choices(choices)?;
                Some(self.min_of(&kept))
            }
            Node::Ceil(a) | Node::Floor(a) => {
                let facts = self.facts(*a);
                let round = if matches!(shape, Node::Ceil(_)) { f64::ceil } else { f64::floor };
                let (lo, hi) = (round(facts.lo), round(facts.hi));
                let same = facts.finite && lo == hi && lo.abs() < 9e15;
                same.then(|| self.make_number("simplify", Number::from(lo as i64)))
            }
            _ => None,
        }
    }

    /// The extremum without arms that another arm always reaches.
    fn undominated(&mut self, arms: &[Id], maximum: bool) -> Option<Id> {
        let reaches = |a: Id, b: Id| {
            let (a, b) = (self.facts(a), self.facts(b));
            let further = if maximum { a.lo >= b.hi } else { a.hi <= b.lo };
            further && a.finite && b.finite
        };
        let mut kept: SmallVec<[Id; 8]> = SmallVec::new();
        for (at, arm) in arms.iter().enumerate() {
            // Of two that reach each other, which are equal constants, the first stays.
            let dominated = arms.iter().enumerate().any(|(other, by)| {
                other != at && reaches(*by, *arm) && (other < at || !reaches(*arm, *by))
            });
            if !dominated {
                kept.push(*arm);
            }
        }
        if kept.len() == arms.len() {
            return None;
        }
        let kind = if maximum { crate::build::Lattice::Max } else { crate::build::Lattice::Min };
        Some(self.lattice(kind, &kept))
    }
}

//! Maxima and minima of any number of arms.

use smallvec::SmallVec;

use crate::arena::Arena;
use crate::node::{Id, Node};
use crate::number::Number;

/// Which extremum.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Lattice {
    Max,
    Min,
}

type Arms = SmallVec<[Id; 8]>;

impl Lattice {
    fn arms<N>(self, node: &Node<N>) -> Option<&[Id]> {
        match (self, node) {
            (Lattice::Max, Node::Max(arms)) | (Lattice::Min, Node::Min(arms)) => Some(arms),
            _ => None,
        }
    }

    pub(crate) fn dual(self) -> Lattice {
        match self {
            Lattice::Max => Lattice::Min,
            Lattice::Min => Lattice::Max,
        }
    }

    pub(crate) fn name(self) -> &'static str {
        match self {
            Lattice::Max => "max",
            Lattice::Min => "min",
        }
    }

    fn pick(self, a: Number, b: Number) -> Number {
        let first = match self {
            Lattice::Max => a.compare(b).is_ge(),
            Lattice::Min => a.compare(b).is_le(),
        };
        if first { a } else { b }
    }
}

impl Arena {
    /// The extremum of `operands`.
    pub(crate) fn lattice(&mut self, kind: Lattice, operands: &[Id]) -> Id {
        if let Some(bad) = self.refuse(kind.name(), false, operands) {
            return bad;
        }
        let mut constant: Option<Number> = None;
        let mut arms = Arms::new();
        for id in operands {
            match kind.arms(self.node(*id)) {
                Some(inner) if self.flattens(*id, inner.len()) => arms.extend_from_slice(inner),
                _ => arms.push(*id),
            }
        }
        arms.retain(|id| match self.constant(*id) {
            Some(n) => {
                constant = Some(constant.map_or(n, |c| kind.pick(c, n)));
                false
            }
            None => true,
        });
        if let Some(n) = constant {
            arms.push(self.make_number(kind.name(), n));
        }
        arms.sort_unstable();
        arms.dedup();
        self.absorb(kind, &mut arms);
        match arms.as_slice() {
            [only] => *only,
            _ => {
                let arms = arms.as_slice().into();
                self.intern(&match kind {
                    Lattice::Max => Node::Max(arms),
                    Lattice::Min => Node::Min(arms),
                })
            }
        }
    }

    /// `max(a, min(a, b))` is `a`.
    fn absorb(&self, kind: Lattice, arms: &mut Arms) {
        let all = arms.clone();
        arms.retain(|id| {
            let inner = kind.dual().arms(self.node(*id));
            let absorbed = inner.is_some_and(|inner| inner.iter().any(|arm| all.contains(arm)));
            !(absorbed && self.facts(*id).finite)
        });
    }
}

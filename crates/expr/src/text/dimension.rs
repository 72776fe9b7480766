//! Which parts of an expression need `[?]` to be read back.
//!
//! Once numbers stand where symbols with a unit were, and in closed forms of sums, dimensions do not
//! add up any more: `rate · t` with a rate of 5 per second is `5 · t`, and no count. The reader would
//! refuse what is no mistake.

use sglsim_units::{HashMap, HashSet};

use crate::arena::Arena;
use crate::build::Known;
use crate::dimension::Dimension;
use crate::node::{Id, Node};
use crate::number::Number;

impl Arena {
    /// Parts, children first, that do not fit where they are used.
    pub(super) fn misfits(&self, order: &[Id]) -> HashSet<Id> {
        let mut found =
            Inference { arena: self, known: HashMap::default(), misfits: HashSet::default() };
        for id in order {
            let known = found.infer(*id);
            let known = found.declared(*id, known);
            found.known.insert(*id, known);
        }
        found.misfits
    }
}

struct Inference<'a> {
    arena: &'a Arena,
    /// What a reader knows about each part.
    known: HashMap<Id, Known>,
    misfits: HashSet<Id>,
}

impl Inference<'_> {
    fn infer(&mut self, id: Id) -> Known {
        let same = |ids: &[Id]| ids.iter().map(|id| (*id, Number::ONE)).collect::<Vec<_>>();
        match self.arena.shape(id) {
            Node::Number(_) => Known::Any,
            Node::Symbol(_) | Node::Index(_) => self.arena.known(id),
            Node::Add { terms, .. } => self.common(&terms),
            Node::Mul { coefficient, factors } => {
                let factors = factors.iter().map(|(base, exponent)| {
                    let constant = self.arena.constant(*base).map(|n| n.pow(*exponent));
                    (self.known[base].power(exponent.to_f64()), constant)
                });
                Known::product([(Known::Any, Some(coefficient))].into_iter().chain(factors))
            }
            Node::Pow(a, b) => self.pure(&[a, b]),
            Node::Exp(a) | Node::Ln(a) => self.pure(&[a]),
            Node::Max(list) | Node::Min(list) => self.common(&same(&list)),
            Node::Ceil(a) | Node::Floor(a) | Node::Assume { value: a, .. } => self.known[&a],
            Node::Le(a, b) | Node::Lt(a, b) | Node::Eq(a, b) => {
                self.common(&same(&[a, b]));
                Known::Unset
            }
            Node::Piecewise { arms, otherwise } => {
                let values: Vec<Id> = arms.iter().map(|(_, value)| *value).collect();
                self.common(&same(&[values.as_slice(), &[otherwise]].concat()))
            }
            Node::MinOf(choices) => {
                let values: Vec<Id> = choices.iter().map(|choice| choice.value).collect();
                self.common(&same(&values))
            }
            Node::Sum { body, .. } => self.known[&body],
            Node::FixedPoint { lo, hi, body, .. } => self.common(&same(&[lo, hi, body])),
            Node::Bool(_)
            | Node::Invalid(_)
            | Node::And(_)
            | Node::Or(_)
            | Node::Not(_)
            | Node::Table { .. } => Known::Unset,
        }
    }

    /// What operands, each with a coefficient, share; those that do not fit are noted.
    fn common(&mut self, operands: &[(Id, Number)]) -> Known {
        let mut common = Known::Any;
        for (id, coefficient) in operands {
            let scaled = [(Known::Any, Some(*coefficient)), (self.known[id], None)];
            match common.meet(Known::product(scaled)) {
                Some(met) => common = met,
                None => {
                    self.misfits.insert(*id);
                }
            }
        }
        common
    }

    fn pure(&mut self, operands: &[Id]) -> Known {
        let pure = Known::Exact(Dimension::PURE);
        for id in operands {
            if self.known[id].meet(pure).is_none() {
                self.misfits.insert(*id);
            }
        }
        let exact = operands.iter().all(|id| matches!(self.known[id], Known::Exact(_)));
        if exact { pure } else { Known::Loose(Dimension::PURE) }
    }

    /// After the unit of a name was checked.
    fn declared(&mut self, id: Id, known: Known) -> Known {
        let Some(label) = self.arena.label(id).filter(|label| !label.unit.is_empty()) else {
            return known;
        };
        let Ok(unit) = label.unit.parse::<Dimension>() else { return known };
        match known {
            Known::Any => known,
            _ if known.meet(Known::Exact(unit)).is_some() => Known::Exact(unit),
            _ => {
                self.misfits.insert(id);
                Known::Any
            }
        }
    }
}

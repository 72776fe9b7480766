//! The dimension check: seconds are not added to bytes.
//!
//! It is made once, where a user's operator meets its operands, and never inside the constructor:
//! binding a symbol to a number takes its unit away, and rewriting regroups products.
//!
//! * A number adapts to what it is added to or compared with: `max(t, 2e-6)`, `n ≥ 1`.
//! * A number that multiplies may stand for bytes or FLOP (`2 · m · n · k`, two per weight), so a
//!   product with one is *loose*: only its power of time is compared.
//! * Naming an expression settles its dimension.

use smallvec::SmallVec;

use crate::arena::Arena;
use crate::dimension::Dimension;
use crate::node::{Id, Node};
use crate::{ExprError, Number};

/// What is known about a node's dimension.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Known {
    /// Nothing yet.
    Unset,
    /// It fits everywhere: a number, or a node that stands for values of several dimensions.
    Any,
    /// As said, but for bytes and FLOP that a number may stand for.
    Loose(Dimension),
    Exact(Dimension),
}

impl Known {
    pub(crate) fn dimension(self) -> Option<Dimension> {
        match self {
            Known::Unset | Known::Any => None,
            Known::Loose(dimension) | Known::Exact(dimension) => Some(dimension),
        }
    }

    fn map(self, change: impl Fn(Dimension) -> Option<Dimension>) -> Known {
        match self {
            Known::Loose(dimension) => change(dimension).map_or(Known::Any, Known::Loose),
            Known::Exact(dimension) => change(dimension).map_or(Known::Any, Known::Exact),
            other => other,
        }
    }

    fn times(self, other: Known) -> Known {
        match (self, other) {
            (Known::Exact(a), Known::Exact(b)) => Known::Exact(a.times(b)),
            (a, b) => match (a.dimension(), b.dimension()) {
                (Some(a), Some(b)) => Known::Loose(a.times(b)),
                _ => Known::Any,
            },
        }
    }

    fn loosened(self) -> Known {
        self.dimension().map_or(self, Known::Loose)
    }

    /// The dimension of a constant power.
    pub(crate) fn power(self, exponent: f64) -> Known {
        self.map(|dimension| dimension.power(exponent))
    }

    /// The dimension of a product, of factors that may be constants.
    pub(crate) fn product(factors: impl IntoIterator<Item = (Known, Option<Number>)>) -> Known {
        let exact_one = |n: Number| n.is_minus_one() || n.is_one() && !n.is_float();
        let first = (Known::Any, Some(Number::ONE));
        let product = |(left, a): (Known, Option<Number>), (right, b)| match (a, b) {
            (Some(a), Some(b)) => (Known::Any, Some(a.mul(b))),
            (Some(n), None) if exact_one(n) => (right, None),
            (Some(_), None) => (right.loosened(), None),
            (None, Some(n)) if exact_one(n) => (left, None),
            (None, Some(_)) => (left.loosened(), None),
            (None, None) => (left.times(right), None),
        };
        factors.into_iter().fold(first, product).0
    }

    /// What both can be at once: the more exact one.
    pub(crate) fn meet(self, other: Known) -> Option<Known> {
        match (self, other) {
            (Known::Unset | Known::Any, known) | (known, Known::Unset | Known::Any) => Some(known),
            (Known::Exact(a), Known::Exact(b)) => (a == b).then_some(self),
            (Known::Loose(a), Known::Exact(b)) => a.same_time(b).then_some(other),
            (Known::Exact(a) | Known::Loose(a), Known::Loose(b)) => a.same_time(b).then_some(self),
        }
    }

    /// What one node is that was reached in two ways.
    fn join(self, other: Known) -> Known {
        match (self, other) {
            (Known::Unset, known) | (known, Known::Unset) => known,
            (a, b) if a == b => a,
            (a, b) => match (a.dimension(), b.dimension()) {
                (Some(a), Some(b)) if a.same_time(b) => Known::Loose(b),
                _ => Known::Any,
            },
        }
    }
}

impl Arena {
    /// Builds `operation` on operands that must have one dimension, which the result has too.
    pub(crate) fn alike(
        &mut self,
        operation: &'static str,
        operands: &[Id],
        build: impl FnOnce(&mut Arena) -> Id,
    ) -> Id {
        match self.common(operation, operands) {
            Ok(known) => {
                let id = build(self);
                self.note(id, known)
            }
            Err(error) => self.invalid(error),
        }
    }

    /// The dimension that all operands share.
    pub(crate) fn common(
        &self,
        operation: &'static str,
        operands: &[Id],
    ) -> Result<Known, ExprError> {
        let knowns: SmallVec<[(Id, Known); 8]> =
            operands.iter().map(|id| (*id, self.known(*id))).collect();
        self.common_known(operation, &knowns)
    }

    /// The dimension that operands of these dimensions share.
    pub(crate) fn common_known(
        &self,
        operation: &'static str,
        operands: &[(Id, Known)],
    ) -> Result<Known, ExprError> {
        let mut common = Known::Any;
        let mut first = None;
        for (id, known) in operands {
            let known = *known;
            common = common.meet(known).ok_or_else(|| {
                let first = first.unwrap_or(*id);
                let dimension =
                    |known: Known| known.dimension().expect("only known ones can disagree");
                ExprError::Dimension {
                    operation,
                    left: self.text(first, 80),
                    left_dimension: dimension(common),
                    right: self.text(*id, 80),
                    right_dimension: dimension(known),
                }
            })?;
            if first.is_none() && known.dimension().is_some() {
                first = Some(*id);
            }
        }
        Ok(common)
    }

    /// Builds `operation` on operands that must be pure numbers, as its result is.
    pub(crate) fn pure(
        &mut self,
        operation: &'static str,
        operands: &[Id],
        build: impl FnOnce(&mut Arena) -> Id,
    ) -> Id {
        let knowns: SmallVec<[(Id, Known); 8]> =
            operands.iter().map(|id| (*id, self.known(*id))).collect();
        self.pure_known(operation, &knowns, build)
    }

    /// As [`Arena::pure`], on operands of these dimensions.
    pub(crate) fn pure_known(
        &mut self,
        operation: &'static str,
        operands: &[(Id, Known)],
        build: impl FnOnce(&mut Arena) -> Id,
    ) -> Id {
        for (id, known) in operands {
            let known = match *known {
                Known::Loose(dimension) => Known::Loose(dimension.time()),
                known => known,
            };
            if let Some(found) = known.dimension().filter(|d| *d != Dimension::PURE) {
                let error =
                    ExprError::NotPure { operation, operand: self.text(*id, 80), dimension: found };
                return self.invalid(error);
            }
        }
        let loose = operands.iter().any(|(_, known)| !matches!(known, Known::Exact(_)));
        let id = build(self);
        self.note(id, if loose { Known::Loose } else { Known::Exact }(Dimension::PURE))
    }

    /// `a · b ^ exponent`.
    pub(crate) fn checked_product(&mut self, a: Id, b: Id, exponent: Number) -> Id {
        let power = self.known(b).power(exponent.to_f64());
        let known = Known::product([(self.known(a), self.constant(a)), (power, self.constant(b))]);
        let id = self.mul(Number::ONE, &[(a, Number::ONE), (b, exponent)]);
        self.note(id, known)
    }

    /// `a ^ b`.
    pub(crate) fn checked_power(&mut self, a: Id, b: Id) -> Id {
        match self.constant(b) {
            Some(exponent) => {
                let known = self.known(a).power(exponent.to_f64());
                let id = self.power(a, b);
                self.note(id, known)
            }
            None => self.pure("^", &[a, b], |arena| arena.power(a, b)),
        }
    }

    /// Checks a declared unit against a node; `""` says nothing.
    pub(crate) fn settle(&mut self, id: Id, unit: &str) -> Result<(), ExprError> {
        if unit.is_empty() || self.error(id).is_some() {
            return Ok(());
        }
        let declared: Dimension = unit.parse()?;
        let known = self.known(id);
        if known.meet(Known::Exact(declared)).is_none() {
            let found = known.dimension().expect("only known ones can disagree");
            return Err(ExprError::DeclaredUnit {
                operand: self.text(id, 80),
                unit: unit.to_owned(),
                dimension: found,
            });
        }
        if !matches!(self.node(id), Node::Number(_) | Node::Symbol(_)) && known != Known::Any {
            self.set_known(id, Known::Exact(declared));
        }
        Ok(())
    }

    /// Adds what was found out about a node.
    pub(crate) fn note(&mut self, id: Id, known: Known) -> Id {
        let atom = matches!(self.node(id), Node::Number(_) | Node::Bool(_) | Node::Invalid(_));
        if !atom {
            let joined = self.known(id).join(known);
            self.set_known(id, joined);
        }
        id
    }
}

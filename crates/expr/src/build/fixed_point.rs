//! The unique solution of `x = f(x)`.

use crate::ExprError;
use crate::arena::Arena;
use crate::node::{Id, Node};
use crate::number::Number;

impl Arena {
    /// [`Arena::fixed_point`] with the unknown as an expression.
    pub(crate) fn fixed_point_of(&mut self, unknown: Id, lo: Id, hi: Id, body: Id) -> Id {
        match *self.node(unknown) {
            Node::Index(at) if self.is_unknown(at) => self.fixed_point(at, lo, hi, body),
            Node::Invalid(_) => unknown,
            _ => {
                let operand = self.text(unknown, 80);
                self.invalid(ExprError::NotAnUnknown { operand })
            }
        }
    }

    /// The `index` in `lo ..= hi` that equals `body`.
    pub(crate) fn fixed_point(&mut self, index: u32, lo: Id, hi: Id, body: Id) -> Id {
        if let Some(bad) = self.refuse("fixed point", false, &[lo, hi, body]) {
            return bad;
        }
        if let Some(error) = self.binds_again(index, body) {
            return self.invalid(error);
        }
        if let (Some(a), Some(b)) = (self.constant(lo), self.constant(hi))
            && a.compare(b).is_gt()
        {
            return self.invalid(ExprError::EmptyRange { lo: a.to_f64(), hi: b.to_f64() });
        }
        self.intern(&Node::FixedPoint { index, lo, hi, body })
    }

    /// The error of binding an index that is already bound inside.
    pub(crate) fn binds_again(&self, index: u32, body: Id) -> Option<ExprError> {
        let binds = |node: &Node<_>| matches!(node, Node::Sum { index: i, .. } | Node::FixedPoint { index: i, .. } if *i == index);
        let reused = self.reachable(&[body]).iter().any(|id| binds(self.node(*id)));
        reused.then(|| ExprError::IndexReused { index: self.indices[index as usize].clone() })
    }

    /// `a − b · ⌊a / b⌋`.
    pub(crate) fn modulo(&mut self, a: Id, b: Id) -> Id {
        let one = Number::ONE;
        let quotient = self.mul(one, &[(a, one), (b, Number::MINUS_ONE)]);
        let whole = self.floor(quotient);
        let part = self.mul(one, &[(b, one), (whole, one)]);
        self.subtract(a, part)
    }
}

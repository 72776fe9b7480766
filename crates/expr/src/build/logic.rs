//! Comparisons and connectives.

use smallvec::SmallVec;

use crate::arena::Arena;
use crate::node::{Id, Node};

/// Which comparison.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Comparison {
    Le,
    Lt,
    Eq,
}

impl Comparison {
    pub(crate) fn name(self) -> &'static str {
        match self {
            Comparison::Le => "<=",
            Comparison::Lt => "<",
            Comparison::Eq => "==",
        }
    }
}

/// Which connective.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Connective {
    And,
    Or,
}

impl Arena {
    pub(crate) fn truth(&mut self, value: bool) -> Id {
        self.intern(&Node::Bool(value))
    }

    /// A comparison of what has one dimension.
    pub(crate) fn checked_comparison(&mut self, kind: Comparison, a: Id, b: Id) -> Id {
        match self.common(kind.name(), &[a, b]) {
            Ok(_) => self.compare(kind, a, b),
            Err(error) => self.invalid(error),
        }
    }

    pub(crate) fn compare(&mut self, kind: Comparison, a: Id, b: Id) -> Id {
        if let Some(bad) = self.refuse(kind.name(), false, &[a, b]) {
            return bad;
        }
        let order = match (self.constant(a), self.constant(b)) {
            (Some(x), Some(y)) => Some(x.compare(y)),
            _ if a == b && self.facts(a).finite => Some(std::cmp::Ordering::Equal),
            _ => None,
        };
        if let Some(order) = order {
            return self.truth(match kind {
                Comparison::Le => order.is_le(),
                Comparison::Lt => order.is_lt(),
                Comparison::Eq => order.is_eq(),
            });
        }
        self.intern(&match kind {
            Comparison::Le => Node::Le(a, b),
            Comparison::Lt => Node::Lt(a, b),
            Comparison::Eq => Node::Eq(a.min(b), a.max(b)),
        })
    }

    pub(crate) fn not(&mut self, a: Id) -> Id {
        if let Some(bad) = self.refuse("not", true, &[a]) {
            return bad;
        }
        match *self.node(a) {
            Node::Bool(value) => self.truth(!value),
            Node::Not(inner) => inner,
            // Without NaN, comparisons are total.
            Node::Le(x, y) if self.facts(a).finite => self.compare(Comparison::Lt, y, x),
            Node::Lt(x, y) if self.facts(a).finite => self.compare(Comparison::Le, y, x),
            _ => self.intern(&Node::Not(a)),
        }
    }

    pub(crate) fn connect(&mut self, kind: Connective, operands: &[Id]) -> Id {
        let name = if kind == Connective::And { "and" } else { "or" };
        if let Some(bad) = self.refuse(name, true, operands) {
            return bad;
        }
        let mut flat: SmallVec<[Id; 8]> = SmallVec::new();
        for id in operands {
            match (kind, self.node(*id)) {
                (Connective::And, Node::And(inner)) | (Connective::Or, Node::Or(inner))
                    if self.flattens(*id, inner.len()) =>
                {
                    flat.extend_from_slice(inner);
                }
                _ => flat.push(*id),
            }
        }
        flat.sort_unstable();
        flat.dedup();
        // `and` is decided by a false operand, `or` by a true one; the other constant drops out.
        let (decides, neutral) =
            (self.truth(kind == Connective::Or), self.truth(kind == Connective::And));
        if flat.contains(&decides) {
            return decides;
        }
        flat.retain(|id| *id != neutral);
        match flat.as_slice() {
            [] => neutral,
            [only] => *only,
            _ => {
                let list = flat.as_slice().into();
                self.intern(&match kind {
                    Connective::And => Node::And(list),
                    Connective::Or => Node::Or(list),
                })
            }
        }
    }
}

//! Rounding up and down.

use crate::arena::Arena;
use crate::node::{Id, Node};
use crate::number::Number;

impl Arena {
    /// The least integer not below `a`.
    pub(crate) fn ceil(&mut self, a: Id) -> Id {
        self.round("ceil", a, Number::ceil, Node::Ceil)
    }

    /// The greatest integer not above `a`.
    pub(crate) fn floor(&mut self, a: Id) -> Id {
        self.round("floor", a, Number::floor, Node::Floor)
    }

    fn round(
        &mut self,
        name: &'static str,
        a: Id,
        constant: fn(Number) -> Number,
        node: fn(Id) -> Node<Number>,
    ) -> Id {
        if let Some(bad) = self.refuse(name, false, &[a]) {
            return bad;
        }
        if let Some(n) = self.constant(a) {
            return self.make_number(name, constant(n));
        }
        if self.facts(a).integer {
            return a;
        }
        // Integers move out: ceil(x + n) = ceil(x) + n. Floats stay: a rounded sum may hit an
        // integer that the exact one misses, and the user asked for the rounded one.
        if let Node::Add { constant: c, terms } = self.shape(a)
            && self.label(a).is_none()
        {
            let moves = |arena: &Arena, (term, k): &(Id, Number)| {
                arena.facts(*term).integer && k.is_integer() && !k.is_float()
            };
            let (outside, inside): (Vec<_>, Vec<_>) =
                terms.iter().copied().partition(|term| moves(self, term));
            let whole = if c.is_integer() && !c.is_float() { c } else { Number::ZERO };
            if !outside.is_empty() || !whole.is_zero() {
                let rest = if whole.is_zero() { c } else { Number::ZERO };
                let inner = self.add(rest, &inside);
                let rounded = self.round(name, inner, constant, node);
                let mut all = outside;
                all.push((rounded, Number::ONE));
                return self.add(whole, &all);
            }
        }
        self.intern(&node(a))
    }
}

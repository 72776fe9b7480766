//! Asserted ranges and tables.

use crate::arena::Arena;
use crate::node::{Id, Node};
use crate::number::Number;
use crate::{ExprError, math};

impl Arena {
    /// `value`, asserted to be in a range, and an integer if so said.
    pub(crate) fn assume(
        &mut self,
        value: Id,
        lo: Option<Number>,
        hi: Option<Number>,
        integer: bool,
    ) -> Id {
        if let Some(bad) = self.refuse("assume", false, &[value]) {
            return bad;
        }
        let ends = |n: Option<Number>, none: f64| n.map_or(none, Number::to_f64);
        let (low, high) = (ends(lo, f64::NEG_INFINITY), ends(hi, f64::INFINITY));
        if low.is_nan() || high.is_nan() || low > high {
            return self.invalid(ExprError::EmptyRange { lo: low, hi: high });
        }
        if let Node::Assume { value: inner, lo: l, hi: h, integer: i } = self.shape(value)
            && self.label(value).is_none()
        {
            let (l, h) = (ends(l, f64::NEG_INFINITY), ends(h, f64::INFINITY));
            let (low, high) = (math::max(low, l), math::min(high, h));
            if low <= high {
                let finite = |end: f64| end.is_finite().then(|| Number::float(end));
                return self.assume(inner, finite(low), finite(high), integer || i);
            }
        }
        let facts = self.facts(value);
        let (facts_lo, facts_hi) = (facts.lo, facts.hi);
        if facts.finite && low <= facts_lo && facts_hi <= high && (facts.integer || !integer) {
            return value;
        }
        self.intern(&Node::Assume { value, lo, hi, integer })
    }

    /// Entry `index` of a table, from 0.
    pub(crate) fn table(&mut self, table: u32, index: Id) -> Id {
        if let Some(bad) = self.refuse("table", false, &[index]) {
            return bad;
        }
        if !self.facts(index).integer {
            let index = self.text(index, 80);
            return self.invalid(ExprError::TableIndex { index });
        }
        if let Some(at) = self.constant(index)
            && let Some((at, 1)) = at.as_ratio()
            && let Some(value) =
                usize::try_from(at).ok().and_then(|at| self.tables[table as usize].get(at))
        {
            let value = *value;
            return self.make_number("table", Number::float(value));
        }
        self.intern(&Node::Table { table, index })
    }
}

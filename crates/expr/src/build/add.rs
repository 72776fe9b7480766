//! Sums of terms with constant coefficients.

use smallvec::SmallVec;

use crate::arena::Arena;
use crate::node::{Id, Node};
use crate::number::Number;

type Terms = SmallVec<[(Id, Number); 8]>;

impl Arena {
    /// `constant + Σ coefficient · term`.
    pub(crate) fn add(&mut self, constant: Number, terms: &[(Id, Number)]) -> Id {
        let operands: SmallVec<[Id; 8]> = terms.iter().map(|(term, _)| *term).collect();
        if let Some(bad) = self.refuse("+", false, &operands) {
            return bad;
        }
        let mut constant = constant;
        let mut flat = Terms::from_slice(terms);
        loop {
            let mut next = Terms::new();
            for (term, coefficient) in flat {
                self.push_term(&mut next, &mut constant, term, coefficient);
            }
            next.sort_by_key(|(term, _)| *term);
            next.dedup_by(|(term, c), (kept, sum)| {
                let same = term == kept;
                if same {
                    *sum = sum.add(*c);
                }
                same
            });
            flat = next;
            // Collecting can leave a sum with coefficient 1: 2·(a + b) − (a + b).
            if !flat.iter().any(|(term, c)| self.merges_into_sum(*term, *c)) {
                break;
            }
        }
        flat.retain(|(term, c)| !(c.is_zero() && self.facts(*term).finite));
        if !constant.is_finite() || flat.iter().any(|(_, c)| !c.is_finite()) {
            return self.make_number("+", Number::float(f64::INFINITY));
        }
        flat.iter_mut().for_each(|(_, c)| *c = c.without_effect());
        if constant.is_zero() && !flat.is_empty() {
            constant = Number::ZERO;
        }
        match flat.as_slice() {
            [] => self.make_number("+", constant),
            [(term, c)] if constant.is_zero() => self.scale(*term, *c),
            _ => self.intern(&Node::Add { constant, terms: flat.as_slice().into() }),
        }
    }

    fn push_term(&mut self, flat: &mut Terms, constant: &mut Number, term: Id, c: Number) {
        if let Some(n) = self.constant(term) {
            *constant = constant.add(n.mul(c));
            return;
        }
        let (term, c) = self.split_coefficient(term, c);
        if self.merges_into_sum(term, c)
            && let Node::Add { constant: inner, terms } = self.node(term)
        {
            *constant = constant.add(self.number(*inner).mul(c));
            flat.extend(terms.iter().map(|(t, k)| (*t, self.number(*k).mul(c))));
            return;
        }
        flat.push((term, c));
    }

    /// Whether `c · term` is written term by term.
    fn merges_into_sum(&self, term: Id, c: Number) -> bool {
        match self.node(term) {
            Node::Add { terms, .. } => {
                (c.is_one() || c.is_minus_one()) && self.flattens(term, terms.len())
            }
            _ => false,
        }
    }

    /// `c · term` with the constant factor of `term` moved into `c`.
    fn split_coefficient(&mut self, term: Id, c: Number) -> (Id, Number) {
        let Node::Mul { coefficient, factors } = self.shape(term) else { return (term, c) };
        if coefficient.is_one() || self.label(term).is_some() {
            return (term, c);
        }
        (self.mul(Number::ONE, &factors), c.mul(coefficient))
    }

    /// `c · term`.
    pub(crate) fn scale(&mut self, term: Id, c: Number) -> Id {
        if c.is_one() { term } else { self.mul(c, &[(term, Number::ONE)]) }
    }

    /// `a − b`.
    pub(crate) fn subtract(&mut self, a: Id, b: Id) -> Id {
        self.add(Number::ZERO, &[(a, Number::ONE), (b, Number::MINUS_ONE)])
    }
}

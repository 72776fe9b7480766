//! Sums over an integer index: closed forms where the body is a polynomial in it, else a loop.

use crate::ExprError;
use crate::arena::Arena;
use crate::build::Lattice;
use crate::build::polynomial::Polynomial;
use crate::node::{Id, Node};
use crate::number::Number;

impl Arena {
    /// `Σ body` over `index = lo ..= hi`; 0 when `hi < lo`.
    pub(crate) fn sum(&mut self, index: u32, lo: Id, hi: Id, body: Id) -> Id {
        if let Some(bad) = self.refuse("sum", false, &[lo, hi, body]) {
            return bad;
        }
        if let Some(limit) = [lo, hi].into_iter().find(|id| !self.facts(*id).integer) {
            let limit = self.text(limit, 80);
            return self.invalid(ExprError::SumLimit { limit });
        }
        if let Some(error) = self.binds_again(index, body) {
            return self.invalid(error);
        }
        if !(self.facts(lo).finite && self.facts(hi).finite) {
            return self.intern(&Node::Sum { index, lo, hi, body });
        }
        self.reduce_sum(index, lo, hi, body)
    }

    fn reduce_sum(&mut self, index: u32, lo: Id, hi: Id, body: Id) -> Id {
        if let Some(closed) = self.closed_form(index, lo, hi, body) {
            return closed;
        }
        match self.shape(body) {
            // Addends with a closed form leave the loop; what remains is one loop.
            Node::Add { constant, terms } => {
                let mut parts = Vec::new();
                let mut rest = Vec::new();
                for (term, c) in terms {
                    match self.closed_form(index, lo, hi, term) {
                        Some(closed) => parts.push((closed, c)),
                        None => rest.push((term, c)),
                    }
                }
                if !constant.is_zero() {
                    let count = self.trip_count(lo, hi);
                    parts.push((count, constant));
                }
                if parts.is_empty() {
                    return self.intern(&Node::Sum { index, lo, hi, body });
                }
                let body = self.add(Number::ZERO, &rest);
                let looped = self.reduce_sum(index, lo, hi, body);
                parts.push((looped, Number::ONE));
                self.add(Number::ZERO, &parts)
            }
            // Factors without the index leave the loop. They must be defined: the loop may be empty.
            Node::Mul { coefficient, factors } => {
                let (invariant, inside): (Vec<_>, Vec<_>) =
                    factors.iter().copied().partition(|(base, e)| {
                        !self.depends(*base, index)
                            && self.facts(*base).pow(e.to_f64(), e.as_small_int()).finite
                    });
                if invariant.is_empty() && coefficient.is_one() {
                    return self.intern(&Node::Sum { index, lo, hi, body });
                }
                let body = self.mul(Number::ONE, &inside);
                let looped = self.reduce_sum(index, lo, hi, body);
                let mut factors = invariant;
                factors.push((looped, Number::ONE));
                self.mul(coefficient, &factors)
            }
            _ => self.intern(&Node::Sum { index, lo, hi, body }),
        }
    }

    /// `max(0, hi − lo + 1)`.
    fn trip_count(&mut self, lo: Id, hi: Id) -> Id {
        let count = self.add(Number::ONE, &[(hi, Number::ONE), (lo, Number::MINUS_ONE)]);
        self.at_least_zero(count)
    }

    fn at_least_zero(&mut self, id: Id) -> Id {
        if self.facts(id).non_negative() {
            return id;
        }
        let zero = self.make_number("sum", Number::ZERO);
        self.lattice(Lattice::Max, &[zero, id])
    }

    fn closed_form(&mut self, index: u32, lo: Id, hi: Id, body: Id) -> Option<Id> {
        if !self.facts(body).finite {
            return None;
        }
        let polynomial = self.polynomial(body, index)?;
        let count = self.trip_count(lo, hi);
        let higher = polynomial[1..].iter().any(Option::is_some);
        let mut parts: Vec<(Id, Number)> = Vec::new();
        if let Some(c) = polynomial[0] {
            let part = self.mul(Number::ONE, &[(c, Number::ONE), (count, Number::ONE)]);
            parts.push((part, Number::ONE));
        }
        if higher {
            // With h = lo − 1 + count, an empty sum has h = lo − 1 and the difference is zero.
            let below = self.add(Number::MINUS_ONE, &[(lo, Number::ONE)]);
            let last = self.add(Number::ZERO, &[(below, Number::ONE), (count, Number::ONE)]);
            self.power_sums(&polynomial, below, last, &mut parts);
        }
        Some(self.add(Number::ZERO, &parts))
    }

    fn power_sums(
        &mut self,
        polynomial: &Polynomial,
        below: Id,
        last: Id,
        parts: &mut Vec<(Id, Number)>,
    ) {
        for (degree, c) in polynomial.iter().enumerate().skip(1) {
            let Some(c) = *c else { continue };
            for (end, sign) in [(last, Number::ONE), (below, Number::MINUS_ONE)] {
                let (product, divisor) = self.power_sum(degree, end);
                let part = self
                    .mul(Number::ratio(1, divisor), &[(c, Number::ONE), (product, Number::ONE)]);
                parts.push((part, sign));
            }
        }
    }

    /// `divisor · Σ_{i=1..n} i^degree` and the divisor: Faulhaber's formulas.
    fn power_sum(&mut self, degree: usize, n: Id) -> (Id, i128) {
        let next = self.add(Number::ONE, &[(n, Number::ONE)]);
        match degree {
            1 => (self.mul(Number::ONE, &[(n, Number::ONE), (next, Number::ONE)]), 2),
            2 => {
                let two = Number::from(2);
                let odd = self.add(Number::ONE, &[(n, two)]);
                let factors = [(n, Number::ONE), (next, Number::ONE), (odd, Number::ONE)];
                (self.mul(Number::ONE, &factors), 6)
            }
            _ => {
                let two = Number::from(2);
                (self.mul(Number::ONE, &[(n, two), (next, two)]), 4)
            }
        }
    }
}

//! Sums over an integer index: closed forms where the body is made of polynomials and extrema of
//! lines, else a loop.

use crate::ExprError;
use crate::arena::Arena;
use crate::build::Lattice;
use crate::build::envelope::Range;
use crate::build::polynomial::Polynomial;
use crate::node::{Id, Node};
use crate::number::Number;

/// Parts of a body that are looked at before the sum stays a loop.
const MAX_PARTS: usize = 64;

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
        let range = Range { index, lo, hi };
        if let Some(closed) = self.closed_form(range, body) {
            return closed;
        }
        match self.shape(body) {
            // Addends with a closed form leave the loop; what remains is one loop.
            Node::Add { constant, terms } => {
                let mut parts = Vec::new();
                let mut rest = Vec::new();
                for (term, c) in terms {
                    match self.closed_form(range, term) {
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

    pub(crate) fn at_least_zero(&mut self, id: Id) -> Id {
        if self.facts(id).non_negative() {
            return id;
        }
        let zero = self.make_number("sum", Number::ZERO);
        self.lattice(Lattice::Max, &[zero, id])
    }

    /// The sum without a loop, if the body is of a form that has one.
    fn closed_form(&mut self, range: Range, body: Id) -> Option<Id> {
        if !self.facts(body).finite {
            return None;
        }
        self.closed(range, body, &mut { MAX_PARTS })
    }

    fn closed(&mut self, range: Range, body: Id, budget: &mut usize) -> Option<Id> {
        *budget = budget.checked_sub(1)?;
        if let Some(polynomial) = self.polynomial(body, range.index) {
            return Some(self.sum_of_powers(range, &polynomial));
        }
        let one = Number::ONE;
        match self.shape(body) {
            Node::Add { constant, terms } => {
                let count = self.trip_count(range.lo, range.hi);
                let mut parts = vec![(count, constant)];
                for (term, c) in terms {
                    parts.push((self.closed(range, term, budget)?, c));
                }
                Some(self.add(Number::ZERO, &parts))
            }
            Node::Mul { coefficient, factors } => {
                let (inside, mut outside): (Vec<_>, Vec<_>) =
                    factors.iter().copied().partition(|(base, _)| self.depends(*base, range.index));
                if outside.is_empty() && coefficient.is_one() {
                    return None;
                }
                let inside = self.mul(one, &inside);
                outside.push((self.closed(range, inside, budget)?, one));
                Some(self.mul(coefficient, &outside))
            }
            Node::Piecewise { arms, otherwise } => {
                let (guard, _) = arms[0];
                if self.depends(guard, range.index) {
                    return self.split(range, guard, body, budget);
                }
                let mut closed = Vec::with_capacity(arms.len());
                for (guard, value) in arms {
                    if self.depends(guard, range.index) {
                        return self.split(range, guard, body, budget);
                    }
                    closed.push((guard, self.closed(range, value, budget)?));
                }
                let otherwise = self.closed(range, otherwise, budget)?;
                Some(self.piecewise(&closed, otherwise))
            }
            Node::Min(_) | Node::Max(_) | Node::MinOf(_) => {
                if let Some(closed) = self.envelope(range, body, budget) {
                    return Some(closed);
                }
                let guard = self.inner_guard(range, body)?;
                self.split(range, guard, body, budget)
            }
            _ => None,
        }
    }

    /// A guard below `body` that depends on the index.
    fn inner_guard(&self, range: Range, body: Id) -> Option<Id> {
        let inside = self.reachable_while(&[body], |id| self.depends(id, range.index));
        inside.into_iter().find(|id| matches!(self.node(*id), Node::Le(..) | Node::Lt(..)))
    }

    /// Splits the sum where a guard that compares lines of integers changes. Exact: the quotient of
    /// integers below 2⁵³ is rounded only after it was rounded down.
    fn split(&mut self, range: Range, guard: Id, body: Id, budget: &mut usize) -> Option<Id> {
        *budget = budget.checked_sub(MAX_PARTS / 4)?;
        let (left, right, strict) = match *self.node(guard) {
            Node::Le(left, right) => (left, right, false),
            Node::Lt(left, right) => (left, right, true),
            _ => return None,
        };
        let difference = self.subtract(right, left);
        let [a, b, None, None] = self.polynomial(difference, range.index)? else { return None };
        let (a, b) = (a.unwrap_or(self.make_number("sum", Number::ZERO)), b?);
        if !(self.facts(a).integer && self.facts(b).integer && self.facts(difference).finite) {
            return None;
        }
        let (rises, falls) = (self.facts(b).lo >= 1.0, self.facts(b).hi <= -1.0);
        if !(rises || falls) {
            return None;
        }
        // It holds where a + b·j ≥ 0, or ≥ 1: from ⌈−a/b⌉ on if b > 0, else up to ⌊a/−b⌋.
        let one = Number::ONE;
        let a = self.add(if strict { Number::MINUS_ONE } else { Number::ZERO }, &[(a, one)]);
        let quotient = self.mul(Number::MINUS_ONE, &[(a, one), (b, Number::MINUS_ONE)]);
        let last = if rises {
            let first = self.ceil(quotient);
            self.add(Number::MINUS_ONE, &[(first, one)])
        } else {
            self.floor(quotient)
        };
        let before = self.add(Number::MINUS_ONE, &[(range.lo, one)]);
        let last = self.lattice(Lattice::Min, &[last, range.hi]);
        let last = self.lattice(Lattice::Max, &[last, before]);
        let next = self.add(one, &[(last, one)]);
        let lower = Range { hi: last, ..range };
        let upper = Range { lo: next, ..range };
        let mut parts = Vec::with_capacity(2);
        for (part, holds) in [(lower, falls), (upper, rises)] {
            let decided = self.truth(holds);
            let body = self.rebuild(&[body], &[(guard, decided)].into_iter().collect())[0];
            parts.push((self.closed(part, body, budget)?, one));
        }
        Some(self.add(Number::ZERO, &parts))
    }

    fn sum_of_powers(&mut self, range: Range, polynomial: &Polynomial) -> Id {
        let Range { lo, hi, .. } = range;
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
            self.power_sums(polynomial, below, last, &mut parts);
        }
        self.add(Number::ZERO, &parts)
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

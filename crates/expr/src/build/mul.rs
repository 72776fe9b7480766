//! Products of constant powers, and powers with a variable exponent.

use smallvec::SmallVec;

use crate::arena::Arena;
use crate::math;
use crate::node::{Id, Node};
use crate::number::Number;

type Factors = SmallVec<[(Id, Number); 8]>;

/// A product under construction. Float divisors are collected apart: `x / 0.3` must stay a
/// division, because `x · (1 / 0.3)` rounds differently and a `ceil` above it would jump.
struct Product {
    coefficient: Number,
    divisor: Number,
    factors: Factors,
}

impl Arena {
    /// `coefficient · Π base ^ exponent`.
    pub(crate) fn mul(&mut self, coefficient: Number, factors: &[(Id, Number)]) -> Id {
        let operands: SmallVec<[Id; 8]> = factors.iter().map(|(base, _)| *base).collect();
        if let Some(bad) = self.refuse("*", false, &operands) {
            return bad;
        }
        let mut product =
            Product { coefficient, divisor: Number::ONE, factors: Factors::from_slice(factors) };
        loop {
            for (base, exponent) in std::mem::take(&mut product.factors) {
                self.push_factor(&mut product, base, exponent);
            }
            self.merge_equal_bases(&mut product.factors);
            // Collecting can leave a product with exponent 1: sqrt(a·b)·sqrt(a·b).
            if !product.factors.iter().any(|(base, e)| self.merges_into_product(*base, *e)) {
                break;
            }
        }
        let Product { mut coefficient, divisor, mut factors } = product;
        let keep_divisor = coefficient.is_one() || coefficient.is_minus_one();
        if !divisor.is_one() {
            if keep_divisor && !factors.is_empty() {
                let divisor = self.make_number("/", divisor);
                factors.push((divisor, Number::MINUS_ONE));
                factors.sort_by_key(|(base, _)| *base);
            } else {
                coefficient = Number::float(coefficient.to_f64() / divisor.to_f64());
            }
        }
        if !coefficient.is_finite() || factors.iter().any(|(_, e)| !e.is_finite()) {
            return self.make_number("*", Number::float(f64::INFINITY));
        }
        if coefficient.is_zero() && factors.iter().all(|(base, e)| self.power_is_finite(*base, *e))
        {
            return self.make_number("*", Number::ZERO);
        }
        let coefficient = coefficient.without_effect();
        match factors.as_slice() {
            [] => self.make_number("*", coefficient),
            [(base, e)] if coefficient.is_one() && e.is_one() => *base,
            [(base, e)] if coefficient.is_minus_one() && e.is_one() => {
                let (base, e) = (*base, *e);
                self.negate(base, e)
            }
            _ => self.intern(&Node::Mul { coefficient, factors: factors.as_slice().into() }),
        }
    }

    /// `−base`: a sum is negated term by term, so that `−(a − b)` is `b − a`.
    fn negate(&mut self, base: Id, exponent: Number) -> Id {
        if let Node::Add { constant, terms } = self.shape(base)
            && self.flattens(base, terms.len())
        {
            let terms = terms.iter().map(|(term, c)| (*term, c.neg())).collect();
            return self.intern(&Node::Add { constant: constant.neg(), terms });
        }
        let factors = Box::new([(base, exponent)]);
        self.intern(&Node::Mul { coefficient: Number::MINUS_ONE, factors })
    }

    fn push_factor(&mut self, product: &mut Product, base: Id, exponent: Number) {
        if exponent.is_zero() {
            return;
        }
        if let Some(n) = self.constant(base)
            && fold_constant(product, n, exponent)
        {
            return;
        }
        if let Node::Mul { coefficient, factors } = self.shape(base)
            && self.merges_into_product(base, exponent)
            && fold_constant(product, coefficient, exponent)
        {
            for (inner, e) in factors {
                let exponent = e.mul(exponent).as_exponent();
                match self.constant(inner) {
                    Some(n) if fold_constant(product, n, exponent) => {}
                    _ => product.factors.push((inner, exponent)),
                }
            }
            return;
        }
        product.factors.push((base, exponent));
    }

    /// Whether `base ^ exponent` is written factor by factor.
    fn merges_into_product(&self, base: Id, exponent: Number) -> bool {
        match self.shape(base) {
            Node::Mul { coefficient, factors } => {
                self.flattens(base, factors.len())
                    && self.distributes(coefficient, &factors, exponent)
            }
            _ => false,
        }
    }

    /// Whether `(c · Π b^x)^e` is `c^e · Π b^(x·e)` wherever the former is defined, and as defined.
    fn distributes(&self, coefficient: Number, factors: &[(Id, Number)], e: Number) -> bool {
        let whole = e.as_small_int().is_some();
        let zero = coefficient.is_zero() && (e.is_negative() || !whole);
        if zero || !whole && coefficient.is_negative() {
            return false;
        }
        factors.iter().all(|(base, x)| {
            let facts = self.facts(*base);
            let signs = (whole && x.as_small_int().is_some()) || facts.non_negative();
            let reciprocals = facts.nonzero || !(x.is_negative() && e.is_negative());
            signs && reciprocals
        })
    }

    fn merge_equal_bases(&self, factors: &mut Factors) {
        factors.sort_by(|(a, x), (b, y)| a.cmp(b).then(x.compare(*y)));
        let mut merged = Factors::new();
        for (base, exponent) in factors.drain(..) {
            match merged.last_mut() {
                Some((last, sum)) if *last == base && self.merges(base, *sum, exponent) => {
                    *sum = sum.add(exponent).as_exponent();
                }
                _ => merged.push((base, exponent)),
            }
            if merged.last().is_some_and(|(_, e)| e.is_zero()) {
                merged.pop();
            }
        }
        *factors = merged;
    }

    /// Whether `b^x · b^y` is `b^(x+y)`, as defined.
    fn merges(&self, base: Id, x: Number, y: Number) -> bool {
        let facts = self.facts(base);
        let whole = x.as_small_int().is_some() && y.as_small_int().is_some();
        let one_side = x.is_negative() == y.is_negative();
        (whole || facts.non_negative()) && (one_side || facts.nonzero && facts.finite)
    }

    fn power_is_finite(&self, base: Id, exponent: Number) -> bool {
        self.facts(base).pow(exponent.to_f64(), exponent.as_small_int()).finite
    }

    /// `a ^ b`.
    pub(crate) fn power(&mut self, a: Id, b: Id) -> Id {
        if let Some(bad) = self.refuse("^", false, &[a, b]) {
            return bad;
        }
        if let Some(exponent) = self.constant(b) {
            return self.mul(Number::ONE, &[(a, exponent.as_exponent())]);
        }
        match self.constant(a) {
            Some(base) if base.is_one() && self.facts(b).finite => a,
            _ => self.intern(&Node::Pow(a, b)),
        }
    }

    /// `e ^ a`.
    pub(crate) fn exp(&mut self, a: Id) -> Id {
        if let Some(bad) = self.refuse("exp", false, &[a]) {
            return bad;
        }
        match self.constant(a) {
            Some(n) if n.is_zero() => self.make_number("exp", Number::ONE),
            Some(n) => self.make_number("exp", Number::float(n.to_f64().exp())),
            None => self.intern(&Node::Exp(a)),
        }
    }

    /// The natural logarithm.
    pub(crate) fn ln(&mut self, a: Id) -> Id {
        if let Some(bad) = self.refuse("ln", false, &[a]) {
            return bad;
        }
        match self.constant(a) {
            Some(n) if n.is_one() => self.make_number("ln", Number::ZERO),
            Some(n) if n.to_f64() > 0.0 => self.make_number("ln", Number::float(n.to_f64().ln())),
            _ => self.intern(&Node::Ln(a)),
        }
    }
}

/// Multiplies `n ^ exponent` into the product, if that is a number.
fn fold_constant(product: &mut Product, n: Number, exponent: Number) -> bool {
    let whole = exponent.as_small_int();
    if n.is_zero() && exponent.is_negative() || n.is_negative() && whole.is_none() {
        return false;
    }
    match whole {
        Some(e) if e < 0 && n.is_float() => {
            let divisor = Number::float(math::powi(n.to_f64(), e.saturating_neg()));
            product.divisor = product.divisor.mul(divisor);
        }
        _ => product.coefficient = product.coefficient.mul(n.pow(exponent)),
    }
    true
}

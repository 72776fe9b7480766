//! Interval arithmetic, rounded outward.
//!
//! A result contains every real result of operands inside the operand ranges, and every rounded
//! one. Integers below 2⁵³ are exact, so a range of integers is not widened.

use std::fmt;

use crate::math;

/// A closed range of real numbers, from `lo` to `hi`.
#[derive(Clone, Copy, PartialEq)]
pub struct Interval {
    /// Least value.
    pub lo: f64,
    /// Greatest value.
    pub hi: f64,
}

impl Interval {
    /// Every number.
    pub const ALL: Interval = Interval { lo: f64::NEG_INFINITY, hi: f64::INFINITY };

    /// From `lo` to `hi`.
    #[must_use]
    pub const fn new(lo: f64, hi: f64) -> Interval {
        Interval { lo, hi }
    }

    /// One value.
    #[must_use]
    pub const fn point(value: f64) -> Interval {
        Interval { lo: value, hi: value }
    }

    /// Whether `value` is inside.
    #[must_use]
    pub fn contains(self, value: f64) -> bool {
        self.lo <= value && value <= self.hi
    }

    /// The one value, if it is a single one.
    #[must_use]
    pub fn as_point(self) -> Option<f64> {
        (self.lo == self.hi).then_some(self.lo)
    }
}

impl fmt::Debug for Interval {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "[{:?}, {:?}]", self.lo, self.hi)
    }
}

/// The values of a register over a box.
#[derive(Clone, Copy, Debug)]
pub(super) struct Values {
    pub(super) lo: f64,
    pub(super) hi: f64,
    /// Whether it may be undefined, NaN or infinite, at some point of the box. The range holds the
    /// finite values; a comparison or a maximum may still make something finite of the others.
    pub(super) partial: bool,
}

pub(super) const TRUE: Values = Values { lo: 1.0, hi: 1.0, partial: false };
pub(super) const FALSE: Values = Values { lo: 0.0, hi: 0.0, partial: false };
pub(super) const UNKNOWN: Values = Values { lo: 0.0, hi: 1.0, partial: false };

/// At least one step down; NaN and +∞, where nothing is known, become −∞. Sums of subnormal size
/// are exact and 0 stays 0.
#[inline]
pub(super) fn down(x: f64) -> f64 {
    let x = x - x.abs() * f64::EPSILON;
    if x > f64::NEG_INFINITY { x } else { f64::NEG_INFINITY }
}

/// At least one step up.
#[inline]
pub(super) fn up(x: f64) -> f64 {
    let x = x + x.abs() * f64::EPSILON;
    if x < f64::INFINITY { x } else { f64::INFINITY }
}

/// Below this, a product or quotient may have lost digits to underflow.
const SMALL: f64 = 1e-290;

/// As [`down`], for a product or a quotient. Its sign is known unless it is 0.
#[inline]
fn down_product(x: f64) -> f64 {
    if x.abs() >= SMALL || x.is_nan() {
        down(x)
    } else if x > 0.0 {
        0.0
    } else {
        x - f64::MIN_POSITIVE
    }
}

#[inline]
fn up_product(x: f64) -> f64 {
    -down_product(-x)
}

/// Outward by a relative 1e-14, for functions that are not correctly rounded.
pub(super) fn slack_down(x: f64) -> f64 {
    let x = x - x.abs() * 1e-14 - f64::MIN_POSITIVE;
    if x.is_nan() { f64::NEG_INFINITY } else { x }
}

pub(super) fn slack_up(x: f64) -> f64 {
    -slack_down(-x)
}

/// Integers up to here are exact.
const EXACT: f64 = 9_007_199_254_740_992.0;

impl Values {
    #[inline]
    fn of(lo: f64, hi: f64, partial: bool) -> Values {
        // An infinite end is one that may be reached by overflow.
        let bounded = lo > f64::NEG_INFINITY && hi < f64::INFINITY;
        Values { lo, hi, partial: partial || !bounded }
    }

    /// A sum from its rounded ends; `exact` if it is an integer.
    #[inline]
    fn sum(lo: f64, hi: f64, exact: bool, partial: bool) -> Values {
        if exact && lo >= -EXACT && hi <= EXACT {
            return Values { lo, hi, partial };
        }
        Values::of(down(lo), up(hi), partial)
    }

    #[inline]
    pub(super) fn add(self, other: Values, exact: bool) -> Values {
        let partial = self.partial || other.partial;
        Values::sum(self.lo + other.lo, self.hi + other.hi, exact, partial)
    }

    #[inline]
    pub(super) fn sub(self, other: Values, exact: bool) -> Values {
        let partial = self.partial || other.partial;
        Values::sum(self.lo - other.hi, self.hi - other.lo, exact, partial)
    }

    #[inline]
    pub(super) fn neg(self) -> Values {
        Values { lo: -self.hi, hi: -self.lo, partial: self.partial }
    }

    #[inline]
    pub(super) fn mul(self, other: Values, exact: bool) -> Values {
        let partial = self.partial || other.partial;
        if self.lo >= 0.0 && other.lo >= 0.0 && !partial {
            let (lo, hi) = (self.lo * other.lo, self.hi * other.hi);
            if exact && hi <= EXACT {
                return Values { lo, hi, partial };
            }
            let hi = if self.hi == 0.0 || other.hi == 0.0 { 0.0 } else { up_product(hi) };
            return Values::of(math::max(down_product(lo), 0.0), hi, partial);
        }
        let (lo, hi) = corners(self, other, |a, b| if a == 0.0 || b == 0.0 { 0.0 } else { a * b });
        if exact && lo >= -EXACT && hi <= EXACT {
            return Values { lo, hi, partial };
        }
        let same = self.lo >= 0.0 && other.lo >= 0.0 || self.hi <= 0.0 && other.hi <= 0.0;
        let lo = if same { math::max(down_product(lo), 0.0) } else { down_product(lo) };
        Values::of(lo, up_product(hi), partial)
    }

    #[inline]
    pub(super) fn div(self, other: Values) -> Values {
        let zero = other.lo <= 0.0 && other.hi >= 0.0;
        let partial = self.partial || other.partial || zero;
        if partial {
            return self.div_partial(other, zero);
        }
        let (lo, hi) = self.quotient(other);
        if self.lo >= 0.0 && other.lo > 0.0 {
            return Values::of(math::max(down_product(lo), 0.0), up_product(hi), false);
        }
        Values::of(down_product(lo), up_product(hi), false)
    }

    /// The rounded ends of a quotient whose divisor has one sign.
    #[inline]
    pub(super) fn quotient(self, other: Values) -> (f64, f64) {
        if self.lo >= 0.0 && other.lo > 0.0 {
            return (self.lo / other.hi, self.hi / other.lo);
        }
        corners(self, other, |a, b| a / b)
    }

    fn div_partial(self, other: Values, zero: bool) -> Values {
        let (mut lo, mut hi) = match (zero, self.lo >= 0.0, self.hi <= 0.0) {
            (false, ..) => corners(self, other, |a, b| a / b),
            (true, true, _) if other.lo >= 0.0 => (self.lo / other.hi, f64::INFINITY),
            (true, _, true) if other.lo >= 0.0 => (f64::NEG_INFINITY, self.hi / other.hi),
            (true, true, _) if other.hi <= 0.0 => (f64::NEG_INFINITY, self.lo / other.lo),
            (true, _, true) if other.hi <= 0.0 => (self.hi / other.lo, f64::INFINITY),
            _ => (f64::NEG_INFINITY, f64::INFINITY),
        };
        if other.partial {
            // Anything over infinity.
            (lo, hi) = (math::min(lo, 0.0), math::max(hi, 0.0));
        }
        if lo.is_nan() || hi.is_nan() {
            (lo, hi) = (f64::NEG_INFINITY, f64::INFINITY);
        }
        let sign = self.lo >= 0.0 && other.lo >= 0.0;
        let low = if sign { math::max(down_product(lo), 0.0) } else { down_product(lo) };
        Values::of(low, up_product(hi), true)
    }

    pub(super) fn powi(self, exponent: i32, exact: bool) -> Values {
        let (a, b) = (math::powi(self.lo, exponent), math::powi(self.hi, exponent));
        let even = exponent % 2 == 0;
        let crosses = self.lo < 0.0 && self.hi > 0.0;
        let lo = if even && crosses { 0.0 } else { math::min(a, b) };
        let hi = math::max(a, b);
        if exact && lo >= -EXACT && hi <= EXACT {
            return Values { lo, hi, partial: self.partial };
        }
        let positive = even || self.lo >= 0.0;
        let lo = if positive { math::max(slack_down(lo), 0.0) } else { slack_down(lo) };
        Values::of(lo, slack_up(hi), self.partial)
    }

    pub(super) fn pow(self, exponent: Values) -> Values {
        let partial = self.partial || exponent.partial;
        if self.lo < 0.0 {
            return Values::of(f64::NEG_INFINITY, f64::INFINITY, true);
        }
        let (lo, hi) = corners(self, exponent, math::pow);
        // Infinite exponents make finite powers, and powers of zero infinite ones.
        let lo = if partial { 0.0 } else { math::max(slack_down(lo), 0.0) };
        let hi = if partial { f64::INFINITY } else { slack_up(hi) };
        Values::of(lo, hi, partial)
    }

    pub(super) fn sqrt(self) -> Values {
        let (lo, hi) = (math::max(self.lo, 0.0).sqrt(), math::max(self.hi, 0.0).sqrt());
        Values::of(down(lo), up(hi), self.partial || self.lo < 0.0)
    }

    pub(super) fn exp(self) -> Values {
        let lo = if self.partial { 0.0 } else { math::max(slack_down(self.lo.exp()), 0.0) };
        Values::of(lo, slack_up(self.hi.exp()), self.partial)
    }

    pub(super) fn ln(self) -> Values {
        let (lo, hi) = (math::max(self.lo, 0.0).ln(), math::max(self.hi, 0.0).ln());
        Values::of(slack_down(lo), slack_up(hi), self.partial || self.lo <= 0.0)
    }

    #[inline]
    pub(super) fn max(self, other: Values) -> Values {
        // An undefined arm may lose against the other one.
        let lo = match (self.partial, other.partial) {
            (false, false) => math::max(self.lo, other.lo),
            (true, false) => other.lo,
            (false, true) => self.lo,
            (true, true) => math::min(self.lo, other.lo),
        };
        Values { lo, hi: math::max(self.hi, other.hi), partial: self.partial || other.partial }
    }

    #[inline]
    pub(super) fn min(self, other: Values) -> Values {
        self.neg().max(other.neg()).neg()
    }

    #[inline]
    pub(super) fn rounded(self, round: fn(f64) -> f64) -> Values {
        Values { lo: round(self.lo), hi: round(self.hi), partial: self.partial }
    }

    #[inline]
    pub(super) fn hull(self, other: Values) -> Values {
        Values {
            lo: math::min(self.lo, other.lo),
            hi: math::max(self.hi, other.hi),
            partial: self.partial || other.partial,
        }
    }

    /// Whether `self ≤ other`, on the whole box, nowhere, or somewhere.
    #[inline]
    pub(super) fn le(self, other: Values) -> Values {
        three_valued(self, other, self.hi <= other.lo, self.lo > other.hi)
    }

    #[inline]
    pub(super) fn lt(self, other: Values) -> Values {
        three_valued(self, other, self.hi < other.lo, self.lo >= other.hi)
    }

    #[inline]
    pub(super) fn equals(self, other: Values) -> Values {
        let apart = self.lo > other.hi || self.hi < other.lo;
        let same = self.lo == self.hi && other.lo == other.hi && self.lo == other.lo;
        three_valued(self, other, same, apart)
    }

    pub(super) fn and(self, other: Values) -> Values {
        Values { lo: self.lo * other.lo, hi: self.hi * other.hi, partial: false }
    }

    pub(super) fn or(self, other: Values) -> Values {
        Values {
            lo: math::max(self.lo, other.lo),
            hi: math::max(self.hi, other.hi),
            partial: false,
        }
    }

    pub(super) fn not(self) -> Values {
        Values { lo: 1.0 - self.hi, hi: 1.0 - self.lo, partial: false }
    }

    /// `self ? yes : no`.
    #[inline]
    pub(super) fn select(self, yes: Values, no: Values) -> Values {
        if self.lo > 0.0 {
            yes
        } else if self.hi <= 0.0 {
            no
        } else {
            yes.hull(no)
        }
    }
}

#[inline]
fn three_valued(a: Values, b: Values, always: bool, never: bool) -> Values {
    if a.partial || b.partial {
        UNKNOWN
    } else if always {
        TRUE
    } else if never {
        FALSE
    } else {
        UNKNOWN
    }
}

fn corners(a: Values, b: Values, of: impl Fn(f64, f64) -> f64) -> (f64, f64) {
    let all = [of(a.lo, b.lo), of(a.lo, b.hi), of(a.hi, b.lo), of(a.hi, b.hi)];
    if all.iter().any(|value| value.is_nan()) {
        return (f64::NEG_INFINITY, f64::INFINITY);
    }
    let lo = all.into_iter().fold(f64::INFINITY, math::min);
    (lo, all.into_iter().fold(f64::NEG_INFINITY, math::max))
}

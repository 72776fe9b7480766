//! Interval arithmetic, rounded outward.
//!
//! A result contains every real result of operands inside the operand ranges, and every rounded
//! one. Integers below 2⁵³ are exact, so a range of integers is not widened.

use std::fmt;
use std::ops::BitOr;

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
///
/// The least one is held negated: rounding outward is then rounding both ends up, and the two ends
/// of most operations are one operation on a pair, which compilers and processors know how to do.
#[derive(Clone, Copy, Debug)]
pub(super) struct Values {
    /// The least value, negated, and the greatest.
    ends: [f64; 2],
    /// What else it may be at some point of the box. The range holds the finite values; a
    /// comparison or a maximum may still make something finite of the others.
    pub(super) partial: Partial,
}

/// What a value may be beside a finite number.
///
/// As wide as an end of the range: a narrower one would be written in one width and copied in
/// another, for which processors wait.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Partial(u64);

impl Partial {
    /// Nothing.
    pub(super) const NO: Partial = Partial(0);
    /// Plus infinity: a choice without a feasible alternative.
    pub(super) const INFEASIBLE: Partial = Partial(1);
    /// Anything, NaN too.
    pub(super) const YES: Partial = Partial(3);

    #[inline]
    pub(super) fn when(holds: bool) -> Partial {
        if holds { Partial::YES } else { Partial::NO }
    }

    #[inline]
    pub(super) fn is_no(self) -> bool {
        self == Partial::NO
    }

    /// Whether minus infinity and NaN are out of the question.
    #[inline]
    pub(super) fn is_ordered(self) -> bool {
        self != Partial::YES
    }

    /// Of a result whose operands are like this.
    #[inline]
    fn spread(self) -> Partial {
        Partial::when(!self.is_no())
    }
}

impl BitOr for Partial {
    type Output = Partial;

    #[inline]
    fn bitor(self, other: Partial) -> Partial {
        Partial(self.0 | other.0)
    }
}

pub(super) const TRUE: Values = Values { ends: [-1.0, 1.0], partial: Partial::NO };
pub(super) const FALSE: Values = Values { ends: [0.0, 0.0], partial: Partial::NO };

/// At least one step down; NaN and +∞, where nothing is known, become −∞. Sums of subnormal size
/// are exact and 0 stays 0.
#[inline]
pub(super) fn down(x: f64) -> f64 {
    -up(-x)
}

/// At least one step up.
#[inline]
pub(super) fn up(x: f64) -> f64 {
    math::min(step_up(x), f64::INFINITY)
}

/// As [`up`], of a number that is neither NaN nor −∞.
#[inline]
fn step_up(x: f64) -> f64 {
    x + x.abs() * f64::EPSILON
}

/// Below this, a product or quotient may have lost digits to underflow.
const SMALL: f64 = 1e-290;

/// Up to here, one step up is still finite.
const LARGE: f64 = 1e308;

/// As [`up`], for a product or a quotient. Its sign is known unless it is 0.
#[inline]
fn up_product(x: f64) -> f64 {
    if x.abs() >= SMALL || x.is_nan() {
        up(x)
    } else if x < 0.0 {
        0.0
    } else {
        x + f64::MIN_POSITIVE
    }
}

/// Outward by a relative 1e-14, for functions that are not correctly rounded.
pub(super) fn slack_down(x: f64) -> f64 {
    -slack_up(-x)
}

pub(super) fn slack_up(x: f64) -> f64 {
    let x = x + x.abs() * 1e-14 + f64::MIN_POSITIVE;
    if x.is_nan() { f64::INFINITY } else { x }
}

/// Integers up to here are exact.
const EXACT: f64 = 9_007_199_254_740_992.0;

#[inline]
fn exact(ends: [f64; 2]) -> bool {
    ends[0] <= EXACT && ends[1] <= EXACT
}

/// Whether both ends are of something positive, neither tiny nor huge.
#[inline]
fn regular(ends: [f64; 2]) -> bool {
    ends[0] <= -SMALL && ends[1] <= LARGE
}

/// One step outward from the ends of something positive.
#[inline]
fn next(ends: [f64; 2]) -> [f64; 2] {
    let bits = ends.map(f64::to_bits);
    [f64::from_bits(bits[0] - 1), f64::from_bits(bits[1] + 1)]
}

impl Values {
    #[inline]
    pub(super) fn new(lo: f64, hi: f64, partial: Partial) -> Values {
        Values { ends: [-lo, hi], partial }
    }

    /// What a box says of an input.
    pub(super) fn input(Interval { lo, hi }: Interval) -> Values {
        Values::of([-lo, hi], Partial::NO)
    }

    /// A constant; infinity is the value of a choice that has no alternative yet.
    pub(super) fn constant(value: f64) -> Values {
        if value == f64::INFINITY {
            return Values { ends: [f64::NEG_INFINITY; 2], partial: Partial::INFEASIBLE };
        }
        Values::input(Interval::point(value))
    }

    #[inline]
    pub(super) fn point(value: f64) -> Values {
        Values { ends: [-value, value], partial: Partial::NO }
    }

    #[inline]
    pub(super) fn lo(self) -> f64 {
        -self.ends[0]
    }

    #[inline]
    pub(super) fn hi(self) -> f64 {
        self.ends[1]
    }

    /// The one value, if it is a single one.
    pub(super) fn as_point(self) -> Option<f64> {
        self.interval().as_point()
    }

    pub(super) fn interval(self) -> Interval {
        Interval { lo: self.lo(), hi: self.hi() }
    }

    #[inline]
    fn of(ends: [f64; 2], partial: Partial) -> Values {
        // An infinite end is one that may be reached by overflow.
        let bounded = ends[0] < f64::INFINITY && ends[1] < f64::INFINITY;
        Values { ends, partial: partial | Partial::when(!bounded) }
    }

    /// The smallest range around these ends, one step outward.
    #[inline]
    pub(super) fn outward(self) -> Values {
        Values { ends: self.ends.map(up), ..self }
    }

    /// [`Values::add`] of what is defined and not huge.
    #[inline]
    pub(super) fn usual_add(self, other: Values, integer: bool) -> Option<Values> {
        let (x, y) = (self.ends, other.ends);
        let ends = [x[0] + y[0], x[1] + y[1]];
        if !(self.partial | other.partial).is_no() {
            None
        } else if integer && exact(ends) {
            Some(Values { ends, partial: Partial::NO })
        } else if regular(ends) {
            Some(Values { ends: next(ends), partial: Partial::NO })
        } else {
            let usual = ends[0] <= LARGE && ends[1] <= LARGE;
            usual.then(|| Values { ends: ends.map(step_up), partial: Partial::NO })
        }
    }

    pub(super) fn add(self, other: Values, integer: bool) -> Values {
        let (x, y) = (self.ends, other.ends);
        let ends = [x[0] + y[0], x[1] + y[1]];
        let partial = self.partial | other.partial;
        if integer && exact(ends) {
            return Values { ends, partial };
        }
        Values::of(ends.map(up), partial)
    }

    pub(super) fn sub(self, other: Values, integer: bool) -> Values {
        self.add(other.neg(), integer)
    }

    #[inline]
    pub(super) fn neg(self) -> Values {
        Values { ends: [self.ends[1], self.ends[0]], partial: self.partial.spread() }
    }

    /// [`Values::mul`] of what is defined, not negative, and neither tiny nor huge.
    #[inline]
    pub(super) fn usual_mul(self, other: Values, integer: bool) -> Option<Values> {
        let (x, y) = (self.ends, other.ends);
        let ends = [x[0] * -y[0], x[1] * y[1]];
        if !(x[0] <= 0.0 && y[0] <= 0.0 && (self.partial | other.partial).is_no()) {
            None
        } else if integer && exact(ends) {
            Some(Values { ends, partial: Partial::NO })
        } else if regular(ends) {
            Some(Values { ends: next(ends), partial: Partial::NO })
        } else {
            // From exactly zero.
            let zero = x[0] == 0.0 || y[0] == 0.0;
            let usual = zero && ends[1] >= SMALL && ends[1] <= LARGE;
            usual.then(|| Values { ends: ends.map(step_up), partial: Partial::NO })
        }
    }

    pub(super) fn mul(self, other: Values, integer: bool) -> Values {
        let partial = (self.partial | other.partial).spread();
        let zero = |x: Values| x.lo() == 0.0 && x.hi() == 0.0;
        if partial.is_no() && (zero(self) || zero(other)) {
            return Values { ends: [0.0, 0.0], partial };
        }
        let ends = corners(self, other, |a, b| if a == 0.0 || b == 0.0 { 0.0 } else { a * b });
        if integer && exact(ends) {
            return Values { ends, partial };
        }
        let positive = self.lo() >= 0.0 && other.lo() >= 0.0;
        let same = positive || self.hi() <= 0.0 && other.hi() <= 0.0;
        Values::of(ends.map(up_product), partial).at_least_zero(same)
    }

    /// What is known not to be negative is not, whatever rounding says.
    #[inline]
    fn at_least_zero(self, known: bool) -> Values {
        let low = if known { math::min(self.ends[0], 0.0) } else { self.ends[0] };
        Values { ends: [low, self.ends[1]], ..self }
    }

    /// [`Values::div`] of what is defined, positive, and neither tiny nor huge.
    #[inline]
    pub(super) fn usual_div(self, other: Values) -> Option<Values> {
        let (x, y) = (self.ends, other.ends);
        let ends = [x[0] / y[1], x[1] / -y[0]];
        if !(y[0] < 0.0 && (self.partial | other.partial).is_no()) {
            None
        } else if regular(ends) {
            Some(Values { ends: next(ends), partial: Partial::NO })
        } else {
            // From exactly zero.
            let usual = x[0] == 0.0 && ends[1] >= SMALL && ends[1] <= LARGE;
            usual.then(|| Values { ends: ends.map(step_up), partial: Partial::NO })
        }
    }

    pub(super) fn div(self, other: Values) -> Values {
        let zero = other.lo() <= 0.0 && other.hi() >= 0.0;
        let partial = (self.partial | other.partial | Partial::when(zero)).spread();
        let mut ends = if zero { self.over_zero(other) } else { self.quotient(other).ends };
        if !other.partial.is_no() {
            // Anything over infinity.
            ends = ends.map(|end| math::max(end, 0.0));
        }
        if ends[0].is_nan() || ends[1].is_nan() {
            ends = [f64::INFINITY; 2];
        }
        let positive = self.lo() >= 0.0 && other.lo() >= 0.0;
        Values::of(ends.map(up_product), partial).at_least_zero(positive)
    }

    /// The rounded ends of a quotient whose divisor has one sign.
    #[inline]
    pub(super) fn quotient(self, other: Values) -> Values {
        Values { ends: corners(self, other, |a, b| a / b), partial: self.partial }
    }

    /// The ends of a quotient whose divisor may be zero.
    fn over_zero(self, other: Values) -> [f64; 2] {
        let (positive, negative) = (self.lo() >= 0.0, self.hi() <= 0.0);
        let (right, left) = (other.lo() >= 0.0, other.hi() <= 0.0);
        const OPEN: f64 = f64::INFINITY;
        match (positive, negative) {
            (true, _) if right => [-(self.lo() / other.hi()), OPEN],
            (_, true) if right => [OPEN, self.hi() / other.hi()],
            (true, _) if left => [OPEN, self.lo() / other.lo()],
            (_, true) if left => [-(self.hi() / other.lo()), OPEN],
            _ => [OPEN; 2],
        }
    }

    pub(super) fn powi(self, exponent: i32, integer: bool) -> Values {
        let (a, b) = (math::powi(self.lo(), exponent), math::powi(self.hi(), exponent));
        let even = exponent % 2 == 0;
        let crosses = self.lo() < 0.0 && self.hi() > 0.0;
        let lo = if even && crosses { 0.0 } else { math::min(a, b) };
        let ends = [-lo, math::max(a, b)];
        if integer && exact(ends) {
            return Values { ends, partial: self.partial.spread() };
        }
        Values::of(ends.map(slack_up), self.partial.spread())
            .at_least_zero(even || self.lo() >= 0.0)
    }

    pub(super) fn pow(self, exponent: Values) -> Values {
        let partial = (self.partial | exponent.partial).spread();
        if self.lo() < 0.0 {
            return Values { ends: [f64::INFINITY; 2], partial: Partial::YES };
        }
        if !partial.is_no() {
            // Infinite exponents make finite powers, and powers of zero infinite ones.
            return Values { ends: [0.0, f64::INFINITY], partial };
        }
        let ends = self.power_ends(exponent);
        Values::of(ends.map(slack_up), partial).at_least_zero(true)
    }

    /// Two corners do where the base is on one side of 1 and the exponent has one sign.
    fn power_ends(self, exponent: Values) -> [f64; 2] {
        let Interval { lo: a, hi: b } = self.interval();
        let Interval { lo: p, hi: q } = exponent.interval();
        let rises_with_base = p >= 0.0;
        let rises_with_exponent = a >= 1.0;
        if !(rises_with_base || q <= 0.0) || !(rises_with_exponent || b <= 1.0) {
            return corners(self, exponent, math::pow);
        }
        let (low, high) = if rises_with_base { (a, b) } else { (b, a) };
        let (least, most) = if rises_with_exponent { (p, q) } else { (q, p) };
        let lo = math::pow(low, least);
        let hi = if low == high && least == most { lo } else { math::pow(high, most) };
        [-lo, hi]
    }

    pub(super) fn sqrt(self) -> Values {
        let (lo, hi) = (math::max(self.lo(), 0.0).sqrt(), math::max(self.hi(), 0.0).sqrt());
        Values::of([-lo, hi].map(up), self.partial.spread() | Partial::when(self.lo() < 0.0))
    }

    pub(super) fn exp(self) -> Values {
        let partial = self.partial.spread();
        let lo = if partial.is_no() { self.lo().exp() } else { 0.0 };
        Values::of([-lo, self.hi().exp()].map(slack_up), partial).at_least_zero(true)
    }

    pub(super) fn ln(self) -> Values {
        let (lo, hi) = (math::max(self.lo(), 0.0).ln(), math::max(self.hi(), 0.0).ln());
        Values::of([-lo, hi].map(slack_up), self.partial.spread() | Partial::when(self.lo() <= 0.0))
    }

    /// [`Values::max`] of what is defined.
    #[inline]
    pub(super) fn usual_max(self, other: Values) -> Option<Values> {
        let (x, y) = (self.ends, other.ends);
        let ends = [math::min(x[0], y[0]), math::max(x[1], y[1])];
        let usual = (self.partial | other.partial).is_no();
        usual.then_some(Values { ends, partial: Partial::NO })
    }

    pub(super) fn max(self, other: Values) -> Values {
        let (x, y) = (self.ends, other.ends);
        let partial = self.partial | other.partial;
        // An undefined arm may lose against the other one.
        let low = match (self.partial.is_ordered(), other.partial.is_ordered()) {
            (true, true) => math::min(x[0], y[0]),
            (false, true) => y[0],
            (true, false) => x[0],
            (false, false) => math::max(x[0], y[0]),
        };
        Values { ends: [low, math::max(x[1], y[1])], partial }
    }

    /// [`Values::min`] of what is defined.
    #[inline]
    pub(super) fn usual_min(self, other: Values) -> Option<Values> {
        let (x, y) = (self.ends, other.ends);
        let ends = [math::max(x[0], y[0]), math::min(x[1], y[1])];
        let usual = (self.partial | other.partial).is_no();
        usual.then_some(Values { ends, partial: Partial::NO })
    }

    pub(super) fn min(self, other: Values) -> Values {
        let (x, y) = (self.ends, other.ends);
        // An undefined arm may lose against the other one; an infeasible one does.
        let hi = match (self.partial.is_no(), other.partial.is_no()) {
            (true, true) => math::min(x[1], y[1]),
            (false, true) => y[1],
            (true, false) => x[1],
            (false, false) => math::max(x[1], y[1]),
        };
        let partial = self.partial | other.partial;
        let both = self.partial == other.partial;
        let partial = if partial.is_ordered() && !both { Partial::NO } else { partial };
        Values { ends: [math::max(x[0], y[0]), hi], partial }
    }

    #[inline]
    pub(super) fn ceil(self) -> Values {
        let [low, hi] = self.ends;
        Values { ends: [math::floor(low), math::ceil(hi)], partial: self.partial.spread() }
    }

    #[inline]
    pub(super) fn floor(self) -> Values {
        self.neg().ceil().neg()
    }

    #[inline]
    pub(super) fn hull(self, other: Values) -> Values {
        let (x, y) = (self.ends, other.ends);
        Values {
            ends: [math::max(x[0], y[0]), math::max(x[1], y[1])],
            partial: self.partial | other.partial,
        }
    }

    /// [`Values::le`] of what is defined.
    #[inline]
    pub(super) fn usual_le(self, other: Values) -> Option<Values> {
        let truth = three_valued(self.hi() <= other.lo(), self.lo() > other.hi());
        (self.partial | other.partial).is_no().then_some(truth)
    }

    /// [`Values::lt`] of what is defined.
    #[inline]
    pub(super) fn usual_lt(self, other: Values) -> Option<Values> {
        let truth = three_valued(self.hi() < other.lo(), self.lo() >= other.hi());
        (self.partial | other.partial).is_no().then_some(truth)
    }

    /// Whether `self ≤ other`, on the whole box, nowhere, or somewhere.
    pub(super) fn le(self, other: Values) -> Values {
        let (less, more) = self.comparable(other);
        three_valued(less && self.hi() <= other.lo(), more && self.lo() > other.hi())
    }

    pub(super) fn lt(self, other: Values) -> Values {
        let (less, more) = self.comparable(other);
        three_valued(less && self.hi() < other.lo(), more && self.lo() >= other.hi())
    }

    /// Whether the ranges can show that `self` is less than `other`, and that it is more: infinity
    /// is more than anything else.
    #[inline]
    fn comparable(self, other: Values) -> (bool, bool) {
        let ordered = (self.partial | other.partial).is_ordered();
        (ordered && self.partial.is_no(), ordered && other.partial.is_no())
    }

    #[inline]
    pub(super) fn equals(self, other: Values) -> Values {
        let defined = (self.partial | other.partial).is_no();
        let apart = self.lo() > other.hi() || self.hi() < other.lo();
        let same = self.lo() == self.hi() && other.lo() == other.hi() && self.lo() == other.lo();
        three_valued(defined && same, defined && apart)
    }

    /// Both of two truth values.
    pub(super) fn and(self, other: Values) -> Values {
        three_valued(self.is_true() && other.is_true(), self.is_false() || other.is_false())
    }

    pub(super) fn or(self, other: Values) -> Values {
        three_valued(self.is_true() || other.is_true(), self.is_false() && other.is_false())
    }

    pub(super) fn negated(self) -> Values {
        three_valued(self.is_false(), self.is_true())
    }

    /// Whether it is a truth value that holds on the whole box.
    #[inline]
    fn is_true(self) -> bool {
        self.lo() > 0.0
    }

    #[inline]
    fn is_false(self) -> bool {
        self.hi() <= 0.0
    }

    /// `self ? yes : no`.
    #[inline]
    pub(super) fn select(self, yes: Values, no: Values) -> Values {
        if self.is_true() {
            yes
        } else if self.is_false() {
            no
        } else {
            yes.hull(no)
        }
    }
}

#[inline]
fn three_valued(always: bool, never: bool) -> Values {
    let end = |holds: bool| f64::from(u8::from(holds));
    Values { ends: [-end(always), end(!never)], partial: Partial::NO }
}

fn corners(a: Values, b: Values, of: impl Fn(f64, f64) -> f64) -> [f64; 2] {
    let all = [of(a.lo(), b.lo()), of(a.lo(), b.hi()), of(a.hi(), b.lo()), of(a.hi(), b.hi())];
    if all.iter().any(|value| value.is_nan()) {
        return [f64::INFINITY; 2];
    }
    let lo = all.into_iter().fold(f64::INFINITY, math::min);
    [-lo, all.into_iter().fold(f64::NEG_INFINITY, math::max)]
}

//! What is known about a node's values on the whole domain: range, integrality, definedness.

use crate::math;

/// Facts about every value a node can take while all symbols are inside their domains.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Facts {
    /// Least value, rounded outward.
    pub(crate) lo: f64,
    /// Greatest value, rounded outward.
    pub(crate) hi: f64,
    /// A truth value, not a number.
    pub(crate) boolean: bool,
    /// Always an integer.
    pub(crate) integer: bool,
    /// Never zero.
    pub(crate) nonzero: bool,
    /// Always defined: no division by zero, no root or logarithm outside its domain.
    pub(crate) finite: bool,
    /// The free indices, as an interned set.
    pub(crate) free: FreeSet,
}

/// An interned set of free sum indices; [`FreeSet::EMPTY`] for a closed expression.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) struct FreeSet(pub(crate) u32);

impl FreeSet {
    pub(crate) const EMPTY: FreeSet = FreeSet(0);
}

impl Facts {
    /// A number about which nothing is known but that it is defined.
    pub(crate) fn any() -> Facts {
        Facts {
            lo: f64::NEG_INFINITY,
            hi: f64::INFINITY,
            boolean: false,
            integer: false,
            nonzero: false,
            finite: true,
            free: FreeSet::EMPTY,
        }
    }

    pub(crate) fn constant(value: f64, integer: bool) -> Facts {
        Facts { lo: value, hi: value, integer, nonzero: value != 0.0, ..Facts::any() }
    }

    pub(crate) fn boolean() -> Facts {
        Facts { lo: 0.0, hi: 1.0, boolean: true, integer: true, ..Facts::any() }
    }

    pub(crate) fn non_negative(&self) -> bool {
        self.lo >= 0.0
    }

    pub(crate) fn positive(&self) -> bool {
        self.lo > 0.0 || (self.lo >= 0.0 && self.nonzero)
    }

    /// Tightens an integer's range to integers, and notes a range that excludes zero.
    pub(crate) fn settled(mut self) -> Facts {
        if self.lo.is_nan() || self.hi.is_nan() {
            (self.lo, self.hi) = (f64::NEG_INFINITY, f64::INFINITY);
        }
        if self.integer {
            (self.lo, self.hi) = (self.lo.ceil(), self.hi.floor());
        }
        self.nonzero |= self.lo > 0.0 || self.hi < 0.0;
        self
    }

    pub(crate) fn add(&self, other: &Facts) -> Facts {
        let nonzero = (self.non_negative() && other.non_negative()
            || self.hi <= 0.0 && other.hi <= 0.0)
            && (self.nonzero || other.nonzero);
        Facts {
            lo: toward(self.lo + other.lo, Down),
            hi: toward(self.hi + other.hi, Up),
            integer: self.integer && other.integer,
            nonzero,
            finite: self.finite && other.finite,
            ..*self
        }
        .keep_sign(self.non_negative() && other.non_negative())
        .settled()
    }

    pub(crate) fn mul(&self, other: &Facts) -> Facts {
        let corners = [
            product(self.lo, other.lo),
            product(self.lo, other.hi),
            product(self.hi, other.lo),
            product(self.hi, other.hi),
        ];
        let low = corners.iter().copied().fold(f64::INFINITY, math::min);
        let high = corners.iter().copied().fold(f64::NEG_INFINITY, math::max);
        Facts {
            lo: toward(low, Down),
            hi: toward(high, Up),
            integer: self.integer && other.integer,
            nonzero: self.nonzero && other.nonzero,
            finite: self.finite && other.finite,
            ..*self
        }
        .keep_sign(self.non_negative() && other.non_negative())
        .settled()
    }

    pub(crate) fn recip(&self) -> Facts {
        let (lo, hi) = if self.lo > 0.0 || self.hi < 0.0 {
            (1.0 / self.hi, 1.0 / self.lo)
        } else if self.lo >= 0.0 {
            (0.0, f64::INFINITY)
        } else {
            (f64::NEG_INFINITY, f64::INFINITY)
        };
        Facts {
            lo: toward(lo, Down),
            hi: toward(hi, Up),
            integer: false,
            nonzero: true,
            finite: self.finite && self.nonzero,
            ..*self
        }
        .keep_sign(self.non_negative())
        .settled()
    }

    /// A constant power; `exponent` as the nearest `f64` and, if it is one, as an integer.
    pub(crate) fn pow(&self, exponent: f64, integer: Option<i32>) -> Facts {
        match integer {
            Some(e) if e < 0 => return self.pow(-exponent, Some(e.saturating_neg())).recip(),
            Some(1) => return *self,
            _ => {}
        }
        let even = integer.is_some_and(|e| e % 2 == 0);
        let (a, b) = match integer {
            Some(e) => (math::powi(self.lo, e), math::powi(self.hi, e)),
            None => {
                let low = math::max(self.lo, 0.0);
                (math::pow(low, exponent), math::pow(math::max(self.hi, 0.0), exponent))
            }
        };
        let crosses = self.lo < 0.0 && self.hi > 0.0;
        let low = if even && crosses { 0.0 } else { math::min(a, b) };
        // `powf` and repeated multiplication are not correctly rounded: widen by a relative slack.
        Facts {
            lo: slack(low, Down),
            hi: slack(math::max(a, b), Up),
            integer: self.integer && integer.is_some(),
            nonzero: self.nonzero,
            finite: self.finite
                && (integer.is_some() || self.non_negative() && (exponent > 0.0 || self.nonzero)),
            ..*self
        }
        .keep_sign(even || self.non_negative())
        .settled()
    }

    /// The smallest range around both.
    pub(crate) fn hull(&self, other: &Facts) -> Facts {
        Facts {
            lo: math::min(self.lo, other.lo),
            hi: math::max(self.hi, other.hi),
            boolean: self.boolean,
            integer: self.integer && other.integer,
            nonzero: self.nonzero && other.nonzero,
            finite: self.finite && other.finite,
            free: self.free,
        }
    }

    pub(crate) fn max(&self, other: &Facts) -> Facts {
        let hull = self.hull(other);
        Facts {
            lo: math::max(self.lo, other.lo),
            nonzero: hull.nonzero || self.positive() || other.positive(),
            ..hull
        }
        .settled()
    }

    pub(crate) fn min(&self, other: &Facts) -> Facts {
        let hull = self.hull(other);
        Facts { hi: math::min(self.hi, other.hi), ..hull }.settled()
    }

    /// After `ceil` or `floor`.
    pub(crate) fn rounded(&self, round: fn(f64) -> f64) -> Facts {
        Facts { lo: round(self.lo), hi: round(self.hi), integer: true, nonzero: false, ..*self }
            .settled()
    }

    fn keep_sign(mut self, non_negative: bool) -> Facts {
        if non_negative {
            self.lo = math::max(self.lo, 0.0);
        }
        self
    }
}

use Direction::{Down, Up};

#[derive(Clone, Copy)]
pub(crate) enum Direction {
    Down,
    Up,
}

/// One step outward, because the operation before it was rounded.
pub(crate) fn toward(value: f64, direction: Direction) -> f64 {
    match direction {
        Down => value.next_down(),
        Up => value.next_up(),
    }
}

/// A relative 1e-14 outward, for functions that are not correctly rounded.
pub(crate) fn slack(value: f64, direction: Direction) -> f64 {
    let step = value.abs() * 1e-14;
    match direction {
        Down => toward(value - step, Down),
        Up => toward(value + step, Up),
    }
}

fn product(a: f64, b: f64) -> f64 {
    if a == 0.0 || b == 0.0 { 0.0 } else { a * b }
}

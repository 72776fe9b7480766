//! Simulated time: instants and durations, both finite `f64` seconds.
//!
//! Seconds in `f64` rather than integer nanoseconds: the engine's sums and the formula's sums are
//! then the same numbers. Equal instants are ordered by whoever keeps them (the event queue has a
//! written order), never by luck.

use std::cmp::Ordering;
use std::fmt;
use std::iter::Sum;
use std::ops::{Add, AddAssign, Mul, Sub};

use serde::{Deserialize, Serialize};

use crate::UnitError;

/// A duration \[s\]. Finite and not negative.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(try_from = "f64", into = "f64")]
pub struct Seconds(f64);

impl Seconds {
    /// No time at all.
    pub const ZERO: Seconds = Seconds(0.0);

    /// Checks and wraps a number of seconds.
    ///
    /// # Errors
    ///
    /// [`UnitError`] if the value is negative or not finite.
    pub fn new(value: f64) -> Result<Self, UnitError> {
        if value.is_finite() && value >= 0.0 {
            Ok(Self(value))
        } else {
            Err(UnitError { quantity: "duration", value, unit: "s", allowed: ">= 0 and finite" })
        }
    }

    /// For quotients of checked quantities, which can only leave the range by overflow.
    pub(crate) fn saturating(value: f64) -> Self {
        Self(value.clamp(0.0, f64::MAX))
    }

    /// The bare number of seconds.
    #[must_use]
    pub fn get(self) -> f64 {
        self.0
    }

    /// The number of milliseconds.
    #[must_use]
    pub fn as_millis(self) -> f64 {
        self.0 * 1e3
    }
}

/// An instant of simulated time \[s\] since the start of the run. Finite, not negative, totally
/// ordered.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(try_from = "f64", into = "f64")]
pub struct SimTime(f64);

impl SimTime {
    /// The start of the run.
    pub const ZERO: SimTime = SimTime(0.0);

    /// The instant `seconds` after the start.
    ///
    /// # Errors
    ///
    /// [`UnitError`] if the value is negative or not finite.
    pub fn new(seconds: f64) -> Result<Self, UnitError> {
        if seconds.is_finite() && seconds >= 0.0 {
            Ok(Self(seconds))
        } else {
            Err(UnitError {
                quantity: "instant",
                value: seconds,
                unit: "s",
                allowed: ">= 0 and finite",
            })
        }
    }

    /// Seconds since the start of the run.
    #[must_use]
    pub fn seconds(self) -> f64 {
        self.0
    }

    /// Time passed since `earlier`; zero if `earlier` is not earlier.
    #[must_use]
    pub fn since(self, earlier: SimTime) -> Seconds {
        Seconds((self.0 - earlier.0).max(0.0))
    }
}

impl Eq for SimTime {}

impl PartialOrd for SimTime {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for SimTime {
    fn cmp(&self, other: &Self) -> Ordering {
        self.0.total_cmp(&other.0)
    }
}

impl Eq for Seconds {}

impl PartialOrd for Seconds {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for Seconds {
    fn cmp(&self, other: &Self) -> Ordering {
        self.0.total_cmp(&other.0)
    }
}

impl Add<Seconds> for SimTime {
    type Output = SimTime;
    fn add(self, duration: Seconds) -> SimTime {
        SimTime((self.0 + duration.0).min(f64::MAX))
    }
}

impl AddAssign<Seconds> for SimTime {
    fn add_assign(&mut self, duration: Seconds) {
        *self = *self + duration;
    }
}

impl Sub for SimTime {
    type Output = Seconds;
    fn sub(self, earlier: SimTime) -> Seconds {
        self.since(earlier)
    }
}

impl Add for Seconds {
    type Output = Seconds;
    fn add(self, other: Seconds) -> Seconds {
        Seconds::saturating(self.0 + other.0)
    }
}

impl AddAssign for Seconds {
    fn add_assign(&mut self, other: Seconds) {
        *self = *self + other;
    }
}

impl Mul<u64> for Seconds {
    type Output = Seconds;
    fn mul(self, count: u64) -> Seconds {
        Seconds::saturating(self.0 * count as f64)
    }
}

impl Sum for Seconds {
    fn sum<I: Iterator<Item = Seconds>>(iter: I) -> Seconds {
        iter.fold(Seconds::ZERO, Add::add)
    }
}

macro_rules! f64_conversions {
    ($($name:ident),*) => {$(
        impl TryFrom<f64> for $name {
            type Error = UnitError;
            fn try_from(value: f64) -> Result<Self, UnitError> {
                Self::new(value)
            }
        }
        impl From<$name> for f64 {
            fn from(value: $name) -> f64 {
                value.0
            }
        }
        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                write!(f, "{} s", self.0)
            }
        }
    )*};
}
f64_conversions!(SimTime, Seconds);

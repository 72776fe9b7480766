//! Checked quantities: finite, in range, unit in the type.

use std::fmt;
use std::ops::{Add, AddAssign, Div, Mul};

use serde::{Deserialize, Serialize};

use crate::Seconds;

/// A number is not a valid quantity.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
#[error("{quantity} is {value} {unit}, allowed is {allowed}")]
#[non_exhaustive]
pub struct UnitError {
    /// What was being made.
    pub quantity: &'static str,
    /// The refused value.
    pub value: f64,
    /// Its unit.
    pub unit: &'static str,
    /// The allowed range, in words.
    pub allowed: &'static str,
}

macro_rules! quantity {
    ($(#[$doc:meta])* $name:ident, $quantity:literal, $unit:literal, $allowed:literal, $ok:expr) => {
        $(#[$doc])*
        #[derive(Clone, Copy, Debug, PartialEq, PartialOrd, Serialize, Deserialize)]
        #[serde(try_from = "f64", into = "f64")]
        pub struct $name(f64);

        impl $name {
            /// Checks and wraps a number.
            ///
            /// # Errors
            ///
            /// [`UnitError`] if the value is not finite or out of range.
            pub fn new(value: f64) -> Result<Self, UnitError> {
                let ok: fn(f64) -> bool = $ok;
                if value.is_finite() && ok(value) {
                    Ok(Self(value))
                } else {
                    Err(UnitError { quantity: $quantity, value, unit: $unit, allowed: $allowed })
                }
            }

            /// The bare number, in base units.
            #[must_use]
            pub fn get(self) -> f64 {
                self.0
            }
        }

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
                write!(f, "{} {}", self.0, $unit)
            }
        }
    };
}

quantity!(
    /// An amount of data \[B\]. Finite, not negative; may be fractional after an average.
    Bytes, "amount of data", "B", ">= 0 and finite", |v| v >= 0.0
);
quantity!(
    /// A bandwidth \[B/s\]. Finite and positive.
    BytesPerSec, "bandwidth", "B/s", "> 0 and finite", |v| v > 0.0
);
quantity!(
    /// A rate of arithmetic \[FLOP/s\]; one multiply-add counts as two. Finite and positive.
    FlopsPerSec, "compute rate", "FLOP/s", "> 0 and finite", |v| v > 0.0
);

impl Add for Bytes {
    type Output = Bytes;
    fn add(self, other: Bytes) -> Bytes {
        Bytes(self.0 + other.0)
    }
}

impl AddAssign for Bytes {
    fn add_assign(&mut self, other: Bytes) {
        self.0 += other.0;
    }
}

impl Mul<u64> for Bytes {
    type Output = Bytes;
    fn mul(self, count: u64) -> Bytes {
        Bytes(self.0 * count as f64)
    }
}

impl Div<BytesPerSec> for Bytes {
    type Output = Seconds;
    fn div(self, bandwidth: BytesPerSec) -> Seconds {
        Seconds::saturating(self.0 / bandwidth.0)
    }
}

//! Constants: exact rationals and floats, kept apart.

use std::cmp::Ordering;
use std::fmt;
use std::hash::{Hash, Hasher};

use serde::de::Error as _;
use serde::{Deserialize, Deserializer, Serialize, Serializer};

/// A constant: an exact rational or an `f64`.
///
/// Integers stay exact through `+ − × ÷` and integer powers; what does not fit 128 bits becomes a
/// float. A float never becomes a rational again, and an operation with a float gives a float.
#[derive(Clone, Copy, Debug)]
pub struct Number(Repr);

#[derive(Clone, Copy, Debug)]
enum Repr {
    /// In lowest terms, `den > 0`.
    Rational {
        num: i128,
        den: i128,
    },
    Float(f64),
}

impl Number {
    pub(crate) const ZERO: Number = Number(Repr::Rational { num: 0, den: 1 });
    pub(crate) const ONE: Number = Number(Repr::Rational { num: 1, den: 1 });
    pub(crate) const MINUS_ONE: Number = Number(Repr::Rational { num: -1, den: 1 });
    pub(crate) const HALF: Number = Number(Repr::Rational { num: 1, den: 2 });

    /// The rational `num / den`, a float if it does not fit; NaN if `den` is zero.
    #[must_use]
    pub fn ratio(num: i128, den: i128) -> Number {
        if den == 0 {
            return Number(Repr::Float(f64::NAN));
        }
        let divisor = gcd(num.unsigned_abs(), den.unsigned_abs());
        let sign = if den < 0 { -1 } else { 1 };
        let lowest = i128::try_from(divisor)
            .ok()
            .and_then(|d| Some(((num / d).checked_mul(sign)?, (den / d).checked_mul(sign)?)));
        match lowest {
            Some((num, den)) => Number(Repr::Rational { num, den }),
            None => Number(Repr::Float(num as f64 / den as f64)),
        }
    }

    /// A float; minus zero becomes zero.
    pub(crate) fn float(value: f64) -> Number {
        Number(Repr::Float(if value == 0.0 { 0.0 } else { value }))
    }

    /// The nearest `f64`.
    #[must_use]
    pub fn to_f64(self) -> f64 {
        match self.0 {
            Repr::Rational { num, den } => num as f64 / den as f64,
            Repr::Float(value) => value,
        }
    }

    /// Numerator and denominator in lowest terms, if exact.
    #[must_use]
    pub fn as_ratio(self) -> Option<(i128, i128)> {
        match self.0 {
            Repr::Rational { num, den } => Some((num, den)),
            Repr::Float(_) => None,
        }
    }

    /// The exponent as a small integer, if it is one.
    pub(crate) fn as_small_int(self) -> Option<i32> {
        match self.0 {
            Repr::Rational { num, den: 1 } => i32::try_from(num).ok(),
            Repr::Float(v) if v.fract() == 0.0 && v.abs() < 1e6 => Some(v as i32),
            _ => None,
        }
    }

    /// As an exponent: a float that is a multiple of ¼ becomes exact, so that `x ^ 0.5` is a root.
    pub(crate) fn as_exponent(self) -> Number {
        match self.0 {
            Repr::Float(v) if (v * 4.0).fract() == 0.0 && v.abs() < 1e6 => {
                Number::ratio((v * 4.0) as i128, 4)
            }
            _ => self,
        }
    }

    pub(crate) fn is_finite(self) -> bool {
        self.to_f64().is_finite()
    }

    pub(crate) fn is_float(self) -> bool {
        matches!(self.0, Repr::Float(_))
    }

    pub(crate) fn is_zero(self) -> bool {
        matches!(self.0, Repr::Rational { num: 0, .. }) || self.0.is_float_equal(0.0)
    }

    /// One, exactly or as a float.
    pub(crate) fn is_one(self) -> bool {
        matches!(self.0, Repr::Rational { num: 1, den: 1 }) || self.0.is_float_equal(1.0)
    }

    pub(crate) fn is_minus_one(self) -> bool {
        matches!(self.0, Repr::Rational { num: -1, den: 1 }) || self.0.is_float_equal(-1.0)
    }

    /// A float that changes nothing, 1 or −1, as the exact number: `1.0 · x` is `x`.
    pub(crate) fn without_effect(self) -> Number {
        match self {
            _ if self.is_one() => Number::ONE,
            _ if self.is_minus_one() => Number::MINUS_ONE,
            _ => self,
        }
    }

    pub(crate) fn is_integer(self) -> bool {
        match self.0 {
            Repr::Rational { den, .. } => den == 1,
            Repr::Float(v) => v.fract() == 0.0,
        }
    }

    pub(crate) fn is_negative(self) -> bool {
        match self.0 {
            Repr::Rational { num, .. } => num < 0,
            Repr::Float(v) => v < 0.0,
        }
    }

    pub(crate) fn add(self, other: Number) -> Number {
        let exact = |(a, b): (i128, i128), (c, d): (i128, i128)| {
            let num = a.checked_mul(d)?.checked_add(c.checked_mul(b)?)?;
            Some(Number::ratio(num, b.checked_mul(d)?))
        };
        match (self.as_ratio(), other.as_ratio()) {
            (Some(x), Some(y)) => exact(x, y),
            _ => None,
        }
        .unwrap_or_else(|| Number::float(self.to_f64() + other.to_f64()))
    }

    pub(crate) fn mul(self, other: Number) -> Number {
        let exact = |(a, b): (i128, i128), (c, d): (i128, i128)| {
            // Cancel crosswise first, so that products of large reduced fractions fit.
            let (g, h) =
                (gcd(a.unsigned_abs(), d.unsigned_abs()), gcd(c.unsigned_abs(), b.unsigned_abs()));
            let (g, h) = (i128::try_from(g.max(1)).ok()?, i128::try_from(h.max(1)).ok()?);
            Some(Number::ratio((a / g).checked_mul(c / h)?, (b / h).checked_mul(d / g)?))
        };
        match (self.as_ratio(), other.as_ratio()) {
            _ if self.is_zero() || other.is_zero() => Some(Number::ZERO),
            (Some(x), Some(y)) => exact(x, y),
            _ => None,
        }
        .unwrap_or_else(|| Number::float(self.to_f64() * other.to_f64()))
    }

    pub(crate) fn neg(self) -> Number {
        self.mul(Number::MINUS_ONE)
    }

    /// `1 / self`; infinite for zero.
    pub(crate) fn recip(self) -> Number {
        match self.0 {
            Repr::Rational { num, den } if num != 0 => Number::ratio(den, num),
            _ => Number::float(1.0 / self.to_f64()),
        }
    }

    pub(crate) fn powi(self, exponent: i32) -> Number {
        if exponent < 0 {
            return self.powi(exponent.saturating_neg()).recip();
        }
        let exact = self.as_ratio().and_then(|(num, den)| {
            let e = exponent.unsigned_abs();
            Some(Number::ratio(num.checked_pow(e)?, den.checked_pow(e)?))
        });
        exact.unwrap_or_else(|| Number::float(crate::math::powi(self.to_f64(), exponent)))
    }

    pub(crate) fn pow(self, exponent: Number) -> Number {
        match exponent.as_small_int() {
            Some(e) => self.powi(e),
            None => Number::float(crate::math::pow(self.to_f64(), exponent.to_f64())),
        }
    }

    pub(crate) fn ceil(self) -> Number {
        match self.0 {
            Repr::Rational { num, den } => Number::ratio(-(-num).div_euclid(den), 1),
            Repr::Float(v) => Number::float(v.ceil()),
        }
    }

    pub(crate) fn floor(self) -> Number {
        match self.0 {
            Repr::Rational { num, den } => Number::ratio(num.div_euclid(den), 1),
            Repr::Float(v) => Number::float(v.floor()),
        }
    }

    /// Order by value: exact if both are, else as `f64`.
    pub(crate) fn compare(self, other: Number) -> Ordering {
        let exact = match (self.as_ratio(), other.as_ratio()) {
            (Some((a, b)), Some((c, d))) => {
                a.checked_mul(d).zip(c.checked_mul(b)).map(|(left, right)| left.cmp(&right))
            }
            _ => None,
        };
        exact.unwrap_or_else(|| self.to_f64().total_cmp(&other.to_f64()))
    }

    fn bits(self) -> (u8, i128, i128) {
        match self.0 {
            Repr::Rational { num, den } => (0, num, den),
            Repr::Float(v) => (1, i128::from(v.to_bits()), 0),
        }
    }
}

impl Repr {
    fn is_float_equal(self, value: f64) -> bool {
        matches!(self, Repr::Float(v) if v == value)
    }
}

fn gcd(mut a: u128, mut b: u128) -> u128 {
    while b != 0 {
        (a, b) = (b, a % b);
    }
    a.max(1)
}

/// Equal representation: the integer 2 and the float 2.0 differ.
impl PartialEq for Number {
    fn eq(&self, other: &Number) -> bool {
        self.bits() == other.bits()
    }
}

impl Eq for Number {}

impl Hash for Number {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.bits().hash(state);
    }
}

impl fmt::Display for Number {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0 {
            Repr::Rational { num, den: 1 } => write!(f, "{num}"),
            Repr::Rational { num, den } => write!(f, "{num}/{den}"),
            Repr::Float(v) => write!(f, "{v:?}"),
        }
    }
}

/// Exact as text (`"61"`, `"1/3"`), a float as a number.
impl Serialize for Number {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self.0 {
            Repr::Rational { .. } => serializer.collect_str(self),
            Repr::Float(v) => serializer.serialize_f64(v),
        }
    }
}

impl<'de> Deserialize<'de> for Number {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Number, D::Error> {
        #[derive(Deserialize)]
        #[serde(untagged)]
        enum Text {
            Exact(String),
            Float(f64),
        }
        match Text::deserialize(deserializer)? {
            Text::Float(v) => Ok(Number::float(v)),
            Text::Exact(text) => {
                let (num, den) = text.split_once('/').unwrap_or((&text, "1"));
                let parsed = num.parse().ok().zip(den.parse().ok().filter(|den| *den > 0));
                let (num, den) = parsed.ok_or_else(|| {
                    D::Error::custom(format_args!("`{text}` is not an integer or a fraction"))
                })?;
                Ok(Number::ratio(num, den))
            }
        }
    }
}

macro_rules! from_integers {
    ($($int:ty),*) => {$(
        impl From<$int> for Number {
            fn from(value: $int) -> Number {
                Number(Repr::Rational { num: value as i128, den: 1 })
            }
        }
    )*};
}
from_integers!(u8, u16, u32, u64, i8, i16, i32, i64, usize);

impl From<f64> for Number {
    fn from(value: f64) -> Number {
        Number::float(value)
    }
}

//! Dimensions: what a number counts or measures, as far as it is checked.
//!
//! Base dimensions are the second, the byte and the FLOP. Everything else that a law counts (tokens,
//! requests, GPUs, rows) is a pure number: laws multiply and compare counts of different things all
//! the time, and rightly so.

use std::fmt;

use sglsim_units::Nearest;

use crate::ExprError;

/// Exponents are counted in twelfths, so that roots and their products stay exact.
const PARTS: i32 = 12;

/// Base units that are checked, in the order of the exponents.
const BASES: [&str; 3] = ["s", "B", "FLOP"];

/// What may be counted. All of these are pure numbers.
const COUNTS: [&str; 19] = [
    "token",
    "request",
    "GPU",
    "rank",
    "worker",
    "node",
    "step",
    "chunk",
    "page",
    "block",
    "layer",
    "expert",
    "head",
    "row",
    "sequence",
    "pair",
    "parameter",
    "query",
    "event",
];

/// Seconds, bytes and FLOP, each to a rational power; a pure number has all powers zero.
///
/// ```
/// use sglsim_expr::Dimension;
/// let bandwidth: Dimension = "B/s".parse()?;
/// assert_eq!(bandwidth.to_string(), "B/s");
/// assert_eq!("token^2".parse::<Dimension>()?, Dimension::PURE);
/// let error = "Gb/s".parse::<Dimension>().unwrap_err();
/// assert_eq!(error.to_string(), "unit `Gb/s` has an unknown part `Gb`; did you mean `B`?");
/// # Ok::<(), sglsim_expr::ExprError>(())
/// ```
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct Dimension {
    /// Twelfths of an exponent, by base.
    exponents: [i32; 3],
}

impl Dimension {
    /// A pure number, or a count of anything.
    pub const PURE: Dimension = Dimension { exponents: [0; 3] };

    /// The dimension of a product.
    pub(crate) fn times(self, other: Dimension) -> Dimension {
        let [mine, others] = [self.exponents, other.exponents];
        Dimension { exponents: std::array::from_fn(|k| mine[k].saturating_add(others[k])) }
    }

    /// The dimension of a constant power; `None` if an exponent is no multiple of a twelfth.
    pub(crate) fn power(self, exponent: f64) -> Option<Dimension> {
        let mut exponents = [0; 3];
        for (new, old) in exponents.iter_mut().zip(self.exponents) {
            let power = f64::from(old) * exponent;
            if power.fract() != 0.0 || power.abs() > 1e6 {
                return None;
            }
            *new = power as i32;
        }
        Some(Dimension { exponents })
    }

    /// Whether times have the same power in both.
    pub(crate) fn same_time(self, other: Dimension) -> bool {
        self.exponents[0] == other.exponents[0]
    }

    /// The power of time alone.
    pub(crate) fn time(self) -> Dimension {
        Dimension { exponents: [self.exponents[0], 0, 0] }
    }
}

/// Units without prefixes, multiplied by `*` and divided by `/`, each with an integer power after
/// `^`: `s`, `B/s`, `FLOP/s`, `token^2`, `1/s`, `1`.
impl std::str::FromStr for Dimension {
    type Err = ExprError;

    fn from_str(unit: &str) -> Result<Dimension, ExprError> {
        let mut dimension = Dimension::PURE;
        for (at, quotient) in unit.split('/').enumerate() {
            for factor in quotient.split(['*', '·']) {
                let (name, power) = factor.split_once('^').unwrap_or((factor, "1"));
                let name = name.trim();
                let unknown = || {
                    let known = BASES.iter().chain(&COUNTS).copied().chain(["1"]);
                    ExprError::UnknownUnit {
                        unit: unit.to_owned(),
                        part: factor.trim().to_owned(),
                        hint: Nearest::to(name, known),
                    }
                };
                let power: i32 = power.trim().parse().map_err(|_| unknown())?;
                let power = if at == 0 { power } else { power.saturating_neg() };
                match BASES.iter().position(|base| *base == name) {
                    Some(base) if power.abs() <= 100 => dimension.exponents[base] += power * PARTS,
                    None if name == "1" || COUNTS.contains(&name) => {}
                    _ => return Err(unknown()),
                }
            }
        }
        Ok(dimension)
    }
}

impl fmt::Display for Dimension {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let powers = |sign: i32| {
            let with_sign = BASES.iter().zip(self.exponents).filter(move |(_, e)| e * sign > 0);
            with_sign.map(|(base, e)| match (e.abs() / PARTS, e.abs() % PARTS) {
                (1, 0) => (*base).to_owned(),
                (whole, 0) => format!("{base}^{whole}"),
                _ => format!("{base}^{}", f64::from(e.abs()) / f64::from(PARTS)),
            })
        };
        let above: Vec<String> = powers(1).collect();
        f.write_str(if above.is_empty() { "1" } else { "" })?;
        f.write_str(&above.join("*"))?;
        powers(-1).try_for_each(|below| write!(f, "/{below}"))
    }
}

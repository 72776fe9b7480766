//! Symbols: the named inputs of expressions, with what is known about their values.

use std::fmt;

use serde::{Deserialize, Serialize};

use crate::{Dimension, ExprError};

/// The kind of values an expression takes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Sort {
    /// True or false; 1 and 0 as numbers.
    Bool,
    /// An integer.
    Int,
    /// A finite real number.
    Real,
}

impl fmt::Display for Sort {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Sort::Bool => "a truth value",
            Sort::Int => "an integer",
            Sort::Real => "a real number",
        })
    }
}

/// The declaration of a symbol.
///
/// The domain is a promise that simplification relies on: `x / x` becomes 1 only where the domain
/// excludes zero. [`Expr::evaluate`](crate::Expr::evaluate) checks it.
///
/// ```
/// use sglsim_expr::Symbol;
/// let tp = Symbol::int("tp_size").at_least(1.0).at_most(64.0).doc("tensor parallel ranks");
/// assert_eq!(tp.domain, Some((1.0, 64.0)));
/// let bandwidth = Symbol::real("hbm_bandwidth").positive().unit("B/s");
/// assert_eq!(bandwidth.unit, "B/s");
/// ```
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
#[non_exhaustive]
pub struct Symbol {
    /// Name: a letter or `_`, then letters, digits, `_`, `.` or `-`.
    pub name: String,
    /// Kind of its values.
    pub sort: Sort,
    /// Least and greatest allowed value, both included; `None` is every finite number.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub domain: Option<(f64, f64)>,
    /// Unit as text, such as `"s"`, `"B/s"`, `"token"`; `"1"` for a pure number. It gives the
    /// [`Dimension`] that operators check, and has no prefixes: a time is in `s`, never in `ms`.
    #[serde(default = "pure")]
    pub unit: String,
    /// One line for humans.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub doc: String,
}

fn pure() -> String {
    "1".to_owned()
}

impl Symbol {
    /// A real symbol.
    #[must_use]
    pub fn real(name: impl Into<String>) -> Symbol {
        Symbol {
            name: name.into(),
            sort: Sort::Real,
            domain: None,
            unit: pure(),
            doc: String::new(),
        }
    }

    /// An integer symbol.
    #[must_use]
    pub fn int(name: impl Into<String>) -> Symbol {
        Symbol { sort: Sort::Int, ..Symbol::real(name) }
    }

    /// A truth value.
    #[must_use]
    pub fn boolean(name: impl Into<String>) -> Symbol {
        Symbol { sort: Sort::Bool, domain: Some((0.0, 1.0)), ..Symbol::real(name) }
    }

    /// Sets the least allowed value.
    #[must_use]
    pub fn at_least(mut self, low: f64) -> Symbol {
        self.domain = Some((low, self.domain.map_or(f64::MAX, |d| d.1)));
        self
    }

    /// Sets the greatest allowed value.
    #[must_use]
    pub fn at_most(mut self, high: f64) -> Symbol {
        self.domain = Some((self.domain.map_or(f64::MIN, |d| d.0), high));
        self
    }

    /// Allows only values above zero (from 1 for an integer).
    #[must_use]
    pub fn positive(self) -> Symbol {
        let least = if self.sort == Sort::Int { 1.0 } else { f64::MIN_POSITIVE };
        self.at_least(least)
    }

    /// Allows only values from zero.
    #[must_use]
    pub fn non_negative(self) -> Symbol {
        self.at_least(0.0)
    }

    /// Sets the unit.
    #[must_use]
    pub fn unit(mut self, unit: impl Into<String>) -> Symbol {
        self.unit = unit.into();
        self
    }

    /// Sets the description.
    #[must_use]
    pub fn doc(mut self, doc: impl Into<String>) -> Symbol {
        self.doc = doc.into();
        self
    }

    /// Checks a value against sort and domain.
    ///
    /// # Errors
    ///
    /// [`ExprError::OutOfDomain`] with the allowed values in words.
    pub fn check(&self, value: f64) -> Result<(), ExprError> {
        let (low, high) = self.range();
        let kind = match self.sort {
            Sort::Bool => value == 0.0 || value == 1.0,
            Sort::Int => value.fract() == 0.0,
            Sort::Real => true,
        };
        if value.is_finite() && kind && low <= value && value <= high {
            return Ok(());
        }
        Err(ExprError::OutOfDomain { name: self.name.clone(), value, allowed: self.allowed() })
    }

    /// Least and greatest value.
    pub(crate) fn range(&self) -> (f64, f64) {
        self.domain.unwrap_or((f64::MIN, f64::MAX))
    }

    /// The allowed values in words, such as `an integer in [1, 64]`.
    pub(crate) fn allowed(&self) -> String {
        let (low, high) = self.range();
        let sort = self.sort;
        match (low > f64::MIN, high < f64::MAX) {
            _ if sort == Sort::Bool => "0 or 1".to_owned(),
            (false, false) => sort.to_string(),
            (true, false) if low == f64::MIN_POSITIVE => format!("{sort} > 0"),
            (true, false) => format!("{sort} >= {low}"),
            (false, true) => format!("{sort} <= {high}"),
            (true, true) => format!("{sort} in [{low}, {high}]"),
        }
    }

    pub(crate) fn validate(&self) -> Result<(), ExprError> {
        let mut chars = self.name.chars();
        let starts = chars.next().is_some_and(|c| c.is_alphabetic() || c == '_');
        let (low, high) = self.range();
        let problem = if !starts || chars.any(|c| !c.is_alphanumeric() && !"_.-".contains(c)) {
            "a name that is not a letter or `_` followed by letters, digits, `_`, `.` or `-`"
        } else if low.is_nan() || high.is_nan() || low > high || low == f64::INFINITY {
            "an empty domain"
        } else {
            return self.unit.parse::<Dimension>().map(|_| ());
        };
        Err(ExprError::InvalidSymbol { name: self.name.clone(), problem })
    }
}

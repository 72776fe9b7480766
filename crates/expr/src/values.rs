//! Values of symbols, by name.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

/// Values of symbols: an ordered map from name to number.
///
/// ```
/// use sglsim_expr::Values;
/// let mut values = Values::from([("tp_size", 8.0)]).with("chunk", 4096.0);
/// values.insert("tp_size", 4.0);
/// assert_eq!(values.get("tp_size"), Some(4.0));
/// assert_eq!(values.names().collect::<Vec<_>>(), ["chunk", "tp_size"]);
/// ```
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Values(BTreeMap<String, f64>);

impl Values {
    /// No values.
    #[must_use]
    pub fn new() -> Values {
        Values::default()
    }

    /// Adds or replaces one value.
    #[must_use]
    pub fn with(mut self, name: impl Into<String>, value: f64) -> Values {
        self.insert(name, value);
        self
    }

    /// Adds or replaces one value.
    pub fn insert(&mut self, name: impl Into<String>, value: f64) {
        self.0.insert(name.into(), value);
    }

    /// Replaces the values of names that are there; other names have no influence.
    ///
    /// ```
    /// use sglsim_expr::Values;
    ///
    /// let mut values = Values::from([("a", 1.0)]);
    /// values.replace(&Values::from([("a", 2.0), ("b", 3.0)]));
    /// assert_eq!(values, Values::from([("a", 2.0)]));
    /// ```
    pub fn replace(&mut self, by: &Values) {
        for (name, value) in &mut self.0 {
            *value = by.get(name).unwrap_or(*value);
        }
    }

    /// The value of `name`.
    #[must_use]
    pub fn get(&self, name: &str) -> Option<f64> {
        self.0.get(name).copied()
    }

    /// Removes and returns the value of `name`.
    pub fn remove(&mut self, name: &str) -> Option<f64> {
        self.0.remove(name)
    }

    /// The names, sorted.
    pub fn names(&self) -> impl Iterator<Item = &str> {
        self.0.keys().map(String::as_str)
    }

    /// Names and values, sorted by name.
    pub fn iter(&self) -> impl Iterator<Item = (&str, f64)> {
        self.0.iter().map(|(name, value)| (name.as_str(), *value))
    }

    /// How many there are.
    #[must_use]
    pub fn len(&self) -> usize {
        self.0.len()
    }

    /// Whether there are none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

impl<S: Into<String>> FromIterator<(S, f64)> for Values {
    fn from_iter<I: IntoIterator<Item = (S, f64)>>(pairs: I) -> Values {
        Values(pairs.into_iter().map(|(name, value)| (name.into(), value)).collect())
    }
}

impl<S: Into<String>> Extend<(S, f64)> for Values {
    fn extend<I: IntoIterator<Item = (S, f64)>>(&mut self, pairs: I) {
        self.0.extend(pairs.into_iter().map(|(name, value)| (name.into(), value)));
    }
}

impl<S: Into<String>, const N: usize> From<[(S, f64); N]> for Values {
    fn from(pairs: [(S, f64); N]) -> Values {
        pairs.into_iter().collect()
    }
}

impl IntoIterator for Values {
    type Item = (String, f64);
    type IntoIter = std::collections::btree_map::IntoIter<String, f64>;

    fn into_iter(self) -> Self::IntoIter {
        self.0.into_iter()
    }
}

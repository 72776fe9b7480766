//! `--set path=value`: changing one field of a scenario by its path.

use serde_json::Value;
use sglsim_units::Nearest;

use super::{Scenario, ScenarioError};

impl Scenario {
    /// The scenario with one field changed.
    ///
    /// `path` is the field's place, such as `deployment.decode.workers`; the name of an enum variant
    /// may be left out. `value` is a number, `true`, `false`, `null`, JSON, or a bare word.
    ///
    /// # Errors
    ///
    /// [`ScenarioError::UnknownField`] with the nearest name, or [`ScenarioError::BadValue`].
    ///
    /// # Panics
    ///
    /// Never: a scenario is plain data.
    pub fn with(&self, path: &str, value: &str) -> Result<Self, ScenarioError> {
        let mut root = serde_json::to_value(self).expect("a scenario is plain data");
        let mut here = &mut root;
        let mut parent = "scenario";
        for name in path.split('.') {
            if parent == "coefficients" {
                // The one open map: the name is checked against the laws when they are built.
                let coefficients = here.as_object_mut().expect("coefficients are a map");
                coefficients.entry(name).or_insert(Value::Null);
            }
            here = step(here, name).map_err(|known| ScenarioError::UnknownField {
                path: path.to_owned(),
                parent: parent.to_owned(),
                name: name.to_owned(),
                nearest: Nearest::to(name, known.iter().map(String::as_str)),
                known,
            })?;
            parent = name;
        }
        let bad = |message: String| ScenarioError::BadValue {
            path: path.to_owned(),
            value: value.to_owned(),
            message,
        };
        *here = serde_json::from_str(value).unwrap_or_else(|_| Value::String(value.to_owned()));
        serde_path_to_error::deserialize(root).map_err(|error| bad(error.inner().to_string()))
    }
}

/// The member `name` of an object. Where it has none, an enum variant is passed through.
fn step<'a>(value: &'a mut Value, name: &str) -> Result<&'a mut Value, Vec<String>> {
    let known = match value {
        Value::Object(map) => {
            if map.contains_key(name) {
                return Ok(&mut value[name]);
            }
            let mut keys = map.keys();
            let only = match (keys.next(), keys.next()) {
                (Some(only), None) if is_variant(only) => Some(only.clone()),
                _ => None,
            };
            if let Some(variant) = only {
                return step(&mut value[variant.as_str()], name);
            }
            map.keys().cloned().collect()
        }
        _ => Vec::new(),
    };
    Err(known)
}

fn is_variant(key: &str) -> bool {
    key.chars().next().is_some_and(char::is_uppercase)
}

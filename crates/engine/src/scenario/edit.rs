//! `--set path=value`: changing one field of a scenario by its path.

use serde_json::{Map, Value};
use sglsim_units::Nearest;

use super::{Scenario, ScenarioError};

impl Scenario {
    /// The scenario with one field changed.
    ///
    /// `path` is the field's place, such as `deployment.decode.workers`; the name of an enum variant
    /// may be left out. `value` is written as in a scenario file, such as `4`, `fcfs` or
    /// `LogNormal(mean: 600, cv: 1.2)`; quotes around a text may be left out.
    ///
    /// ```
    /// # let scenario = sglsim_engine::Scenario::from_ron(r#"(
    /// #     model: "Llama-3.1-8B",
    /// #     hardware: (gpu: "H100-SXM"),
    /// #     deployment: Aggregated(),
    /// #     workload: Synthetic(arrivals: Burst, input_len: Fixed(1), output_len: Fixed(1), requests: 1),
    /// # )"#)?;
    /// let scenario = scenario.with("workload.arrivals", "Gamma(rate: 3, cv: 2)")?;
    /// let scenario = scenario.with("workload.arrivals.rate", "4.5")?;
    /// let scenario = scenario.with("model", "Llama-3.1-70B")?;
    /// # Ok::<(), sglsim_engine::ScenarioError>(())
    /// ```
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
                known: known.into(),
            })?;
            parent = name;
        }
        *here = parse(value);
        let changed = serde_path_to_error::deserialize(root);
        changed.map_err(|error| {
            let (message, nearest) = explain(&error.inner().to_string());
            ScenarioError::BadValue {
                path: path.to_owned(),
                value: value.to_owned(),
                message,
                nearest,
            }
        })
    }
}

/// A serde message in words of a scenario file, and the nearest of the names that it lists.
fn explain(message: &str) -> (String, Nearest) {
    let mut message = message.to_owned();
    for (rust, words) in [
        ("expected u32", "expected a whole number, not negative"),
        ("expected u64", "expected a whole number, not negative"),
        ("expected i64", "expected a whole number"),
        ("expected f64", "expected a finite number"),
        ("expected a boolean", "expected true or false"),
    ] {
        message = message.replace(rust, words);
    }
    let names: Vec<&str> = message.split('`').skip(1).step_by(2).collect();
    let nearest = match names.as_slice() {
        [found, known @ ..] if message.starts_with("unknown") => {
            Nearest::to(found, known.iter().copied())
        }
        _ => Nearest::to("", []),
    };
    (message, nearest)
}

/// A value as JSON would have it: from JSON, from RON, or a bare word.
fn parse(text: &str) -> Value {
    serde_json::from_str(text).ok().or_else(|| ron(text)).unwrap_or_else(|| text.into())
}

/// The whole of a RON text. One that nests deeper than any field does is none.
fn ron(text: &str) -> Option<Value> {
    const DEEPEST: usize = 32;
    let mut depth = 0_usize;
    for c in text.chars() {
        match c {
            '(' | '[' => depth += 1,
            ')' | ']' => depth = depth.saturating_sub(1),
            _ => {}
        }
        if depth > DEEPEST {
            return None;
        }
    }
    let mut rest = text;
    let value = ron_value(&mut rest)?;
    rest.trim().is_empty().then_some(value)
}

/// Cuts a RON value off the front of `rest`. An enum variant becomes what serde makes of it in JSON:
/// a string, or an object with one member.
fn ron_value(rest: &mut &str) -> Option<Value> {
    let text = rest.trim_start();
    *rest = text;
    if let Some(after) = text.strip_prefix('[') {
        *rest = after;
        return ron_list(rest, ']', ron_value).map(Value::Array);
    }
    if let Some(quoted) = text.strip_prefix('"') {
        let (inside, after) = quoted.split_once('"')?;
        *rest = after;
        return Some(inside.into());
    }
    let word = cut_word(rest);
    let Some(after) = rest.strip_prefix('(') else {
        return match word {
            "" => None,
            "None" => Some(Value::Null),
            word => Some(serde_json::from_str(word).unwrap_or_else(|_| word.into())),
        };
    };
    *rest = after;
    let before = *rest;
    let inside = match ron_list(rest, ')', ron_field) {
        Some(fields) => Value::Object(Map::from_iter(fields)),
        None => {
            *rest = before;
            let [only] = <[Value; 1]>::try_from(ron_list(rest, ')', ron_value)?).ok()?;
            only
        }
    };
    // An option is the value itself.
    Some(match word {
        "" | "Some" => inside,
        variant => Value::from_iter([(variant, inside)]),
    })
}

fn ron_field(rest: &mut &str) -> Option<(String, Value)> {
    let name = cut_word(rest).to_owned();
    *rest = rest.trim_start().strip_prefix(':')?;
    Some((name, ron_value(rest)?))
}

/// Items with commas between them, up to `end`.
fn ron_list<T>(rest: &mut &str, end: char, item: fn(&mut &str) -> Option<T>) -> Option<Vec<T>> {
    let mut items = Vec::new();
    loop {
        if let Some(after) = rest.trim_start().strip_prefix(end) {
            *rest = after;
            return Some(items);
        }
        items.push(item(rest)?);
        *rest = rest.trim_start();
        match rest.strip_prefix(',') {
            Some(after) => *rest = after,
            None if rest.starts_with(end) => {}
            None => return None,
        }
    }
}

/// Cuts a name or a number off the front.
fn cut_word<'a>(rest: &mut &'a str) -> &'a str {
    let text = rest.trim_start();
    let is_part = |c: char| c.is_alphanumeric() || matches!(c, '_' | '-' | '+' | '.');
    let (word, after) = text.split_at(text.find(|c| !is_part(c)).unwrap_or(text.len()));
    *rest = after;
    word
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

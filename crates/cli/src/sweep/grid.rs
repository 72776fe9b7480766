//! What is varied: axes from the command line, and the points of their grid.

use sglsim_engine::{Scenario, ScenarioError};

/// Most points of a sweep.
const MOST: usize = 100_000;

/// Fields that change together, and the values that they take.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Axis {
    paths: Vec<String>,
    /// By value, then by path.
    values: Vec<Vec<String>>,
}

/// A point of the grid.
#[derive(Clone, Debug)]
pub(super) struct Point {
    /// The value of each axis, as a table shows it.
    pub(super) labels: Vec<String>,
    /// Paths and their values.
    pub(super) settings: Vec<(String, String)>,
    pub(super) scenario: Scenario,
}

/// The axes do not make a grid.
#[derive(Debug, thiserror::Error)]
pub(super) enum GridError {
    #[error(
        "there is nothing to sweep; give `--over PATH=VALUES`, such as \
         `--over deployment.decode.workers=1..8`, or `--pd-workers 8`"
    )]
    NoAxis,
    #[error("`{0}` is swept twice")]
    Twice(String),
    #[error("the grid has {sizes} points, allowed are {MOST}")]
    TooLarge { sizes: String },
    #[error("cannot sweep `{path}`")]
    Setting {
        path: String,
        #[source]
        source: Box<ScenarioError>,
    },
}

impl Axis {
    /// Reads `PATH=VALUES` or, of fields that change together, `PATH:PATH=VALUE:VALUE,…`.
    pub(super) fn parse(text: &str) -> Result<Self, String> {
        let (paths, values) =
            text.split_once('=').ok_or("it has no `=`; it is written as PATH=VALUES")?;
        let paths: Vec<String> = paths.split(':').map(|path| path.trim().to_owned()).collect();
        if paths.iter().any(String::is_empty) {
            return Err("a path is empty".to_owned());
        }
        let mut all = Vec::new();
        for item in split(values, ',') {
            let item = item.trim();
            if item.is_empty() {
                return Err("a value is empty".to_owned());
            }
            if paths.len() == 1 {
                all.extend(range(item)?.into_iter().map(|value| vec![value]));
                continue;
            }
            let parts: Vec<String> =
                split(item, ':').into_iter().map(|part| part.trim().to_owned()).collect();
            if parts.len() != paths.len() {
                return Err(format!(
                    "`{item}` has {} values between colons, for {} fields",
                    parts.len(),
                    paths.len()
                ));
            }
            all.push(parts);
        }
        Ok(Self { paths, values: all })
    }

    /// Every split of so many workers into prefill and decode.
    pub(super) fn pd_workers(total: u32) -> Self {
        let path = |pool| format!("deployment.{pool}.workers");
        let split = |prefill: u32| vec![prefill.to_string(), (total - prefill).to_string()];
        Self {
            paths: vec![path("prefill"), path("decode")],
            values: (1..total).map(split).collect(),
        }
    }

    /// What a table calls it: as little of the paths as tells them apart.
    pub(super) fn name(&self) -> String {
        let last = |path: &String| path.rsplit('.').next().unwrap_or_default().to_owned();
        let pool = |path: &String| {
            let mut parts = path.rsplit('.').skip(1);
            parts.next().map(str::to_owned)
        };
        let mut names: Vec<String> = self.paths.iter().map(last).collect();
        let pools: Option<Vec<String>> = self.paths.iter().map(pool).collect();
        match (pools, names.windows(2).all(|pair| pair[0] == pair[1])) {
            (Some(pools), true) if pools.len() > 1 => {
                names.truncate(1);
                let what =
                    if names[0] == "workers" { String::new() } else { format!(" {}", names[0]) };
                pools.join(":") + &what
            }
            (Some(pools), _) if pools.len() == 1 && pools[0] != "deployment" => {
                format!("{} {}", pools[0], names[0])
            }
            _ => names.join(":"),
        }
    }
}

/// The points of a grid, the last axis fastest.
pub(super) fn points(scenario: &Scenario, axes: &[Axis]) -> Result<Vec<Point>, GridError> {
    if axes.is_empty() {
        return Err(GridError::NoAxis);
    }
    let mut paths: Vec<&String> = axes.iter().flat_map(|axis| &axis.paths).collect();
    paths.sort();
    if let Some(pair) = paths.windows(2).find(|pair| pair[0] == pair[1]) {
        return Err(GridError::Twice(pair[0].clone()));
    }
    let product =
        axes.iter().try_fold(1_usize, |product, axis| product.checked_mul(axis.values.len()));
    if product.is_none_or(|product| product > MOST) {
        let sizes: Vec<String> = axes.iter().map(|axis| axis.values.len().to_string()).collect();
        return Err(GridError::TooLarge { sizes: sizes.join(" × ") });
    }
    let mut points =
        vec![Point { labels: Vec::new(), settings: Vec::new(), scenario: scenario.clone() }];
    for axis in axes {
        let mut finer = Vec::with_capacity(points.len() * axis.values.len());
        for point in &points {
            for values in &axis.values {
                let mut point = point.clone();
                for (path, value) in axis.paths.iter().zip(values) {
                    let changed = point.scenario.with(path, value);
                    point.scenario = changed.map_err(|source| GridError::Setting {
                        path: path.clone(),
                        source: Box::new(source),
                    })?;
                    point.settings.push((path.clone(), value.clone()));
                }
                point.labels.push(values.join(":"));
                finer.push(point);
            }
        }
        points = finer;
    }
    Ok(points)
}

/// Splits where `at` stands outside of parentheses, brackets and quotes.
fn split(text: &str, at: char) -> Vec<&str> {
    let (mut depth, mut quoted, mut start) = (0_usize, false, 0);
    let mut parts = Vec::new();
    for (i, c) in text.char_indices() {
        match c {
            '"' => quoted = !quoted,
            '(' | '[' | '{' if !quoted => depth += 1,
            ')' | ']' | '}' if !quoted => depth = depth.saturating_sub(1),
            _ if c == at && depth == 0 && !quoted => {
                parts.push(&text[start..i]);
                start = i + c.len_utf8();
            }
            _ => {}
        }
    }
    parts.push(&text[start..]);
    parts
}

/// The values of an item: `1..8` and `1..8+1` count up, `1..64*2` multiplies, both ends included; all
/// else is one value.
fn range(item: &str) -> Result<Vec<String>, String> {
    let one = || Ok(vec![item.to_owned()]);
    let Some((from, rest)) = item.split_once("..") else { return one() };
    let (to, step, multiplies) = match (rest.split_once('+'), rest.split_once('*')) {
        (Some((to, step)), _) => (to, step, false),
        (None, Some((to, step))) => (to, step, true),
        (None, None) => (rest, "1", false),
    };
    let number = |text: &str| text.trim().parse::<f64>().ok().filter(|x| x.is_finite());
    let (Some(from), Some(to), Some(step)) = (number(from), number(to), number(step)) else {
        return one();
    };
    let grows = if multiplies { from > 0.0 && step > 1.0 } else { step > 0.0 };
    if !grows || to < from {
        return Err(format!(
            "`{item}` does not count up; it is written as 1..8, 1..8+0.5 or 1..64*2"
        ));
    }
    let mut values = Vec::new();
    for i in 0.. {
        let i = f64::from(i);
        let value = if multiplies { from * step.powf(i) } else { from + step * i };
        // What is beyond the end by rounding only still counts.
        if value > to * (1.0 + 1e-9) {
            break;
        }
        if values.len() == MOST {
            return Err(format!("`{item}` has more than {MOST} values"));
        }
        values.push(rounded(value));
    }
    Ok(values)
}

/// Twelve digits of a number, without what rounding left behind them.
fn rounded(value: f64) -> String {
    let text = format!("{value:.11e}");
    text.parse::<f64>().unwrap_or(value).to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn values(text: &str) -> Result<Vec<String>, String> {
        let axis = Axis::parse(text)?;
        Ok(axis.values.into_iter().map(|values| values.join(" & ")).collect())
    }

    #[test]
    fn values_are_lists_ranges_and_whatever_a_scenario_can_say() {
        for (text, expected) in [
            ("a=1,2,4", &["1", "2", "4"][..]),
            ("a=1..4", &["1", "2", "3", "4"]),
            ("a=1..2+0.25", &["1", "1.25", "1.5", "1.75", "2"]),
            ("a=0.1..0.4+0.1", &["0.1", "0.2", "0.3", "0.4"]),
            ("a=512..4096*2", &["512", "1024", "2048", "4096"]),
            ("a=1..3,8", &["1", "2", "3", "8"]),
            (
                "a=RoundRobin,CacheAware(x: 1, y: [2, 3])",
                &["RoundRobin", "CacheAware(x: 1, y: [2, 3])"],
            ),
            ("a=\"x,y\",z", &["\"x,y\"", "z"]),
            ("a.b:c.b=1:7, 2:6", &["1 & 7", "2 & 6"]),
            ("a:b=Law(x: 1):2", &["Law(x: 1) & 2"]),
        ] {
            assert_eq!(values(text).unwrap(), expected, "{text}");
        }
    }

    #[test]
    fn what_is_no_axis_is_refused() {
        for (text, why) in [
            ("a", "no `=`"),
            ("=1", "a path is empty"),
            ("a=1,,2", "a value is empty"),
            ("a=", "a value is empty"),
            ("a=8..1", "does not count up"),
            ("a=1..8+0", "does not count up"),
            ("a=0..8*2", "does not count up"),
            ("a=0..1+0.000001", "more than 100000 values"),
            ("a:b=1:2:3", "3 values between colons, for 2 fields"),
        ] {
            let error = values(text).unwrap_err();
            assert!(error.contains(why), "{text}: {error}");
        }
    }

    #[test]
    fn names_are_short_and_tell_pools_apart() {
        let name = |text: &str| Axis::parse(text).unwrap().name();
        assert_eq!(name("deployment.workers=1"), "workers");
        assert_eq!(name("deployment.decode.workers=1"), "decode workers");
        assert_eq!(name("seed=1"), "seed");
        assert_eq!(
            name("deployment.prefill.tp_size:deployment.prefill.workers=1:2"),
            "tp_size:workers"
        );
        assert_eq!(Axis::pd_workers(8).name(), "prefill:decode");
        assert_eq!(Axis::pd_workers(3).values, [["1", "2"], ["2", "1"]]);
    }
}

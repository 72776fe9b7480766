//! Units of columns, always written out: `latency [ms]`.

/// Splits `text [unit]` into the text and the unit, if it has one.
pub(crate) fn split(text: &str) -> (&str, Option<&str>) {
    let text = text.trim();
    match text.strip_suffix(']').and_then(|rest| rest.rsplit_once('[')) {
        Some((expression, unit)) => (expression.trim(), Some(unit.trim())),
        None => (text, None),
    }
}

/// Units of time, with their size \[s\].
pub(crate) const TIME: &[(&str, f64)] =
    &[("s", 1.0), ("ms", 1e-3), ("us", 1e-6), ("µs", 1e-6), ("ns", 1e-9)];

/// Units of data, with their size \[B\].
pub(crate) const DATA: &[(&str, f64)] = &[
    ("B", 1.0),
    ("kB", 1e3),
    ("MB", 1e6),
    ("GB", 1e9),
    ("KiB", 1024.0),
    ("MiB", 1_048_576.0),
    ("GiB", 1_073_741_824.0),
];

/// The size of a unit, or what is wrong with it.
pub(crate) fn scale(unit: Option<&str>, known: &[(&str, f64)]) -> Result<f64, String> {
    let names = || known.iter().map(|(name, _)| *name).collect::<Vec<_>>().join(", ");
    match unit {
        None => Err(format!("has no unit; write it behind the column, such as `[{}]`", known[1].0)),
        Some(unit) => known
            .iter()
            .find(|(name, _)| *name == unit)
            .map(|(_, scale)| *scale)
            .ok_or_else(|| format!("has the unit `{unit}`, allowed are {}", names())),
    }
}

/// The unit of time that a column's name ends in, such as `avg_ms`, `latency (us)`.
pub(crate) fn of_name(name: &str) -> Option<(&'static str, f64)> {
    let word = name.trim_end_matches([')', ']']);
    let (_, last) = word.rsplit_once(['_', ' ', '(', '[', '.'])?;
    TIME.iter().find(|(unit, _)| *unit == last.trim()).copied()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn units_are_split_and_recognised() {
        assert_eq!(split("a * (b + c) [ms]"), ("a * (b + c)", Some("ms")));
        assert_eq!(split("latency"), ("latency", None));
        assert_eq!(scale(Some("us"), TIME), Ok(1e-6));
        assert!(scale(Some("hours"), TIME).unwrap_err().contains("allowed are s, ms"));
        assert!(scale(None, TIME).unwrap_err().contains("`[ms]`"));
        assert_eq!(of_name("combine_avg_t_us"), Some(("us", 1e-6)));
        assert_eq!(of_name("latency (ms)"), Some(("ms", 1e-3)));
        assert_eq!(of_name("tp_size"), None);
        assert_eq!(of_name("latency"), None);
    }
}

//! Median and 90th percentile of absolute relative errors.

/// Absolute relative errors, `|predicted / measured − 1|`, in short.
#[derive(Clone, Copy, Debug, PartialEq)]
#[non_exhaustive]
pub struct Errors {
    /// Measurements.
    pub points: usize,
    /// Median, as a fraction.
    pub median_ape: f64,
    /// 90th percentile, as a fraction.
    pub p90_ape: f64,
}

impl Errors {
    /// Of some relative errors, or nothing if there are none.
    #[must_use]
    pub fn of(relative: impl IntoIterator<Item = f64>) -> Option<Self> {
        let mut all: Vec<f64> = relative.into_iter().map(f64::abs).collect();
        all.sort_by(f64::total_cmp);
        let at = |share: f64| all.get(((all.len() as f64 - 1.0) * share).round() as usize).copied();
        Some(Self { points: all.len(), median_ape: at(0.5)?, p90_ape: at(0.9)? })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn percentiles_of_known_errors() {
        let errors =
            Errors::of((0..=10).map(|i| f64::from(i) * if i % 2 == 0 { 0.1 } else { -0.1 }));
        let errors = errors.unwrap();
        assert_eq!(errors.points, 11);
        assert!((errors.median_ape - 0.5).abs() < 1e-12 && (errors.p90_ape - 0.9).abs() < 1e-12);
        assert_eq!(Errors::of([]), None);
    }
}

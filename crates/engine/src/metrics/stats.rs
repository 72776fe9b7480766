//! Mean, deviation and percentiles of a sample.

use serde::{Deserialize, Serialize};

/// A distribution in a few numbers, all in the unit of the sample.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct Summary {
    /// Size of the sample.
    pub count: u64,
    /// Mean.
    pub mean: f64,
    /// Population standard deviation.
    pub std: f64,
    /// Median.
    pub p50: f64,
    /// 90th percentile.
    pub p90: f64,
    /// 95th percentile.
    pub p95: f64,
    /// 99th percentile.
    pub p99: f64,
    /// Largest.
    pub max: f64,
}

impl Summary {
    /// Summary of a sample; percentiles by linear interpolation, as NumPy does. All zeros if empty.
    #[must_use]
    pub fn of(mut sample: Vec<f64>) -> Self {
        if sample.is_empty() {
            return Self::default();
        }
        let n = sample.len() as f64;
        // Sums are in the order of the requests, before sorting.
        let mean = sample.iter().sum::<f64>() / n;
        let variance = sample.iter().map(|x| (x - mean) * (x - mean)).sum::<f64>() / n;
        sample.sort_by(f64::total_cmp);
        Self {
            count: sample.len() as u64,
            mean,
            std: variance.sqrt(),
            p50: percentile(&sample, 0.50),
            p90: percentile(&sample, 0.90),
            p95: percentile(&sample, 0.95),
            p99: percentile(&sample, 0.99),
            max: sample[sample.len() - 1],
        }
    }

    /// The same distribution in another unit.
    #[must_use]
    pub fn scaled(self, factor: f64) -> Self {
        Self {
            count: self.count,
            mean: self.mean * factor,
            std: self.std * factor,
            p50: self.p50 * factor,
            p90: self.p90 * factor,
            p95: self.p95 * factor,
            p99: self.p99 * factor,
            max: self.max * factor,
        }
    }
}

/// Percentile `q` of a sorted sample, by linear interpolation between its neighbours.
fn percentile(sorted: &[f64], q: f64) -> f64 {
    let position = q * (sorted.len() - 1) as f64;
    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "a position in a sample"
    )]
    let below = position.floor() as usize;
    let above = (below + 1).min(sorted.len() - 1);
    let share = position - below as f64;
    sorted[below] + (sorted[above] - sorted[below]) * share
}

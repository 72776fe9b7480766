//! A sample of times of which only how many there are is kept, not each.

use hdrhistogram::Histogram;

use super::Summary;

/// A sample of times \[s\]: exact mean and maximum, quantiles within 0.1 %.
#[derive(Clone, Debug)]
pub(crate) struct Counted {
    /// \[ns\].
    histogram: Histogram<u64>,
    count: u64,
    sum: f64,
    sum_of_squares: f64,
    max: f64,
}

const NANOS: f64 = 1e9;

impl Counted {
    pub(crate) fn new() -> Self {
        Self {
            histogram: Histogram::new(3).expect("three digits are allowed"),
            count: 0,
            sum: 0.0,
            sum_of_squares: 0.0,
            max: 0.0,
        }
    }

    /// The same time, so many times over.
    pub(crate) fn add(&mut self, seconds: f64, weight: u64) {
        if weight == 0 {
            return;
        }
        #[expect(
            clippy::cast_possible_truncation,
            clippy::cast_sign_loss,
            reason = "a time is not negative, and a cast saturates"
        )]
        let nanos = (seconds * NANOS).round() as u64;
        self.histogram.record_n(nanos, weight).expect("the histogram grows as needed");
        self.count += weight;
        self.sum += seconds * weight as f64;
        self.sum_of_squares += seconds * seconds * weight as f64;
        self.max = self.max.max(seconds);
    }

    pub(crate) fn summary(&self) -> Summary {
        if self.count == 0 {
            return Summary::default();
        }
        let n = self.count as f64;
        let mean = self.sum / n;
        // A bucket of the histogram ends a little above the times in it.
        let at = |q| (self.histogram.value_at_quantile(q) as f64 / NANOS).min(self.max);
        Summary {
            count: self.count,
            mean,
            std: (self.sum_of_squares / n - mean * mean).max(0.0).sqrt(),
            p50: at(0.50),
            p90: at(0.90),
            p95: at(0.95),
            p99: at(0.99),
            max: self.max,
        }
    }
}

/// A sample of times \[s\] that is exact as long as it is not huge.
#[derive(Clone, Debug)]
pub(crate) enum Sample {
    /// Each of them, in order.
    Each(Vec<f64>),
    /// Too many for that.
    Counted(Box<Counted>),
}

/// Most times that are kept each: 8 MiB.
const MOST: usize = 1 << 20;

impl Default for Sample {
    fn default() -> Self {
        Self::Each(Vec::new())
    }
}

impl Sample {
    pub(crate) fn add(&mut self, seconds: f64) {
        match self {
            Self::Each(all) if all.len() < MOST => all.push(seconds),
            Self::Each(all) => {
                let mut counted = Counted::new();
                for seconds in std::mem::take(all) {
                    counted.add(seconds, 1);
                }
                counted.add(seconds, 1);
                *self = Self::Counted(Box::new(counted));
            }
            Self::Counted(counted) => counted.add(seconds, 1),
        }
    }

    pub(crate) fn summary(self) -> Summary {
        match self {
            Self::Each(all) => Summary::of(all),
            Self::Counted(counted) => counted.summary(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Times of 1 µs to 2 s, each once: what is counted is within 0.1 % of what is kept.
    #[test]
    fn a_huge_sample_is_counted() {
        let (mut sample, mut each) = (Sample::default(), Vec::new());
        for n in 1..=2_000_000_u32 {
            sample.add(f64::from(n) * 1e-6);
            each.push(f64::from(n) * 1e-6);
        }
        assert!(matches!(sample, Sample::Counted(_)));
        let (counted, exact) = (sample.summary(), Summary::of(each));
        let close = |found: f64, exact: f64, most: f64| (found / exact - 1.0).abs() < most;
        assert_eq!((counted.count, counted.max), (exact.count, exact.max));
        assert!(close(counted.mean, exact.mean, 1e-9) && close(counted.std, exact.std, 1e-6));
        for (found, exact) in [(counted.p50, exact.p50), (counted.p99, exact.p99)] {
            assert!(close(found, exact, 1e-3), "{found} {exact}");
        }
    }
}

//! How much lengths and arrivals of a run differ.

use sglsim_engine::{Report, RequestRecord};

/// Two lengths and a share that have the mean, the variance and the skewness of a sample: the nodes
/// of its Gauss quadrature.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct TwoLengths {
    /// The shorter one over the mean.
    pub(super) short: f64,
    /// The longer one over the mean.
    pub(super) long: f64,
    /// Share of the longer one.
    pub(super) long_share: f64,
}

impl TwoLengths {
    pub(super) fn of(sample: &[f64]) -> Self {
        let n = sample.len() as f64;
        let mean = sample.iter().sum::<f64>() / n;
        let central = |power: i32| {
            sample.iter().map(|length| (length / mean - 1.0).powi(power)).sum::<f64>() / n
        };
        let deviation = central(2).sqrt();
        if deviation < 1e-9 {
            return Self { short: 1.0, long: 1.0, long_share: 0.0 };
        }
        let skewness = central(3) / deviation.powi(3);
        let root = (skewness * skewness + 4.0).sqrt();
        Self {
            short: (1.0 + deviation * (skewness - root) / 2.0).max(0.0),
            long: 1.0 + deviation * (skewness + root) / 2.0,
            long_share: (1.0 - skewness / root) / 2.0,
        }
    }
}

/// How irregularly requests arrive, at the deployment and at its workers.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct ArrivalSpread {
    pub(super) gap_scv: f64,
    pub(super) routing_scv: f64,
}

impl ArrivalSpread {
    /// Of a renewal process with gaps of squared coefficient of variation c², a worker of N gets
    /// gaps of c²/N if workers take turns, and of c²/N + 1 − 1/N if they are chosen at random.
    pub(super) fn of(report: &Report) -> Self {
        let arrivals = report.requests.iter().map(|record| record.arrival.seconds());
        let gap_scv = scv_of_gaps(arrivals).unwrap_or(1.0);
        let workers = report.pools.first().map_or(1, |pool| pool.workers as usize);
        let mut of_workers: Vec<Vec<f64>> = vec![Vec::new(); workers];
        for record in &report.requests {
            let worker = record.prefill_worker.map_or(0, |worker| worker.index());
            if let Some(times) = of_workers.get_mut(worker) {
                times.push(record.arrival.seconds());
            }
        }
        let spreads: Vec<f64> = of_workers.into_iter().filter_map(scv_of_gaps).collect();
        let n = workers as f64;
        let mut routing_scv = 0.0;
        if workers > 1 && !spreads.is_empty() {
            let at_worker = spreads.iter().sum::<f64>() / spreads.len() as f64;
            routing_scv = ((at_worker - gap_scv / n) / (1.0 - 1.0 / n)).clamp(0.0, 10.0);
        }
        Self { gap_scv, routing_scv }
    }
}

/// `None` if too few came, or all at once.
fn scv_of_gaps(times: impl IntoIterator<Item = f64>) -> Option<f64> {
    let times: Vec<f64> = times.into_iter().collect();
    let gaps = times.windows(2).map(|pair| pair[1] - pair[0]);
    let scv = scv(gaps);
    (times.len() > 2 && scv.is_finite()).then_some(scv)
}

/// Squared coefficient of variation; not finite if there is nothing, or the mean is zero.
pub(super) fn scv(sample: impl Iterator<Item = f64>) -> f64 {
    let sample: Vec<f64> = sample.collect();
    let n = sample.len() as f64;
    let mean = sample.iter().sum::<f64>() / n;
    sample.iter().map(|x| (x - mean) * (x - mean)).sum::<f64>() / n / (mean * mean)
}

/// Mean of 1/(o−1) over the outputs of several tokens.
pub(super) fn mean_gap_share(done: &[&RequestRecord]) -> f64 {
    let gaps = |record: &&&RequestRecord| record.output_tokens.checked_sub(1).filter(|n| *n > 0);
    let shares: Vec<f64> =
        done.iter().filter_map(|record| gaps(&record)).map(|n| 1.0 / n as f64).collect();
    if shares.is_empty() { 0.0 } else { shares.iter().sum::<f64>() / shares.len() as f64 }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn two_lengths_have_the_moments_of_all() {
        let sample = [3.0, 5.0, 8.0, 8.0, 21.0, 90.0];
        let two = TwoLengths::of(&sample);
        let mean = sample.iter().sum::<f64>() / 6.0;
        for power in 0..=3 {
            let want = sample.iter().map(|x| (x / mean).powi(power)).sum::<f64>() / 6.0;
            let got = (1.0 - two.long_share) * two.short.powi(power)
                + two.long_share * two.long.powi(power);
            assert!((got / want - 1.0).abs() < 1e-12, "moment {power}: {got} instead of {want}");
        }
        assert!(two.short >= 0.0 && two.short < 1.0 && two.long > 1.0);
        assert_eq!(TwoLengths::of(&[7.0; 4]).long_share, 0.0);
    }

    #[test]
    fn equal_gaps_have_no_spread() {
        assert_eq!(scv_of_gaps([1.0, 2.0, 3.0]), Some(0.0));
        assert_eq!(scv_of_gaps([0.0, 0.0, 0.0]), None);
        assert_eq!(scv_of_gaps([0.0, 1.0, 4.0]), Some(0.25));
    }
}

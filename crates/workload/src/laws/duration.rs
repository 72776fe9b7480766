//! Laws of durations, such as the time a user thinks.

use rand_distr::{Distribution, Exp1, LogNormal};
use serde::{Deserialize, Serialize};
use sglsim_units::Seconds;

use super::Stream;
use crate::error::{WorkloadError, check};

/// Longest mean of a duration \[s\].
const LONGEST: f64 = 1e9;

/// A law of durations \[s\]. Means may be 0 to 10⁹ seconds.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
#[non_exhaustive]
pub enum DurationLaw {
    /// Always the same \[s\].
    Fixed(f64),
    /// Exponential.
    Exponential {
        /// Mean \[s\].
        mean: f64,
    },
    /// Log-normal.
    LogNormal {
        /// Mean, positive \[s\].
        mean: f64,
        /// Standard deviation over mean, from 0 to 100.
        cv: f64,
    },
}

impl Default for DurationLaw {
    /// No time at all.
    fn default() -> Self {
        Self::Fixed(0.0)
    }
}

impl DurationLaw {
    /// Its mean \[s\].
    #[must_use]
    pub fn mean(&self) -> f64 {
        match *self {
            Self::Fixed(mean) | Self::Exponential { mean } | Self::LogNormal { mean, .. } => mean,
        }
    }

    pub(crate) fn sampler(&self, field: &str) -> Result<DurationSampler, WorkloadError> {
        let part = |name: &str| format!("{field}.{name}");
        Ok(match *self {
            Self::Fixed(value) => {
                check(field, value, 0.0..=LONGEST)?;
                DurationSampler::Fixed(value)
            }
            Self::Exponential { mean } => {
                check(&part("mean"), mean, 0.0..=LONGEST)?;
                DurationSampler::Exponential(mean)
            }
            Self::LogNormal { mean, cv } => {
                check(&part("mean"), mean, 1e-9..=LONGEST)?;
                check(&part("cv"), cv, 0.0..=100.0)?;
                let law = LogNormal::from_mean_cv(mean, cv).expect("mean and cv are in range");
                DurationSampler::LogNormal(law)
            }
        })
    }
}

/// A law that is known to be valid.
#[derive(Clone, Debug)]
pub(crate) enum DurationSampler {
    Fixed(f64),
    Exponential(f64),
    LogNormal(LogNormal<f64>),
}

impl Stream<DurationSampler> {
    pub(crate) fn draw(&mut self) -> Seconds {
        let seconds = match &self.sampler {
            DurationSampler::Fixed(value) => *value,
            DurationSampler::Exponential(mean) => {
                let unit: f64 = Exp1.sample(&mut self.rng);
                mean * unit
            }
            DurationSampler::LogNormal(law) => law.sample(&mut self.rng),
        };
        Seconds::new(seconds).expect("parameters in range give finite durations")
    }
}

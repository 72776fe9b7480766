//! Laws of token counts.

use rand::RngExt;
use rand_distr::{Distribution, LogNormal, Zipf};
use rand_pcg::Pcg64Mcg;
use serde::{Deserialize, Serialize};

use super::Stream;
use crate::error::{WorkloadError, check};

/// Longest length a law without bounds of its own gives unless told otherwise \[token\]: 2²⁰.
const DEFAULT_MAX: u32 = 1 << 20;

/// A law of lengths \[token\]. Every draw is a whole number of at least 1.
///
/// ```
/// use sglsim_workload::LengthLaw;
///
/// let law: LengthLaw = ron::from_str("LogNormal(mean: 1200, cv: 0.8)")?;
/// assert_eq!(law, LengthLaw::LogNormal { mean: 1200.0, cv: 0.8, max: 1 << 20 });
/// # Ok::<(), ron::error::SpannedError>(())
/// ```
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
#[non_exhaustive]
pub enum LengthLaw {
    /// Always the same.
    Fixed(u32),
    /// Any whole number from `min` to `max`, equally likely.
    Uniform {
        /// Shortest, at least 1.
        min: u32,
        /// Longest.
        max: u32,
    },
    /// The `random` data set of SGLang's `bench_serving`: any whole number from
    /// `max(1, floor(len * range_ratio))` to `len`, equally likely.
    Random {
        /// Longest, at least 1.
        len: u32,
        /// Shortest as a share of the longest, from 0 to 1. Default 0.
        #[serde(default)]
        range_ratio: f64,
    },
    /// Log-normal with this mean and coefficient of variation, rounded, then clipped to
    /// `[1, max]` (clipping moves the mean if much lies outside).
    LogNormal {
        /// Mean, from 1 to `max`.
        mean: f64,
        /// Standard deviation over mean, from 0 to 100.
        cv: f64,
        /// Longest. Default 2²⁰.
        #[serde(default = "default_max")]
        max: u32,
    },
    /// Log-normal with this median and standard deviation of the logarithm, rounded, then clipped
    /// to `[1, max]`.
    LogNormalMedian {
        /// Median, from 1 to `max`.
        median: f64,
        /// Standard deviation of the natural logarithm, from 0 to 10.
        sigma: f64,
        /// Longest. Default 2²⁰.
        #[serde(default = "default_max")]
        max: u32,
    },
    /// Zipf: length *k* from 1 to `max` with probability proportional to *k* to the power of
    /// `-exponent`.
    Zipf {
        /// Exponent, from 0 (uniform) to 100.
        exponent: f64,
        /// Longest.
        max: u32,
    },
    /// A histogram: a bin by weight, then a whole number of it, equally likely.
    Histogram(
        /// The bins, in any order; they may overlap.
        Vec<LengthBin>,
    ),
}

/// One bin of a histogram of lengths.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct LengthBin {
    /// Shortest length of the bin, at least 1 \[token\].
    pub min: u32,
    /// Longest length of the bin \[token\].
    pub max: u32,
    /// Share of the bin, relative to the other bins: not negative, and positive in one of them.
    pub weight: f64,
}

fn default_max() -> u32 {
    DEFAULT_MAX
}

impl LengthLaw {
    /// Longest length the law can give \[token\].
    #[must_use]
    pub fn longest(&self) -> u32 {
        match self {
            Self::Fixed(len) | Self::Random { len, .. } => *len,
            Self::Uniform { max, .. }
            | Self::LogNormal { max, .. }
            | Self::LogNormalMedian { max, .. }
            | Self::Zipf { max, .. } => *max,
            Self::Histogram(bins) => bins.iter().map(|bin| bin.max).max().unwrap_or(0),
        }
    }

    /// Checks the parameters and prepares to draw; `field` is the law's place in the file.
    pub(crate) fn sampler(&self, field: &str) -> Result<LengthSampler, WorkloadError> {
        let part = |name: &str| format!("{field}.{name}");
        let sampler = match *self {
            Self::Fixed(len) => {
                check(field, len, 1..=u32::MAX)?;
                LengthSampler::Uniform { min: len, max: len }
            }
            Self::Uniform { min, max } => {
                check(&part("min"), min, 1..=u32::MAX)?;
                check(&part("max"), max, min..=u32::MAX)?;
                LengthSampler::Uniform { min, max }
            }
            Self::Random { len, range_ratio } => {
                check(&part("len"), len, 1..=u32::MAX)?;
                check(&part("range_ratio"), range_ratio, 0.0..=1.0)?;
                let shortest = (f64::from(len) * range_ratio) as u32;
                LengthSampler::Uniform { min: shortest.max(1), max: len }
            }
            Self::LogNormal { mean, cv, max } => {
                check(&part("max"), max, 1..=u32::MAX)?;
                check(&part("mean"), mean, 1.0..=f64::from(max))?;
                check(&part("cv"), cv, 0.0..=100.0)?;
                let law = LogNormal::from_mean_cv(mean, cv).expect("mean and cv are in range");
                LengthSampler::LogNormal { law, max }
            }
            Self::LogNormalMedian { median, sigma, max } => {
                check(&part("max"), max, 1..=u32::MAX)?;
                check(&part("median"), median, 1.0..=f64::from(max))?;
                check(&part("sigma"), sigma, 0.0..=10.0)?;
                let law = LogNormal::new(median.ln(), sigma).expect("sigma is finite");
                LengthSampler::LogNormal { law, max }
            }
            Self::Zipf { exponent, max } => {
                check(&part("max"), max, 1..=u32::MAX)?;
                LengthSampler::Zipf { law: zipf(&part("exponent"), max, exponent)?, max }
            }
            Self::Histogram(ref bins) => histogram(field, bins)?,
        };
        Ok(sampler)
    }
}

/// A Zipf law over 1 to `n`.
pub(crate) fn zipf(field: &str, n: u32, exponent: f64) -> Result<Zipf<f64>, WorkloadError> {
    check(field, exponent, 0.0..=100.0)?;
    // Next to 1 the general formula cancels digits; the difference in law is below 1e-6.
    let exponent = if (exponent - 1.0).abs() < 1e-7 { 1.0 } else { exponent };
    Ok(Zipf::new(f64::from(n), exponent).expect("n is at least 1, the exponent not negative"))
}

fn histogram(field: &str, bins: &[LengthBin]) -> Result<LengthSampler, WorkloadError> {
    check(&format!("number of bins of {field}"), bins.len(), 1..=1_000_000)?;
    let mut sum = 0.0;
    let mut cumulative = Vec::with_capacity(bins.len());
    for (index, bin) in bins.iter().enumerate() {
        let part = |name: &str| format!("{field}[{index}].{name}");
        check(&part("min"), bin.min, 1..=u32::MAX)?;
        check(&part("max"), bin.max, bin.min..=u32::MAX)?;
        check(&part("weight"), bin.weight, 0.0..=1e15)?;
        sum += bin.weight;
        cumulative.push(sum);
    }
    if sum > 0.0 {
        Ok(LengthSampler::Histogram { bins: bins.to_vec(), cumulative })
    } else {
        let field = format!("sum of the weights of {field}");
        Err(WorkloadError::out_of_range(&field, sum, "positive"))
    }
}

/// A law that is known to be valid.
#[derive(Clone, Debug)]
pub(crate) enum LengthSampler {
    Uniform { min: u32, max: u32 },
    LogNormal { law: LogNormal<f64>, max: u32 },
    Zipf { law: Zipf<f64>, max: u32 },
    Histogram { bins: Vec<LengthBin>, cumulative: Vec<f64> },
}

impl LengthSampler {
    fn sample(&self, rng: &mut Pcg64Mcg) -> u32 {
        // A float to integer cast saturates, so that an infinite draw is clipped as any other.
        match self {
            Self::Uniform { min, max } => rng.random_range(*min..=*max),
            Self::LogNormal { law, max } => (law.sample(rng).round() as u32).clamp(1, *max),
            Self::Zipf { law, max } => (law.sample(rng) as u32).clamp(1, *max),
            Self::Histogram { bins, cumulative } => {
                let sum = cumulative.last().copied().unwrap_or(0.0);
                let at = rng.random::<f64>() * sum;
                // The first bin whose end lies beyond the point: never one of weight zero.
                let index = cumulative.partition_point(|end| *end <= at).min(bins.len() - 1);
                rng.random_range(bins[index].min..=bins[index].max)
            }
        }
    }
}

impl Stream<LengthSampler> {
    pub(crate) fn draw(&mut self) -> u32 {
        self.sampler.sample(&mut self.rng)
    }
}

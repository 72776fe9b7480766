//! What a trace looks like: counts, rates, percentiles.

use super::table::Rows;

/// Facts about a trace.
#[derive(Clone, Copy, Debug, PartialEq)]
#[non_exhaustive]
pub struct TraceSummary {
    /// Number of requests.
    pub requests: u64,
    /// Time from the first to the last arrival \[s\].
    pub span: f64,
    /// Requests over span \[1/s\]; infinite if all arrive at once.
    pub rate: f64,
    /// Coefficient of variation of the gaps between arrivals (population standard deviation over
    /// mean); a Poisson process has 1. Zero if all arrive at once.
    pub arrival_cv: f64,
    /// Prompt lengths.
    pub input: LengthSummary,
    /// Output lengths.
    pub output: LengthSummary,
}

/// Facts about a list of lengths \[token\]. A percentile is the smallest length that at least so
/// many percent of all do not exceed (nearest rank).
#[derive(Clone, Copy, Debug, PartialEq)]
#[non_exhaustive]
pub struct LengthSummary {
    /// Sum.
    pub total: u64,
    /// Mean.
    pub mean: f64,
    /// Median.
    pub p50: u64,
    /// 90th percentile.
    pub p90: u64,
    /// 99th percentile.
    pub p99: u64,
    /// Longest.
    pub max: u64,
}

impl TraceSummary {
    /// The facts about `rows`, which hold at least one request.
    pub(super) fn of(rows: &Rows) -> Self {
        let arrivals: Vec<f64> = rows.iter().map(|(row, _)| row.arrival).collect();
        let requests = arrivals.len() as f64;
        let span =
            arrivals.last().copied().unwrap_or(0.0) - arrivals.first().copied().unwrap_or(0.0);
        let gaps = || arrivals.windows(2).map(|pair| pair[1] - pair[0]);
        let mean = span / (requests - 1.0);
        let variance = gaps().map(|gap| (gap - mean).powi(2)).sum::<f64>() / (requests - 1.0);
        let input = |spans: &[sglsim_radix::Span]| spans.iter().map(|s| u64::from(s.len)).sum();
        Self {
            requests: arrivals.len() as u64,
            span,
            rate: requests / span,
            arrival_cv: if span > 0.0 { variance.sqrt() / mean } else { 0.0 },
            input: LengthSummary::of(rows.iter().map(|(_, spans)| input(spans)).collect()),
            output: LengthSummary::of(
                rows.iter().map(|(row, _)| u64::from(row.output_len)).collect(),
            ),
        }
    }
}

impl LengthSummary {
    fn of(mut lengths: Vec<u64>) -> Self {
        lengths.sort_unstable();
        let total = lengths.iter().sum();
        let percentile = |percent: usize| {
            let rank = (lengths.len() * percent).div_ceil(100);
            lengths[rank.max(1) - 1]
        };
        Self {
            total,
            mean: total as f64 / lengths.len() as f64,
            p50: percentile(50),
            p90: percentile(90),
            p99: percentile(99),
            max: percentile(100),
        }
    }
}

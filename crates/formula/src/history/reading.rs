//! A metric of a run as a quotient of weighted sums of its instants.

use sglsim_engine::{Report, Summary};

use super::graph::{NodeId, instant};
use super::recorder::Trail;
use crate::{FormulaError, Latency, Metric, Statistic};

/// `above / below`: what a metric is of the instants of a run.
#[derive(Clone, Debug)]
pub(crate) struct Reading {
    /// A count, or a weighted sum of instants.
    pub(crate) above: Part,
    /// What it is divided by.
    pub(crate) below: Part,
}

/// One side of a quotient.
#[derive(Clone, Debug)]
pub(crate) enum Part {
    Count(f64),
    /// Instants with their weights.
    Time(Vec<(NodeId, f64)>),
}

/// A request that got all its tokens.
struct Done<'a> {
    trail: &'a Trail,
    output_tokens: u64,
}

impl Part {
    pub(crate) fn value(&self, at: &[f64]) -> f64 {
        match self {
            Self::Count(count) => *count,
            Self::Time(ends) => ends.iter().map(|(node, w)| w * instant(at, *node)).sum(),
        }
    }
}

impl Reading {
    pub(crate) fn value(&self, at: &[f64]) -> f64 {
        self.above.value(at) / self.below.value(at)
    }

    /// What `metric` is of a run whose instants are `at`. What is frozen is who is counted, and of a
    /// quantile which requests are the ones around it.
    pub(crate) fn of(
        metric: Metric,
        report: &Report,
        trails: &[Trail],
        at: &[f64],
    ) -> Result<Self, FormulaError> {
        let done: Vec<Done<'_>> = (report.requests.iter().zip(trails))
            .filter(|(record, _)| record.finished.is_some())
            .map(|(record, trail)| Done { trail, output_tokens: record.output_tokens })
            .collect();
        if done.is_empty() {
            return Err(FormulaError::NothingFinished);
        }
        let rate = |count: f64| Self {
            above: Part::Count(count),
            below: Part::Time(duration(trails, &done, at)),
        };
        let per_gpu = 1.0 / f64::from(report.gpus);
        let (input, output) = (report.total_input_tokens as f64, report.total_output_tokens as f64);
        let requests = report.completed as f64;
        use Metric::*;
        Ok(match metric {
            OutputThroughput => rate(output),
            OutputThroughputPerGpu => rate(output * per_gpu),
            InputThroughput => rate(input),
            InputThroughputPerGpu => rate(input * per_gpu),
            TotalThroughput => rate(input + output),
            TotalThroughputPerGpu => rate((input + output) * per_gpu),
            RequestThroughput => rate(requests),
            RequestThroughputPerGpu => rate(requests * per_gpu),
            Duration => Self::time(duration(trails, &done, at)),
            MeanItl => {
                let gaps: u64 = done.iter().map(|done| done.output_tokens.saturating_sub(1)).sum();
                let spans = done.iter().filter(|done| done.output_tokens > 1);
                let ends: Option<Vec<_>> = spans.map(|done| done.span(1.0)).collect();
                let ends = ends.filter(|_| gaps > 0).ok_or(FormulaError::EmptySample { metric })?;
                Self {
                    above: Part::Time(ends.into_iter().flatten().collect()),
                    below: Part::Count(gaps as f64),
                }
            }
            Latency(latency, statistic) => {
                let sample = done.iter().filter_map(|done| done.latency(latency)).collect();
                let ends = statistic_of(sample, statistic, at);
                Self::time(ends.ok_or(FormulaError::EmptySample { metric })?)
            }
            _ => {
                return Err(FormulaError::Unavailable {
                    metric,
                    deployment: "a run",
                    instead: "`mean_ttft`, `p99_tpot`, `mean_itl`, `mean_e2e_latency`, \
                        `output_throughput` or another metric of a run",
                });
            }
        })
    }

    fn time(ends: Vec<(NodeId, f64)>) -> Self {
        Self { above: Part::Time(ends), below: Part::Count(1.0) }
    }
}

/// A latency: its two instants, with the weights of each.
type Span = [(NodeId, f64); 2];

impl Done<'_> {
    fn latency(&self, latency: Latency) -> Option<Span> {
        let trail = self.trail;
        let between = |from: Option<NodeId>, to: Option<NodeId>| Some([(from?, -1.0), (to?, 1.0)]);
        match latency {
            Latency::Ttft => between(trail.arrival, trail.first_token),
            Latency::E2e => between(trail.arrival, trail.end),
            Latency::Queue => between(trail.queued, trail.admitted),
            Latency::Transfer => between(trail.prefilled, trail.transferred),
            Latency::Tpot => match self.output_tokens {
                0 | 1 => None,
                tokens => self.span(1.0 / (tokens - 1) as f64),
            },
        }
    }

    /// From the first token to the last, so many times.
    fn span(&self, weight: f64) -> Option<Span> {
        Some([(self.trail.first_token?, -weight), (self.trail.end?, weight)])
    }
}

/// From the first arrival to the last token.
fn duration(trails: &[Trail], done: &[Done<'_>], at: &[f64]) -> Vec<(NodeId, f64)> {
    let first = trails.iter().filter_map(|trail| trail.arrival);
    let last = done.iter().filter_map(|done| done.trail.end);
    let of = |node: &NodeId| instant(at, *node);
    let first = first.min_by(|a, b| of(a).total_cmp(&of(b)));
    // Of several last ones the first counts.
    let last = last.reduce(|latest, next| if of(&next) > of(&latest) { next } else { latest });
    first.map(|node| (node, -1.0)).into_iter().chain(last.map(|node| (node, 1.0))).collect()
}

/// A statistic of a sample as a weighted sum; percentiles lie between two of the sorted sample, as in
/// the report.
fn statistic_of(
    mut sample: Vec<Span>,
    statistic: Statistic,
    at: &[f64],
) -> Option<Vec<(NodeId, f64)>> {
    let last = sample.len().checked_sub(1)?;
    let weigh = |span: Span, by: f64| span.map(|(node, weight)| (node, weight * by));
    let share = match statistic {
        Statistic::Mean => {
            let each = 1.0 / sample.len() as f64;
            return Some(sample.into_iter().flat_map(|span| weigh(span, each)).collect());
        }
        Statistic::P50 => 0.50,
        Statistic::P90 => 0.90,
        Statistic::P95 => 0.95,
        Statistic::P99 => 0.99,
        Statistic::Max => 1.0,
    };
    let value = |span: &Span| span.iter().map(|(node, w)| w * instant(at, *node)).sum::<f64>();
    sample.sort_by(|a, b| value(a).total_cmp(&value(b)));
    let position = share * last as f64;
    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "a position in the sample"
    )]
    let below = position as usize;
    let above = (below + 1).min(last);
    let rest = position - below as f64;
    Some([weigh(sample[below], 1.0 - rest), weigh(sample[above], rest)].concat())
}

/// What the report of the run says of a metric.
pub(crate) fn reported(metric: Metric, report: &Report) -> Option<f64> {
    let per_gpu = 1.0 / f64::from(report.gpus);
    let of = |summary: &Summary, statistic| match statistic {
        Statistic::Mean => summary.mean,
        Statistic::P50 => summary.p50,
        Statistic::P90 => summary.p90,
        Statistic::P95 => summary.p95,
        Statistic::P99 => summary.p99,
        Statistic::Max => summary.max,
    };
    use Metric::*;
    Some(match metric {
        OutputThroughput => report.output_throughput(),
        OutputThroughputPerGpu => report.output_throughput() * per_gpu,
        InputThroughput => report.input_throughput(),
        InputThroughputPerGpu => report.input_throughput() * per_gpu,
        TotalThroughput => report.total_throughput(),
        TotalThroughputPerGpu => report.total_throughput() * per_gpu,
        RequestThroughput => report.request_throughput(),
        RequestThroughputPerGpu => report.request_throughput() * per_gpu,
        Duration => report.duration.get(),
        MeanItl => report.itl.mean,
        Latency(latency, statistic) => {
            use crate::Latency as Of;
            let summary = match latency {
                Of::Ttft => &report.ttft,
                Of::Tpot => &report.tpot,
                Of::E2e => &report.e2e,
                Of::Queue => &report.queue_time,
                Of::Transfer => &report.transfer_time,
            };
            of(summary, statistic)
        }
        _ => return None,
    })
}

//! The metrics that have formulas.

use std::fmt;
use std::str::FromStr;

use sglsim_engine::Report;
use sglsim_units::Nearest;

use crate::FormulaError;
use crate::history::reported;

/// A metric, under the name that SGLang's `bench_serving` or this project's report has for it.
///
/// ```
/// use sglsim_formula::Metric;
///
/// let metric: Metric = "output_throughput_per_gpu".parse()?;
/// assert_eq!(metric.unit(), "token/s/GPU");
/// let error = "outptu_throughput".parse::<Metric>().unwrap_err();
/// assert!(error.to_string().contains("did you mean `output_throughput`?"));
/// # Ok::<(), sglsim_formula::FormulaError>(())
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Metric {
    /// Generated tokens per second \[token/s\].
    OutputThroughput,
    /// [`Metric::OutputThroughput`] over all GPUs \[token/s/GPU\].
    OutputThroughputPerGpu,
    /// Prompt tokens per second \[token/s\].
    InputThroughput,
    /// [`Metric::InputThroughput`] over all GPUs \[token/s/GPU\].
    InputThroughputPerGpu,
    /// Prompt and generated tokens per second \[token/s\].
    TotalThroughput,
    /// [`Metric::TotalThroughput`] over all GPUs \[token/s/GPU\].
    TotalThroughputPerGpu,
    /// Requests per second \[1/s\].
    RequestThroughput,
    /// [`Metric::RequestThroughput`] over all GPUs \[1/s/GPU\].
    RequestThroughputPerGpu,
    /// Generated tokens per second if requests never run out \[token/s\].
    MaxOutputThroughput,
    /// [`Metric::MaxOutputThroughput`] over all GPUs \[token/s/GPU\].
    MaxOutputThroughputPerGpu,
    /// Time of a step of an aggregated worker, as a function of its features \[s\].
    StepTime,
    /// Time of a step of a prefill worker \[s\].
    PrefillStepTime,
    /// Time of a step of a decode worker \[s\].
    DecodeStepTime,
    /// Time to first token of a request that has the deployment to itself \[s\].
    Ttft,
    /// Mean gap between the tokens of such a request \[s\].
    Itl,
    /// Time from its arrival to its last token \[s\].
    E2eLatency,
    /// Time from its computed prompt to its KV on the decode worker \[s\].
    TransferTime,
    /// From the first arrival of a run to its last token \[s\].
    Duration,
    /// Mean gap between tokens over all tokens of a run \[s\].
    MeanItl,
    /// A statistic of a latency over the requests of a run \[s\].
    Latency(Latency, Statistic),
}

/// A latency that every request of a run has.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Latency {
    /// From arrival to the first token.
    Ttft,
    /// Mean gap between the tokens of a request, after its first.
    Tpot,
    /// From arrival to the last token.
    E2e,
    /// From the waiting queue to the first prefill step.
    Queue,
    /// From the computed prompt to its KV on the decode worker.
    Transfer,
}

/// What is told of the distribution of a latency.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Statistic {
    /// Mean.
    Mean,
    /// Median.
    P50,
    /// 90th percentile.
    P90,
    /// 95th percentile.
    P95,
    /// 99th percentile.
    P99,
    /// Largest.
    Max,
}

/// How much of a deployment a formula describes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Level {
    /// One step of a worker.
    Step,
    /// One request that has the deployment to itself.
    Request,
    /// One simulated run, with its decisions frozen: see [`History`](crate::History).
    Run,
    /// The steady state under a load.
    Steady,
}

impl Level {
    /// Its name, such as `"steady"`.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Step => "step",
            Self::Request => "request",
            Self::Run => "run",
            Self::Steady => "steady",
        }
    }
}

impl fmt::Display for Level {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.name())
    }
}

/// Name, unit and description of a metric.
type Entry = (Metric, &'static str, &'static str, &'static str);

/// The six statistics of each latency.
macro_rules! latencies {
    ($($latency:ident $name:literal $doc:literal;)+) => {
        [$(
            latencies!($latency Mean, concat!("mean_", $name), concat!("Mean ", $doc)),
            latencies!($latency P50, concat!("p50_", $name), concat!("Median ", $doc)),
            latencies!($latency P90, concat!("p90_", $name), concat!("90th percentile of the ", $doc)),
            latencies!($latency P95, concat!("p95_", $name), concat!("95th percentile of the ", $doc)),
            latencies!($latency P99, concat!("p99_", $name), concat!("99th percentile of the ", $doc)),
            latencies!($latency Max, concat!("max_", $name), concat!("Largest ", $doc)),
        )+]
    };
    ($latency:ident $statistic:ident, $name:expr, $doc:expr) => {
        (Metric::Latency(Latency::$latency, Statistic::$statistic), $name, "s", $doc)
    };
}

const LATENCIES: [Entry; 30] = latencies! {
    Ttft "ttft" "time to first token over the requests of a run.";
    Tpot "tpot" "time per output token after the first over the requests of a run.";
    E2e "e2e_latency" "time from arrival to last token over the requests of a run.";
    Queue "queue_time" "time in the waiting queue over the requests of a run.";
    Transfer "transfer_time" "time from a computed prompt to its KV on the decode worker in a run.";
};

/// Name, unit and description of each metric, in the order in which they are listed.
const TABLE: [Entry; 19] = {
    use Metric::*;
    [
        (OutputThroughput, "output_throughput", "token/s", "Generated tokens per second."),
        (
            OutputThroughputPerGpu,
            "output_throughput_per_gpu",
            "token/s/GPU",
            "Generated tokens per second and GPU.",
        ),
        (InputThroughput, "input_throughput", "token/s", "Prompt tokens per second."),
        (
            InputThroughputPerGpu,
            "input_throughput_per_gpu",
            "token/s/GPU",
            "Prompt tokens per second and GPU.",
        ),
        (TotalThroughput, "total_throughput", "token/s", "Prompt and generated tokens per second."),
        (
            TotalThroughputPerGpu,
            "total_throughput_per_gpu",
            "token/s/GPU",
            "Prompt and generated tokens per second and GPU.",
        ),
        (RequestThroughput, "request_throughput", "1/s", "Requests per second."),
        (
            RequestThroughputPerGpu,
            "request_throughput_per_gpu",
            "1/s/GPU",
            "Requests per second and GPU.",
        ),
        (
            MaxOutputThroughput,
            "max_output_throughput",
            "token/s",
            "Generated tokens per second if requests never run out.",
        ),
        (
            MaxOutputThroughputPerGpu,
            "max_output_throughput_per_gpu",
            "token/s/GPU",
            "Generated tokens per second and GPU if requests never run out.",
        ),
        (StepTime, "step_time", "s", "Time of one step of a worker."),
        (PrefillStepTime, "prefill_step_time", "s", "Time of one step of a prefill worker."),
        (DecodeStepTime, "decode_step_time", "s", "Time of one step of a decode worker."),
        (Ttft, "ttft", "s", "Time to first token of a request alone in the deployment."),
        (Itl, "itl", "s", "Mean gap between tokens of a request alone in the deployment."),
        (
            E2eLatency,
            "e2e_latency",
            "s",
            "Time from arrival to last token of a request alone in the deployment.",
        ),
        (
            TransferTime,
            "transfer_time",
            "s",
            "Time from a computed prompt to its KV on the decode worker, alone in the deployment.",
        ),
        (Duration, "duration", "s", "Time from the first arrival of a run to its last token."),
        (MeanItl, "mean_itl", "s", "Mean gap between tokens over all tokens of a run."),
    ]
};

impl Metric {
    /// All metrics, in the order in which they are listed.
    pub fn all() -> impl Iterator<Item = Metric> {
        entries().map(|(metric, ..)| metric)
    }

    fn entry(self) -> Entry {
        let mut table = entries();
        table.find(|(metric, ..)| *metric == self).expect("every metric is in the table")
    }

    /// Its name, such as `"output_throughput"`.
    #[must_use]
    pub fn name(self) -> &'static str {
        self.entry().1
    }

    /// Its unit, such as `"token/s"`.
    #[must_use]
    pub fn unit(self) -> &'static str {
        self.entry().2
    }

    /// What it is, in one sentence.
    #[must_use]
    pub fn doc(self) -> &'static str {
        self.entry().3
    }

    /// Whether its formula depends on what only a run can know, see [`Frozen`](crate::Frozen).
    ///
    /// The time of a step does not: the features of the step are its symbols.
    #[must_use]
    pub fn needs_run(self) -> bool {
        self.level() != Level::Step
    }

    /// The level of its formula as a function of the configuration; [`Level::Run`] if it only has
    /// one of a run.
    #[must_use]
    pub fn level(self) -> Level {
        match self {
            Self::StepTime | Self::PrefillStepTime | Self::DecodeStepTime => Level::Step,
            Self::Ttft | Self::Itl | Self::E2eLatency | Self::TransferTime => Level::Request,
            Self::Duration => Level::Run,
            Self::Latency(_, statistic) if statistic != Statistic::Mean => Level::Run,
            _ => Level::Steady,
        }
    }

    /// What the report of a run says of it; `None` if it is no metric of a run.
    #[must_use]
    pub fn reported(self, report: &Report) -> Option<f64> {
        reported(self, report)
    }

    /// Whether it is a metric of a run, of which [`History`](crate::History) has a formula.
    #[must_use]
    pub fn is_of_run(self) -> bool {
        match self.level() {
            Level::Run => true,
            Level::Steady => {
                !matches!(self, Self::MaxOutputThroughput | Self::MaxOutputThroughputPerGpu)
            }
            Level::Step | Level::Request => false,
        }
    }
}

fn entries() -> impl Iterator<Item = Entry> {
    TABLE.into_iter().chain(LATENCIES)
}

impl fmt::Display for Metric {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.name())
    }
}

impl FromStr for Metric {
    type Err = FormulaError;

    fn from_str(name: &str) -> Result<Self, FormulaError> {
        let known = || entries().map(|(_, name, ..)| name);
        let found = entries().find(|(_, known, ..)| *known == name);
        found.map(|(metric, ..)| metric).ok_or_else(|| FormulaError::UnknownMetric {
            name: name.to_owned(),
            hint: Nearest::to(name, known()),
            known: known().collect(),
        })
    }
}

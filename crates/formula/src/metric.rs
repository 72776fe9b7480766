//! The metrics that have formulas.

use std::fmt;
use std::str::FromStr;

use sglsim_units::Nearest;

use crate::FormulaError;

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
}

/// Name, unit and description of each metric, in the order in which they are listed.
const TABLE: [(Metric, &str, &str, &str); 17] = {
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
    ]
};

impl Metric {
    /// All metrics, in the order in which they are listed.
    pub fn all() -> impl Iterator<Item = Metric> {
        TABLE.into_iter().map(|(metric, ..)| metric)
    }

    fn entry(self) -> (Metric, &'static str, &'static str, &'static str) {
        let mut table = TABLE.into_iter();
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
        !matches!(self, Self::StepTime | Self::PrefillStepTime | Self::DecodeStepTime)
    }
}

impl fmt::Display for Metric {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.name())
    }
}

impl FromStr for Metric {
    type Err = FormulaError;

    fn from_str(name: &str) -> Result<Self, FormulaError> {
        let known = || TABLE.iter().map(|(_, name, ..)| *name);
        let found = TABLE.iter().find(|(_, known, ..)| *known == name);
        found.map(|(metric, ..)| *metric).ok_or_else(|| FormulaError::UnknownMetric {
            name: name.to_owned(),
            hint: Nearest::to(name, known()),
            known: known().collect(),
        })
    }
}

//! The workload of a scenario file.

use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};
use sglsim_units::RngStreams;

use crate::concurrency::MaxConcurrency;
use crate::error::WorkloadError;
use crate::laws::{Arrivals, LengthLaw};
use crate::request::Workload;
use crate::synthetic::{LabelLaws, Sessions, SharedPrefix, Synthetic, SyntheticConfig};
use crate::trace::{ReplayOptions, Trace, TraceFormat};

/// What arrives: a trace, or requests drawn from laws.
///
/// ```
/// use std::path::Path;
/// use sglsim_units::RngStreams;
/// use sglsim_workload::WorkloadConfig;
///
/// let config: WorkloadConfig = ron::from_str(
///     "Synthetic(
///          arrivals: Poisson(rate: 3.0),
///          input_len: LogNormal(mean: 1200, cv: 0.8, max: 8192),
///          output_len: Fixed(256),
///          requests: Some(1000),
///      )",
/// )?;
/// let mut workload = config.build(Path::new("."), RngStreams::new(42))?;
/// assert_eq!(workload.total(), Some(1000));
/// assert_eq!(workload.pop().ok_or("a request")?.output_len, 256);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(from = "Wire", into = "Wire")]
#[expect(clippy::large_enum_variant, reason = "a scenario has one")]
pub enum WorkloadConfig {
    /// Replays a recorded trace: `Trace(file: "day.jsonl.gz", speed: 2.0)`.
    Trace(TraceConfig),
    /// Draws requests from laws: `Synthetic(arrivals: Burst, …)`.
    Synthetic(SyntheticConfig),
}

/// A recorded trace and how to replay it.
#[derive(Clone, Debug, PartialEq)]
pub struct TraceConfig {
    /// The file, plain or gzipped; relative to the folder of the scenario.
    pub file: PathBuf,
    /// Its format. Default: recognised by the first line.
    pub format: TraceFormat,
    /// Tokens per block, if not those of the format \[token\].
    pub block_size: Option<u32>,
    /// How the requests are replayed.
    pub replay: ReplayOptions,
    /// At most so many requests in flight, see [`MaxConcurrency`].
    pub max_concurrency: Option<u32>,
}

impl WorkloadConfig {
    /// Makes the workload: reads the trace (relative to `base_dir`), or prepares the laws.
    ///
    /// # Errors
    ///
    /// [`WorkloadError`]: a field out of its range, or a trace that cannot be read.
    pub fn build(
        &self,
        base_dir: &Path,
        streams: RngStreams,
    ) -> Result<Box<dyn Workload>, WorkloadError> {
        match self {
            Self::Trace(config) => config.build(base_dir),
            Self::Synthetic(config) => config.build(streams),
        }
    }
}

impl TraceConfig {
    /// The whole of `file` as it was recorded.
    #[must_use]
    pub fn new(file: impl Into<PathBuf>) -> Self {
        Self {
            file: file.into(),
            format: TraceFormat::Auto,
            block_size: None,
            replay: ReplayOptions::default(),
            max_concurrency: None,
        }
    }

    /// Reads the trace and makes its replay.
    ///
    /// # Errors
    ///
    /// As [`Trace::read`] and [`Trace::replay`].
    pub fn build(&self, base_dir: &Path) -> Result<Box<dyn Workload>, WorkloadError> {
        self.replay(&self.read(base_dir)?)
    }

    /// Reads the trace; many replays can be made of it.
    ///
    /// # Errors
    ///
    /// As [`Trace::read`].
    pub fn read(&self, base_dir: &Path) -> Result<Trace, WorkloadError> {
        Trace::read(&base_dir.join(&self.file), self.format, self.block_size)
    }

    /// The replay of a trace that was read.
    ///
    /// # Errors
    ///
    /// As [`Trace::replay`].
    pub fn replay(&self, trace: &Trace) -> Result<Box<dyn Workload>, WorkloadError> {
        bounded(Box::new(trace.replay(&self.replay)?), self.max_concurrency)
    }
}

impl SyntheticConfig {
    /// Checks the laws and prepares to draw from `streams` (their names begin with `workload/`).
    ///
    /// # Errors
    ///
    /// [`WorkloadError`] with field, value and allowed range.
    pub fn build(&self, streams: RngStreams) -> Result<Box<dyn Workload>, WorkloadError> {
        bounded(Box::new(Synthetic::new(self, streams)?), self.max_concurrency)
    }
}

fn bounded(
    workload: Box<dyn Workload>,
    limit: Option<u32>,
) -> Result<Box<dyn Workload>, WorkloadError> {
    match limit {
        Some(limit) => Ok(Box::new(MaxConcurrency::new(workload, limit)?)),
        None => Ok(workload),
    }
}

/// [`WorkloadConfig`] as files write it: the fields stand in the variant itself, so that RON needs
/// neither a second pair of parentheses nor an extension.
#[derive(Serialize, Deserialize)]
#[serde(rename = "WorkloadConfig", deny_unknown_fields)]
#[expect(clippy::large_enum_variant, reason = "it lives as long as it takes to read a file")]
enum Wire {
    Trace {
        file: PathBuf,
        #[serde(default)]
        format: TraceFormat,
        #[serde(default)]
        block_size: Option<u32>,
        #[serde(default = "as_recorded")]
        speed: f64,
        #[serde(default)]
        limit: Option<u64>,
        #[serde(default)]
        max_new_tokens: Option<u32>,
        #[serde(default)]
        max_concurrency: Option<u32>,
    },
    Synthetic {
        arrivals: Arrivals,
        input_len: LengthLaw,
        output_len: LengthLaw,
        #[serde(default)]
        prefix: Option<SharedPrefix>,
        #[serde(default)]
        sessions: Option<Sessions>,
        #[serde(default)]
        labels: Option<LabelLaws>,
        #[serde(default)]
        requests: Option<u64>,
        #[serde(default)]
        duration: Option<f64>,
        #[serde(default)]
        max_new_tokens: Option<u32>,
        #[serde(default)]
        max_concurrency: Option<u32>,
    },
}

fn as_recorded() -> f64 {
    ReplayOptions::default().speed
}

/// Writes both directions from one list of fields, so that none is forgotten in one of them.
macro_rules! wire {
    ($($trace:ident),*; $($replay:ident),*; $($synthetic:ident),*) => {
        impl From<Wire> for WorkloadConfig {
            fn from(wire: Wire) -> Self {
                match wire {
                    Wire::Trace { $($trace,)* $($replay,)* } => {
                        let replay = ReplayOptions { $($replay),* };
                        Self::Trace(TraceConfig { $($trace,)* replay })
                    }
                    Wire::Synthetic { $($synthetic),* } => {
                        Self::Synthetic(SyntheticConfig { $($synthetic),* })
                    }
                }
            }
        }

        impl From<WorkloadConfig> for Wire {
            fn from(config: WorkloadConfig) -> Self {
                match config {
                    WorkloadConfig::Trace(TraceConfig { $($trace,)* replay }) => {
                        let ReplayOptions { $($replay),* } = replay;
                        Self::Trace { $($trace,)* $($replay,)* }
                    }
                    WorkloadConfig::Synthetic(SyntheticConfig { $($synthetic),* }) => {
                        Self::Synthetic { $($synthetic),* }
                    }
                }
            }
        }
    };
}

wire! {
    file, format, block_size, max_concurrency;
    speed, limit, max_new_tokens;
    arrivals, input_len, output_len, prefix, sessions, labels, requests, duration, max_new_tokens,
    max_concurrency
}

//! What only a run can know, measured and given a name.

use std::fs;
use std::path::Path;

use serde::{Deserialize, Serialize};
use sglsim_engine::{
    CLIP_MAX_NEW_TOKENS, NewTokenRatio, Report, RequestRecord, Scenario, WorkloadConfig,
};
use sglsim_expr::Symbol;
use sglsim_workload::Arrivals;

use crate::FormulaError;

mod moments;
mod spread;

use moments::{ArrivalSpread, TwoLengths, mean_gap_share, scv};
pub use spread::Observed;

/// What a run tells a formula: how long prompts and outputs are, how much of a prompt a cache has,
/// how the requests come.
///
/// A steady-state formula sees the workload through these means alone. They are parameters of the
/// formula, under their names, so that a what-if on the workload is a change of values.
///
/// ```
/// use sglsim_formula::{Frozen, Load};
///
/// // Without a run: every request has 2000 prompt and 200 output tokens, 500 of them cached.
/// let frozen = Frozen::assumed(2000.0, 500.0, 200.0, Load::Unlimited)?;
/// assert_eq!(frozen.mean_extend_pairs, 1500.0 * (500.0 + 1501.0 / 2.0));
/// assert_eq!(frozen.mean_decode_context, 2000.0 + 100.0);
/// # Ok::<(), sglsim_formula::FormulaError>(())
/// ```
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
#[non_exhaustive]
pub struct Frozen {
    /// Version of the file format, now 3.
    #[serde(default = "first_version")]
    pub version: u32,
    /// Where the values come from.
    pub source: String,
    /// The model of the runs; empty if there was none.
    #[serde(default)]
    pub model: String,
    /// The workload of the runs as a scenario has it; empty if there was none.
    #[serde(default)]
    pub workload: String,
    /// Runs, each with a seed of its own, that they are means over \[1\]; 0 if they are assumed.
    #[serde(default)]
    pub seeds: u64,
    /// Requests they are means over \[1\]; 0 if they are assumed.
    pub requests: u64,
    /// Mean prompt length S \[token\].
    pub mean_prompt_tokens: f64,
    /// Mean number of leading prompt tokens found in a prefix cache, H \[token\].
    pub mean_cached_tokens: f64,
    /// Mean query-key pairs of a prompt's uncached part, E\[u·(h + (u+1)/2)\] \[token²\].
    pub mean_extend_pairs: f64,
    /// Mean output length O \[token\].
    pub mean_output_tokens: f64,
    /// Mean context of a sequence in a decode step, Σ (o−1)·(s + o/2) / Σ (o−1) \[token\]: long
    /// outputs decode for longer, so they count more.
    pub mean_decode_context: f64,
    /// Mean KV slots that admission keeps for the tokens that a running request may still make
    /// \[token\]: all of them for requests that ignore the end of sequence, else the share
    /// `new_token_ratio` at its lowest.
    pub mean_reserved_tokens: f64,
    /// Two lengths that stand for all uncached parts of prompts: the shorter one over the mean \[1\].
    /// With its counterpart and its share it has the mean, the variance and the skewness of all.
    #[serde(default = "alike")]
    pub short_prompt_ratio: f64,
    /// The longer of the two over the mean \[1\].
    #[serde(default = "alike")]
    pub long_prompt_ratio: f64,
    /// Share of prompts that the longer one stands for \[1\].
    #[serde(default)]
    pub long_prompt_share: f64,
    /// Squared coefficient of variation of output lengths \[1\].
    #[serde(default)]
    pub output_scv: f64,
    /// Mean of 1/(o−1) over the outputs of several tokens \[1\]: what a wait before the second token
    /// adds to the time per token.
    #[serde(default)]
    pub mean_gap_share: f64,
    /// Squared coefficient of variation of the gaps between arrivals \[1\]; 1 for a Poisson process.
    #[serde(default = "alike")]
    pub gap_scv: f64,
    /// What routing adds to it at a worker, over what choosing at random would add \[1\]: 0 if
    /// workers take turns.
    #[serde(default)]
    pub routing_scv: f64,
    /// How requests come.
    pub load: Load,
    /// What the runs were like, with its spread over the seeds; empty unless they were recorded.
    #[serde(default)]
    pub observed: Vec<Observed>,
}

const VERSION: u32 = 3;

/// What files before version 3 say of spreads.
fn alike() -> f64 {
    1.0
}

fn first_version() -> u32 {
    1
}

/// The head of a file of any version.
#[derive(Deserialize)]
struct Head {
    #[serde(default = "first_version")]
    version: u32,
}

/// How requests come.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
#[non_exhaustive]
pub enum Load {
    /// There is always a next one waiting: a burst.
    Unlimited,
    /// At a rate that does not depend on the deployment.
    Open {
        /// Requests per second \[1/s\].
        request_rate: f64,
    },
    /// From users who wait for an answer before they send the next one.
    Closed {
        /// Number of users \[1\].
        max_concurrency: f64,
        /// Mean time between an answer and the next request \[s\].
        mean_think_time: f64,
    },
}

/// A frozen value as a formula shows it.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub struct Parameter {
    /// Its symbol: name, domain, unit and meaning.
    pub symbol: Symbol,
    /// Its value.
    pub value: f64,
}

impl Frozen {
    /// What the run of a scenario tells.
    ///
    /// Means are over the requests that finished. The rate of an open load is the one at which
    /// requests really arrived.
    ///
    /// # Errors
    ///
    /// [`FormulaError::NothingFinished`].
    pub fn of(report: &Report, scenario: &Scenario) -> Result<Self, FormulaError> {
        let done: Vec<&RequestRecord> =
            report.requests.iter().filter(|record| record.finished.is_some()).collect();
        if done.is_empty() {
            return Err(FormulaError::NothingFinished);
        }
        let mean = |of: fn(&RequestRecord) -> f64| {
            done.iter().map(|record| of(record)).sum::<f64>() / done.len() as f64
        };
        let mean_steps = mean(decode_steps);
        let by_steps = |of: &dyn Fn(&RequestRecord) -> f64| {
            let total: f64 = done.iter().map(|record| decode_steps(record) * of(record)).sum();
            total / done.len() as f64 / mean_steps
        };
        let reservation = Reservation::of(scenario);
        let new = |record: &&RequestRecord| {
            record.prompt_tokens.saturating_sub(record.cached_tokens).max(1) as f64
        };
        let prompts = TwoLengths::of(&done.iter().map(new).collect::<Vec<_>>());
        let arrivals = ArrivalSpread::of(report);
        let mean_prompt_tokens = mean(|record| record.prompt_tokens as f64);
        let frozen = Self {
            version: VERSION,
            model: scenario.model.clone(),
            workload: written(scenario),
            seeds: 1,
            observed: Vec::new(),
            source: format!(
                "simulation of {} with {}, seed {}",
                report.model, report.workload, report.seed
            ),
            requests: done.len() as u64,
            mean_prompt_tokens,
            mean_cached_tokens: mean(|record| record.cached_tokens as f64),
            mean_extend_pairs: mean(|record| {
                extend_pairs(record.prompt_tokens as f64, record.cached_tokens as f64)
            }),
            mean_output_tokens: mean(|record| record.output_tokens as f64),
            mean_decode_context: if mean_steps > 0.0 {
                by_steps(&|record| record.prompt_tokens as f64 + record.output_tokens as f64 / 2.0)
            } else {
                mean_prompt_tokens
            },
            mean_reserved_tokens: if mean_steps > 0.0 {
                by_steps(&|record| reservation.mean(record.output_tokens as f64))
            } else {
                0.0
            },
            short_prompt_ratio: prompts.short,
            long_prompt_ratio: prompts.long,
            long_prompt_share: prompts.long_share,
            output_scv: scv(done.iter().map(|record| record.output_tokens as f64)),
            mean_gap_share: mean_gap_share(&done),
            gap_scv: arrivals.gap_scv,
            routing_scv: arrivals.routing_scv,
            load: Load::of(report, scenario),
        };
        frozen.checked()
    }

    /// A workload without a run: every request has the same lengths and ignores the end of sequence.
    ///
    /// # Errors
    ///
    /// [`FormulaError::FrozenOutOfRange`].
    pub fn assumed(
        prompt_tokens: f64,
        cached_tokens: f64,
        output_tokens: f64,
        load: Load,
    ) -> Result<Self, FormulaError> {
        let frozen = Self {
            version: VERSION,
            model: String::new(),
            workload: String::new(),
            seeds: 0,
            observed: Vec::new(),
            source: "assumed".to_owned(),
            requests: 0,
            mean_prompt_tokens: prompt_tokens,
            mean_cached_tokens: cached_tokens,
            mean_extend_pairs: extend_pairs(prompt_tokens, cached_tokens),
            mean_output_tokens: output_tokens,
            mean_decode_context: prompt_tokens + output_tokens / 2.0,
            mean_reserved_tokens: Reservation::WHOLE.mean(output_tokens),
            short_prompt_ratio: 1.0,
            long_prompt_ratio: 1.0,
            long_prompt_share: 0.0,
            output_scv: 0.0,
            mean_gap_share: if output_tokens >= 2.0 { 1.0 / (output_tokens - 1.0) } else { 0.0 },
            gap_scv: 1.0,
            routing_scv: 0.0,
            load,
        };
        frozen.checked()
    }

    /// Reads what [`Frozen::write_to`] wrote.
    ///
    /// # Errors
    ///
    /// [`FormulaError::File`], [`FormulaError::Format`] or [`FormulaError::FrozenOutOfRange`].
    pub fn from_file(path: impl AsRef<Path>) -> Result<Self, FormulaError> {
        let path = path.as_ref();
        let text = fs::read_to_string(path).map_err(|source| FormulaError::File {
            action: "read",
            path: path.to_owned(),
            source,
        })?;
        let format =
            |source| FormulaError::Format { path: path.to_owned(), source: Box::new(source) };
        let Head { version } = ron::from_str(&text).map_err(format)?;
        if version > VERSION {
            let path = path.to_owned();
            return Err(FormulaError::LaterVersion { path, version, known: VERSION });
        }
        let frozen: Self = ron::from_str(&text).map_err(format)?;
        frozen.checked()
    }

    /// Checks that the values are of the model and the workload of a scenario; its deployment may be
    /// another one, which is what a formula is for. Values that were assumed fit any.
    ///
    /// # Errors
    ///
    /// [`FormulaError::OtherScenario`].
    pub fn check_scenario(&self, scenario: &Scenario) -> Result<(), FormulaError> {
        let pairs = [
            ("model", &self.model, scenario.model.clone()),
            ("workload", &self.workload, written(scenario)),
        ];
        for (field, frozen, scenario) in pairs {
            if !frozen.is_empty() && *frozen != scenario {
                return Err(FormulaError::OtherScenario {
                    field,
                    frozen: frozen.clone(),
                    scenario,
                });
            }
        }
        Ok(())
    }

    /// Writes them to a RON file that [`Frozen::from_file`] reads.
    ///
    /// # Errors
    ///
    /// [`FormulaError::File`].
    pub fn write_to(&self, path: impl AsRef<Path>) -> Result<(), FormulaError> {
        let path = path.as_ref();
        let text = ron::ser::to_string_pretty(self, ron::ser::PrettyConfig::default())
            .map_err(std::io::Error::other);
        text.and_then(|text| fs::write(path, text + "\n")).map_err(|source| FormulaError::File {
            action: "write",
            path: path.to_owned(),
            source,
        })
    }

    /// Each value with its symbol.
    #[must_use]
    pub fn parameters(&self) -> Vec<Parameter> {
        let mut all = Vec::from(self.means());
        all.extend(self.spreads());
        all.extend(self.load_parameters());
        all
    }

    /// Ratio of short and of long prompts, share of the long ones, spread of outputs, gap share, spread of arrivals and
    /// of routing.
    pub(crate) fn spreads(&self) -> [Parameter; 7] {
        let ratio = |name: &str, doc: &str, value: f64| Parameter {
            symbol: Symbol::real(name).non_negative().doc(doc),
            value,
        };
        let share = Symbol::real("long_prompt_share").at_least(0.0).at_most(1.0);
        [
            ratio(
                "short_prompt_ratio",
                "new tokens of a short prompt over the mean",
                self.short_prompt_ratio,
            ),
            ratio(
                "long_prompt_ratio",
                "new tokens of a long prompt over the mean",
                self.long_prompt_ratio,
            ),
            Parameter {
                symbol: share.doc("share of the long prompts"),
                value: self.long_prompt_share,
            },
            ratio(
                "output_scv",
                "squared coefficient of variation of output lengths",
                self.output_scv,
            ),
            ratio("mean_gap_share", "mean of 1/(output tokens - 1)", self.mean_gap_share),
            ratio(
                "gap_scv",
                "squared coefficient of variation of the gaps between arrivals",
                self.gap_scv,
            ),
            ratio(
                "routing_scv",
                "what routing adds to it at a worker, over choosing at random",
                self.routing_scv,
            ),
        ]
    }

    /// Prompt, cached part, pairs, output, context, reserve.
    pub(crate) fn means(&self) -> [Parameter; 6] {
        let mean = |name: &str, least: f64, unit: &str, doc: &str, value: f64| Parameter {
            symbol: Symbol::real(name).at_least(least).unit(unit).doc(doc),
            value,
        };
        let cached = "mean prompt tokens found in a prefix cache";
        let pairs = "mean query-key pairs of a prompt's uncached part";
        let context = "mean context of a sequence in a decode step";
        let reserved = "mean KV slots kept for tokens that a running request may still make";
        [
            mean("mean_prompt_tokens", 1.0, "token", "mean prompt length", self.mean_prompt_tokens),
            mean("mean_cached_tokens", 0.0, "token", cached, self.mean_cached_tokens),
            mean("mean_extend_pairs", 0.0, "token^2", pairs, self.mean_extend_pairs),
            mean("mean_output_tokens", 1.0, "token", "mean output length", self.mean_output_tokens),
            mean("mean_decode_context", 1.0, "token", context, self.mean_decode_context),
            mean("mean_reserved_tokens", 0.0, "token", reserved, self.mean_reserved_tokens),
        ]
    }

    /// The arrival rate, or the users and their time to think.
    pub(crate) fn load_parameters(&self) -> Vec<Parameter> {
        match self.load {
            Load::Unlimited => Vec::new(),
            Load::Open { request_rate } => vec![Parameter {
                symbol: Symbol::real("request_rate").positive().unit("1/s").doc("arrival rate"),
                value: request_rate,
            }],
            Load::Closed { max_concurrency, mean_think_time } => vec![
                Parameter {
                    symbol: Symbol::real("max_concurrency")
                        .at_least(1.0)
                        .doc("most requests in flight"),
                    value: max_concurrency,
                },
                Parameter {
                    symbol: Symbol::real("mean_think_time")
                        .non_negative()
                        .unit("s")
                        .doc("mean time between an answer and the next request"),
                    value: mean_think_time,
                },
            ],
        }
    }

    fn checked(self) -> Result<Self, FormulaError> {
        let least = |field, value: f64, least: f64, allowed| {
            if value.is_finite() && value >= least {
                Ok(())
            } else {
                Err(FormulaError::FrozenOutOfRange { field, value, allowed })
            }
        };
        let cached = self.mean_cached_tokens;
        least("mean_prompt_tokens", self.mean_prompt_tokens, 1.0, ">= 1")?;
        least("mean_cached_tokens", cached, 0.0, ">= 0")?;
        if cached >= self.mean_prompt_tokens {
            return Err(FormulaError::FrozenOutOfRange {
                field: "mean_cached_tokens",
                value: cached,
                allowed: "less than mean_prompt_tokens",
            });
        }
        least("mean_extend_pairs", self.mean_extend_pairs, 0.0, ">= 0")?;
        least("mean_output_tokens", self.mean_output_tokens, 1.0, ">= 1")?;
        least("mean_decode_context", self.mean_decode_context, 1.0, ">= 1")?;
        least("mean_reserved_tokens", self.mean_reserved_tokens, 0.0, ">= 0")?;
        least("short_prompt_ratio", self.short_prompt_ratio, 0.0, ">= 0")?;
        least("long_prompt_ratio", self.long_prompt_ratio, 0.0, ">= 0")?;
        least("long_prompt_share", self.long_prompt_share, 0.0, "from 0 to 1")?;
        least("long_prompt_share", 1.0 - self.long_prompt_share, 0.0, "from 0 to 1")?;
        least("output_scv", self.output_scv, 0.0, ">= 0")?;
        least("mean_gap_share", self.mean_gap_share, 0.0, ">= 0")?;
        least("gap_scv", self.gap_scv, 0.0, ">= 0")?;
        least("routing_scv", self.routing_scv, 0.0, ">= 0")?;
        match self.load {
            Load::Unlimited => {}
            Load::Open { request_rate } => {
                least("request_rate", request_rate, f64::MIN_POSITIVE, "> 0")?;
            }
            Load::Closed { max_concurrency, mean_think_time } => {
                least("max_concurrency", max_concurrency, 1.0, ">= 1")?;
                least("mean_think_time", mean_think_time, 0.0, ">= 0")?;
            }
        }
        Ok(self)
    }
}

/// The workload of a scenario as text.
fn written(scenario: &Scenario) -> String {
    ron::to_string(&scenario.workload).expect("a workload is plain data")
}

impl Load {
    /// How the requests of a run came.
    ///
    /// A limit on the concurrency makes a closed load: whoever is held back arrives when another
    /// one leaves. Requests that all arrived at once were waiting all the time.
    fn of(report: &Report, scenario: &Scenario) -> Self {
        let (limit, think) = match &scenario.workload {
            WorkloadConfig::Trace(trace) => (trace.max_concurrency, 0.0),
            WorkloadConfig::Synthetic(synthetic) => match &synthetic.arrivals {
                Arrivals::ClosedLoop { concurrency, think } => {
                    let users = synthetic.max_concurrency.unwrap_or(*concurrency);
                    (Some(users.min(*concurrency)), think.mean())
                }
                _ => (synthetic.max_concurrency, 0.0),
            },
        };
        if let Some(users) = limit {
            return Self::Closed {
                max_concurrency: f64::from(users.max(1)),
                mean_think_time: think,
            };
        }
        let arrivals = || report.requests.iter().map(|record| record.arrival);
        match (arrivals().min(), arrivals().max()) {
            (Some(first), Some(last)) if first < last => {
                let gaps = (report.requests.len() - 1) as f64;
                Self::Open { request_rate: gaps / last.since(first).get() }
            }
            _ => Self::Unlimited,
        }
    }
}

/// What admission keeps free for the future of running requests (SGLang 0.5.23,
/// `managers/schedule_policy.py:PrefillAdder`).
struct Reservation {
    /// Limit that requests ask for, if it is not what they will make \[token\].
    max_new_tokens: Option<f64>,
    /// Share of the rest that is kept.
    ratio: f64,
}

impl Reservation {
    const WHOLE: Self = Self { max_new_tokens: None, ratio: 1.0 };

    fn of(scenario: &Scenario) -> Self {
        let limit = match &scenario.workload {
            WorkloadConfig::Trace(trace) => trace.replay.max_new_tokens,
            WorkloadConfig::Synthetic(synthetic) => synthetic.max_new_tokens,
        };
        match limit {
            None => Self::WHOLE,
            Some(limit) => {
                // After many decode steps, at a `schedule_conservativeness` of 1.
                let ratio = NewTokenRatio::new(1.0).minimum();
                Self { max_new_tokens: Some(f64::from(limit)), ratio }
            }
        }
    }

    /// Mean over the life of a request with `output` tokens \[token\].
    fn mean(&self, output: f64) -> f64 {
        let rest = match self.max_new_tokens {
            Some(limit) => limit - output / 2.0,
            None => output / 2.0,
        };
        self.ratio * rest.min(CLIP_MAX_NEW_TOKENS as f64)
    }
}

/// Decode steps that a request takes part in: its first token comes from its prefill.
fn decode_steps(record: &RequestRecord) -> f64 {
    record.output_tokens.saturating_sub(1) as f64
}

/// Query-key pairs of a prompt behind a cached prefix \[token²\].
fn extend_pairs(prompt: f64, cached: f64) -> f64 {
    let new = prompt - cached;
    new * (cached + (new + 1.0) / 2.0)
}

//! The batch of a step: as the user gives it, or as the workload would make it.

use std::str::FromStr;

use sglsim_engine::PoolPlan;
use sglsim_kernels::{RankFeatures, StepFeatures};
use sglsim_units::Nearest;

use crate::number::{count, counted};

/// The batch of each attention rank.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Batch {
    /// New tokens of each extending sequence \[token\].
    extend: u64,
    /// Extending sequences.
    seqs: u64,
    /// Cached tokens in front of each \[token\].
    prefix: u64,
    /// Sequences that decode.
    decode: u64,
    /// Their mean length \[token\].
    context: u64,
    /// Their tokens per step \[token\].
    query: u64,
}

/// Largest value of a size: more tokens than any memory holds.
const MOST: u64 = 100_000_000;

/// Why a batch cannot be read.
#[derive(Debug, thiserror::Error)]
pub(super) enum BatchError {
    #[error("`{0}` is not written as NAME=COUNT, such as extend=2048")]
    NoValue(String),
    #[error("there is no size `{name}`{nearest}; known: {}", NAMES.join(", "))]
    Unknown { name: String, nearest: Nearest },
    #[error("`{name}` is {value}, allowed are the integers 0 to {MOST}")]
    OutOfRange { name: String, value: String },
    #[error("it has neither `extend` nor `decode` tokens")]
    Empty,
}

const NAMES: [&str; 6] = ["extend", "seqs", "prefix", "decode", "context", "query"];

impl FromStr for Batch {
    type Err = BatchError;

    fn from_str(text: &str) -> Result<Self, BatchError> {
        let mut batch = Self { seqs: 1, query: 1, context: 1, ..Self::default() };
        for item in text.split(',') {
            let (name, value) =
                item.split_once('=').ok_or_else(|| BatchError::NoValue(item.trim().to_owned()))?;
            let (name, value) = (name.trim(), value.trim());
            let slot = match name {
                "extend" => &mut batch.extend,
                "seqs" => &mut batch.seqs,
                "prefix" => &mut batch.prefix,
                "decode" => &mut batch.decode,
                "context" => &mut batch.context,
                "query" => &mut batch.query,
                _ => {
                    return Err(BatchError::Unknown {
                        name: name.to_owned(),
                        nearest: Nearest::to(name, NAMES),
                    });
                }
            };
            *slot = value.parse().ok().filter(|count| *count <= MOST).ok_or_else(|| {
                BatchError::OutOfRange { name: name.to_owned(), value: value.to_owned() }
            })?;
        }
        if !batch.extends() && !batch.decodes() {
            return Err(BatchError::Empty);
        }
        Ok(batch)
    }
}

impl Batch {
    /// A prefill step of a pool: as many prompts of the mean length as a chunk holds, nothing cached.
    pub(super) fn of_prompts(pool: &PoolPlan, mean_input: u64) -> Self {
        let prompt = mean_input.max(1);
        let chunk = pool.scheduler.chunked_prefill_size.map_or(prompt, u64::from).max(1);
        Self { extend: prompt.min(chunk), seqs: (chunk / prompt).max(1), ..Self::default() }
    }

    /// A decode step of a pool: 64 sequences half way through their answers, or as many as fit.
    pub(super) fn of_answers(pool: &PoolPlan, mean_input: u64, mean_output: u64) -> Self {
        const USUAL: u64 = 64;
        let context = (mean_input + mean_output / 2).max(1);
        let fit = pool.fit.max_total_num_tokens / context;
        let most = u64::from(pool.scheduler.max_running_requests).min(fit);
        Self { decode: USUAL.min(most).max(1), context, query: 1, ..Self::default() }
    }

    pub(super) fn extends(&self) -> bool {
        self.extend > 0 && self.seqs > 0
    }

    pub(super) fn decodes(&self) -> bool {
        self.decode > 0 && self.query > 0
    }

    /// The smallest captured graph that holds the decode batch, if one is used.
    fn graph(&self, pool: &PoolPlan) -> Option<u64> {
        if self.extends() {
            return None;
        }
        let sizes = pool.cuda_graphs.iter().map(|size| u64::from(*size));
        sizes.into_iter().find(|size| *size >= self.decode)
    }

    /// What the step's cost depends on, if every attention rank has this batch.
    pub(super) fn features(&self, pool: &PoolPlan) -> StepFeatures {
        let mut rank = RankFeatures::default();
        if self.extends() {
            for _ in 0..self.seqs {
                rank.add_extend(self.prefix, self.extend);
            }
        }
        let graph = self.graph(pool);
        if self.decodes() {
            let padded = graph.unwrap_or(self.decode);
            rank.set_decode(self.decode, padded, self.decode * self.context, self.query);
        }
        rank.eager = graph.is_none();
        StepFeatures::of_ranks(&vec![rank; pool.plan.dp_size as usize])
    }

    /// The batch as a reader sees it.
    pub(super) fn words(&self, pool: &PoolPlan) -> String {
        let mut parts = Vec::new();
        if self.extends() {
            let mut text = match self.seqs {
                1 => format!("{} new tokens", count(self.extend)),
                seqs => format!("{} of {} new tokens", counted(seqs, "prompt"), count(self.extend)),
            };
            if self.prefix > 0 {
                text.push_str(&format!(" behind {} cached ones", count(self.prefix)));
            }
            parts.push(text);
        }
        if self.decodes() {
            let mut text =
                format!("{} of {} tokens", counted(self.decode, "sequence"), count(self.context));
            if self.query > 1 {
                text.push_str(&format!(", {} tokens each", self.query));
            }
            match self.graph(pool) {
                Some(graph) => text.push_str(&format!(", CUDA graph of {graph}")),
                None => text.push_str(", no CUDA graph"),
            }
            parts.push(text);
        }
        let ranks = match pool.plan.dp_size {
            1 => String::new(),
            ranks => format!(" on each of {ranks} attention ranks"),
        };
        parts.join("; ") + &ranks
    }
}

//! A worker: one SGLang server. Its attention ranks have queues and caches of their own, and step
//! together.

use sglsim_kernels::{RankFeatures, StepFeatures};
use sglsim_sched::{BatchState, ForwardMode, SchedError, Scheduler};
use sglsim_units::{Seconds, SimTime, TokenCount, WorkerId};

use crate::cost::CostModel;

/// One attention-DP rank.
#[derive(Debug)]
pub(crate) struct Rank {
    pub(crate) batch: BatchState,
    pub(crate) scheduler: Box<dyn Scheduler>,
    /// What it runs in the step now under way.
    pub(crate) mode: ForwardMode,
    /// KV slots in use that observers know of \[token\].
    pub(crate) kv_used: TokenCount,
}

/// One worker.
#[derive(Debug)]
pub(crate) struct Worker {
    pub(crate) id: WorkerId,
    pub(crate) ranks: Vec<Rank>,
    pub(crate) cost: Box<dyn CostModel>,
    /// Padded decode batch by batch size, up to the largest captured CUDA graph.
    padded: Vec<u32>,
    /// When the step now under way began.
    pub(crate) began: Option<SimTime>,
    /// What that step takes, and from what it was computed.
    pub(crate) step_cost: Seconds,
    pub(crate) features: StepFeatures,
    /// Scratch for `features`, so that a step allocates nothing.
    rank_features: Vec<RankFeatures>,
    next_rank: usize,
}

impl Worker {
    /// A worker at rest. `graphs` are the batch sizes with a CUDA graph, ascending.
    pub(crate) fn new(
        id: WorkerId,
        ranks: Vec<Rank>,
        cost: Box<dyn CostModel>,
        graphs: &[u32],
    ) -> Self {
        let mut padded = vec![0];
        for size in graphs {
            padded.resize(*size as usize + 1, *size);
        }
        let rank_features = vec![RankFeatures::default(); ranks.len()];
        Self {
            id,
            ranks,
            cost,
            padded,
            began: None,
            step_cost: Seconds::ZERO,
            features: StepFeatures::default(),
            rank_features,
            next_rank: 0,
        }
    }

    /// The attention rank of the next request: in turn (SGLang 0.5.23,
    /// `managers/data_parallel_controller.py`, `round_robin`).
    pub(crate) fn next_rank(&mut self) -> usize {
        let rank = self.next_rank;
        self.next_rank = (rank + 1) % self.ranks.len();
        rank
    }

    /// Lets every rank choose its next step and takes its memory. `false` if all are idle.
    pub(crate) fn choose_step(&mut self, now: SimTime) -> Result<bool, SchedError> {
        let mut any = false;
        for rank in &mut self.ranks {
            rank.mode = rank.scheduler.next_step(&mut rank.batch, now)?;
            rank.batch.begin_step(rank.mode)?;
            any |= rank.mode != ForwardMode::Idle;
        }
        Ok(any)
    }

    /// Features of the step that the ranks chose.
    ///
    /// If any rank extends, no rank can replay a decode graph. Otherwise all ranks pad to the graph
    /// that fits the largest batch, idle ones included, as their collectives have to match (SGLang
    /// 0.5.23, `managers/scheduler_components/dp_attn.py`).
    pub(crate) fn measure_step(&mut self) {
        let extends = self
            .ranks
            .iter()
            .any(|rank| matches!(rank.mode, ForwardMode::Extend | ForwardMode::Mixed));
        let largest = (self.ranks.iter())
            .filter(|rank| rank.mode == ForwardMode::Decode)
            .map(|rank| rank.batch.running().len())
            .max();
        let graph = match largest {
            Some(seqs) if !extends => self.padded.get(seqs).map(|size| u64::from(*size)),
            _ => None,
        };
        for (rank, features) in self.ranks.iter().zip(&mut self.rank_features) {
            *features = RankFeatures { eager: graph.is_none(), ..RankFeatures::default() };
            if matches!(rank.mode, ForwardMode::Extend | ForwardMode::Mixed) {
                for slice in rank.batch.extend_batch() {
                    features.add_extend(slice.prefix, slice.extend);
                }
            }
            match rank.mode {
                ForwardMode::Extend => {}
                ForwardMode::Decode | ForwardMode::Mixed => {
                    let running = rank.batch.running();
                    let seqs = running.len() as u64;
                    let padded = graph.unwrap_or(seqs);
                    features.set_decode(seqs, padded, running.decode_context(), 1);
                }
                ForwardMode::Idle => {
                    if let Some(padded) = graph {
                        features.set_decode(0, padded, 0, 1);
                    }
                }
            }
        }
        self.features = StepFeatures::of_ranks(&self.rank_features);
    }
}

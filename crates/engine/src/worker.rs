//! A worker: one SGLang server. Its attention ranks have queues and caches of their own, and step
//! together.

use sglsim_kernels::{RankFeatures, StepFeatures};
use sglsim_sched::{BatchState, ForwardMode, SchedError, Scheduler};
use sglsim_units::{Seconds, SimTime, TokenCount, WorkerId};

use crate::balance::Balancer;
use crate::cost::CostModel;
use crate::error::EngineError;
use crate::host::HostCopies;
use crate::pipeline::Pipeline;

/// One attention-DP rank.
#[derive(Debug)]
pub(crate) struct Rank {
    pub(crate) batch: BatchState,
    pub(crate) scheduler: Box<dyn Scheduler>,
    /// KV slots in use that observers know of \[token\].
    pub(crate) kv_used: TokenCount,
    /// Copies to and from the host tier of its cache, if there is one.
    pub(crate) host: Option<HostCopies>,
}

/// A step of a worker.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Step {
    /// How long it takes.
    pub(crate) cost: Seconds,
    /// What that was computed from.
    pub(crate) features: StepFeatures,
}

/// One worker.
#[derive(Debug)]
pub(crate) struct Worker {
    pub(crate) id: WorkerId,
    pub(crate) ranks: Vec<Rank>,
    pub(crate) cost: Box<dyn CostModel>,
    /// Padded decode batch by batch size, up to the largest captured CUDA graph.
    padded: Vec<u32>,
    /// The step that runs, and since when.
    pub(crate) running: Option<(SimTime, Step)>,
    /// The step that was chosen to run after it.
    pub(crate) next: Option<Step>,
    /// Whether it chooses a step while the one before runs.
    pub(crate) overlaps: bool,
    /// Its pipeline stages, if there are several; then `running` and `next` are not used.
    pub(crate) pipeline: Option<Pipeline>,
    /// Scratch for the features of a step, so that a step allocates nothing.
    rank_features: Vec<RankFeatures>,
    balancer: Balancer,
}

impl Worker {
    /// A worker at rest. `graphs` are the batch sizes with a CUDA graph, ascending.
    pub(crate) fn new(
        id: WorkerId,
        ranks: Vec<Rank>,
        cost: Box<dyn CostModel>,
        graphs: &[u32],
        balancer: Balancer,
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
            running: None,
            next: None,
            overlaps: false,
            pipeline: None,
            rank_features,
            balancer,
        }
    }

    /// Whether it cannot choose a step before the results of another come in.
    pub(crate) fn is_blocked(&self) -> bool {
        match &self.pipeline {
            Some(pipeline) => pipeline.is_blocked(),
            None => self.running.is_some(),
        }
    }

    /// Name of a rank's batch in events: with pipeline stages, every micro-batch has one of its own.
    pub(crate) fn batch_name(&self, rank: usize) -> usize {
        self.ranks[rank].batch.micro_batch() * self.ranks.len() + rank
    }

    /// The attention rank of the next request, of so many prompt tokens.
    pub(crate) fn next_rank(&mut self, now: SimTime, prompt: TokenCount) -> usize {
        self.balancer.choose(now, prompt, self.ranks.iter().map(|rank| &rank.batch))
    }

    /// Lets every rank choose its next step and takes its memory. `false` if all are idle.
    pub(crate) fn choose_step(&mut self, now: SimTime) -> Result<bool, SchedError> {
        let mut any = false;
        for rank in &mut self.ranks {
            if let Some(host) = &mut rank.host {
                host.start(now, &mut rank.batch);
                host.poll(now, &mut rank.batch);
            }
            rank.batch.leave_cancelled();
            let mode = rank.scheduler.next_step(&mut rank.batch, now)?;
            rank.batch.begin_step(mode)?;
            if let Some(host) = &mut rank.host {
                host.start(now, &mut rank.batch);
            }
            any |= mode != ForwardMode::Idle;
        }
        Ok(any)
    }

    /// Duration of a step of these features, which the slowest rank decides \[s\].
    pub(crate) fn step_seconds(&mut self, features: &StepFeatures) -> f64 {
        let step = self.cost.step_seconds(features);
        let hosts = self.ranks.iter_mut().filter_map(|rank| rank.host.as_mut());
        hosts.map(|host| host.step_seconds(step)).fold(step, f64::max)
    }

    /// What a cost model said, if it can be a time.
    pub(crate) fn checked(
        &self,
        at: SimTime,
        seconds: f64,
        features: &StepFeatures,
    ) -> Result<Seconds, EngineError> {
        Seconds::new(seconds).map_err(|_| EngineError::BadCost {
            at,
            worker: self.id,
            model: self.cost.name().to_owned(),
            seconds,
            features: format!("{features:?}"),
        })
    }

    /// When a rank that has requests but nothing to run may have memory again.
    pub(crate) fn next_copy_done(&self) -> Option<SimTime> {
        let waiting = self.ranks.iter().filter(|rank| !rank.batch.is_empty());
        waiting.filter_map(|rank| rank.host.as_ref()?.next_done()).min()
    }

    /// Features of the step that the ranks chose; `serial` says whether the device waits for the host.
    ///
    /// If any rank extends, no rank can replay a decode graph. Otherwise all ranks pad to the graph
    /// that fits the largest batch, idle ones included, as their collectives have to match (SGLang
    /// 0.5.23, `managers/scheduler_components/dp_attn.py`).
    pub(crate) fn measure_step(&mut self, serial: bool) -> StepFeatures {
        let steps = || self.ranks.iter().map(|rank| rank.batch.forward_batch());
        let extends = steps().any(|step| step.mode.extends());
        let largest = steps().map(|step| step.decode_seqs).max().unwrap_or(0);
        let graph = if extends { None } else { self.padded.get(largest as usize) };
        let graph = graph.filter(|_| largest > 0).map(|size| u64::from(*size));
        for (rank, features) in self.ranks.iter().zip(&mut self.rank_features) {
            *features = RankFeatures { eager: graph.is_none(), ..RankFeatures::default() };
            let step = rank.batch.forward_batch();
            for slice in &step.extend {
                features.add_extend(slice.prefix, slice.extend);
            }
            let seqs = step.decode_seqs;
            // Idle ranks join a graph, so that the collectives match.
            if seqs > 0 || graph.is_some() {
                let query = u64::from(rank.batch.query_tokens());
                features.set_decode(seqs, graph.unwrap_or(seqs), step.decode_context, query);
            }
        }
        let serial = if serial { 1.0 } else { 0.0 };
        StepFeatures { serial, ..StepFeatures::of_ranks(&self.rank_features) }
    }
}

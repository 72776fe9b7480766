//! The report: what a run found, in numbers that users know.

mod files;
mod fleet;
mod json;
mod slo;

use sglsim_units::{Seconds, TokenCount};

use crate::metrics::{Ledger, Metrics, RequestRecord, Summary};
use crate::plan::DeploymentPlan;

pub use files::{ReportFolder, WriteError};
pub use fleet::{LinkReport, WorkerReport};
pub use slo::{Bottleneck, Resource, Slo};

/// What a run found.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub struct Report {
    /// Name of the model.
    pub model: String,
    /// Name of the workload.
    pub workload: String,
    /// Seed of the run.
    pub seed: u64,
    /// Where the latency numbers come from, such as `"datasheet"`.
    pub latency_source: String,
    /// Whether every step was costed by a law that a formula can be made of.
    pub formula_available: bool,
    /// From the first arrival to the last token \[s\].
    pub duration: Seconds,
    /// Requests that got all their tokens.
    pub completed: u64,
    /// Requests that no worker could ever hold, or none took.
    pub refused: u64,
    /// Requests that ended without all their tokens: lost with a worker, timed out, given up by their
    /// clients.
    pub failed: u64,
    /// Times that the router tried a request again.
    pub retries: u64,
    /// Prompt tokens of completed requests.
    pub total_input_tokens: TokenCount,
    /// Tokens generated for completed requests.
    pub total_output_tokens: TokenCount,
    /// Prompt tokens of completed requests that were found in a prefix cache.
    pub total_cached_tokens: TokenCount,
    /// How many of these came back from the host.
    pub total_host_cached_tokens: TokenCount,
    /// GPUs of all pools.
    pub gpus: u32,
    /// Time to first token \[s\].
    pub ttft: Summary,
    /// Gaps between tokens \[s\], each token counted.
    pub itl: Summary,
    /// Mean time per output token of a request, after its first \[s\].
    pub tpot: Summary,
    /// From arrival to the last token \[s\].
    pub e2e: Summary,
    /// From the waiting queue to the first prefill step \[s\].
    pub queue_time: Summary,
    /// From the computed prompt to its KV on the decode worker \[s\]; empty in an aggregated
    /// deployment.
    pub transfer_time: Summary,
    /// Times a request was pushed out of memory.
    pub retractions: u64,
    /// Mean number of requests in flight: Σ end-to-end time / duration.
    pub concurrency: f64,
    /// Most requests in flight at once.
    pub max_concurrent_requests: u64,
    /// Each pool.
    pub pools: Vec<PoolReport>,
    /// Each kind of link of the network; none where no KV travels, or by a fabric that does not tell.
    pub network: Vec<LinkReport>,
    /// Each request, in order of arrival; empty if [`Simulation::on_record`](crate::Simulation::on_record)
    /// took them.
    pub requests: Vec<RequestRecord>,
}

/// What one pool of workers did.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub struct PoolReport {
    /// Its name: `worker`, `prefill` or `decode`.
    pub name: String,
    /// Its workers.
    pub workers: u32,
    /// GPUs of all its workers.
    pub gpus: u32,
    /// Mean share of the duration in which a worker ran a step.
    pub busy_share: f64,
    /// KV slots of one worker \[token\].
    pub kv_capacity: TokenCount,
    /// Mean share of the KV slots that requests held, over time and workers.
    pub kv_usage: f64,
    /// Largest share on one attention rank.
    pub kv_usage_max: f64,
    /// Steps in which some rank computed prompts.
    pub prefill_steps: u64,
    /// Steps in which ranks only decoded.
    pub decode_steps: u64,
    /// Prompt tokens computed.
    pub prefill_tokens: TokenCount,
    /// Tokens decoded.
    pub decode_tokens: TokenCount,
    /// Tokens decoded beyond those, and thrown away: their requests had stopped in the step before.
    pub discarded_tokens: TokenCount,
    /// Mean tokens that a sequence gains by a step that verifies drafts, the target's own included
    /// (SGLang's `avg_spec_accept_length`); 0 without speculative decoding.
    pub accept_length: f64,
    /// Mean number of sequences that decode in a step, over all ranks of the worker, where any does.
    pub decode_batch: f64,
    /// Requests that the router's policy counted at the worker that it chose, mean over its choices.
    pub load_seen: f64,
    /// Requests that were there at those times.
    pub load_real: f64,
    /// Each of its workers.
    pub per_worker: Vec<WorkerReport>,
}

impl Report {
    pub(crate) fn new(plan: &DeploymentPlan, run: RunFacts, metrics: Metrics) -> Self {
        let Metrics { ledger, workers, gaps, peak_in_flight, .. } = metrics;
        let Ledger { kept, totals, .. } = ledger;
        let duration = totals.finish.since(totals.arrival.unwrap_or_default());
        let e2e = totals.e2e.summary();
        let mut first = 0;
        let pools = (plan.pools.iter())
            .map(|pool| {
                let records = &workers[first..first + pool.workers as usize];
                let report = PoolReport::new(pool, first, records, duration);
                first += pool.workers as usize;
                report
            })
            .collect();
        Self {
            model: plan.model.name.clone(),
            workload: run.workload,
            seed: run.seed,
            latency_source: run.latency_source,
            formula_available: run.formula_available,
            duration,
            completed: totals.completed,
            refused: totals.refused,
            failed: totals.failed,
            retries: totals.retries,
            total_input_tokens: totals.input,
            total_output_tokens: totals.output,
            total_cached_tokens: totals.cached,
            total_host_cached_tokens: totals.host_cached,
            gpus: plan.gpus(),
            ttft: totals.ttft.summary(),
            itl: gaps.summary(),
            tpot: totals.tpot.summary(),
            e2e,
            queue_time: totals.queue_time.summary(),
            transfer_time: totals.transfer_time.summary(),
            retractions: totals.retractions,
            concurrency: ratio(e2e.mean * e2e.count as f64, duration.get()),
            max_concurrent_requests: peak_in_flight,
            pools,
            network: LinkReport::of(&run.links, duration),
            requests: kept,
        }
    }

    /// Requests per second.
    #[must_use]
    pub fn request_throughput(&self) -> f64 {
        ratio(self.completed as f64, self.duration.get())
    }

    /// Prompt tokens per second \[token/s\].
    #[must_use]
    pub fn input_throughput(&self) -> f64 {
        ratio(self.total_input_tokens as f64, self.duration.get())
    }

    /// Generated tokens per second \[token/s\].
    #[must_use]
    pub fn output_throughput(&self) -> f64 {
        ratio(self.total_output_tokens as f64, self.duration.get())
    }

    /// Prompt and generated tokens per second \[token/s\].
    #[must_use]
    pub fn total_throughput(&self) -> f64 {
        self.input_throughput() + self.output_throughput()
    }

    /// Share of the prompt tokens that a prefix cache had.
    #[must_use]
    pub fn cache_hit_rate(&self) -> f64 {
        ratio(self.total_cached_tokens as f64, self.total_input_tokens as f64)
    }
}

/// What a report needs beside the metrics.
#[derive(Clone, Debug)]
pub(crate) struct RunFacts {
    pub(crate) workload: String,
    pub(crate) seed: u64,
    pub(crate) latency_source: String,
    pub(crate) formula_available: bool,
    pub(crate) links: Vec<crate::fabric::LinkUse>,
}

impl PoolReport {
    fn new(
        pool: &crate::plan::PoolPlan,
        first: usize,
        records: &[crate::metrics::WorkerRecord],
        duration: Seconds,
    ) -> Self {
        let sum =
            |of: fn(&crate::metrics::WorkerRecord) -> u64| records.iter().map(of).sum::<u64>();
        let busy: f64 = records.iter().map(|record| record.busy.get()).sum();
        let integral: f64 = records.iter().map(|record| record.kv_integral).sum();
        let peak = records.iter().map(|record| record.kv_peak).max().unwrap_or(0);
        let rank_capacity = pool.scheduler.max_total_num_tokens;
        let kv_capacity = rank_capacity * u64::from(pool.plan.dp_size);
        let decoding_steps = sum(|record| record.decoding_steps);
        let decode_tokens = sum(|record| record.decoded);
        let time = duration.get() * records.len() as f64;
        let per_worker = WorkerReport::of_pool(first, kv_capacity, records, duration);
        let choices = sum(|record| record.choices) as f64;
        Self {
            name: pool.name.to_owned(),
            workers: pool.workers,
            gpus: pool.gpus(),
            // A step whose tokens are all thrown away may outlast the last token.
            busy_share: ratio(busy, time).min(1.0),
            kv_capacity,
            kv_usage: ratio(integral, time * kv_capacity as f64),
            kv_usage_max: ratio(peak as f64, rank_capacity as f64),
            prefill_steps: sum(|record| record.extend_steps),
            decode_steps: sum(|record| record.decode_steps),
            prefill_tokens: sum(|record| record.extended),
            decode_tokens,
            discarded_tokens: sum(|record| record.discarded),
            accept_length: ratio(
                sum(|record| record.accepted) as f64,
                sum(|record| record.verified) as f64,
            ),
            decode_batch: ratio(sum(|record| record.decoded_seqs) as f64, decoding_steps as f64),
            load_seen: ratio(sum(|record| record.load_seen) as f64, choices),
            load_real: ratio(sum(|record| record.load_real) as f64, choices),
            per_worker,
        }
    }
}

/// `a / b`, or 0 where there is nothing to divide by: an empty run has no rates.
fn ratio(a: f64, b: f64) -> f64 {
    if b > 0.0 { a / b } else { 0.0 }
}

//! A deliberately naive simulation of one aggregated worker, token by token: no lazy accounting, no
//! heaps, no cache, no events. First come first served, chunked prefill, pages of one token, ample
//! memory. What it says, the engine has to say too.

use sglsim_engine::StepFeatures;

/// A request.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Job {
    pub(crate) arrival: f64,
    pub(crate) prompt: u64,
    pub(crate) output: usize,
}

/// The settings that matter.
#[derive(Clone, Debug)]
pub(crate) struct Server {
    pub(crate) chunk: Option<u64>,
    pub(crate) max_prefill_tokens: u64,
    pub(crate) graphs: Vec<u32>,
    /// Requests of known length without a prefix cache: what they will occupy is counted instead.
    pub(crate) counts_exactly: bool,
    /// Whether a step is chosen while the one before runs.
    pub(crate) overlap: bool,
}

/// A step that runs.
struct Step {
    end: f64,
    /// Jobs that have a token by it.
    gives: Vec<usize>,
}

impl Step {
    /// It is done; returns when.
    fn give(self, tokens: &mut [Vec<f64>]) -> f64 {
        for job in self.gives {
            tokens[job].push(self.end);
        }
        self.end
    }
}

/// Times of all tokens of all jobs \[s\]; jobs are in order of arrival.
pub(crate) fn simulate(
    jobs: &[Job],
    server: &Server,
    mut cost: impl FnMut(&StepFeatures) -> f64,
) -> Vec<Vec<f64>> {
    let mut tokens: Vec<Vec<f64>> = vec![Vec::new(); jobs.len()];
    let mut computed = vec![0_u64; jobs.len()];
    let mut waiting: Vec<usize> = Vec::new();
    let mut chunked: Option<usize> = None;
    let mut running: Vec<usize> = Vec::new();
    let mut step: Option<Step> = None;
    let (mut now, mut arrived) = (0.0, 0);
    loop {
        while arrived < jobs.len() && jobs[arrived].arrival <= now {
            waiting.push(arrived);
            arrived += 1;
        }
        if !server.overlap
            && let Some(done) = step.take()
        {
            now = done.give(&mut tokens);
            continue;
        }
        // Tokens that there will be when the step now under way is done.
        let coming = |job: usize| step.as_ref().is_some_and(|step| step.gives.contains(&job));
        let generated: Vec<usize> =
            (0..jobs.len()).map(|job| tokens[job].len() + usize::from(coming(job))).collect();
        running.retain(|job| generated[*job] < jobs[*job].output);
        let batch = prefill_batch(jobs, server, &computed, chunked, &waiting);
        let features = if !batch.is_empty() {
            extend_features(&batch, &computed)
        } else if !running.is_empty() {
            decode_features(jobs, server, &running, &generated)
        } else if let Some(done) = step.take() {
            now = done.give(&mut tokens);
            continue;
        } else if arrived < jobs.len() {
            now = jobs[arrived].arrival;
            continue;
        } else {
            return tokens;
        };
        let serial = if step.is_none() { 1.0 } else { 0.0 };
        let time = cost(&StepFeatures { serial, ..features });
        if let Some(done) = step.take() {
            now = done.give(&mut tokens);
        }
        let mut gives = Vec::new();
        if batch.is_empty() {
            gives.clone_from(&running);
        } else {
            chunked = None;
        }
        for (job, extend) in batch {
            waiting.retain(|other| *other != job);
            computed[job] += extend;
            if computed[job] < jobs[job].prompt {
                chunked = Some(job);
                continue;
            }
            gives.push(job);
            running.push(job);
        }
        step = Some(Step { end: now + time, gives });
    }
}

/// Which jobs compute how many prompt tokens in the next step.
fn prefill_batch(
    jobs: &[Job],
    server: &Server,
    computed: &[u64],
    chunked: Option<usize>,
    waiting: &[usize],
) -> Vec<(usize, u64)> {
    let mut batch: Vec<(usize, u64)> = Vec::new();
    for &job in chunked.iter().chain(waiting) {
        let taken: u64 = batch.iter().map(|(_, extend)| extend).sum();
        let rest = jobs[job].prompt - computed[job];
        let extend = match server.chunk {
            Some(chunk) => rest.min(chunk - taken),
            // Without chunks a prompt goes whole or not at all, but one always goes.
            None if !server.counts_exactly
                && !batch.is_empty()
                && taken + rest >= server.max_prefill_tokens =>
            {
                0
            }
            None => rest,
        };
        if extend == 0 || (!batch.is_empty() && taken >= server.max_prefill_tokens) {
            break;
        }
        batch.push((job, extend));
    }
    batch
}

fn extend_features(batch: &[(usize, u64)], computed: &[u64]) -> StepFeatures {
    let mut features = StepFeatures { eager: 1.0, ..StepFeatures::default() };
    for &(job, extend) in batch {
        features.extend_seqs += 1.0;
        features.extend_tokens += extend as f64;
        features.extend_prefix += computed[job] as f64;
        for token in 1..=extend {
            features.extend_pairs += (computed[job] + token) as f64;
        }
    }
    features.tokens = features.extend_tokens;
    features.sum_tokens = features.tokens;
    features.logit_rows = features.extend_seqs;
    features.sum_logit_rows = features.logit_rows;
    features
}

fn decode_features(
    jobs: &[Job],
    server: &Server,
    running: &[usize],
    generated: &[usize],
) -> StepFeatures {
    let seqs = running.len() as f64;
    let graph = server.graphs.iter().map(|size| f64::from(*size)).find(|size| *size >= seqs);
    let padded = graph.unwrap_or(seqs);
    let context: u64 = running.iter().map(|job| jobs[*job].prompt + generated[*job] as u64).sum();
    StepFeatures {
        decode_seqs: seqs,
        decode_padded: padded,
        decode_context: context as f64,
        query_tokens: 1.0,
        logit_rows: padded,
        tokens: padded,
        eager: if graph.is_none() { 1.0 } else { 0.0 },
        sum_tokens: padded,
        sum_logit_rows: padded,
        ..StepFeatures::default()
    }
}

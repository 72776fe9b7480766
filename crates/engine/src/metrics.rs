//! The metrics of a run, gathered by an observer: what users feel and how busy the workers are.

mod counted;
mod ledger;
mod stats;
mod tokens;

use sglsim_sched::StepResult;
use sglsim_units::{RequestId, Seconds, SimTime, TokenCount, WorkerId};

use crate::observer::{Event, Failure, Observer};

pub(crate) use ledger::{Ledger, OnRecord};
pub use stats::Summary;
pub(crate) use tokens::Gaps;

/// What became of one request. Times are `None` until they happen.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
#[non_exhaustive]
pub struct RequestRecord {
    /// When it arrived.
    pub arrival: SimTime,
    /// Tokens of its prompt.
    pub prompt_tokens: TokenCount,
    /// Tokens generated.
    pub output_tokens: TokenCount,
    /// Leading tokens of its prompt found in the prefix cache at its first admission.
    pub cached_tokens: TokenCount,
    /// How many of them came back from the host.
    pub host_cached_tokens: TokenCount,
    /// Worker that prefilled it.
    pub prefill_worker: Option<WorkerId>,
    /// Worker that decoded it.
    pub decode_worker: Option<WorkerId>,
    /// When it joined the waiting queue of its prefill worker.
    pub queued: Option<SimTime>,
    /// When it was first taken into a prefill batch.
    pub admitted: Option<SimTime>,
    /// When its prompt was computed.
    pub prefilled: Option<SimTime>,
    /// When all its KV was at its decode worker; `None` in an aggregated deployment.
    pub transferred: Option<SimTime>,
    /// When its first token reached the client.
    pub first_token: Option<SimTime>,
    /// When its last token reached the client.
    pub finished: Option<SimTime>,
    /// Whether no worker could ever hold it, or none took it.
    pub refused: bool,
    /// Why it ended without all its tokens, if it did.
    pub failed: Option<Failure>,
    /// Times that the router tried again.
    pub retries: u32,
    /// How often it was pushed out of memory.
    pub retractions: u32,
}

impl RequestRecord {
    /// Time to first token \[s\].
    #[must_use]
    pub fn ttft(&self) -> Option<Seconds> {
        self.first_token.map(|at| at.since(self.arrival))
    }

    /// Time from arrival to the last token \[s\].
    #[must_use]
    pub fn e2e(&self) -> Option<Seconds> {
        self.finished.map(|at| at.since(self.arrival))
    }

    /// Mean time per output token after the first \[s\]; `None` for a single token.
    #[must_use]
    pub fn tpot(&self) -> Option<Seconds> {
        let (first, last) = (self.first_token?, self.finished?);
        let gaps = self.output_tokens.checked_sub(1).filter(|gaps| *gaps > 0)?;
        Seconds::new(last.since(first).get() / gaps as f64).ok()
    }

    /// Time from joining the waiting queue to the first prefill step \[s\].
    #[must_use]
    pub fn queue_time(&self) -> Option<Seconds> {
        Some(self.admitted?.since(self.queued?))
    }

    /// Time from the computed prompt until its KV was at the decode worker \[s\].
    #[must_use]
    pub fn transfer_time(&self) -> Option<Seconds> {
        Some(self.transferred?.since(self.prefilled?))
    }
}

/// What one worker did.
#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) struct WorkerRecord {
    pub(crate) busy: Seconds,
    pub(crate) extend_steps: u64,
    pub(crate) decode_steps: u64,
    /// Steps in which some rank decoded, also those in which another one extended.
    pub(crate) decoding_steps: u64,
    pub(crate) extended: TokenCount,
    pub(crate) decoded: TokenCount,
    /// Sequences that decoded, each counted in every step.
    pub(crate) decoded_seqs: u64,
    /// Sequences whose drafts were verified, and the tokens that this brought.
    pub(crate) verified: u64,
    pub(crate) accepted: TokenCount,
    /// Tokens that were decoded and thrown away.
    pub(crate) discarded: TokenCount,
    /// ∫ used KV slots dt \[token·s\].
    pub(crate) kv_integral: f64,
    pub(crate) kv_peak: TokenCount,
    /// Requests that had it as their worker when they ended, and of those that it prefilled: tokens of
    /// their prompts, how many its cache had, how long they waited in its queue.
    pub(crate) requests: u64,
    pub(crate) prompt_tokens: TokenCount,
    pub(crate) cached_tokens: TokenCount,
    pub(crate) waited: Seconds,
    /// Times that the router chose it, and the loads that its policy saw and that were there, summed.
    pub(crate) choices: u64,
    pub(crate) load_seen: u64,
    pub(crate) load_real: u64,
    /// Used slots per rank, and since when.
    kv_level: Vec<(TokenCount, SimTime)>,
    /// Until when it was busy.
    busy_until: SimTime,
}

/// Gathers the records that a report is made of.
#[derive(Debug)]
pub(crate) struct Metrics {
    pub(crate) ledger: Ledger,
    pub(crate) workers: Vec<WorkerRecord>,
    pub(crate) gaps: Gaps,
    ranks: Vec<usize>,
    pub(crate) last_event: SimTime,
    pub(crate) in_flight: u64,
    pub(crate) peak_in_flight: u64,
    /// Last worker and mode whose rank step was told, so that a step counts once.
    step_has: (bool, bool),
}

impl Metrics {
    /// Of workers with so many attention ranks each.
    pub(crate) fn new(ranks: Vec<usize>, taker: Option<OnRecord>) -> Self {
        Self {
            ledger: Ledger::new(taker),
            workers: vec![WorkerRecord::default(); ranks.len()],
            gaps: Gaps::new(ranks.len()),
            ranks,
            last_event: SimTime::ZERO,
            in_flight: 0,
            peak_in_flight: 0,
            step_has: (false, false),
        }
    }

    fn record(&mut self, id: RequestId) -> &mut RequestRecord {
        self.ledger.get(id)
    }

    /// A request has ended: it counts for the workers of its last attempt.
    fn count(&mut self, id: RequestId) {
        let record = *self.record(id);
        let (prefill, decode) = (record.prefill_worker, record.decode_worker);
        if let Some(worker) = prefill {
            let of = &mut self.workers[worker.index()];
            of.requests += 1;
            if record.admitted.is_some() {
                of.prompt_tokens += record.prompt_tokens;
                of.cached_tokens += record.cached_tokens;
                of.waited += record.queue_time().unwrap_or_default();
            }
        }
        if let Some(worker) = decode.filter(|_| decode != prefill) {
            self.workers[worker.index()].requests += 1;
        }
    }

    fn kv_level(&mut self, at: SimTime, worker: WorkerId, rank: usize, used: TokenCount) {
        let record = &mut self.workers[worker.index()];
        if record.kv_level.len() <= rank {
            record.kv_level.resize(rank + 1, (0, SimTime::ZERO));
        }
        let (level, since) = record.kv_level[rank];
        record.kv_integral += level as f64 * at.since(since).get();
        record.kv_level[rank] = (used, at);
        record.kv_peak = record.kv_peak.max(used);
    }
}

impl Observer for Metrics {
    fn on_event(&mut self, at: SimTime, event: &Event<'_>) {
        self.last_event = at;
        match *event {
            Event::Arrived { request, .. } => {
                debug_assert_eq!(request.id.index(), self.ledger.arrived());
                self.ledger.push(RequestRecord {
                    arrival: at,
                    prompt_tokens: request.prompt.tokens(),
                    ..RequestRecord::default()
                });
                self.in_flight += 1;
                self.peak_in_flight = self.peak_in_flight.max(self.in_flight);
            }
            Event::Routed { id, prefill, decode } => {
                let record = self.record(id);
                record.prefill_worker = Some(prefill);
                record.decode_worker = Some(decode);
            }
            Event::Refused { id } => {
                self.record(id).refused = true;
                self.in_flight -= 1;
                self.count(id);
                self.ledger.close();
            }
            Event::Chosen { worker, seen, real } => {
                let record = &mut self.workers[worker.index()];
                record.choices += 1;
                record.load_seen += u64::from(seen);
                record.load_real += u64::from(real);
            }
            Event::Retried { id, .. } => {
                let record = self.record(id);
                record.retries += 1;
                // What follows belongs to the next attempt.
                (record.queued, record.admitted, record.prefilled) = (None, None, None);
                (record.cached_tokens, record.host_cached_tokens) = (0, 0);
                record.transferred = None;
            }
            Event::Failed { id, reason } => {
                self.record(id).failed = Some(reason);
                self.in_flight -= 1;
                self.count(id);
                self.ledger.close();
            }
            Event::Left { id, worker, rank } => self.gaps.finished(id, worker, rank),
            Event::WorkerDown { worker } => self.gaps.forget(worker),
            Event::Queued { id } => self.record(id).queued = Some(at),
            Event::Admitted { id, cached, host, .. } => {
                let record = self.record(id);
                if record.admitted.is_none() {
                    record.admitted = Some(at);
                    record.cached_tokens = cached.min(record.prompt_tokens);
                    record.host_cached_tokens = host.min(record.cached_tokens);
                }
            }
            Event::Prefilled { id } => {
                self.record(id).prefilled.get_or_insert(at);
            }
            Event::Transferred { id } => self.record(id).transferred = Some(at),
            Event::Token { id, worker, rank, decodes_from } => {
                self.gaps.token(at, id, (worker, rank, decodes_from));
                self.record(id).first_token.get_or_insert(at);
            }
            Event::Resumed { id, worker, rank, decodes_from } => {
                self.gaps.resumed(id, (worker, rank, decodes_from));
            }
            Event::Accepted { id, worker, rank, tokens } => {
                self.gaps.accepted(at, id, (worker, rank), tokens);
            }
            Event::Retracted { id, worker, rank } => {
                self.gaps.retracted(id, worker, rank);
                self.record(id).retractions += 1;
            }
            Event::RankStep { worker, rank, result, kv_used } => {
                let StepResult { mode, extended, decode_step, decoded, discarded, .. } = result;
                let StepResult { verified, accepted, .. } = result;
                self.kv_level(at, worker, rank % self.ranks[worker.index()], kv_used);
                let record = &mut self.workers[worker.index()];
                record.extended += extended;
                record.decoded += decoded;
                record.discarded += discarded;
                self.step_has.0 |= mode.extends();
                record.verified += verified;
                record.accepted += accepted;
                record.decoded_seqs += if verified > 0 { verified } else { decoded };
                self.step_has.1 |= mode.decodes();
                if mode.decodes() && verified == 0 {
                    self.gaps.decode_step(at, (worker, rank, decode_step), decoded);
                }
            }
            Event::KvUsed { worker, rank, kv_used } => self.kv_level(at, worker, rank, kv_used),
            Event::Step { worker, began, .. } => {
                let record = &mut self.workers[worker.index()];
                // With pipeline stages, batches are on their way together.
                record.busy += at.since(began.max(record.busy_until));
                record.busy_until = at;
                let (extends, decodes) = std::mem::take(&mut self.step_has);
                record.extend_steps += u64::from(extends);
                record.decode_steps += u64::from(decodes && !extends);
                record.decoding_steps += u64::from(decodes);
            }
            Event::Finished { id, worker, rank, generated } => {
                self.gaps.finished(id, worker, rank);
                let record = self.record(id);
                record.finished = Some(at);
                record.output_tokens = generated;
                self.in_flight -= 1;
                self.count(id);
                self.ledger.close();
            }
            Event::Extended { .. }
            | Event::Sent { .. }
            | Event::Delivered { .. }
            | Event::WorkerUp { .. }
            | Event::LinkChanged { .. } => {}
        }
    }
}

#[cfg(test)]
mod tests;

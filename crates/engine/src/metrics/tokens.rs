//! Gaps between the tokens of a request, without visiting every token.
//!
//! One decode step gives every request of the batch one token. Those that were already in the last
//! decode step of their rank all have the same gap, which is one weighted sample; only requests that
//! joined since have a gap of their own.

use sglsim_units::{HashMap, RequestId, SimTime, WorkerId};

use super::Summary;
use super::counted::Counted;

/// A request that has not decoded on its rank yet.
#[derive(Clone, Copy, Debug)]
struct Joined {
    id: RequestId,
    last_token: SimTime,
    /// The first decode step in which it takes part.
    decodes_from: u64,
}

/// A worker, its attention rank, and the number of a decode step there.
type Place = (WorkerId, usize, u64);

/// What is known of one rank.
#[derive(Clone, Debug, Default)]
struct Rank {
    last_decode: SimTime,
    /// Requests that joined since.
    joined: Vec<Joined>,
}

/// All gaps of a run \[s\]: exact mean and maximum, quantiles within 0.1 %.
#[derive(Debug)]
pub(crate) struct Gaps {
    ranks: Vec<Vec<Rank>>,
    /// Last token of requests that are out of memory, or whose drafts are verified.
    outside: HashMap<RequestId, SimTime>,
    gaps: Counted,
}

impl Gaps {
    pub(crate) fn new(workers: usize) -> Self {
        Self { ranks: vec![Vec::new(); workers], outside: HashMap::default(), gaps: Counted::new() }
    }

    fn rank(&mut self, worker: WorkerId, rank: usize) -> &mut Rank {
        let ranks = &mut self.ranks[worker.index()];
        if ranks.len() <= rank {
            ranks.resize(rank + 1, Rank::default());
        }
        &mut ranks[rank]
    }

    fn add(&mut self, gap: f64, weight: u64) {
        self.gaps.add(gap, weight);
    }

    /// A prefill gave the request a token.
    pub(crate) fn token(&mut self, at: SimTime, id: RequestId, place: Place) {
        if let Some(last) = self.outside.remove(&id) {
            self.add(at.since(last).get(), 1);
        }
        self.join(id, at, place);
    }

    /// The request is back without a new token.
    pub(crate) fn resumed(&mut self, id: RequestId, place: Place) {
        let last = self.outside.remove(&id).unwrap_or_default();
        self.join(id, last, place);
    }

    fn join(&mut self, id: RequestId, last_token: SimTime, (worker, rank, decodes_from): Place) {
        self.rank(worker, rank).joined.push(Joined { id, last_token, decodes_from });
    }

    pub(crate) fn retracted(&mut self, id: RequestId, worker: WorkerId, rank: usize) {
        if self.outside.contains_key(&id) {
            // Drafts were verified, so its last token is known.
            return;
        }
        let rank = self.rank(worker, rank);
        let last = match rank.joined.iter().position(|joined| joined.id == id) {
            Some(position) => rank.joined.swap_remove(position).last_token,
            None => rank.last_decode,
        };
        self.outside.insert(id, last);
    }

    /// A step brought the request several tokens at once: the gap counts evenly for each (SGLang 0.5.23,
    /// `observability/metrics_collector.py`, `inter_token_latency_seconds`).
    pub(crate) fn accepted(
        &mut self,
        at: SimTime,
        id: RequestId,
        (worker, rank): (WorkerId, usize),
        tokens: u64,
    ) {
        let joined = &mut self.rank(worker, rank).joined;
        let last = match joined.iter().position(|joined| joined.id == id) {
            Some(position) => joined.swap_remove(position).last_token,
            None => self.outside.get(&id).copied().unwrap_or_default(),
        };
        self.add(at.since(last).get() / tokens.max(1) as f64, tokens);
        self.outside.insert(id, at);
    }

    pub(crate) fn decode_step(&mut self, at: SimTime, (worker, rank, step): Place, decoded: u64) {
        let state = self.rank(worker, rank);
        let since = std::mem::replace(&mut state.last_decode, at);
        let mut joined = std::mem::take(&mut state.joined);
        let mut fresh = 0;
        joined.retain(|joined| {
            let decodes = joined.decodes_from <= step;
            if decodes {
                fresh += 1;
                self.add(at.since(joined.last_token).get(), 1);
            }
            !decodes
        });
        self.rank(worker, rank).joined = joined;
        self.add(at.since(since).get(), decoded - fresh);
    }

    /// The request left; if the prefill gave it its only token, it never decoded.
    pub(crate) fn finished(&mut self, id: RequestId, worker: WorkerId, rank: usize) {
        self.outside.remove(&id);
        let joined = &mut self.rank(worker, rank).joined;
        if let Some(position) = joined.iter().rposition(|joined| joined.id == id) {
            joined.swap_remove(position);
        }
    }

    /// All batches of the worker are lost.
    pub(crate) fn forget(&mut self, worker: WorkerId) {
        self.ranks[worker.index()].clear();
    }

    /// All gaps.
    pub(crate) fn summary(&self) -> Summary {
        self.gaps.summary()
    }
}

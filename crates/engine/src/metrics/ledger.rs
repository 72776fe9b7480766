//! The books on requests: open while a request is in the system, summed up when it has left.

use std::collections::VecDeque;
use std::fmt;

use sglsim_units::{RequestId, Seconds, SimTime, TokenCount};

use super::RequestRecord;
use super::counted::Sample;

/// Gets the record of each request, in order of arrival.
pub(crate) type OnRecord = Box<dyn FnMut(RequestId, &RequestRecord) + Send>;

/// Records by request, and what they come to. The record of a request is closed when it and all that
/// arrived before it have left, so only those in between are in memory.
#[derive(Default)]
pub(crate) struct Ledger {
    /// Records of requests from `first` on.
    open: VecDeque<RequestRecord>,
    first: usize,
    /// Records that were closed, unless somebody else takes them.
    pub(crate) kept: Vec<RequestRecord>,
    taker: Option<OnRecord>,
    pub(crate) totals: Totals,
}

/// What the records of requests come to.
#[derive(Debug, Default)]
pub(crate) struct Totals {
    pub(crate) completed: u64,
    pub(crate) refused: u64,
    pub(crate) failed: u64,
    pub(crate) retries: u64,
    pub(crate) retractions: u64,
    /// Of completed requests.
    pub(crate) input: TokenCount,
    pub(crate) output: TokenCount,
    pub(crate) cached: TokenCount,
    pub(crate) host_cached: TokenCount,
    /// The first arrival and the last token.
    pub(crate) arrival: Option<SimTime>,
    pub(crate) finish: SimTime,
    pub(crate) ttft: Sample,
    pub(crate) tpot: Sample,
    pub(crate) e2e: Sample,
    pub(crate) queue_time: Sample,
    pub(crate) transfer_time: Sample,
}

impl fmt::Debug for Ledger {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Ledger")
            .field("first", &self.first)
            .field("open", &self.open.len())
            .finish()
    }
}

impl Ledger {
    /// Without a taker, all records are kept.
    pub(crate) fn new(taker: Option<OnRecord>) -> Self {
        Self { taker, ..Self::default() }
    }

    /// Requests that have arrived.
    pub(crate) fn arrived(&self) -> usize {
        self.first + self.open.len()
    }

    pub(crate) fn push(&mut self, record: RequestRecord) {
        self.open.push_back(record);
    }

    /// The record of a request that has not left.
    pub(crate) fn get(&mut self, id: RequestId) -> &mut RequestRecord {
        &mut self.open[id.index() - self.first]
    }

    /// Closes the records of those that have left, in order.
    pub(crate) fn close(&mut self) {
        while let Some(record) = self.open.pop_front_if(|record| record.has_left()) {
            let id = RequestId::from_index(self.first);
            self.first += 1;
            self.totals.add(&record);
            match &mut self.taker {
                Some(take) => take(id, &record),
                None => self.kept.push(record),
            }
        }
    }
}

impl RequestRecord {
    fn has_left(&self) -> bool {
        self.refused || self.failed.is_some() || self.finished.is_some()
    }
}

impl Totals {
    fn add(&mut self, record: &RequestRecord) {
        self.arrival = Some(self.arrival.map_or(record.arrival, |at| at.min(record.arrival)));
        self.refused += u64::from(record.refused);
        self.failed += u64::from(record.failed.is_some());
        self.retries += u64::from(record.retries);
        self.retractions += u64::from(record.retractions);
        let Some(finished) = record.finished else { return };
        self.finish = self.finish.max(finished);
        self.completed += 1;
        self.input += record.prompt_tokens;
        self.output += record.output_tokens;
        self.cached += record.cached_tokens;
        self.host_cached += record.host_cached_tokens;
        for (sample, time) in [
            (&mut self.ttft, record.ttft()),
            (&mut self.tpot, record.tpot()),
            (&mut self.e2e, record.e2e()),
            (&mut self.queue_time, record.queue_time()),
            (&mut self.transfer_time, record.transfer_time()),
        ] {
            if let Some(time) = time {
                sample.add(Seconds::get(time));
            }
        }
    }
}

//! What is to happen at a known time: attempts, faults, and limits of how long a request may take.

use std::cmp::Reverse;
use std::collections::{BinaryHeap, VecDeque};

use sglsim_units::{RequestId, Seconds, SimTime, WorkerId};

/// Something that happens at a time.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Timer {
    /// The router tries a request again.
    Retry(RequestId),
    /// An entry of the fault schedule begins.
    Fault(usize),
    /// It ends.
    Mend(usize),
    /// A worker that is being restarted has no requests any more.
    Stop(WorkerId),
    /// A worker is up again.
    Up(WorkerId),
    /// The router learns whether a worker is up, if it still is so since this outage.
    Health { worker: WorkerId, outage: u32, is_up: bool },
}

/// Timers by time, then in the order in which they were set.
#[derive(Debug, Default)]
pub(crate) struct Timers {
    heap: BinaryHeap<Reverse<(SimTime, u64, Timer)>>,
    set: u64,
}

impl Timers {
    pub(crate) fn set(&mut self, at: SimTime, timer: Timer) {
        self.heap.push(Reverse((at, self.set, timer)));
        self.set += 1;
    }

    pub(crate) fn peek(&self) -> Option<SimTime> {
        self.heap.peek().map(|Reverse((at, ..))| *at)
    }

    pub(crate) fn pop(&mut self) -> Option<Timer> {
        self.heap.pop().map(|Reverse((.., timer))| timer)
    }

    pub(crate) fn clear(&mut self) {
        self.heap.clear();
    }
}

/// What a limit of time is about.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Limit {
    /// The router's, from an attempt to its whole response.
    Request,
    /// From an attempt to the reservation on the decode worker.
    Bootstrap,
    /// From there until all KV is there.
    Waiting,
    /// How long the client waits for the whole response.
    Client,
}

/// One kind of limit, the same for all requests: whoever began first is first over it.
#[derive(Debug)]
pub(crate) struct Deadlines {
    after: Option<Seconds>,
    queue: VecDeque<(SimTime, RequestId, u32)>,
}

impl Deadlines {
    pub(crate) fn new(after: Option<Seconds>) -> Self {
        Self { after, queue: VecDeque::new() }
    }

    /// Time runs for this attempt of a request from now on.
    pub(crate) fn start(&mut self, now: SimTime, id: RequestId, attempt: u32) {
        if let Some(after) = self.after
            // The end of time is never over.
            && now + after < SimTime::new(f64::MAX).expect("it is finite")
        {
            self.queue.push_back((now + after, id, attempt));
        }
    }

    /// The next one, after those are dropped that `holds` says do not matter any more.
    pub(crate) fn peek(&mut self, holds: impl Fn(RequestId, u32) -> bool) -> Option<SimTime> {
        while let Some((at, id, attempt)) = self.queue.front() {
            if holds(*id, *attempt) {
                return Some(*at);
            }
            self.queue.pop_front();
        }
        None
    }

    pub(crate) fn pop(&mut self) -> Option<RequestId> {
        self.queue.pop_front().map(|(_, id, _)| id)
    }
}

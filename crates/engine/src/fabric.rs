//! The network between workers: when will these bytes have arrived, given the other flows?

use std::cmp::Reverse;
use std::collections::BinaryHeap;
use std::fmt;

use sglsim_units::{RequestId, Seconds, SimTime, TokenCount, WorkerId};

/// A piece of a request's KV on its way from one worker to another.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Flow {
    /// The request.
    pub request: RequestId,
    /// The sender.
    pub from: WorkerId,
    /// The receiver.
    pub to: WorkerId,
    /// Tokens of KV.
    pub tokens: TokenCount,
    /// Time that the flow takes when it is alone on its way, by the transfer law.
    pub alone: Seconds,
}

/// A flow that has arrived.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Delivery {
    /// The flow.
    pub flow: Flow,
    /// When it was handed to the fabric.
    pub submitted: SimTime,
    /// When its last byte arrived.
    pub arrived: SimTime,
}

/// Moves KV between workers.
///
/// # Implementing
///
/// *Observes* the flows handed in, each with the time that the transfer law gives it alone;
/// *controls* how flows share links; *owns* what is under way. Laws, checked by
/// [`testing::fabric_conformance`](crate::testing::fabric_conformance): every flow arrives exactly
/// once (`FABRIC-1`), not before its time alone has passed (`FABRIC-2`), in an order
/// of time that never goes back (`FABRIC-3`); flows of one pair arrive in the order they were
/// submitted (`FABRIC-4`).
pub trait Fabric: fmt::Debug + Send {
    /// Name in reports.
    fn name(&self) -> &str;
    /// Hands a flow over at `now`.
    fn submit(&mut self, now: SimTime, flow: Flow);
    /// When the next flow arrives, if any is under way.
    fn peek(&self) -> Option<SimTime>;
    /// Takes the next arrival.
    fn pop(&mut self) -> Option<Delivery>;
}

/// Each worker sends one flow at a time and receives one flow at a time, first come, first served.
///
/// A worker's links to the network are used by all ranks of a flow together, so two flows of one
/// worker would only share them; serving them in turn moves the same bytes in the same time and lets
/// the first one arrive earlier. Simplification: a flow that waits for its receiver also holds its
/// sender.
#[derive(Debug, Default)]
pub struct FifoFabric {
    sender_free: Vec<SimTime>,
    receiver_free: Vec<SimTime>,
    submitted: u64,
    under_way: BinaryHeap<Reverse<Arrival>>,
}

#[derive(Debug)]
struct Arrival {
    at: SimTime,
    order: u64,
    delivery: Delivery,
}

impl PartialEq for Arrival {
    fn eq(&self, other: &Self) -> bool {
        self.order == other.order
    }
}

impl Eq for Arrival {}

impl PartialOrd for Arrival {
    fn partial_cmp(&self, other: &Self) -> Option<std::cmp::Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for Arrival {
    fn cmp(&self, other: &Self) -> std::cmp::Ordering {
        (self.at, self.order).cmp(&(other.at, other.order))
    }
}

impl FifoFabric {
    /// A fabric with nothing under way.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }
}

fn free_at(table: &mut Vec<SimTime>, worker: WorkerId) -> &mut SimTime {
    if table.len() <= worker.index() {
        table.resize(worker.index() + 1, SimTime::ZERO);
    }
    &mut table[worker.index()]
}

impl Fabric for FifoFabric {
    fn name(&self) -> &str {
        "fifo"
    }

    fn submit(&mut self, now: SimTime, flow: Flow) {
        let sender = free_at(&mut self.sender_free, flow.from);
        let receiver = free_at(&mut self.receiver_free, flow.to);
        let at = now.max(*sender).max(*receiver) + flow.alone;
        *sender = at;
        *receiver = at;
        let delivery = Delivery { flow, submitted: now, arrived: at };
        self.under_way.push(Reverse(Arrival { at, order: self.submitted, delivery }));
        self.submitted += 1;
    }

    fn peek(&self) -> Option<SimTime> {
        self.under_way.peek().map(|Reverse(arrival)| arrival.at)
    }

    fn pop(&mut self) -> Option<Delivery> {
        self.under_way.pop().map(|Reverse(arrival)| arrival.delivery)
    }
}

//! A fabric that serves flows in turn.

use std::cmp::Reverse;
use std::collections::BinaryHeap;

use sglsim_units::{HashMap, RequestId, SimTime};

use super::{Delivery, Fabric, Flow, Port};

/// Each rank sends one flow at a time and receives one flow at a time, first come, first served; there is
/// no network between them.
///
/// Two flows of one rank would only share its links; serving them in turn moves the same bytes in the
/// same time and lets the first one arrive earlier. A flow that waits for its receiver also holds its
/// sender.
#[derive(Debug, Default)]
pub struct FifoFabric {
    sender_free: HashMap<Port, SimTime>,
    receiver_free: HashMap<Port, SimTime>,
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

impl Fabric for FifoFabric {
    fn name(&self) -> &str {
        "fifo"
    }

    fn submit(&mut self, now: SimTime, flow: Flow) {
        let sender = self.sender_free.entry(flow.from).or_default();
        let receiver = self.receiver_free.entry(flow.to).or_default();
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

    fn cancel(&mut self, _now: SimTime, request: RequestId, _from: Port, _to: Port) {
        self.under_way.retain(|Reverse(arrival)| arrival.delivery.flow.request != request);
    }
}

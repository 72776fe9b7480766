//! The future event list, with a written order for equal times.

use std::cmp::Reverse;
use std::collections::BinaryHeap;

use sglsim_units::{SimTime, WorkerId};

/// What comes first when several things happen at the same instant. After all of them, idle
/// workers that got work choose their next step, in order of their ids.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Class {
    /// A step is done.
    StepDone,
    /// KV has arrived.
    Delivery,
    /// A request arrives.
    Arrival,
}

/// Steps in progress, at most one for each worker.
///
/// Deliveries and arrivals are kept by the fabric and the workload, which the engine asks for their
/// next instant; ties between the three go by [`Class`], ties within by worker, submission or
/// request order.
#[derive(Debug, Default)]
pub(crate) struct StepQueue {
    heap: BinaryHeap<Reverse<(SimTime, WorkerId)>>,
}

impl StepQueue {
    pub(crate) fn push(&mut self, at: SimTime, worker: WorkerId) {
        self.heap.push(Reverse((at, worker)));
    }

    pub(crate) fn peek(&self) -> Option<SimTime> {
        self.heap.peek().map(|Reverse((at, _))| *at)
    }

    pub(crate) fn pop(&mut self) -> Option<WorkerId> {
        self.heap.pop().map(|Reverse((_, worker))| worker)
    }
}

/// The earliest of the three sources.
pub(crate) fn next_event(
    step: Option<SimTime>,
    delivery: Option<SimTime>,
    arrival: Option<SimTime>,
) -> Option<(SimTime, Class)> {
    let mut next = step.map(|at| (at, Class::StepDone));
    for (at, class) in [(delivery, Class::Delivery), (arrival, Class::Arrival)] {
        if let Some(at) = at
            && next.is_none_or(|(earliest, _)| at < earliest)
        {
            next = Some((at, class));
        }
    }
    next
}

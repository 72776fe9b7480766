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
    /// A copy to the host is done for which a worker waits.
    CopyDone,
    /// KV has arrived.
    Delivery,
    /// Something happens that was to happen now: an attempt, a fault, the end of somebody's patience.
    Timer,
    /// A request arrives.
    Arrival,
}

/// Steps in progress, at most one for each worker.
///
/// Deliveries and arrivals are kept by the fabric and the workload, which the engine asks for their
/// next instant; ties between them go by [`Class`], ties within by worker, submission or
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

    /// Drops everything of a worker.
    pub(crate) fn forget(&mut self, worker: WorkerId) {
        self.heap.retain(|Reverse((_, of))| *of != worker);
    }
}

/// The earliest of the sources, which are in the order of [`Class`].
pub(crate) fn next_event(sources: [Option<SimTime>; 5]) -> Option<(SimTime, Class)> {
    let classes = [Class::StepDone, Class::CopyDone, Class::Delivery, Class::Timer, Class::Arrival];
    let mut next: Option<(SimTime, Class)> = None;
    for (at, class) in sources.into_iter().zip(classes) {
        if let Some(at) = at
            && next.is_none_or(|(earliest, _)| at < earliest)
        {
            next = Some((at, class));
        }
    }
    next
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn at_equal_times_the_class_decides() {
        let at = |seconds: f64| SimTime::new(seconds).ok();
        let class = |step, delivery, arrival| {
            next_event([step, None, delivery, None, arrival])
                .map(|(at, class)| (at.seconds(), class))
        };
        assert_eq!(class(at(1.0), at(1.0), at(1.0)), Some((1.0, Class::StepDone)));
        assert_eq!(class(None, at(1.0), at(1.0)), Some((1.0, Class::Delivery)));
        assert_eq!(class(at(1.0), at(0.5), at(0.25)), Some((0.25, Class::Arrival)));
        assert_eq!(class(at(1.0), at(0.5), None), Some((0.5, Class::Delivery)));
        assert_eq!(class(None, None, None), None);
    }

    #[test]
    fn of_two_steps_at_once_the_lower_worker_is_first() {
        let mut steps = StepQueue::default();
        for worker in [3, 1, 2] {
            steps.push(SimTime::ZERO, WorkerId(worker));
        }
        let order: Vec<_> = std::iter::from_fn(|| steps.pop()).collect();
        assert_eq!(order, [WorkerId(1), WorkerId(2), WorkerId(3)]);
    }
}

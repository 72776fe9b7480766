//! Pipeline stages of a worker: which micro-batches are on their way, and when they are through.

use std::collections::VecDeque;

use sglsim_units::{Seconds, SimTime};

use crate::worker::Step;

/// A batch on its way through the stages.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Flight {
    pub(crate) micro_batch: usize,
    /// When the first stage took it in.
    pub(crate) entered: SimTime,
    pub(crate) step: Step,
}

/// The stages of one worker. Micro-batches take turns; the worker does not go past one that is on its way,
/// so batches come out in the order in which they went in.
///
/// Every stage is taken to be as slow as the slowest. A batch enters when the first stage has handed the one
/// before on, and is through after its latency, but not before the last stage has had the one before:
///
/// ```text
/// entered_b = max(chosen_b, entered_{b−1} + t_step_{b−1})
/// through_b = max(entered_b + t_latency_b, through_{b−1} + t_step_b)
/// ```
///
/// # Source
///
/// SGLang 0.5.23, `managers/scheduler_pp_mixin.py:SchedulerPPMixin.event_loop_pp`.
#[derive(Debug)]
pub(crate) struct Pipeline {
    stages: usize,
    /// The micro-batch whose turn it is.
    turn: usize,
    flights: VecDeque<Flight>,
    /// When the first stage can take in a batch.
    free: SimTime,
    /// When the last batch is through.
    through: SimTime,
}

impl Pipeline {
    pub(crate) fn new(stages: u32) -> Self {
        let stages = stages.max(1) as usize;
        Self {
            stages,
            turn: 0,
            flights: VecDeque::with_capacity(stages),
            free: SimTime::ZERO,
            through: SimTime::ZERO,
        }
    }

    pub(crate) fn stages(&self) -> usize {
        self.stages
    }

    pub(crate) fn turn(&self) -> usize {
        self.turn
    }

    /// Whether the results of the micro-batch whose turn it is have to come in first.
    pub(crate) fn is_blocked(&self) -> bool {
        self.flights.front().is_some_and(|flight| flight.micro_batch == self.turn)
    }

    /// Whether a batch that is chosen now finds the first stage at work.
    pub(crate) fn is_busy(&self, now: SimTime) -> bool {
        self.free > now
    }

    pub(crate) fn pass_turn(&mut self) {
        self.turn = (self.turn + 1) % self.stages;
    }

    /// The micro-batch whose turn it is goes on its way, with what the first stage and all stages take.
    /// Returns when it will be through.
    pub(crate) fn enter(&mut self, now: SimTime, step: Step, latency: Seconds) -> SimTime {
        let entered = now.max(self.free);
        self.free = entered + step.cost;
        self.through = (entered + latency).max(self.through + step.cost);
        let step = Step { cost: self.through.since(entered), ..step };
        self.flights.push_back(Flight { micro_batch: self.turn, entered, step });
        self.through
    }

    /// The batch that comes out.
    pub(crate) fn leave(&mut self) -> Option<Flight> {
        self.flights.pop_front()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn step(seconds: f64) -> Step {
        Step { cost: Seconds::new(seconds).unwrap(), ..Step::default() }
    }

    /// Two stages of 1 s. The second batch waits for the first stage; a short third one, chosen when the
    /// first is through, finds the first stage free and waits for the last.
    #[test]
    fn batches_follow_one_another() {
        let (at, seconds) = (|t| SimTime::new(t).unwrap(), |t| Seconds::new(t).unwrap());
        let mut pipeline = Pipeline::new(2);
        assert_eq!(pipeline.enter(at(0.0), step(1.0), seconds(2.0)), at(2.0));
        pipeline.pass_turn();
        assert!(!pipeline.is_blocked() && pipeline.is_busy(at(0.5)));
        assert_eq!(pipeline.enter(at(0.5), step(1.0), seconds(2.0)), at(3.0));
        pipeline.pass_turn();
        assert!(pipeline.is_blocked());
        let first = pipeline.leave().unwrap();
        assert_eq!((first.micro_batch, first.entered, first.step.cost), (0, at(0.0), seconds(2.0)));
        assert_eq!(pipeline.enter(at(2.0), step(0.25), seconds(0.5)), at(3.25));
        assert_eq!(pipeline.leave().map(|flight| flight.entered), Some(at(1.0)));
        assert_eq!(pipeline.leave().map(|flight| flight.step.cost), Some(seconds(1.25)));
        assert!(pipeline.leave().is_none());
    }
}

//! The event loop of a worker with pipeline stages: micro-batches take turns.

use sglsim_sched::ForwardMode;
use sglsim_units::WorkerId;

use super::Run;
use crate::error::EngineError;
use crate::observer::Event;

impl Run<'_> {
    /// Lets micro-batches choose a step, one after the other, until the results of one have to come in or
    /// none has anything to do.
    pub(super) fn fill_pipeline(&mut self, id: WorkerId) -> Result<(), EngineError> {
        let now = self.now;
        let Some(pipeline) = &self.workers[id.index()].pipeline else { return Ok(()) };
        for _ in 0..pipeline.stages() {
            let worker = &mut self.workers[id.index()];
            let Some(pipeline) = &worker.pipeline else { return Ok(()) };
            if pipeline.is_blocked() {
                break;
            }
            let (turn, serial) = (pipeline.turn(), !pipeline.is_busy(now));
            for rank in &mut worker.ranks {
                rank.batch.enter_micro_batch(turn);
            }
            let step = self.choose_step(id, serial)?;
            let worker = &mut self.workers[id.index()];
            if let Some(step) = step {
                let seconds = worker.cost.latency_seconds(&step.features);
                let latency = worker.checked(now, seconds, &step.features)?;
                let Some(pipeline) = &mut worker.pipeline else { return Ok(()) };
                self.steps.push(pipeline.enter(now, step, latency), id);
                for rank in &mut worker.ranks {
                    rank.batch.launch_step();
                }
            }
            if let Some(pipeline) = &mut worker.pipeline {
                pipeline.pass_turn();
            }
        }
        Ok(())
    }

    /// The oldest batch on its way is through.
    pub(super) fn leave_pipeline(&mut self, id: WorkerId) -> Result<(), EngineError> {
        let now = self.now;
        let worker = &mut self.workers[id.index()];
        let Some(flight) = worker.pipeline.as_mut().and_then(|pipeline| pipeline.leave()) else {
            return Ok(());
        };
        for rank in 0..self.workers[id.index()].ranks.len() {
            let worker = &mut self.workers[id.index()];
            let batch = &mut worker.ranks[rank].batch;
            batch.enter_micro_batch(flight.micro_batch);
            if !batch.is_step_in_flight() {
                continue;
            }
            let result = batch.finish_step(now);
            if result.mode == ForwardMode::Idle {
                continue;
            }
            let kv_used = batch.memory().used();
            worker.ranks[rank].kv_used = kv_used;
            let name = worker.batch_name(rank);
            self.emit(&Event::RankStep { worker: id, rank: name, result, kv_used });
            self.book_notices(id, rank)?;
        }
        let (began, step) = (flight.entered, flight.step);
        self.emit(&Event::Step { worker: id, began, cost: step.cost, features: &step.features });
        self.wake(id);
        Ok(())
    }
}

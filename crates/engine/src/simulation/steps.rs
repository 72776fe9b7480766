//! The event loop of a worker: which step it runs, when it chooses the next one.
//!
//! In the normal loop a worker chooses a step when the one before is done. In the overlap loop it chooses
//! the next step as soon as one starts, so its results come one choice late; only a worker at rest
//! chooses and starts at once.

use sglsim_sched::ForwardMode;
use sglsim_units::WorkerId;

use super::Run;
use crate::error::EngineError;
use crate::observer::Event;
use crate::worker::Step;

impl Run<'_> {
    /// Lets those who are to choose a step do so.
    pub(super) fn start_steps(&mut self) -> Result<(), EngineError> {
        self.awake.sort_unstable();
        let mut awake = std::mem::take(&mut self.awake);
        for worker in awake.drain(..) {
            self.start_step(worker)?;
        }
        // Steps may have woken others, which choose after all of these.
        if self.awake.is_empty() {
            self.awake = awake;
        }
        Ok(())
    }

    fn start_step(&mut self, id: WorkerId) -> Result<(), EngineError> {
        let worker = &self.workers[id.index()];
        if worker.pipeline.is_some() {
            return self.fill_pipeline(id);
        }
        if worker.running.is_none() {
            // Nothing runs behind which the host could prepare it.
            if let Some(step) = self.choose_step(id, true)? {
                self.run_step(id, step);
            }
        }
        let worker = &self.workers[id.index()];
        if worker.overlaps && worker.running.is_some() && worker.next.is_none() {
            let next = self.choose_step(id, false)?;
            self.workers[id.index()].next = next;
        }
        Ok(())
    }

    /// Every rank chooses its next step and takes its memory; `None` if all are idle.
    pub(super) fn choose_step(
        &mut self,
        id: WorkerId,
        serial: bool,
    ) -> Result<Option<Step>, EngineError> {
        let now = self.now;
        let worker = &mut self.workers[id.index()];
        let chosen = worker.choose_step(now);
        let any = chosen.map_err(|source| self.worker_error(id, source))?;
        let mut step = None;
        if any {
            let worker = &mut self.workers[id.index()];
            let features = worker.measure_step(serial);
            let seconds = worker.step_seconds(&features) * self.fleet[id.index()].slowdown;
            let cost = worker.checked(now, seconds, &features)?;
            step = Some(Step { cost, features });
        } else if let Some(done) = self.workers[id.index()].next_copy_done() {
            self.copies.push(done, id);
        }
        for rank in 0..self.workers[id.index()].ranks.len() {
            self.book_notices(id, rank)?;
            self.tell_memory(id, rank);
        }
        Ok(step)
    }

    fn run_step(&mut self, id: WorkerId, step: Step) {
        self.steps.push(self.now + step.cost, id);
        let worker = &mut self.workers[id.index()];
        worker.running = Some((self.now, step));
        if worker.overlaps {
            for rank in &mut worker.ranks {
                rank.batch.launch_step();
            }
        }
    }

    /// Tells observers of memory that was taken or let go since they last heard of it.
    pub(super) fn tell_memory(&mut self, worker: WorkerId, rank: usize) {
        let state = &mut self.workers[worker.index()].ranks[rank];
        let kv_used = state.batch.memory().used();
        if std::mem::replace(&mut state.kv_used, kv_used) != kv_used {
            self.emit(&Event::KvUsed { worker, rank, kv_used });
        }
    }

    pub(super) fn step_done(&mut self) -> Result<(), EngineError> {
        let Some(id) = self.steps.pop() else { return Ok(()) };
        if self.workers[id.index()].pipeline.is_some() {
            return self.leave_pipeline(id);
        }
        let now = self.now;
        for rank in 0..self.workers[id.index()].ranks.len() {
            let worker = &mut self.workers[id.index()];
            let state = &mut worker.ranks[rank];
            // A rank that has no part in this step may have one in the next.
            if worker.overlaps && !state.batch.is_step_in_flight() {
                continue;
            }
            let result = state.batch.finish_step(now);
            if result.mode == ForwardMode::Idle {
                continue;
            }
            let kv_used = state.batch.memory().used();
            state.kv_used = kv_used;
            self.emit(&Event::RankStep { worker: id, rank, result, kv_used });
            self.book_notices(id, rank)?;
        }
        let worker = &mut self.workers[id.index()];
        let (began, step) = worker.running.take().expect("a step that is done has begun");
        let next = worker.next.take();
        self.emit(&Event::Step { worker: id, began, cost: step.cost, features: &step.features });
        self.wake(id);
        if let Some(next) = next {
            self.run_step(id, next);
        }
        Ok(())
    }
}

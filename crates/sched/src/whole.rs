//! Batches of whole prompts with memory reserved for whole answers, for comparison: Orca and static
//! batching.

use sglsim_units::{SimTime, TokenCount};

use crate::{BatchState, ForwardMode, ReqView, SchedError, Scheduler, SchedulerConfig};

/// Takes prompts whole, first come first served, when the pool holds their longest answer too.
///
/// Prompts are never cut and nobody is ever pushed out: memory is reserved for the most tokens that
/// a request may come to hold.
#[derive(Clone, Copy, Debug)]
pub struct WholeScheduler {
    /// Whether the batch changes only when all of it has ended.
    is_static: bool,
}

impl WholeScheduler {
    /// Iteration-level batching: requests come and go at every step, prompts run beside decodes.
    ///
    /// # Source
    ///
    /// Yu et al., "Orca: A Distributed Serving System for Transformer-Based Generative Models"
    /// (OSDI 2022), algorithm 1; Vidur, `orca_replica_scheduler.py`.
    #[must_use]
    pub fn orca() -> Self {
        Self { is_static: false }
    }

    /// Static batching: the next batch begins when the last request of this one has ended.
    ///
    /// # Source
    ///
    /// NVIDIA FasterTransformer; Vidur, `faster_transformer_replica_scheduler.py`.
    #[must_use]
    pub fn r#static() -> Self {
        Self { is_static: true }
    }

    /// Takes requests from the queue as long as there are rows, and memory for all they may need.
    fn admit(self, batch: &mut BatchState) -> Result<(), SchedError> {
        // What those who run may still take matters only if somebody can come.
        if batch.waiting.is_empty() || batch.free_rows() == 0 {
            return Ok(());
        }
        let page = TokenCount::from(batch.config().page_size);
        let most =
            |view: &ReqView| (view.prompt_tokens + view.max_new_tokens).next_multiple_of(page);
        let running = batch.running().members().iter().map(|slot| batch.view(*slot));
        let growth: TokenCount =
            running.map(|view| most(&view) - view.committed.next_multiple_of(page)).sum();
        let mut room = batch.memory().allocatable().saturating_sub(growth);
        while batch.free_rows() > 0
            && let Some(slot) = batch.waiting.front().copied()
        {
            let view = batch.view(slot);
            let need = most(&view);
            if need > room {
                break;
            }
            room -= need;
            let found = batch.match_prefix(slot);
            batch.admit(slot, found, view.prompt_tokens + view.generated - found.tokens)?;
        }
        Ok(())
    }
}

impl Scheduler for WholeScheduler {
    fn name(&self) -> &str {
        if self.is_static { "static" } else { "orca" }
    }

    fn token_budget(&self, _config: &SchedulerConfig) -> Option<u32> {
        None
    }

    fn next_step(
        &mut self,
        batch: &mut BatchState,
        _now: SimTime,
    ) -> Result<ForwardMode, SchedError> {
        if !self.is_static || batch.running().is_empty() {
            self.admit(batch)?;
        }
        Ok(match (batch.extend_batch().is_empty(), batch.running().is_empty()) {
            (false, false) => ForwardMode::Mixed,
            (false, true) => ForwardMode::Extend,
            (true, false) => ForwardMode::Decode,
            (true, true) => ForwardMode::Idle,
        })
    }
}

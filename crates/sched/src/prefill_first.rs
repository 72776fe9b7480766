//! Batches of whole prompts that go before every decode step, for comparison: vLLM before version 1.

use sglsim_units::{SimTime, TokenCount};

use crate::mixed::{Victims, make_decode_fit, watermark};
use crate::{BatchState, ForwardMode, SchedError, Scheduler, SchedulerConfig};

/// Takes waiting prompts whole, first come first served, and decodes when none can be taken.
///
/// A prefill step is padded to its longest prompt; the padded tokens are at most
/// `max_prefill_tokens`, unless one prompt alone has more. A prompt is taken when all of it fits and
/// a little of the pool stays free. When memory runs out, the request that came last is pushed out to
/// the head of the queue and computes everything again.
///
/// # Source
///
/// vLLM 0.2, `vllm/core/scheduler.py`; Vidur, `vllm_replica_scheduler.py`.
#[derive(Clone, Copy, Debug, Default)]
pub struct PrefillFirstScheduler;

impl PrefillFirstScheduler {
    fn admit(batch: &mut BatchState) -> Result<(), SchedError> {
        let page = TokenCount::from(batch.config().page_size);
        let most = TokenCount::from(batch.config().max_prefill_tokens);
        let (mut longest, mut prompts) = (0, 0);
        while batch.free_rows() > 0
            && let Some(slot) = batch.waiting.front().copied()
        {
            let found = batch.match_prefix(slot);
            let rest = batch.req(slot).total() - found.tokens;
            if prompts > 0 && (prompts + 1) * rest.max(longest) > most {
                break;
            }
            // Pinned, the prefix cannot be evicted to make room for the rest.
            batch.pin(found);
            let room = batch.memory().allocatable().saturating_sub(batch.extend_slots);
            batch.unpin(found);
            if rest.next_multiple_of(page) + watermark(batch) > room {
                break;
            }
            batch.admit(slot, found, rest)?;
            (longest, prompts) = (rest.max(longest), prompts + 1);
        }
        Ok(())
    }
}

impl Scheduler for PrefillFirstScheduler {
    fn name(&self) -> &str {
        "vllm_v0"
    }

    fn token_budget(&self, _config: &SchedulerConfig) -> Option<u32> {
        None
    }

    fn next_step(
        &mut self,
        batch: &mut BatchState,
        _now: SimTime,
    ) -> Result<ForwardMode, SchedError> {
        Self::admit(batch)?;
        if !batch.extend_batch().is_empty() {
            return Ok(ForwardMode::Extend);
        }
        make_decode_fit(batch, Victims::LastArrived)?;
        Ok(if batch.running().is_empty() { ForwardMode::Idle } else { ForwardMode::Decode })
    }
}

//! Batches of decoding sequences and prompt chunks, for comparison: vLLM and Sarathi-Serve.

use sglsim_units::{SimTime, TokenCount};

use crate::request::Slot;
use crate::{BatchState, ForwardMode, SchedError, Scheduler, SchedulerConfig};

/// Who decodes, decodes; what is left of the token budget goes to prompts, first come first served.
///
/// One budget, `chunked_prefill_size`, bounds the tokens of a step. Nothing is reserved for answers:
/// when memory runs out, the request that came last is pushed out to the head of the queue and
/// computes everything again.
#[derive(Clone, Copy, Debug)]
pub struct MixedScheduler {
    kind: Kind,
}

/// What the two differ in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind {
    /// A prompt is taken as soon as its next chunk fits.
    Vllm,
    /// A prompt is taken when all of it fits and a little of the pool stays free.
    Sarathi,
}

/// What stays free at admission: a hundredth of the pool, in whole pages, and nothing where a prompt is alone
/// (Vidur, `watermark_blocks_fraction`) \[token\].
pub(crate) fn watermark(batch: &BatchState) -> TokenCount {
    let page = TokenCount::from(batch.config().page_size);
    if batch.rows() == 0 { 0 } else { batch.memory().capacity() / page / 100 * page }
}

impl MixedScheduler {
    /// vLLM's scheduler.
    ///
    /// # Source
    ///
    /// vLLM v1, `vllm/v1/core/sched/scheduler.py:Scheduler.schedule`, first come first served.
    #[must_use]
    pub fn vllm() -> Self {
        Self { kind: Kind::Vllm }
    }

    /// Sarathi-Serve's scheduler.
    ///
    /// # Source
    ///
    /// Agrawal et al., "Taming Throughput-Latency Tradeoff in LLM Inference with Sarathi-Serve"
    /// (OSDI 2024), algorithm 3; Vidur, `sarathi_replica_scheduler.py`.
    #[must_use]
    pub fn sarathi() -> Self {
        Self { kind: Kind::Sarathi }
    }

    /// Slots that prompts may take beside the decode step \[token\].
    fn room(self, batch: &BatchState) -> TokenCount {
        let taken = batch.running().slots_for_one_step() + batch.extend_slots;
        batch.memory().allocatable().saturating_sub(taken)
    }

    /// Tries to take a waiting request; `false` if it has to wait.
    fn admit(
        self,
        batch: &mut BatchState,
        slot: Slot,
        budget: TokenCount,
    ) -> Result<bool, SchedError> {
        let page = TokenCount::from(batch.config().page_size);
        let found = batch.match_prefix(slot);
        let rest = batch.req(slot).total() - found.tokens;
        // Where prefixes are kept, a cut is on a page.
        let align = if batch.memory().caches() { page } else { 1 };
        let extend = if rest <= budget { rest } else { budget - budget % align };
        // Pinned, the prefix cannot be evicted to make room for the rest.
        batch.pin(found);
        let room = self.room(batch);
        batch.unpin(found);
        let fits = match self.kind {
            Kind::Vllm => extend.next_multiple_of(page) <= room,
            Kind::Sarathi => rest.next_multiple_of(page) + watermark(batch) <= room,
        };
        if extend == 0 || !fits {
            return Ok(false);
        }
        batch.admit(slot, found, extend)?;
        Ok(true)
    }
}

/// Who is pushed out first when memory runs out, and when it has run out.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Victims {
    /// Who joined last, when a decode step needs more pages than there are.
    LastJoined,
    /// Who arrived last, already when there is no free page for a sequence at its turn, whether it needs one
    /// or not (vLLM 0.2, `vllm/core/block_manager.py:BlockSpaceManager.can_append_slot`; Vidur,
    /// `vllm_replica_scheduler.py`).
    LastArrived,
}

impl Victims {
    fn last(self, batch: &BatchState) -> Option<Slot> {
        let members = batch.running().members().iter().copied();
        match self {
            Self::LastJoined => members.max_by_key(|slot| batch.view(*slot).join_order),
            Self::LastArrived => members.max_by_key(|slot| batch.id(*slot)),
        }
    }

    /// Whether a decode step fits.
    fn fits(self, batch: &mut BatchState) -> bool {
        if !batch.check_decode_mem() {
            return false;
        }
        let page = TokenCount::from(batch.config().page_size);
        let needed = batch.running().slots_for_one_step();
        if self == Self::LastJoined || batch.memory().available() >= needed + page {
            return true;
        }
        // All of it is needed: one page has to be left for the last in turn.
        let turn = self.last(batch).map(|slot| batch.view(slot).committed);
        turn.is_none_or(|committed| committed.is_multiple_of(page))
    }
}

/// Makes one decode step fit, by pushing out those that came last.
pub(crate) fn make_decode_fit(
    batch: &mut BatchState,
    victims: Victims,
) -> Result<bool, SchedError> {
    let mut pushed_out = false;
    while !victims.fits(batch) {
        let last = victims.last(batch);
        // A prompt between two chunks came after everybody who decodes.
        let victim = match (batch.chunked_req(), last) {
            (Some(slot), _) => slot,
            (None, Some(slot)) if batch.running().len() > 1 => slot,
            _ => break,
        };
        batch.retract_to_head(victim)?;
        pushed_out = true;
    }
    Ok(pushed_out)
}

impl Scheduler for MixedScheduler {
    fn name(&self) -> &str {
        match self.kind {
            Kind::Vllm => "vllm",
            Kind::Sarathi => "sarathi",
        }
    }

    fn token_budget(&self, config: &SchedulerConfig) -> Option<u32> {
        Some(config.chunked_prefill_size.unwrap_or(config.max_prefill_tokens))
    }

    fn next_step(
        &mut self,
        batch: &mut BatchState,
        _now: SimTime,
    ) -> Result<ForwardMode, SchedError> {
        let pushed_out = make_decode_fit(
            batch,
            match self.kind {
                Kind::Vllm => Victims::LastJoined,
                Kind::Sarathi => Victims::LastArrived,
            },
        )?;
        let budget = self.token_budget(batch.config()).map_or(0, TokenCount::from);
        let mut budget = budget.saturating_sub(batch.running().len() as TokenCount);
        if let Some(slot) = batch.chunked_req() {
            let decode = batch.running().slots_for_one_step();
            let room = batch.room_for_chunk(slot).saturating_sub(decode);
            let extend = batch.req(slot).rest().min(budget).min(room);
            if extend > 0 {
                batch.continue_chunked(slot, extend)?;
                budget -= extend;
            }
        }
        while !pushed_out
            && batch.chunked_req().is_none()
            && batch.free_rows() > 0
            && budget > 0
            && let Some(slot) = batch.waiting.front().copied()
            && self.admit(batch, slot, budget)?
        {
            budget -= batch.extend_batch().last().map_or(0, |slice| slice.extend);
        }
        Ok(match (batch.extend_batch().is_empty(), batch.running().is_empty()) {
            (false, false) => ForwardMode::Mixed,
            (false, true) => ForwardMode::Extend,
            (true, false) => ForwardMode::Decode,
            (true, true) => ForwardMode::Idle,
        })
    }
}

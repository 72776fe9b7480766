//! `PrefillAdder`: the token and memory budgets of one prefill pass.

use sglsim_units::TokenCount;

use crate::batch::BatchState;
use crate::config::CLIP_MAX_NEW_TOKENS;
use crate::request::Slot;
use crate::{Needs, QueueEntry, SchedError};

/// Verdict on the next candidate.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum AddReqResult {
    /// Go on.
    Continue,
    /// Memory is spent.
    NoToken,
    /// The compute budget is spent, or the batch has a reason of its own to stop.
    Other,
}

/// The budgets of one pass over the waiting queue.
///
/// # Source
///
/// SGLang 0.5.23, `managers/schedule_policy.py:PrefillAdder` and `mem_cache/prefill_budget.py`.
#[derive(Debug)]
pub struct PrefillAdder {
    page: TokenCount,
    /// Input tokens the pass may still take; may end below zero.
    rem_input: i64,
    /// Tokens the step may still compute; `None` without chunking.
    rem_chunk: Option<i64>,
    /// Slots promised to running and admitted requests, their future included.
    total_offset: f64,
    /// Slots promised to admitted requests, their future not included.
    current_offset: TokenCount,
}

fn signed(tokens: TokenCount) -> i64 {
    i64::try_from(tokens).unwrap_or(i64::MAX)
}

impl PrefillAdder {
    /// The budgets at the start of a pass.
    #[must_use]
    pub fn new(batch: &BatchState, new_token_ratio: f64) -> Self {
        let config = batch.config();
        Self {
            page: TokenCount::from(config.page_size),
            rem_input: i64::from(config.max_prefill_tokens),
            rem_chunk: config.chunked_prefill_size.map(i64::from),
            total_offset: batch.running().reserved_tokens(new_token_ratio),
            current_offset: 0,
        }
    }

    /// Slots that no promise covers, the future of every request included \[token\]; may be
    /// negative. Live: pinning a prefix lowers it.
    #[must_use]
    pub fn rem_total_tokens(&self, batch: &BatchState) -> f64 {
        batch.memory().allocatable() as f64 - self.total_offset
    }

    /// Slots that no admitted prompt covers, the future not included \[token\]; may be negative.
    #[must_use]
    pub fn cur_rem_tokens(&self, batch: &BatchState) -> i64 {
        signed(batch.memory().allocatable()) - signed(self.current_offset)
    }

    /// What is left of `max_prefill_tokens` \[token\]; negative after a request that exceeded it.
    #[must_use]
    pub fn rem_input_tokens(&self) -> i64 {
        self.rem_input
    }

    /// What is left of `chunked_prefill_size` \[token\]; `None` without chunking.
    #[must_use]
    pub fn rem_chunk_tokens(&self) -> Option<i64> {
        self.rem_chunk
    }

    /// Whether the pass can take another request.
    #[must_use]
    pub fn budget_state(&self, batch: &BatchState) -> AddReqResult {
        if self.rem_total_tokens(batch) <= 0.0 || self.cur_rem_tokens(batch) <= 0 {
            AddReqResult::NoToken
        } else if self.rem_input <= 0 || self.rem_chunk.is_some_and(|chunk| chunk <= 0) {
            AddReqResult::Other
        } else {
            AddReqResult::Continue
        }
    }

    fn charge(&mut self, extend: TokenCount, new: TokenCount) {
        let paged = extend.next_multiple_of(self.page);
        self.rem_input -= signed(paged);
        self.rem_chunk = self.rem_chunk.map(|chunk| chunk - signed(paged));
        self.current_offset += paged + self.page;
        self.total_offset += (paged + self.page + new) as f64;
    }

    /// The chunked request goes first: its next slice, as long as the chunk budget and memory allow.
    /// At least something is computed, so that memory can be freed later.
    ///
    /// # Errors
    ///
    /// What [`BatchState::continue_chunked`] refuses.
    pub fn add_chunked_req(
        &mut self,
        batch: &mut BatchState,
        slot: Slot,
    ) -> Result<(), SchedError> {
        let rest = batch.req(slot).rest();
        let by_chunk = self.rem_chunk.unwrap_or(i64::MAX);
        // Truncation is what SGLang does; a negative remainder becomes no limit below.
        #[expect(clippy::cast_possible_truncation, reason = "SGLang's int()")]
        let by_memory = self.rem_total_tokens(batch) as i64;
        let limit = by_chunk.min(by_memory);
        let limit = if limit <= 0 { by_chunk } else { limit };
        let extend = rest.min(TokenCount::try_from(limit).unwrap_or(0));
        batch.continue_chunked(slot, extend)?;
        let new = if extend == rest { self.future(batch, slot, 0) } else { 0 };
        self.charge(extend, new);
        Ok(())
    }

    /// Tokens reserved for what a request will generate, beyond `generated`.
    fn future(&self, batch: &BatchState, slot: Slot, generated: TokenCount) -> TokenCount {
        let max_new = batch.req(slot).max_new_tokens;
        max_new.saturating_sub(generated).min(CLIP_MAX_NEW_TOKENS)
    }

    /// Tries to take one waiting request into the batch, whole or cut to the chunk budget.
    ///
    /// # Errors
    ///
    /// What [`BatchState::admit`] refuses.
    pub fn add_one_req(
        &mut self,
        batch: &mut BatchState,
        slot: Slot,
    ) -> Result<AddReqResult, SchedError> {
        let found = batch.match_prefix(slot);
        let req = batch.req(slot);
        let (total, generated) = (req.total(), req.generated);
        let rest = total - found.tokens;
        let need = rest + self.future(batch, slot, generated) + self.page;
        // Pinning takes the prefix out of what can be evicted, which is what the test must see.
        batch.pin(found);
        let enough = (need as f64) < self.rem_total_tokens(batch);
        batch.unpin(found);
        if !enough {
            return Ok(AddReqResult::NoToken);
        }
        let paged = signed(rest.next_multiple_of(self.page));
        let extend = match self.rem_chunk {
            None if !batch.extend_batch().is_empty() && paged >= self.rem_input => {
                return Ok(AddReqResult::Other);
            }
            Some(chunk) if paged > chunk => {
                let chunk = TokenCount::try_from(chunk).unwrap_or(0);
                let cut = chunk - chunk % self.page;
                if cut == 0 {
                    return Ok(AddReqResult::Other);
                }
                cut
            }
            _ => rest,
        };
        batch.admit(slot, found, extend)?;
        let new = if extend == rest { self.future(batch, slot, 0) } else { 0 };
        self.charge(extend, new);
        Ok(self.budget_state(batch))
    }
}

/// Brings the waiting queue into the order of a policy, with prefix matches if it needs them.
pub(crate) fn sort_waiting(batch: &mut BatchState, policy: &mut dyn crate::SchedulePolicy) {
    let needs = policy.needs(batch.waiting.len());
    // Without a cache nothing matches, and SGLang falls back to first come, first served.
    if needs == Needs::KeepOrder || (needs == Needs::Matches && !batch.memory().caches()) {
        return;
    }
    let slots: Vec<Slot> = batch.waiting_queue().collect();
    let mut entries: Vec<QueueEntry> = slots
        .iter()
        .map(|&slot| {
            let req = batch.req(slot);
            QueueEntry::new(req.id, req.total(), req.max_new_tokens, req.queued_at)
        })
        .collect();
    if needs == Needs::Matches {
        crate::matches::fill_matches(batch, &slots, &mut entries);
    }
    let mut order: Vec<usize> = (0..slots.len()).collect();
    policy.order(&entries, &mut order);
    batch.waiting.clear();
    batch.waiting.extend(order.iter().map(|&i| slots[i]));
}

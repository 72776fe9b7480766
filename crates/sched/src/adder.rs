//! `PrefillAdder`: the token and memory budgets of one prefill pass.

use std::cmp::Reverse;

use sglsim_radix::PrefixMatch;
use sglsim_units::TokenCount;

use crate::SchedError;
use crate::batch::BatchState;
use crate::config::CLIP_MAX_NEW_TOKENS;
use crate::delayer::DelayedPass;
use crate::fixed_length::FixedLength;
use crate::request::{ReqView, Slot};

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
    new_token_ratio: f64,
    /// Input tokens the pass may still take; may end below zero.
    rem_input: i64,
    /// Tokens the step may still compute; `None` without chunking.
    rem_chunk: Option<i64>,
    /// Slots promised to running and admitted requests, their future included.
    total_offset: f64,
    /// Slots promised to admitted requests, their future not included.
    current_offset: i64,
    /// Slots of the pool that do not count.
    pub(crate) beyond: i64,
    /// Who occupies memory for how long, once a request of fixed length asks without a cache.
    fixed_length: Option<FixedLength>,
    /// Whether nobody else is there who could let go of memory.
    alone: bool,
    /// Who may hold the whole pass back.
    pub(crate) delayer: Option<DelayedPass>,
}

pub(crate) fn signed(tokens: TokenCount) -> i64 {
    i64::try_from(tokens).unwrap_or(i64::MAX)
}

impl PrefillAdder {
    /// The budgets at the start of a pass. With mixed chunk, the running requests come along and
    /// have a token each of them.
    #[must_use]
    pub fn new(batch: &BatchState, new_token_ratio: f64) -> Self {
        let config = batch.config();
        let mixed = if config.enable_mixed_chunk { batch.running().len() } else { 0 };
        Self::with_mixed_rows(batch, new_token_ratio, mixed)
    }

    /// The budgets beside `mixed` decoding rows.
    pub(crate) fn with_mixed_rows(batch: &BatchState, new_token_ratio: f64, mixed: usize) -> Self {
        let config = batch.config();
        let mixed = signed(mixed as TokenCount);
        Self {
            page: TokenCount::from(config.page_size),
            new_token_ratio,
            rem_input: i64::from(config.max_prefill_tokens) - mixed,
            rem_chunk: config.chunked_prefill_size.map(|chunk| i64::from(chunk) - mixed),
            total_offset: mixed as f64 + batch.running().reserved_tokens(new_token_ratio),
            current_offset: mixed,
            beyond: 0,
            fixed_length: None,
            alone: false,
            delayer: None,
        }
    }

    /// Slots that no promise covers, the future of every request included \[token\]; may be
    /// negative. Live: pinning a prefix lowers it.
    #[must_use]
    pub fn rem_total_tokens(&self, batch: &BatchState) -> f64 {
        self.allocatable(batch) as f64 - self.total_offset
    }

    /// Slots that no admitted prompt covers, the future not included \[token\]; may be negative.
    #[must_use]
    pub fn cur_rem_tokens(&self, batch: &BatchState) -> i64 {
        self.allocatable(batch) - self.current_offset
    }

    fn allocatable(&self, batch: &BatchState) -> i64 {
        signed(batch.memory().allocatable()) - self.beyond
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
        self.current_offset += signed(paged + self.page);
        self.total_offset += (paged + self.page + new) as f64;
    }

    /// Most tokens that the chunked request takes of the chunk budget, so that shorter prompts of
    /// the queue have room beside it; `None` if none is to have any. The queue must be in the order
    /// of `shortest-prefill-first`.
    ///
    /// # Source
    ///
    /// SGLang 0.5.23, `managers/schedule_policy.py:SchedulePolicy.shortest_prefill_chunk_limit`.
    #[must_use]
    pub fn chunk_limit_for_shorter(&self, batch: &BatchState, slot: Slot) -> Option<TokenCount> {
        let budget = TokenCount::try_from(self.rem_chunk?).ok()?;
        if budget < 2 * self.page {
            return None;
        }
        let (rest, mut reserved) = (batch.req(slot).rest(), 0);
        for shorter in batch.waiting_queue() {
            let work = batch.req(shorter).uncached();
            let charge = work.next_multiple_of(self.page);
            if work >= rest || reserved + charge > budget - self.page {
                break;
            }
            reserved += charge;
        }
        let left = budget - reserved;
        (reserved > 0).then_some(left - left % self.page)
    }

    /// The chunked request goes first: its next slice, as long as the chunk budget, `limit` and
    /// memory allow. At least something is computed, so that memory can be freed later.
    ///
    /// # Errors
    ///
    /// What [`BatchState::continue_chunked`] refuses.
    pub fn add_chunked_req(
        &mut self,
        batch: &mut BatchState,
        slot: Slot,
        limit: Option<TokenCount>,
    ) -> Result<(), SchedError> {
        // A prompt in the middle goes on whatever the verdict.
        self.is_let_through(batch);
        let rest = batch.req(slot).rest();
        let by_chunk = self.rem_chunk.unwrap_or(i64::MAX);
        // Truncation is what SGLang does; a negative remainder becomes no limit below.
        #[expect(clippy::cast_possible_truncation, reason = "SGLang's int()")]
        let by_memory = self.rem_total_tokens(batch) as i64;
        let by_budget = by_chunk.min(by_memory);
        let by_budget = if by_budget <= 0 { by_chunk } else { by_budget };
        let by_budget = TokenCount::try_from(by_budget).unwrap_or(0);
        let extend = rest.min(by_budget).min(limit.unwrap_or(TokenCount::MAX));
        // Where not even that much is free or evictable, SGLang 0.5.23 ends with an error; here the
        // prompt goes on as far as memory does, or waits for those who run.
        let extend = extend.min(batch.room_for_chunk(slot));
        if extend == 0 {
            return Ok(());
        }
        batch.continue_chunked(slot, extend)?;
        let new = if extend == rest { self.future(batch, slot, 0) } else { 0 };
        self.charge(extend, new);
        Ok(())
    }

    /// Whether the pass is not held back.
    fn is_let_through(&mut self, batch: &BatchState) -> bool {
        self.delayer.as_mut().is_none_or(|delayer| delayer.allows(batch))
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
        let most = batch.config().prefill_max_requests;
        if most.is_some_and(|most| batch.extend_batch().len() >= most as usize) {
            return Ok(AddReqResult::Other);
        }
        if batch.req(slot).ignore_eos && !batch.memory().caches() {
            return self.add_one_req_ignore_eos(batch, slot, found);
        }
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
        let Some(extend) = self.first_slice(batch, rest - found.host_tokens) else {
            return Ok(AddReqResult::Other);
        };
        if !self.is_let_through(batch) {
            return Ok(AddReqResult::Other);
        }
        let ready = batch.load_back(slot, found);
        let rest = total - ready.tokens;
        let extend = if ready.tokens < found.tokens + found.host_tokens {
            // What is on the host is computed again.
            let Some(extend) = self.first_slice(batch, rest) else {
                return Ok(AddReqResult::Other);
            };
            extend
        } else {
            extend
        };
        batch.admit(slot, ready, extend)?;
        let new = if extend == rest { self.future(batch, slot, 0) } else { 0 };
        self.charge(extend, new);
        Ok(self.budget_state(batch))
    }

    /// How much of `rest` tokens a request computes first; `None` if the budget has nothing for it.
    fn first_slice(&self, batch: &BatchState, rest: TokenCount) -> Option<TokenCount> {
        let paged = signed(rest.next_multiple_of(self.page));
        match self.rem_chunk {
            None if !batch.extend_batch().is_empty() && paged >= self.rem_input => None,
            Some(chunk) if paged > chunk => {
                let chunk = TokenCount::try_from(chunk).unwrap_or(0);
                let cut = chunk - chunk % self.page;
                (cut > 0 && batch.chunked_req().is_none()).then_some(cut)
            }
            _ => Some(rest),
        }
    }

    /// Tries a request once more that was refused for want of memory while nobody else is there.
    ///
    /// Counting to the token asks for a little more than a request is given that takes the whole
    /// pool: in SGLang 0.5.23 it waits for ever, here it goes in alone.
    pub(crate) fn add_alone(
        &mut self,
        batch: &mut BatchState,
        slot: Slot,
    ) -> Result<AddReqResult, SchedError> {
        (self.alone, self.fixed_length) = (true, None);
        let result = self.add_one_req(batch, slot);
        self.alone = false;
        result
    }

    /// Without a cache, what a request of known length will occupy is known to the token.
    ///
    /// # Source
    ///
    /// SGLang 0.5.23, `managers/schedule_policy.py:PrefillAdder.add_one_req_ignore_eos`.
    fn add_one_req_ignore_eos(
        &mut self,
        batch: &mut BatchState,
        slot: Slot,
        found: PrefixMatch,
    ) -> Result<AddReqResult, SchedError> {
        let rest = batch.req(slot).total();
        let paged_input = signed(rest.next_multiple_of(self.page) + self.page);
        let current = self.cur_rem_tokens(batch);
        if paged_input > current || paged_input as f64 > self.rem_total_tokens(batch) {
            return Ok(AddReqResult::NoToken);
        }
        let ratio = self.new_token_ratio;
        match &mut self.fixed_length {
            Some(occupants) => occupants.insert(batch, slot, ratio),
            None => self.fixed_length = Some(FixedLength::with_candidate(batch, slot, ratio)),
        }
        let occupants = self.fixed_length.as_ref().expect("it was just made");
        if !self.alone && !occupants.fits(current - paged_input) {
            return Ok(AddReqResult::NoToken);
        }
        if !self.is_let_through(batch) {
            return Ok(AddReqResult::Other);
        }
        let extend = match self.rem_chunk {
            // SGLang would cut a second prompt here and lose the rest of the first one.
            Some(chunk)
                if signed(rest) > chunk && (chunk <= 0 || batch.chunked_req().is_some()) =>
            {
                return Ok(AddReqResult::Other);
            }
            // A cut need not end on a page: nobody else will have it.
            Some(chunk) => rest.min(TokenCount::try_from(chunk).unwrap_or(0)),
            None => rest,
        };
        batch.admit(slot, found, extend)?;
        let new = if extend == rest { self.future(batch, slot, 0) } else { 0 };
        self.charge(extend, new);
        Ok(self.budget_state(batch))
    }

    /// Pushes running requests out that are less urgent than a waiting one by more than the
    /// threshold, if what is promised to them covers what it lacks. Returns whether it is covered;
    /// if not, nobody is pushed out.
    ///
    /// # Errors
    ///
    /// What [`BatchState::retract`] refuses.
    ///
    /// # Source
    ///
    /// SGLang 0.5.23, `managers/schedule_policy.py:PrefillAdder.preempt_to_schedule`.
    pub fn preempt_to_schedule(
        &mut self,
        batch: &mut BatchState,
        slot: Slot,
    ) -> Result<bool, SchedError> {
        let config = batch.config();
        let threshold = config.priority_scheduling_preemption_threshold;
        let urgency = |view: &ReqView| config.urgency(view.labels.priority);
        let mut running: Vec<ReqView> =
            batch.running().members().iter().map(|slot| batch.view(*slot)).collect();
        running.sort_by_key(|view| (urgency(view), Reverse(view.queued_at), view.join_order));
        let (req, own) = (batch.req(slot), urgency(&batch.view(slot)));
        let need = req.total() - req.prefix + self.future(batch, slot, 0);
        let mut lacking = need as f64 - self.rem_total_tokens(batch);
        let mut victims = 0;
        for view in &running {
            if own.saturating_sub(urgency(view)) <= threshold {
                break;
            }
            victims += 1;
            lacking -= self.promised(view);
            if lacking <= 0.0 {
                break;
            }
        }
        if victims == 0 || lacking > 0.0 {
            return Ok(false);
        }
        running.truncate(victims);
        running.sort_by_key(|view| view.join_order);
        for view in &running {
            self.total_offset -= self.promised(view);
            batch.retract(view.slot)?;
        }
        Ok(true)
    }

    /// Slots promised to what a running request will generate \[token\].
    fn promised(&self, view: &ReqView) -> f64 {
        let ratio = if view.ignore_eos { 1.0 } else { self.new_token_ratio };
        let left = view.max_new_tokens.saturating_sub(view.generated);
        left.min(CLIP_MAX_NEW_TOKENS) as f64 * ratio
    }
}

//! SGLang's scheduler for the decode workers of a disaggregated deployment.

use sglsim_units::{SimTime, TokenCount};

use crate::config::{CLIP_MAX_NEW_TOKENS, NUM_RESERVED_DECODE_TOKENS};
use crate::sglang::retract;
use crate::{BatchState, ForwardMode, SchedError, Scheduler};

/// Reserves memory for prompts that are to come, takes those that came into the running batch, and
/// decodes; under pressure the KV of a victim moves to the host and comes back.
///
/// # Source
///
/// SGLang 0.5.23, `disaggregation/decode.py:DecodePreallocQueue.pop_preallocated`,
/// `_allocatable_token_budgets`, `get_new_prebuilt_batch`.
#[derive(Debug, Default)]
pub struct DecodeScheduler {
    /// Requests that the last merge brought in.
    last_prebuilt: usize,
}

impl DecodeScheduler {
    /// The scheduler of a rank.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Slots that can be promised to a prompt \[token\]; may be negative.
    fn allocatable(&self, batch: &BatchState, queued: TokenCount, single: TokenCount) -> i64 {
        let reserve = NUM_RESERVED_DECODE_TOKENS;
        let active = batch.running().len() + batch.receiving + batch.waiting.len();
        let promised = (reserve * active as TokenCount).max(single)
            + reserve * self.last_prebuilt as TokenCount
            + queued;
        let free = batch.memory().allocatable();
        i64::try_from(free).unwrap_or(i64::MAX) - i64::try_from(promised).unwrap_or(i64::MAX)
    }

    /// Brings retracted requests back, first come first. They pass before new prompts.
    fn resume_retracted(&self, batch: &mut BatchState) -> Result<(), SchedError> {
        let page = TokenCount::from(batch.config().page_size);
        while let Some(&slot) = batch.retracted.front() {
            let tokens = batch.req(slot).total();
            let need = tokens.next_multiple_of(page) + NUM_RESERVED_DECODE_TOKENS;
            let nobody_else = batch.running().is_empty() && batch.waiting.is_empty();
            // Alone it needs no reserve: nobody is left who could take its room.
            let fits = i64::try_from(need).is_ok_and(|need| need <= self.allocatable(batch, 0, 0))
                || (nobody_else && tokens.next_multiple_of(page) <= batch.memory().allocatable());
            if !fits {
                break;
            }
            batch.resume_first()?;
        }
        Ok(())
    }

    /// Reserves memory for prompts, first come first, up to the first that does not fit.
    fn preallocate(&self, batch: &mut BatchState) -> Result<(), SchedError> {
        let page = TokenCount::from(batch.config().page_size);
        let rows = batch.config().max_running_requests as usize;
        while let Some(&slot) = batch.prealloc.front() {
            let active = batch.running().len() + batch.receiving + batch.waiting.len();
            if active + batch.parked_rows() >= rows {
                break;
            }
            let retractable = batch.running().total_tokens();
            let single = batch.running().longest_future().saturating_sub(retractable);
            let req = batch.req(slot);
            let prompt = req.prompt.tokens();
            let future = req.max_new_tokens.min(CLIP_MAX_NEW_TOKENS);
            let need = (prompt.next_multiple_of(page) + NUM_RESERVED_DECODE_TOKENS)
                .max((prompt + future).saturating_sub(retractable));
            let allocatable = self.allocatable(batch, 0, single);
            if i64::try_from(need).is_ok_and(|need| need <= allocatable) {
                batch.preallocate_first()?;
            } else {
                break;
            }
        }
        Ok(())
    }
}

impl Scheduler for DecodeScheduler {
    fn name(&self) -> &str {
        "sglang-decode"
    }

    fn next_step(
        &mut self,
        batch: &mut BatchState,
        _now: SimTime,
    ) -> Result<ForwardMode, SchedError> {
        loop {
            self.resume_retracted(batch)?;
            if batch.retracted.is_empty() {
                self.preallocate(batch)?;
            }
            // Who was pushed out passes before prompts that have arrived, unless it is for those
            // that it waits.
            let nobody_runs = batch.running().is_empty() && batch.waiting.is_empty();
            if batch.retracted.is_empty() || nobody_runs {
                batch.collect_received();
            }
            let (requests, running) = (batch.len(), batch.running().len());
            batch.merge_prebuilt();
            let reserve_ends = self.last_prebuilt > 0;
            self.last_prebuilt = batch.running().len() - running;
            // Room that came free in this round may be what others wait for, and on a rank where
            // nobody runs no later step would tell them.
            let came_free = reserve_ends || batch.len() < requests;
            if !(batch.running().is_empty() && came_free) {
                break;
            }
        }
        let drops = batch.drop_finishing();
        if batch.running().is_empty() {
            return Ok(ForwardMode::Idle);
        }
        if batch.check_decode_mem() {
            return Ok(ForwardMode::Decode);
        }
        if drops {
            return Ok(ForwardMode::Idle);
        }
        retract(batch)?;
        if !batch.check_decode_mem() && batch.receiving > 0 {
            // SGLang aborts the last request here, although what it needs is held by prompts that
            // are still to arrive. It waits for them instead, so that no request is lost.
            let last = batch.running().members()[0];
            batch.retract(last)?;
            return Ok(ForwardMode::Idle);
        }
        Ok(ForwardMode::Decode)
    }
}

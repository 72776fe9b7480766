//! A step on its way: it begins, is launched, and its results come in.
//!
//! In SGLang's normal loop the scheduler chooses a step when the results of the one before are known:
//! [`BatchState::begin_step`], [`BatchState::finish_step`]. In the overlap loop it chooses while that
//! step runs: what is certain of it, that every row has one token more, is booked at
//! [`BatchState::launch_step`]; which requests stopped is known at [`BatchState::finish_step`] only.

use sglsim_units::{DisaggregationMode, SimTime, TokenCount};

use crate::SchedError;
use crate::batch::BatchState;
use crate::notice::Notice;
use crate::request::{Slot, Stage};

/// One request's part of an extend step.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ExtendSlice {
    /// The request.
    pub slot: Slot,
    /// Tokens before this slice, whose KV is read \[token\].
    pub prefix: TokenCount,
    /// Tokens that this slice computes \[token\].
    pub extend: TokenCount,
    /// Whether the prompt is complete after it.
    pub last: bool,
}

/// What a rank runs next (SGLang's `ForwardMode`).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum ForwardMode {
    /// Prompt tokens: the slices of [`BatchState::extend_batch`].
    Extend,
    /// One token for each request of [`BatchState::running`].
    Decode,
    /// Both in one step: the slices, and one token for each running request.
    Mixed,
    /// Nothing.
    #[default]
    Idle,
}

impl ForwardMode {
    /// Whether prompt tokens are computed.
    #[must_use]
    pub fn extends(self) -> bool {
        matches!(self, Self::Extend | Self::Mixed)
    }

    /// Whether running requests get a token.
    #[must_use]
    pub fn decodes(self) -> bool {
        matches!(self, Self::Decode | Self::Mixed)
    }
}

/// The content of one step, fixed when it begins.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct ForwardBatch {
    /// What it does.
    pub mode: ForwardMode,
    /// The slices of prompts that it computes.
    pub extend: Vec<ExtendSlice>,
    /// Sequences that decode.
    pub decode_seqs: u64,
    /// Σ context that they attend to \[token\].
    pub decode_context: TokenCount,
    /// Query tokens of each \[token\]: 1, or the drafts that are verified.
    pub query_tokens: u32,
}

/// What came of a step.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct StepResult {
    /// What it did.
    pub mode: ForwardMode,
    /// Prompt tokens that it computed \[token\].
    pub extended: TokenCount,
    /// Number of this decode step, or of the last one before it, from 1.
    pub decode_step: u64,
    /// Tokens that sequences have more by decoding, one each unless drafts were verified \[token\].
    pub decoded: TokenCount,
    /// Sequences whose drafts were verified; 0 without speculative decoding.
    pub verified: u64,
    /// Drafts accepted, and one token of the target's own for each of those sequences \[token\].
    pub accepted: TokenCount,
    /// Sequences whose token was thrown away: they had stopped in the step before, or were retracted.
    pub discarded: u64,
}

impl BatchState {
    /// The step that began and was not launched yet.
    #[must_use]
    pub fn forward_batch(&self) -> &ForwardBatch {
        &self.begun
    }

    /// Whether a step was launched whose results are not known.
    #[must_use]
    pub fn is_step_in_flight(&self) -> bool {
        self.launched.mode != ForwardMode::Idle
    }

    /// Takes the memory of the step that a scheduler chose. The engine calls it once before it runs
    /// the step.
    ///
    /// # Errors
    ///
    /// [`SchedError::WrongMode`] if the step does not fit the batches that were formed,
    /// [`SchedError::Stuck`] if there is no memory for it.
    ///
    /// # Source
    ///
    /// SGLang 0.5.23, `mem_cache/allocation.py:alloc_paged_token_slots_extend`.
    pub fn begin_step(&mut self, mode: ForwardMode) -> Result<(), SchedError> {
        let (extending, running) = (self.extend.len(), self.running.len());
        debug_assert_eq!(self.begun.mode, ForwardMode::Idle, "one step begins at a time");
        let possible = match mode {
            ForwardMode::Extend => extending > 0,
            ForwardMode::Decode => extending == 0 && running > 0,
            ForwardMode::Mixed => extending > 0 && running > 0,
            ForwardMode::Idle => extending == 0,
        };
        if !possible {
            return Err(SchedError::WrongMode { mode, extending, running });
        }
        if mode.extends() {
            let page = TokenCount::from(self.config.page_size);
            // With pages, SGLang evicts as if each request might open one more page.
            let room = if page > 1 {
                let tokens: TokenCount = self.extend.iter().map(|slice| slice.extend).sum();
                tokens + page * self.extend.len() as TokenCount
            } else {
                0
            };
            self.take(self.extend_slots, room, self.extend[0].slot)?;
        }
        if mode.decodes() {
            self.take(self.slots_for_decode(), 0, self.running.members()[0])?;
            self.grow_allocations();
            self.begun.decode_seqs = running as u64;
            self.begun.decode_context = self.next_decode_context();
            self.begun.query_tokens = self.query_tokens();
        }
        self.begun.mode = mode;
        std::mem::swap(&mut self.begun.extend, &mut self.extend);
        self.extend_slots = 0;
        Ok(())
    }

    /// Takes `needed` slots for a step, after making `room` for at least as many.
    fn take(&mut self, needed: TokenCount, room: TokenCount, slot: Slot) -> Result<(), SchedError> {
        self.memory.make_room(needed.max(room));
        if !self.memory.allocate(needed) {
            return Err(SchedError::Stuck {
                request: self.id(slot),
                held: self.req(slot).allocated,
                pool: self.memory.capacity(),
            });
        }
        self.hold_private(needed);
        Ok(())
    }

    /// The step runs from now on and its results are booked later. Everybody in it moves on as if it
    /// were done: KV is committed, chunks are published, whoever has their whole prompt joins the
    /// running batch. Call it after [`BatchState::finish_step`] of the step before.
    ///
    /// # Source
    ///
    /// SGLang 0.5.23, `managers/scheduler.py:Scheduler.event_loop_overlap` and the merge at the start
    /// of `get_next_batch_to_run`.
    pub fn launch_step(&mut self) {
        debug_assert!(!self.is_step_in_flight(), "the results of the step before come first");
        if self.begun.mode == ForwardMode::Idle {
            return;
        }
        self.advance();
        self.publish_chunks();
    }

    /// The results of the step that was launched, or else of the one that began, are known; they appear
    /// as notices. Nothing happens if there is none.
    pub fn finish_step(&mut self, now: SimTime) -> StepResult {
        self.now = self.now.max(now);
        let overlaps = self.is_step_in_flight();
        if !overlaps {
            if self.begun.mode == ForwardMode::Idle {
                return StepResult::default();
            }
            self.advance();
        }
        let mode = self.launched.mode;
        let tail = self.launched.extend.iter().zip(&self.epochs);
        let fresh = tail.filter(|(slice, epoch)| slice.last && self.is_there(slice, **epoch));
        let fresh = if mode == ForwardMode::Mixed { fresh.count() } else { 0 };
        let told = self.running.untold() + self.finishing.len() as u64;
        let decoded = if mode.decodes() { told - fresh as u64 } else { 0 };
        let launched = self.launched.decode_seqs;
        self.running.tell();
        let extended = self.book_extend();
        let verified = self.book_accepted();
        let (decoded, seqs) = match self.drafts {
            Some(_) => (verified.generated, verified.seqs),
            None => (decoded, decoded),
        };
        self.book_ends();
        if !overlaps {
            self.publish_chunks();
        }
        let discarded = launched.saturating_sub(seqs);
        self.launched.clear();
        self.epochs.clear();
        let decode_step = self.running.steps();
        let (verified, accepted) = (verified.seqs, verified.accepted);
        StepResult { mode, extended, decode_step, decoded, verified, accepted, discarded }
    }

    /// Query tokens of a decoding sequence \[token\]: 1, or the drafts that are verified.
    #[must_use]
    pub fn query_tokens(&self) -> u32 {
        self.config.speculative.as_ref().map_or(1, |config| config.num_draft_tokens)
    }

    /// Whether a running request has a token that is not known yet.
    pub(crate) fn is_untold(&self, slot: Slot) -> bool {
        let req = self.req(slot);
        if req.stage != Stage::Running || self.running.untold() == 0 {
            return false;
        }
        // Who joined since the launch took no part in it, unless its prompt was completed by it.
        let decodes = self.launched.mode.decodes() && req.joined < self.running.steps();
        decodes || req.prefilled_in == self.launches
    }

    /// Whether the slot of a slice has the tenant and the stay in the running batch that it had at the
    /// launch. One in its last step has left the running batch since; one whose next slice went with
    /// another micro-batch has joined that.
    fn is_there(&self, slice: &ExtendSlice, epoch: u32) -> bool {
        let req = self.req(slice.slot);
        let moved = if slice.last { Stage::Finishing } else { Stage::Running };
        req.epoch == epoch || (req.stage == moved && req.epoch == epoch + 1)
    }

    /// Everybody in the step that began moves on as if it were done.
    fn advance(&mut self) {
        std::mem::swap(&mut self.begun, &mut self.launched);
        self.launches += 1;
        if self.launched.mode.decodes() && self.drafts.is_some() {
            self.draw_accepted();
        } else if self.launched.mode.decodes() {
            let requests = &self.requests;
            self.running.advance(|slot, epoch| {
                let req = &requests[slot.index()];
                (req.epoch == epoch).then_some(req.ignore_eos)
            });
        }
        let slices = std::mem::take(&mut self.launched.extend);
        for slice in &slices {
            let launch = self.launches;
            let req = self.req_mut(slice.slot);
            req.committed += slice.extend;
            if slice.last {
                req.generated += 1;
                req.prefilled_in = launch;
            } else {
                req.stage = Stage::Chunked;
                // It does not stay in the batch, and SGLang's test is whether the batch shrank.
                self.shrank = true;
            }
            self.processed += slice.extend;
        }
        let joins = |slice: &&ExtendSlice| slice.last;
        if self.config.mode == DisaggregationMode::Prefill {
            self.inflight += slices.iter().filter(joins).count();
        } else if self.launched.mode == ForwardMode::Mixed {
            // The decoding rows stand behind the extended ones in a mixed batch.
            for slice in slices.iter().filter(joins).rev() {
                let req = &mut self.requests[slice.slot.index()];
                req.stage = Stage::Running;
                self.running.join_at_head(slice.slot, req);
                self.running.leave_untold(req);
            }
        } else {
            for slice in slices.iter().filter(joins) {
                self.join_running(slice.slot);
                let req = &self.requests[slice.slot.index()];
                self.running.leave_untold(req);
            }
        }
        self.epochs.extend(slices.iter().map(|slice| self.requests[slice.slot.index()].epoch));
        self.launched.extend = slices;
    }

    /// Publishes the chunks of the step that was launched to the cache.
    fn publish_chunks(&mut self) {
        for at in 0..self.launched.extend.len() {
            let ExtendSlice { slot, last, .. } = self.launched.extend[at];
            if !last && self.req(slot).stage == Stage::Chunked {
                self.checkpoint(slot);
            }
        }
    }

    /// Books the slices of the step and returns how many tokens they had.
    fn book_extend(&mut self) -> TokenCount {
        let slices = std::mem::take(&mut self.launched.extend);
        let mut extended = 0;
        for (at, slice) in slices.iter().enumerate() {
            extended += slice.extend;
            let slot = slice.slot;
            if !self.is_there(slice, self.epochs[at]) {
                continue;
            }
            let id = self.id(slot);
            if slice.last {
                self.checkpoint(slot);
            }
            self.notify(Notice::Extended { slot, id, tokens: slice.extend, last: slice.last });
            if !slice.last {
                continue;
            }
            if self.config.mode == DisaggregationMode::Prefill {
                self.req_mut(slot).stage = Stage::Inflight;
            } else if self.req(slot).generated >= self.req(slot).stop_after {
                if self.req(slot).stage == Stage::Running {
                    self.leave_running(slot);
                }
                self.finish(slot);
            }
        }
        self.launched.extend = slices;
        extended
    }

    /// Ends the requests that have all their tokens, in the order of the running batch.
    fn book_ends(&mut self) {
        let mut ending = std::mem::take(&mut self.ending);
        for slot in self.finishing.drain(..) {
            let req = &self.requests[slot.index()];
            ending.extend((req.stage == Stage::Finishing).then_some((req.join_order, slot)));
        }
        for (slot, epoch) in self.stopping.drain(..) {
            let req = &self.requests[slot.index()];
            ending.extend((req.epoch == epoch).then_some((req.join_order, slot)));
        }
        while let Some(slot) = {
            let requests = &self.requests;
            self.running.pop_finished(|slot, epoch| requests[slot.index()].epoch == epoch)
        } {
            ending.push((self.req(slot).join_order, slot));
        }
        ending.sort_unstable();
        for (_, slot) in ending.drain(..) {
            if self.req(slot).stage == Stage::Running {
                self.leave_running(slot);
            }
            self.finish(slot);
        }
        self.ending = ending;
    }
}

impl ForwardBatch {
    fn clear(&mut self) {
        self.mode = ForwardMode::Idle;
        self.extend.clear();
        self.decode_seqs = 0;
        self.decode_context = 0;
        self.query_tokens = 0;
    }
}

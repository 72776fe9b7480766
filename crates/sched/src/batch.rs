//! The state of one rank: its queues, its batches and its memory, and the moves between them.
//!
//! This is mechanism, not policy. A [`Scheduler`](crate::Scheduler) reads it and calls its moves;
//! a move that cannot be made is an error and changes nothing. Progress is made by the engine, which
//! runs the step that the scheduler chose: [`BatchState::begin_step`] and what follows it.

use std::collections::VecDeque;

use sglsim_units::{DisaggregationMode, RequestId, SimTime, TokenCount};

use crate::SchedError;
use crate::config::SchedulerConfig;
use crate::memory::Memory;
use crate::micro_batch::Parked;
use crate::notice::Notice;
use crate::request::{Req, ReqView, Slot, Stage, Submission};
use crate::running::RunningBatch;
use crate::speculation::Drafts;
use crate::step::{ExtendSlice, ForwardBatch};

/// The state of one attention-DP rank.
#[derive(Debug)]
pub struct BatchState {
    pub(crate) config: SchedulerConfig,
    pub(crate) memory: Memory,
    pub(crate) requests: Vec<Req>,
    free_slots: Vec<Slot>,
    pub(crate) waiting: VecDeque<Slot>,
    pub(crate) running: RunningBatch,
    pub(crate) drafts: Option<Drafts>,
    /// Pipeline stages: the micro-batch that is worked on, and the others in their places.
    pub(crate) micro_batch: usize,
    pub(crate) parked: Vec<Parked>,
    pub(crate) extend: Vec<ExtendSlice>,
    /// The step that began, and the one before it that was launched and has no results yet; idle where
    /// there is none.
    pub(crate) begun: ForwardBatch,
    pub(crate) launched: ForwardBatch,
    /// Steps launched, and the epochs of the slices of the last one.
    pub(crate) launches: u64,
    pub(crate) epochs: Vec<u32>,
    /// Requests out of the running batch whose last token the launched step makes.
    pub(crate) finishing: Vec<Slot>,
    /// Requests that will turn out to have stopped by it, with their epochs.
    pub(crate) stopping: Vec<(Slot, u32)>,
    /// Scratch for the requests that end, with their places in the running batch.
    pub(crate) ending: Vec<(i64, Slot)>,
    /// New slots that the extend batch needs \[token\], not taken yet.
    pub(crate) extend_slots: TokenCount,
    pub(crate) chunked: Option<Slot>,
    /// Decode workers: requests that wait for memory, and those pushed out of it.
    pub(crate) prealloc: VecDeque<Slot>,
    pub(crate) retracted: VecDeque<Slot>,
    /// Decode workers: requests in the transfer queue, and those of them whose KV is here.
    pub(crate) receiving: usize,
    pub(crate) received: VecDeque<Slot>,
    pub(crate) inflight: usize,
    /// Requests that were cancelled while a step worked on them.
    pub(crate) cancelled: Vec<Slot>,
    /// Set when a request leaves the running or the last batch.
    pub(crate) shrank: bool,
    /// Prompt tokens that were computed here, ever.
    pub(crate) processed: TokenCount,
    /// When the last thing happened here.
    pub(crate) now: SimTime,
    notices: Vec<Notice>,
    /// Slots held by requests beside what the cache holds \[token\].
    private: TokenCount,
    /// Tokens brought back from the host for the extend batch.
    pub(crate) loaded: TokenCount,
}

impl BatchState {
    /// An empty rank.
    ///
    /// # Errors
    ///
    /// [`SchedError::Config`] if a setting is out of range.
    pub fn new(config: SchedulerConfig, memory: Memory) -> Result<Self, SchedError> {
        let config = config.validated()?;
        let running = || RunningBatch::new(config.page_size, config.speculative.is_none());
        let parked = (0..config.pp_size).map(|_| Parked::new(running())).collect();
        let running = running();
        let drafts = config.speculative.as_ref().map(Drafts::new);
        Ok(Self {
            config,
            memory,
            requests: Vec::new(),
            free_slots: Vec::new(),
            waiting: VecDeque::new(),
            running,
            drafts,
            micro_batch: 0,
            parked,
            extend: Vec::new(),
            begun: ForwardBatch::default(),
            launched: ForwardBatch::default(),
            launches: 0,
            epochs: Vec::new(),
            finishing: Vec::new(),
            stopping: Vec::new(),
            ending: Vec::new(),
            extend_slots: 0,
            chunked: None,
            prealloc: VecDeque::new(),
            retracted: VecDeque::new(),
            receiving: 0,
            received: VecDeque::new(),
            inflight: 0,
            cancelled: Vec::new(),
            shrank: false,
            processed: 0,
            now: SimTime::ZERO,
            notices: Vec::new(),
            private: 0,
            loaded: 0,
        })
    }

    /// The settings.
    #[must_use]
    pub fn config(&self) -> &SchedulerConfig {
        &self.config
    }

    /// The KV memory.
    #[must_use]
    pub fn memory(&self) -> &Memory {
        &self.memory
    }

    /// The running (decode) batch.
    #[must_use]
    pub fn running(&self) -> &RunningBatch {
        &self.running
    }

    /// The extend batch that is being built, until its step begins.
    #[must_use]
    pub fn extend_batch(&self) -> &[ExtendSlice] {
        &self.extend
    }

    /// The request whose prompt is being computed in chunks, if any.
    #[must_use]
    pub fn chunked_req(&self) -> Option<Slot> {
        self.chunked
    }

    /// The waiting queue, first to be considered first.
    #[must_use]
    pub fn waiting_queue(&self) -> impl ExactSizeIterator<Item = Slot> + '_ {
        self.waiting.iter().copied()
    }

    /// Tokens of the requests that wait, on a decode worker also of those that wait for memory \[token\].
    #[must_use]
    pub fn queued_tokens(&self) -> TokenCount {
        let queued = self.waiting.iter().chain(&self.prealloc).chain(&self.retracted);
        queued.map(|slot| self.req(*slot).total()).sum()
    }

    /// Requests of a decode worker that wait for memory for their prompt, first to be served first.
    #[must_use]
    pub fn prealloc_queue(&self) -> impl ExactSizeIterator<Item = Slot> + '_ {
        self.prealloc.iter().copied()
    }

    /// Requests of a decode worker that were pushed out of memory, first to be served first.
    #[must_use]
    pub fn retracted_queue(&self) -> impl ExactSizeIterator<Item = Slot> + '_ {
        self.retracted.iter().copied()
    }

    /// Requests of a decode worker whose KV is on its way, or here and not collected yet (SGLang's
    /// transfer queue).
    #[must_use]
    pub fn transfer_queue_len(&self) -> usize {
        self.receiving
    }

    /// Requests of a decode worker that wait for memory, pushed out of it or not in it yet.
    #[must_use]
    pub fn prealloc_queue_len(&self) -> usize {
        self.prealloc.len() + self.retracted.len()
    }

    /// Requests that were submitted and have not left.
    #[must_use]
    pub fn len(&self) -> usize {
        self.requests.len() - self.free_slots.len()
    }

    /// Whether no request is here.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Slots held by requests beside what the cache holds \[token\].
    #[must_use]
    pub fn private_tokens(&self) -> TokenCount {
        self.private
    }

    /// What a scheduler may know of a request.
    #[must_use]
    pub fn view(&self, slot: Slot) -> ReqView {
        let req = self.req(slot);
        let passed =
            if req.stage == Stage::Running { self.running.steps() - req.joined } else { 0 };
        ReqView {
            slot,
            id: req.id,
            prompt_tokens: req.prompt.tokens(),
            generated: req.generated + passed - TokenCount::from(self.is_untold(slot)),
            committed: req.committed + passed,
            max_new_tokens: req.max_new_tokens,
            ignore_eos: req.ignore_eos,
            queued_at: req.queued_at,
            labels: req.labels,
            join_order: req.join_order,
        }
    }

    /// Tokens of the cached prefix that the request was admitted with, for reports \[token\].
    #[must_use]
    pub fn cached_tokens(&self, slot: Slot) -> TokenCount {
        self.req(slot).cached
    }

    /// Id of a request.
    #[must_use]
    pub fn id(&self, slot: Slot) -> RequestId {
        self.req(slot).id
    }

    /// Takes the notices of what happened since the last call, in order.
    pub fn drain_notices(&mut self) -> std::vec::Drain<'_, Notice> {
        self.notices.drain(..)
    }

    pub(crate) fn notify(&mut self, notice: Notice) {
        self.notices.push(notice);
    }

    pub(crate) fn req(&self, slot: Slot) -> &Req {
        &self.requests[slot.index()]
    }

    pub(crate) fn req_mut(&mut self, slot: Slot) -> &mut Req {
        &mut self.requests[slot.index()]
    }

    /// A request arrives: at the tail of the waiting queue, or, on a decode worker, of the queue
    /// for memory. Its output limit is cut to what the rank can hold, as SGLang does. If the queue is
    /// full and priorities are on, it may take the place of a less urgent one, which is aborted.
    ///
    /// # Errors
    ///
    /// [`SchedError::EmptyPrompt`]; [`SchedError::PromptTooLong`] if the prompt can never be
    /// scheduled here; [`SchedError::QueueFull`].
    pub fn submit(&mut self, new: Submission) -> Result<Slot, SchedError> {
        let tokens = new.prompt.tokens();
        self.config.check_prompt(new.id, tokens)?;
        let room = self.config.max_new_tokens(tokens);
        let prefill_only = self.config.mode == DisaggregationMode::Prefill;
        let room = if prefill_only { 1 } else { room };
        let max_new_tokens = new.max_new_tokens.clamp(1, room);
        let stop_after = new.stop_after.clamp(1, max_new_tokens);
        self.now = self.now.max(new.arrival);
        let id = new.id;
        let slot = self.insert(Req::new(new, max_new_tokens, stop_after));
        if self.config.mode == DisaggregationMode::Decode {
            self.prealloc.push_back(slot);
        } else if !self.enqueue(slot) {
            self.forget(slot);
            let limit = self.config.max_queued_requests.unwrap_or(0);
            return Err(SchedError::QueueFull { request: id, limit });
        }
        Ok(slot)
    }

    /// Puts a request at the tail of the waiting queue. If that is full, the least urgent and newest
    /// one has to go: `false` if that is this one, which is then in no queue.
    ///
    /// # Source
    ///
    /// SGLang 0.5.23, `managers/scheduler.py:Scheduler._abort_on_queued_limit`.
    pub(crate) fn enqueue(&mut self, slot: Slot) -> bool {
        let is_full = self.config.mode == DisaggregationMode::Null
            && self
                .config
                .max_queued_requests
                .is_some_and(|most| self.waiting.len() >= most as usize);
        if is_full {
            let urgency = |slot: Slot| self.config.urgency(self.req(slot).labels.priority);
            let last = (self.waiting.iter().copied().enumerate())
                .filter(|_| self.config.enable_priority_scheduling)
                .max_by_key(|&(place, other)| {
                    let newest = std::cmp::Reverse(place);
                    (std::cmp::Reverse(urgency(other)), self.req(other).queued_at, newest)
                });
            let Some((place, other)) = last.filter(|&(_, other)| urgency(slot) > urgency(other))
            else {
                return false;
            };
            self.waiting.remove(place);
            self.abort(other);
        }
        let (now, processed) = (self.now, self.processed);
        let req = self.req_mut(slot);
        req.stage = Stage::Waiting;
        req.queued_at = req.queued_at.max(now);
        req.queued_after = processed;
        self.waiting.push_back(slot);
        true
    }

    /// Gives a request up that is in no queue: SGLang answers it with an error.
    pub(crate) fn abort(&mut self, slot: Slot) {
        let id = self.id(slot);
        self.release(slot, false);
        self.notify(Notice::Aborted { slot, id });
        self.forget(slot);
    }

    /// Gives a request a place in the table; it is in no queue yet.
    pub(crate) fn insert(&mut self, req: Req) -> Slot {
        match self.free_slots.pop() {
            Some(slot) => {
                // The epoch goes on counting: heap entries of the slot's last tenant stay stale.
                let epoch = self.req(slot).epoch;
                *self.req_mut(slot) = Req { epoch, ..req };
                slot
            }
            None => {
                self.requests.push(req);
                Slot(u32::try_from(self.requests.len() - 1).expect("fewer than 2^32 requests"))
            }
        }
    }

    /// Rows that requests hold: running, in their last step, in the extend batch, between chunks, or
    /// sending their KV.
    #[must_use]
    pub fn rows(&self) -> usize {
        let chunked_outside =
            self.chunked.is_some_and(|slot| self.req(slot).stage == Stage::Chunked);
        let extending = self.extend.len() + self.begun.extend.len();
        let leaving = self.finishing.len() + self.inflight;
        let here = self.running.len() + extending + usize::from(chunked_outside) + leaving;
        here + self.parked_rows()
    }

    /// Rows that are left of `max_running_requests`, and with pipeline stages of what a micro-batch may have.
    #[must_use]
    pub fn free_rows(&self) -> usize {
        let all = (self.config.max_running_requests as usize).saturating_sub(self.rows());
        let here = self.running.len() + self.finishing.len();
        all.min((self.config.micro_batch_size() as usize).saturating_sub(here))
    }

    fn release_private(&mut self, tokens: TokenCount) {
        self.private -= tokens;
        self.memory.release(tokens);
    }

    pub(crate) fn hold_private(&mut self, tokens: TokenCount) {
        self.private += tokens;
    }

    /// Publishes what a request has computed to the cache.
    pub(crate) fn checkpoint(&mut self, slot: Slot) {
        let req = &mut self.requests[slot.index()];
        let mut held = req.held.take().expect("a request that computed tokens holds its prefix");
        let before = held.protected();
        self.memory.checkpoint(&mut held, req.key(req.committed), req.prompt.tokens());
        // What is now protected was private before; the duplicates among it are free already.
        self.private -= held.protected() - before;
        req.held = Some(held);
    }

    /// Lets go of everything a request holds and, if `publish`, leaves its KV in the cache.
    pub(crate) fn release(&mut self, slot: Slot, publish: bool) {
        if publish {
            self.checkpoint(slot);
        }
        let req = self.req_mut(slot);
        let private = req.allocated - req.protected();
        let held = req.held.take();
        req.allocated = 0;
        req.committed = 0;
        self.release_private(private);
        if let Some(held) = held {
            held.unlock(self.memory.cache());
        }
    }

    /// The request is gone; its place can be used again.
    pub(crate) fn forget(&mut self, slot: Slot) {
        self.cancelled.retain(|cancelled| *cancelled != slot);
        let req = self.req_mut(slot);
        req.stage = Stage::Gone;
        // What was launched for it finds nobody.
        req.epoch += 1;
        self.free_slots.push(slot);
    }

    pub(crate) fn join_running(&mut self, slot: Slot) {
        let req = &mut self.requests[slot.index()];
        req.stage = Stage::Running;
        self.running.join(slot, req);
    }

    pub(crate) fn leave_running(&mut self, slot: Slot) {
        let page = TokenCount::from(self.config.page_size);
        let untold = self.is_untold(slot);
        // A step that has begun took its slot already.
        let taken = TokenCount::from(self.begun.mode.decodes());
        let req = &mut self.requests[slot.index()];
        let moved = self.running.leave(req, untold);
        let position = req.position;
        if self.drafts.is_none() {
            req.allocated = (req.committed + taken).next_multiple_of(page);
        }
        self.shrank = true;
        if let Some(moved) = moved {
            self.requests[moved.index()].position = position;
        }
    }

    pub(crate) fn finish(&mut self, slot: Slot) {
        let req = self.req(slot);
        let (id, generated) = (req.id, req.generated);
        self.release(slot, true);
        self.shrank = true;
        self.notify(Notice::Finished { slot, id, generated });
        self.forget(slot);
    }

    /// The KV of a prefilled request has been sent: it leaves, and its KV stays in the cache until
    /// evicted.
    ///
    /// # Errors
    ///
    /// [`SchedError::WrongState`] if the request is not sending.
    pub fn finish_send(&mut self, slot: Slot) -> Result<(), SchedError> {
        self.expect(slot, Stage::Inflight, "released")?;
        self.inflight -= 1;
        self.release(slot, true);
        self.shrank = true;
        self.forget(slot);
        Ok(())
    }

    pub(crate) fn expect(
        &self,
        slot: Slot,
        stage: Stage,
        wanted: &'static str,
    ) -> Result<(), SchedError> {
        let req = self.req(slot);
        if req.stage == stage {
            Ok(())
        } else {
            Err(SchedError::WrongState { request: req.id, state: req.stage.name(), wanted })
        }
    }
}

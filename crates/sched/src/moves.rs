//! The moves a scheduler can make. Each checks first and then acts: a refused move changes nothing.

use sglsim_radix::{Holding, PrefixMatch};
use sglsim_units::TokenCount;

use crate::SchedError;
use crate::batch::BatchState;
use crate::notice::Notice;
use crate::request::{Slot, Stage};
use crate::step::ExtendSlice;

impl BatchState {
    /// The longest cached prefix of a waiting request, at most all but its last token: one token is
    /// always computed. Counts as a use of the prefix.
    pub fn match_prefix(&mut self, slot: Slot) -> PrefixMatch {
        let req = &mut self.requests[slot.index()];
        let found = self.memory.match_prefix(req.key(req.total() - 1));
        req.prefix = found.tokens;
        req.matched = found.tokens + found.host_tokens;
        found
    }

    /// Pins a found prefix, so that it counts as used. Undone by [`BatchState::unpin`].
    pub fn pin(&mut self, found: PrefixMatch) {
        self.memory.cache().lock(found.node);
    }

    /// Undoes a [`BatchState::pin`].
    pub fn unpin(&mut self, found: PrefixMatch) {
        self.memory.cache().unlock(found.node);
    }

    /// Takes a waiting request into the extend batch with a first slice of `extend` tokens after
    /// the prefix that was found. If a remainder stays, it becomes the chunked request.
    ///
    /// # Errors
    ///
    /// [`SchedError::WrongState`] if the request does not wait, [`SchedError::BadSlice`] if the
    /// slice is empty, too long or not on a page, [`SchedError::SecondChunk`] if it is a cut while
    /// another prompt is being chunked, [`SchedError::NoRow`], [`SchedError::OutOfMemory`].
    pub fn admit(
        &mut self,
        slot: Slot,
        found: PrefixMatch,
        extend: TokenCount,
    ) -> Result<(), SchedError> {
        self.expect(slot, Stage::Waiting, "admitted")?;
        let (page, id) = (TokenCount::from(self.config.page_size), self.id(slot));
        // On a decode worker, requests wait in other queues too, and those cannot be computed.
        let Some(position) = self.waiting.iter().position(|waiting| *waiting == slot) else {
            let state = "in a queue of a decode worker";
            return Err(SchedError::WrongState { request: id, state, wanted: "admitted" });
        };
        let rest = self.req(slot).total().saturating_sub(found.tokens);
        let last = extend == rest;
        let end = found.tokens + extend;
        let on_page = last || end.is_multiple_of(page) || !self.memory.caches();
        if extend == 0 || extend > rest || !on_page {
            let page_size = self.config.page_size;
            return Err(SchedError::BadSlice { request: id, extend, rest, page_size });
        }
        if !last && let Some(other) = self.chunked {
            return Err(SchedError::SecondChunk { request: id, chunked: self.id(other) });
        }
        let running = self.rows();
        if running >= self.config.max_running_requests as usize {
            let allowed = self.config.max_running_requests;
            return Err(SchedError::NoRow { request: id, running, allowed });
        }
        let slots = end.next_multiple_of(page) - found.tokens;
        let held = Holding::lock(self.memory.cache(), found);
        self.reserve(slot, slots).inspect_err(|_| self.unpin(found))?;

        self.waiting.remove(position);
        let req = self.req_mut(slot);
        let again = req.generated > 0;
        req.stage = Stage::Extending;
        req.held = Some(held);
        req.committed = found.tokens;
        req.cached = found.tokens;
        req.allocated = end.next_multiple_of(page);
        let (cached, host) = (found.tokens, std::mem::take(&mut req.loaded));
        self.extend.push(ExtendSlice { slot, prefix: found.tokens, extend, last });
        if !last {
            self.chunked = Some(slot);
        }
        self.notify(Notice::Admitted { slot, id, cached, host, again });
        Ok(())
    }

    /// Takes the next slice of the chunked request into the extend batch.
    ///
    /// # Errors
    ///
    /// [`SchedError::WrongState`] if the request is not between two chunks,
    /// [`SchedError::BadSlice`] if the slice is empty or too long, [`SchedError::OutOfMemory`].
    pub fn continue_chunked(&mut self, slot: Slot, extend: TokenCount) -> Result<(), SchedError> {
        self.expect(slot, Stage::Chunked, "continued")?;
        let page = TokenCount::from(self.config.page_size);
        let req = self.req(slot);
        let (id, rest, prefix, allocated) = (req.id, req.rest(), req.committed, req.allocated);
        if extend == 0 || extend > rest {
            let page_size = self.config.page_size;
            return Err(SchedError::BadSlice { request: id, extend, rest, page_size });
        }
        let end = (prefix + extend).next_multiple_of(page);
        self.reserve(slot, end.saturating_sub(allocated))?;
        let last = extend == rest;
        let req = self.req_mut(slot);
        req.stage = Stage::Extending;
        req.allocated = req.allocated.max(end);
        self.extend.push(ExtendSlice { slot, prefix, extend, last });
        if last {
            self.chunked = None;
        }
        Ok(())
    }

    /// Tokens by which the chunked request can grow into what is free or evictable \[token\].
    pub(crate) fn room_for_chunk(&self, slot: Slot) -> TokenCount {
        let req = self.req(slot);
        let open_page = req.allocated - req.committed;
        open_page + self.memory.allocatable().saturating_sub(self.extend_slots)
    }

    /// Sets slots aside for the extend batch. They are taken when the step begins, as in SGLang,
    /// so that what can be evicted until then is what the whole batch leaves.
    fn reserve(&mut self, slot: Slot, slots: TokenCount) -> Result<(), SchedError> {
        let available = self.memory.allocatable().saturating_sub(self.extend_slots);
        if slots > available {
            return Err(SchedError::OutOfMemory {
                request: self.id(slot),
                needed: slots,
                available,
            });
        }
        self.extend_slots += slots;
        Ok(())
    }

    /// Makes room for one decode step by eviction; `false` if it does not suffice.
    pub fn check_decode_mem(&mut self) -> bool {
        let needed = self.slots_for_decode();
        self.memory.make_room(needed);
        self.memory.available() >= needed
    }

    /// Whether a decode step of the running batch fits beside the extend batch that was formed, if
    /// there is anybody to decode.
    #[must_use]
    pub fn decode_fits_beside_extend(&self) -> bool {
        let needed = self.extend_slots + self.slots_for_decode();
        !self.running.is_empty() && needed <= self.memory.allocatable()
    }

    /// Pushes a running request, or the one between two chunks, out of memory, to the tail of the
    /// waiting queue; its output so far is kept and will be prefilled again. On a decode worker its
    /// KV moves to the host instead.
    ///
    /// # Errors
    ///
    /// [`SchedError::WrongState`] if it is neither.
    pub fn retract(&mut self, slot: Slot) -> Result<(), SchedError> {
        if self.chunked == Some(slot) && self.req(slot).stage == Stage::Chunked {
            self.chunked = None;
            self.shrank = true;
        } else {
            self.expect(slot, Stage::Running, "retracted")?;
            // A token that is not known yet will be thrown away.
            let untold = self.is_untold(slot);
            self.leave_running(slot);
            let req = self.req_mut(slot);
            req.generated -= TokenCount::from(untold);
            req.pending = 0;
        }
        self.release(slot, false);
        let req = self.req_mut(slot);
        req.stage = Stage::Waiting;
        let (id, generated) = (req.id, req.generated);
        self.notify(Notice::Retracted { slot, id, generated });
        if self.config.mode == crate::DisaggregationMode::Decode {
            self.retracted.push_back(slot);
        } else if !self.enqueue(slot) {
            self.abort(slot);
        }
        Ok(())
    }

    /// The same, but it waits before everybody else.
    ///
    /// # Errors
    ///
    /// Those of [`BatchState::retract`].
    pub fn retract_to_head(&mut self, slot: Slot) -> Result<(), SchedError> {
        self.retract(slot)?;
        if self.waiting.back() == Some(&slot) {
            self.waiting.rotate_right(1);
        }
        Ok(())
    }

    /// Takes those out of the running batch that reach `max_new_tokens` by the step now under way, as
    /// far as one is; they hold their memory until its results are known. Returns whether there were
    /// any. That a request stops earlier cannot be foreseen.
    ///
    /// # Source
    ///
    /// SGLang 0.5.23, `managers/scheduler.py:Scheduler._reqs_finishing_inflight`.
    pub fn drop_finishing(&mut self) -> bool {
        let before = self.finishing.len();
        if self.drafts.is_some() && self.is_step_in_flight() {
            for slot in self.finishing_by_draft() {
                self.leave_running(slot);
                self.req_mut(slot).stage = Stage::Finishing;
                self.finishing.push(slot);
            }
        }
        while let Some(slot) = {
            let requests = &self.requests;
            self.running.pop_finished(|slot, epoch| requests[slot.index()].epoch == epoch)
        } {
            if self.req(slot).stop_after < self.req(slot).max_new_tokens {
                let epoch = self.req(slot).epoch;
                self.stopping.push((slot, epoch));
                continue;
            }
            self.leave_running(slot);
            self.req_mut(slot).stage = Stage::Finishing;
            self.finishing.push(slot);
        }
        self.finishing.len() > before
    }

    /// Gives a running request up: it leaves with what it has generated, as SGLang answers it with an
    /// error when there is no memory for it and nobody else to push out.
    ///
    /// # Errors
    ///
    /// [`SchedError::WrongState`] if it does not run.
    pub fn give_up(&mut self, slot: Slot) -> Result<(), SchedError> {
        self.expect(slot, Stage::Running, "given up")?;
        self.leave_running(slot);
        self.req_mut(slot).pending = 0;
        self.abort(slot);
        Ok(())
    }

    /// Reserves memory for the whole prompt of the first request in the queue for memory.
    ///
    /// # Errors
    ///
    /// [`SchedError::OutOfMemory`] if its prompt does not fit.
    pub fn preallocate_first(&mut self) -> Result<(), SchedError> {
        let Some(&slot) = self.prealloc.front() else { return Ok(()) };
        let tokens = self.req(slot).prompt.tokens();
        self.take_whole(slot, tokens)?;
        self.prealloc.pop_front();
        self.req_mut(slot).stage = Stage::Receiving;
        self.receiving += 1;
        let id = self.id(slot);
        self.notify(Notice::Preallocated { slot, id });
        Ok(())
    }

    /// Brings the first request that was pushed out back from the host.
    ///
    /// # Errors
    ///
    /// [`SchedError::OutOfMemory`] if it does not fit.
    pub fn resume_first(&mut self) -> Result<(), SchedError> {
        let Some(&slot) = self.retracted.front() else { return Ok(()) };
        // The newest token has no KV yet.
        let tokens = self.req(slot).total() - 1;
        self.take_whole(slot, tokens)?;
        self.retracted.pop_front();
        self.req_mut(slot).stage = Stage::Received;
        self.waiting.push_back(slot);
        Ok(())
    }

    fn take_whole(&mut self, slot: Slot, tokens: TokenCount) -> Result<(), SchedError> {
        let slots = tokens.next_multiple_of(TokenCount::from(self.config.page_size));
        self.memory.make_room(slots);
        if !self.memory.allocate(slots) {
            return Err(SchedError::OutOfMemory {
                request: self.id(slot),
                needed: slots,
                available: self.memory.allocatable(),
            });
        }
        self.hold_private(slots);
        // The cache knows nothing of it yet.
        let root = self.memory.match_prefix(sglsim_radix::Key::of(&[]));
        let held = Holding::lock(self.memory.cache(), root);
        let req = self.req_mut(slot);
        req.held = Some(held);
        req.allocated = slots;
        req.committed = tokens;
        Ok(())
    }

    /// The KV of a prompt has arrived: its request can be collected.
    ///
    /// # Errors
    ///
    /// [`SchedError::WrongState`] if it was not expected.
    pub fn finish_receive(&mut self, slot: Slot) -> Result<(), SchedError> {
        self.expect(slot, Stage::Receiving, "received")?;
        self.req_mut(slot).stage = Stage::Received;
        self.received.push_back(slot);
        Ok(())
    }

    /// Moves requests whose KV has arrived to the waiting queue, in the order of arrival.
    pub fn collect_received(&mut self) {
        self.receiving -= self.received.len();
        self.waiting.append(&mut self.received);
    }

    /// Merges collected requests into the running batch, first come first, as rows allow. Each brings
    /// its first token with it and may be finished by it.
    pub fn merge_prebuilt(&mut self) {
        while self.running.len() < self.config.max_running_requests as usize
            && let Some(&slot) = self.waiting.front()
            && self.req(slot).stage == Stage::Received
        {
            self.waiting.pop_front();
            let req = self.req_mut(slot);
            let id = req.id;
            if req.generated == 0 {
                req.generated = 1;
                let done = req.stop_after <= 1;
                self.notify(Notice::Prebuilt { slot, id });
                if done {
                    self.finish(slot);
                    continue;
                }
            } else {
                self.notify(Notice::Resumed { slot, id });
            }
            self.join_running(slot);
        }
    }
}

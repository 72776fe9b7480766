//! Attempts: the router looks for workers and hands them the request; if it comes to nothing, the router
//! tries again.
//!
//! As sglang-router 0.3.2 does (`core/retry.rs`): a full queue, a worker that is down or dies, and KV
//! that does not come are answered with a status that is tried again, up to `retry_max_retries` attempts
//! in all, with growing pauses and a new choice each time. A prompt that is too long is not, and nor is a
//! response of which the client has seen a token.

use sglsim_router::{Admission, Outcome, PdPair, PdResponse, Response, RouteRequest};
use sglsim_sched::{SchedError, Submission};
use sglsim_units::{RequestId, SimTime, TokenCount, WorkerId};
use sglsim_workload::{Finished, output_content};

use super::{Place, Routing, Run};
use crate::error::EngineError;
use crate::observer::{Event, Failure};
use crate::scenario::Oversized;
use crate::timers::{Limit, Timer};

impl Run<'_> {
    /// A request that has arrived goes on to a worker, or waits for the router to let it through.
    pub(super) fn let_in(&mut self, id: RequestId) -> Result<(), EngineError> {
        self.limits[Limit::Client as usize].start(self.now, id, 0);
        match self.limiter.arrive(self.now, id) {
            Admission::Admitted => {
                self.live.get(id).has_token = true;
                self.attempt(id)
            }
            Admission::Queued => Ok(()),
            Admission::Refused => self.end(id, Event::Refused { id }),
        }
    }

    /// The router looks for workers and hands them the request.
    pub(super) fn attempt(&mut self, id: RequestId) -> Result<(), EngineError> {
        let live = self.live.get(id);
        live.attempts += 1;
        let (attempt, tokens) = (live.attempts, live.request.prompt.tokens());
        let Some((prefill, decode)) = self.route(id)? else {
            return self.try_later(id, Event::Refused { id });
        };
        self.emit(&Event::Routed { id, prefill, decode });
        let is_pair = matches!(self.routing, Routing::Pair(_));
        self.tell_load(prefill);
        if is_pair {
            self.tell_load(decode);
        }
        let prefill = self.place(prefill, tokens);
        let decode = if is_pair { self.place(decode, tokens) } else { prefill };
        let live = self.live.get(id);
        (live.prefill, live.decode) = (prefill, decode);
        (live.is_placed, live.is_reserved, live.all_sent) = (true, false, false);
        self.fleet[prefill.worker.index()].serving += 1;
        self.fleet[decode.worker.index()].serving += 1;
        self.limits[Limit::Request as usize].start(self.now, id, attempt);
        let down = [prefill, decode].into_iter().find(|place| !self.is_up(place.worker));
        if let Some(down) = down {
            // The connection is refused.
            return self.attempt_failed(id, Some(down.worker), Failure::WorkerLost);
        }
        if is_pair {
            self.limits[Limit::Bootstrap as usize].start(self.now, id, attempt);
        }

        // A pair reserves memory on the decode worker first; only then may the prompt be computed.
        // Whether the prefill worker can ever hold it is asked before anything is promised.
        let asked = if is_pair {
            let prefill_limits = self.batch(prefill).config().clone();
            match prefill_limits.check_prompt(id, tokens) {
                Ok(()) => self.submit_decode(id),
                Err(error) => Err((prefill.worker, error)),
            }
        } else {
            self.submit_prefill(id)
        };
        match asked {
            Ok(worker) => {
                self.wake(worker);
                Ok(())
            }
            Err((_, SchedError::PromptTooLong { .. })) if self.oversized == Oversized::Refuse => {
                self.answered(id, [Outcome::Failure; 2])?;
                self.end(id, Event::Refused { id })
            }
            Err((_, SchedError::QueueFull { .. })) => self.turned_away(id),
            Err((worker, error)) => Err(self.worker_error(worker, error)),
        }
    }

    /// A worker has answered the request with status 503: its queue is full, or it has no memory.
    pub(super) fn turned_away(&mut self, id: RequestId) -> Result<(), EngineError> {
        self.withdraw(id);
        self.answered(id, [Outcome::Failure; 2])?;
        self.try_later(id, Event::Refused { id })
    }

    /// An attempt has come to nothing because of a worker, or of both.
    pub(super) fn attempt_failed(
        &mut self,
        id: RequestId,
        because_of: Option<WorkerId>,
        reason: Failure,
    ) -> Result<(), EngineError> {
        self.withdraw(id);
        let live = self.live.get(id);
        let outcomes = [live.prefill, live.decode].map(|place| match because_of {
            Some(worker) if worker != place.worker => Outcome::Abandoned,
            _ => Outcome::Failure,
        });
        let has_begun = live.has_begun;
        self.answered(id, outcomes)?;
        if has_begun {
            return self.end(id, Event::Failed { id, reason });
        }
        self.try_later(id, Event::Failed { id, reason })
    }

    /// The request pauses before its next attempt, or has had its last one.
    fn try_later(&mut self, id: RequestId, end: Event<'_>) -> Result<(), EngineError> {
        let attempts = self.live.get(id).attempts;
        if attempts >= self.retry.attempts() {
            return self.end(id, end);
        }
        let pause = self.retry.pause(attempts, &mut self.pauses);
        self.timers.set(self.now + pause, Timer::Retry(id));
        self.emit(&Event::Retried { id, attempts });
        Ok(())
    }

    /// Somebody has waited too long.
    pub(super) fn timed_out(&mut self, id: RequestId, limit: Limit) -> Result<(), EngineError> {
        if limit != Limit::Client {
            return self.attempt_failed(id, None, Failure::TimedOut);
        }
        let live = self.live.get(id);
        if live.is_placed {
            self.withdraw(id);
            self.answered(id, [Outcome::Abandoned; 2])?;
        }
        self.limiter.forget(id);
        self.end(id, Event::Failed { id, reason: Failure::Abandoned })
    }

    /// The next request in the router's queue has a token, or has waited too long.
    pub(super) fn leave_router_queue(&mut self) -> Result<(), EngineError> {
        match self.limiter.pop(self.now) {
            Some((id, true)) => {
                self.live.get(id).has_token = true;
                self.attempt(id)
            }
            Some((id, false)) => self.end(id, Event::Refused { id }),
            None => Ok(()),
        }
    }

    /// Takes the request away from its workers and from the network.
    pub(super) fn withdraw(&mut self, id: RequestId) {
        let live = self.live.get(id);
        let (prefill, decode) = (live.prefill, live.decode);
        (live.prefill.slot, live.decode.slot) = (None, None);
        let under_way = std::mem::take(&mut live.flows);
        live.first_piece = live.pieces;
        if under_way > 0 {
            self.under_way = self.under_way.saturating_sub(u64::from(under_way));
            self.fabric.cancel(self.now, id, prefill.port(), decode.port());
            // A fabric may deliver what is not wanted any more.
            self.cancelled.insert(id, self.live.get(id).first_piece);
        }
        for place in [prefill, decode] {
            if let Some(slot) = place.slot
                && self.is_up(place.worker)
            {
                self.batch(place).cancel(slot);
                self.tell_memory(place.worker, place.rank);
                self.wake(place.worker);
            }
        }
    }

    /// Tells observers what the router saw of a worker that it has just chosen.
    fn tell_load(&mut self, worker: WorkerId) {
        let seen = self.router_of(worker).load(worker).saturating_sub(1);
        let there = self.workers[worker.index()].ranks.iter().map(|rank| rank.batch.len());
        let real = u32::try_from(there.sum::<usize>()).unwrap_or(u32::MAX);
        self.emit(&Event::Chosen { worker, seen, real });
    }

    fn place(&mut self, worker: WorkerId, prompt: TokenCount) -> Place {
        let rank = self.workers[worker.index()].next_rank(self.now, prompt);
        Place { worker, rank, slot: None }
    }

    /// The workers that the router chooses, if it finds any.
    fn route(&mut self, id: RequestId) -> Result<Option<(WorkerId, WorkerId)>, EngineError> {
        let live = self.live.find(id).expect("an unfinished request is in the table");
        let asked = RouteRequest::new(&live.request.prompt, self.now);
        let asked = asked.with_routing_key(live.routing_key);
        let chosen = match &mut self.routing {
            Routing::One(router) => router.route(&asked).map(|worker| (worker, worker)),
            Routing::Pair(router) => router.route(&asked).map(|pair| (pair.prefill, pair.decode)),
        };
        match chosen {
            Ok(pair) => Ok(Some(pair)),
            Err(error) if error.is_unavailable() => Ok(None),
            Err(source) => Err(EngineError::Router { at: self.now, seed: self.seed, source }),
        }
    }

    fn submission(&mut self, id: RequestId) -> Submission {
        let now = self.now;
        let request = &self.live.get(id).request;
        Submission {
            id,
            prompt: request.prompt.clone(),
            output_content: output_content(id),
            max_new_tokens: TokenCount::from(request.max_new_tokens),
            stop_after: TokenCount::from(request.output_len),
            ignore_eos: request.ignore_eos,
            arrival: now,
            labels: request.labels,
        }
    }

    pub(super) fn submit_prefill(
        &mut self,
        id: RequestId,
    ) -> Result<WorkerId, (WorkerId, SchedError)> {
        let submission = self.submission(id);
        let place = self.live.get(id).prefill;
        let slot = self.batch(place).submit(submission).map_err(|error| (place.worker, error))?;
        self.live.get(id).prefill.slot = Some(slot);
        self.emit(&Event::Queued { id });
        Ok(place.worker)
    }

    fn submit_decode(&mut self, id: RequestId) -> Result<WorkerId, (WorkerId, SchedError)> {
        let submission = self.submission(id);
        let place = self.live.get(id).decode;
        let slot = self.batch(place).submit(submission).map_err(|error| (place.worker, error))?;
        self.live.get(id).decode.slot = Some(slot);
        Ok(place.worker)
    }

    /// The responses of a request's prefill and decode worker have ended: the router is told.
    fn answered(&mut self, id: RequestId, outcomes: [Outcome; 2]) -> Result<(), EngineError> {
        let at = self.now;
        let live = self.live.get(id);
        live.is_placed = false;
        let (routing_key, workers) = (live.routing_key, [live.prefill.worker, live.decode.worker]);
        let told = match &mut self.routing {
            Routing::One(router) => {
                let [worker, _] = workers;
                router.finished(&Response { worker, routing_key, outcome: outcomes[0], at })
            }
            Routing::Pair(router) => {
                let pair = PdPair { prefill: workers[0], decode: workers[1] };
                let [prefill, decode] = outcomes;
                router.finished(&PdResponse { pair, routing_key, prefill, decode, at })
            }
        };
        // A worker that is being restarted has left the router before its requests ended.
        let is_known = workers.iter().all(|worker| self.fleet[worker.index()].is_routed);
        if is_known {
            told.map_err(|source| EngineError::Router { at, seed: self.seed, source })?;
        }
        for worker in workers {
            self.fleet[worker.index()].serving -= 1;
        }
        // It stops when what now happens is over.
        for worker in workers {
            if self.fleet[worker.index()].is_drained() {
                self.timers.set(at, Timer::Stop(worker));
            }
        }
        Ok(())
    }

    /// A request has all its tokens.
    pub(super) fn finished(
        &mut self,
        id: RequestId,
        output: TokenCount,
    ) -> Result<(), EngineError> {
        self.answered(id, [Outcome::Success; 2])?;
        self.leave(id, output);
        Ok(())
    }

    /// A request ends without all its tokens.
    pub(super) fn end(&mut self, id: RequestId, event: Event<'_>) -> Result<(), EngineError> {
        self.emit(&event);
        self.leave(id, 0);
        Ok(())
    }

    /// A request leaves the system: the limiter and the workload are told.
    fn leave(&mut self, id: RequestId, output: TokenCount) {
        if self.live.remove(id).has_token {
            self.limiter.release(self.now);
        }
        let output_len = u32::try_from(output).unwrap_or(u32::MAX);
        self.workload.on_finished(&Finished { id, at: self.now, output_len });
    }

    // --- time ---------------------------------------------------------------------------------

    /// When the next of all that is to happen at a known time does.
    pub(super) fn next_timer(&mut self) -> Option<SimTime> {
        let scaling = self.scaling.as_ref().map(|scaling| scaling.next);
        let next = [self.timers.peek(), self.limiter.next(), scaling];
        let next = next.into_iter().flatten().min();
        let limit = self.next_limit().map(|(at, _)| at);
        [next, limit].into_iter().flatten().min()
    }

    fn next_limit(&mut self) -> Option<(SimTime, Limit)> {
        let live = &self.live;
        let mut next: Option<(SimTime, Limit)> = None;
        for limit in [Limit::Request, Limit::Bootstrap, Limit::Waiting, Limit::Client] {
            let holds = |id: RequestId, attempt: u32| {
                live.look(id).is_some_and(|live| {
                    let is_now = live.is_placed && live.attempts == attempt;
                    match limit {
                        Limit::Request => is_now,
                        Limit::Bootstrap => is_now && !live.is_reserved,
                        Limit::Waiting => is_now && live.prefill.slot.is_some(),
                        Limit::Client => true,
                    }
                })
            };
            if let Some(at) = self.limits[limit as usize].peek(holds)
                && next.is_none_or(|(earliest, _)| at < earliest)
            {
                next = Some((at, limit));
            }
        }
        next
    }

    /// The next of them happens: a timer before a limit, a limit before the router's queue.
    pub(super) fn timer(&mut self) -> Result<(), EngineError> {
        let now = self.now;
        if self.timers.peek().is_some_and(|at| at <= now) {
            return match self.timers.pop() {
                Some(Timer::Retry(id)) if self.live.find(id).is_some() => self.attempt(id),
                Some(Timer::Retry(_)) | None => Ok(()),
                Some(Timer::Fault(at)) => self.begin_fault(at),
                Some(Timer::Mend(at)) => self.end_fault(at),
                Some(Timer::Stop(worker)) => self.stop_if_drained(worker),
                Some(Timer::Up(worker)) => self.come_up(worker),
                Some(Timer::Health { worker, outage, is_up }) => {
                    self.see_health(worker, outage, is_up)
                }
            };
        }
        if let Some((at, limit)) = self.next_limit()
            && at <= now
        {
            return match self.limits[limit as usize].pop() {
                Some(id) => self.timed_out(id, limit),
                None => Ok(()),
            };
        }
        if self.limiter.next().is_some_and(|at| at <= now) {
            return self.leave_router_queue();
        }
        self.scale()
    }
}

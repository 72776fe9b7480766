//! One run: the event loop that moves requests from the workload over the router, the workers and
//! the fabric to their end.

mod flow;
mod stages;
mod steps;

use std::fmt;

use sglsim_kernels::TransferProgram;
use sglsim_router::{
    Outcome, PdPair, PdResponse, PdRouter, Response, RouteRequest, Router, RoutingKey,
};
use sglsim_sched::{BatchState, DisaggregationMode, Notice, SchedError, Slot, Submission};
use sglsim_units::{RequestId, SimTime, TokenCount, WorkerId};
use sglsim_workload::{Finished, Request, Workload, output_content};

use crate::error::EngineError;
use crate::event::{Class, StepQueue, next_event};
use crate::fabric::{Fabric, Port};
use crate::metrics::Metrics;
use crate::observer::{Event, Observer};
use crate::scenario::Oversized;
use crate::worker::Worker;

/// Who chooses a request's workers.
#[derive(Debug)]
pub(crate) enum Routing {
    /// One pool.
    One(Router),
    /// Prefill and decode pools.
    Pair(PdRouter),
}

/// Where a request is.
#[derive(Clone, Copy, Debug)]
struct Place {
    worker: WorkerId,
    rank: usize,
    slot: Option<Slot>,
}

impl Place {
    fn port(self) -> Port {
        Port { worker: self.worker, rank: self.rank }
    }
}

/// A request that has not finished.
#[derive(Debug)]
struct Live {
    request: Request,
    /// What the router knows it by.
    routing_key: Option<RoutingKey>,
    prefill: Place,
    decode: Place,
    /// Pieces of its KV that were sent, and that are under way.
    pieces: u32,
    flows: u32,
    /// Whether its last piece has been handed to the fabric.
    all_sent: bool,
}

/// The parts of a run, put together by [`Simulation`](crate::Simulation).
pub(crate) struct Run<'a> {
    pub(crate) now: SimTime,
    pub(crate) seed: u64,
    pub(crate) oversized: Oversized,
    pub(crate) workload: &'a mut dyn Workload,
    pub(crate) routing: Routing,
    pub(crate) workers: Vec<Worker>,
    pub(crate) fabric: Box<dyn Fabric>,
    pub(crate) transfer: Option<TransferProgram>,
    /// Pieces of KV under way, and how often the fabric has changed its mind since the last arrival.
    pub(crate) under_way: u64,
    pub(crate) turns: u64,
    pub(crate) metrics: Metrics,
    pub(crate) observers: &'a mut [Box<dyn Observer>],
    pub(crate) steps: StepQueue,
    /// Workers that wait for a copy to the host before they can go on.
    pub(crate) copies: StepQueue,
    pub(crate) live: LiveTable,
    /// Workers that choose a step now: idle ones that may have work, and those that overlap.
    pub(crate) awake: Vec<WorkerId>,
    /// Scratch for the notices of a rank.
    pub(crate) notices: Vec<Notice>,
}

impl fmt::Debug for Run<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Run").field("now", &self.now).field("workers", &self.workers).finish()
    }
}

/// Unfinished requests by id.
#[derive(Debug, Default)]
pub(crate) struct LiveTable {
    table: Vec<Option<Box<Live>>>,
    len: usize,
}

impl LiveTable {
    fn insert(&mut self, id: RequestId, live: Live) {
        if self.table.len() <= id.index() {
            self.table.resize_with(id.index() + 1, || None);
        }
        self.table[id.index()] = Some(Box::new(live));
        self.len += 1;
    }

    fn find(&mut self, id: RequestId) -> Option<&mut Live> {
        self.table.get_mut(id.index())?.as_deref_mut()
    }

    fn get(&mut self, id: RequestId) -> &mut Live {
        self.find(id).expect("an unfinished request is in the table")
    }

    fn remove(&mut self, id: RequestId) -> Live {
        self.len -= 1;
        *self.table[id.index()].take().expect("an unfinished request is in the table")
    }

    fn first(&self) -> Option<&Live> {
        self.table.iter().flatten().next().map(|live| &**live)
    }
}

impl Run<'_> {
    /// Runs until nothing is left to happen.
    pub(crate) fn run(&mut self) -> Result<(), EngineError> {
        loop {
            let next = next_event([
                self.steps.peek(),
                self.copies.peek(),
                self.fabric.peek(),
                self.workload.peek(),
            ]);
            match next {
                Some((at, class)) if at <= self.now || self.awake.is_empty() => {
                    self.now = self.now.max(at);
                    match class {
                        Class::StepDone => self.step_done()?,
                        Class::CopyDone => {
                            if let Some(worker) = self.copies.pop() {
                                self.wake(worker);
                            }
                        }
                        Class::Delivery => self.delivery()?,
                        Class::Arrival => self.arrival()?,
                    }
                }
                _ if !self.awake.is_empty() => self.start_steps()?,
                _ => return self.check_all_done(),
            }
        }
    }

    fn check_all_done(&self) -> Result<(), EngineError> {
        let Some(first) = self.live.first() else { return Ok(()) };
        let place = if first.prefill.slot.is_some() { first.prefill } else { first.decode };
        let worker = &self.workers[place.worker.index()];
        Err(EngineError::Stalled {
            at: self.now,
            unfinished: self.live.len,
            first: first.request.id,
            worker: worker.id,
            scheduler: worker.ranks[place.rank].scheduler.name().to_owned(),
            seed: self.seed,
        })
    }

    fn emit(&mut self, event: &Event<'_>) {
        self.metrics.on_event(self.now, event);
        for observer in self.observers.iter_mut() {
            observer.on_event(self.now, event);
        }
    }

    fn wake(&mut self, worker: WorkerId) {
        if !self.workers[worker.index()].is_blocked() && !self.awake.contains(&worker) {
            self.awake.push(worker);
        }
    }

    fn batch(&mut self, place: Place) -> &mut BatchState {
        &mut self.workers[place.worker.index()].ranks[place.rank].batch
    }

    fn worker_error(&self, worker: WorkerId, source: SchedError) -> EngineError {
        let hint = match &source {
            SchedError::PromptTooLong { tokens, context_length, .. }
                if tokens >= context_length =>
            {
                "; set oversized_requests to Refuse to go on without what the model cannot take"
            }
            SchedError::PromptTooLong { .. } => {
                "; raise tp_size or mem_fraction_static, or set oversized_requests to Refuse"
            }
            SchedError::Stuck { .. } | SchedError::OutOfMemory { .. } => {
                "; raise tp_size or mem_fraction_static"
            }
            _ => "",
        };
        EngineError::Worker { at: self.now, worker, seed: self.seed, hint, source }
    }

    fn workload_error(&self, law: &'static str) -> EngineError {
        let plugin = format!("workload `{}`", self.workload.name());
        EngineError::BrokenLaw { at: self.now, plugin, law }
    }

    // --- arrivals ---------------------------------------------------------------------------

    fn arrival(&mut self) -> Result<(), EngineError> {
        let after = self.workload.released_by();
        let Some(request) = self.workload.pop() else {
            return Err(self.workload_error("`pop` gives what `peek` announced"));
        };
        if request.id.index() != self.metrics.requests.len() {
            return Err(self.workload_error("ids are 0, 1, 2, … in order of popping"));
        }
        self.emit(&Event::Arrived { request: &request, after });
        let id = request.id;
        let routing_key = request.labels.routing_key.map(|key| RoutingKey::of(&key.to_string()));
        let (prefill, decode) = self.route(&request, routing_key)?;
        self.emit(&Event::Routed { id, prefill, decode });
        let (now, prompt) = (self.now, request.prompt.tokens());
        let place = |workers: &mut Vec<Worker>, worker: WorkerId| {
            let rank = workers[worker.index()].next_rank(now, prompt);
            Place { worker, rank, slot: None }
        };
        let prefill = place(&mut self.workers, prefill);
        let is_pair = matches!(self.routing, Routing::Pair(_));
        let decode = if is_pair { place(&mut self.workers, decode) } else { prefill };
        let live =
            Live { request, routing_key, prefill, decode, pieces: 0, flows: 0, all_sent: false };
        self.live.insert(id, live);

        // A pair reserves memory on the decode worker first; only then may the prompt be computed.
        // Whether the prefill worker can ever hold it is asked before anything is promised.
        let asked = if is_pair {
            let tokens = self.live.get(id).request.prompt.tokens();
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
                self.refuse(id)
            }
            Err((_, SchedError::QueueFull { .. })) => self.refuse(id),
            Err((worker, error)) => Err(self.worker_error(worker, error)),
        }
    }

    fn route(
        &mut self,
        request: &Request,
        routing_key: Option<RoutingKey>,
    ) -> Result<(WorkerId, WorkerId), EngineError> {
        let asked = RouteRequest::new(&request.prompt, self.now).with_routing_key(routing_key);
        let chosen = match &mut self.routing {
            Routing::One(router) => router.route(&asked).map(|worker| (worker, worker)),
            Routing::Pair(router) => router.route(&asked).map(|pair| (pair.prefill, pair.decode)),
        };
        let (at, seed) = (self.now, self.seed);
        chosen.map_err(|source| EngineError::Router { at, seed, source })
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

    fn submit_prefill(&mut self, id: RequestId) -> Result<WorkerId, (WorkerId, SchedError)> {
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

    fn refuse(&mut self, id: RequestId) -> Result<(), EngineError> {
        self.emit(&Event::Refused { id });
        self.leave(id, 0, Outcome::Abandoned)
    }

    /// A request leaves the system: the router and the workload are told.
    fn leave(
        &mut self,
        id: RequestId,
        output: TokenCount,
        outcome: Outcome,
    ) -> Result<(), EngineError> {
        let live = self.live.remove(id);
        let (routing_key, at) = (live.routing_key, self.now);
        let told = match &mut self.routing {
            Routing::One(router) => {
                let worker = live.prefill.worker;
                router.finished(&Response { worker, routing_key, outcome, at })
            }
            Routing::Pair(router) => {
                let pair = PdPair { prefill: live.prefill.worker, decode: live.decode.worker };
                let (prefill, decode) = (outcome, outcome);
                router.finished(&PdResponse { pair, routing_key, prefill, decode, at })
            }
        };
        let seed = self.seed;
        told.map_err(|source| EngineError::Router { at, seed, source })?;
        let output_len = u32::try_from(output).unwrap_or(u32::MAX);
        self.workload.on_finished(&Finished { id, at: self.now, output_len });
        Ok(())
    }

    // --- what ranks tell --------------------------------------------------------------------

    /// Turns what a rank told into events, and into what follows from them elsewhere.
    fn book_notices(&mut self, worker: WorkerId, rank: usize) -> Result<(), EngineError> {
        let mut notices = std::mem::take(&mut self.notices);
        let batch = &mut self.workers[worker.index()].ranks[rank].batch;
        let mode = batch.config().mode;
        notices.extend(batch.drain_notices());
        for notice in notices.drain(..) {
            self.book(worker, rank, mode, notice)?;
        }
        self.notices = notices;
        Ok(())
    }

    fn book(
        &mut self,
        worker: WorkerId,
        rank: usize,
        mode: DisaggregationMode,
        notice: Notice,
    ) -> Result<(), EngineError> {
        let sends = mode == DisaggregationMode::Prefill;
        let state = &self.workers[worker.index()];
        let decodes_from = state.ranks[rank].batch.running().steps() + 1;
        let rank = state.batch_name(rank);
        match notice {
            Notice::Admitted { id, cached, host, again, .. } => {
                self.emit(&Event::Admitted { id, cached, host, again });
                if sends && cached > 0 {
                    // A cached prefix is sent before the rest is computed.
                    self.send(id, cached)?;
                }
            }
            Notice::Extended { id, tokens, last, .. } => {
                if last {
                    self.emit(&Event::Prefilled { id });
                }
                if sends {
                    self.live.get(id).all_sent = last;
                    self.send(id, tokens)?;
                } else if last {
                    self.emit(&Event::Token { id, worker, rank, decodes_from });
                }
            }
            Notice::Preallocated { id, .. } => {
                let asked = self.submit_prefill(id);
                let prefill = asked.map_err(|(worker, error)| self.worker_error(worker, error))?;
                self.wake(prefill);
            }
            Notice::Prebuilt { id, .. } => {
                self.emit(&Event::Token { id, worker, rank, decodes_from });
            }
            Notice::Resumed { id, .. } => {
                self.emit(&Event::Resumed { id, worker, rank, decodes_from });
            }
            Notice::Accepted { id, tokens, .. } => {
                self.emit(&Event::Accepted { id, worker, rank, tokens });
            }
            Notice::Aborted { id, .. } => self.refuse(id)?,
            Notice::Retracted { id, .. } => self.emit(&Event::Retracted { id, worker, rank }),
            Notice::Finished { id, generated, .. } => {
                self.emit(&Event::Finished { id, worker, rank, generated });
                self.leave(id, generated, Outcome::Success)?;
            }
            _ => {}
        }
        Ok(())
    }
}

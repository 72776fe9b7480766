//! One run: the event loop that moves requests from the workload over the router, the workers and
//! the fabric to their end.

mod attempts;
mod faults;
mod flow;
mod stages;
mod steps;

use std::collections::VecDeque;
use std::fmt;

use rand_pcg::Pcg64Mcg;
use sglsim_kernels::TransferProgram;
use sglsim_router::{HealthCheckConfig, Limiter, PdRouter, RetryConfig, Router, RoutingKey};
use sglsim_sched::{BatchState, DisaggregationMode, Notice, SchedError, Slot};
use sglsim_units::{HashMap, RequestId, SimTime, WorkerId};
use sglsim_workload::{Request, Workload};

use crate::blueprint::Blueprint;
use crate::error::EngineError;
use crate::event::{Class, StepQueue, next_event};
use crate::fabric::{Fabric, Port};
use crate::metrics::Metrics;
use crate::observer::{Event, Failure, Observer};
use crate::scenario::{Fault, Oversized};
use crate::timers::{Deadlines, Limit, Timers};
use crate::worker::Worker;

pub(crate) use faults::{Member, Scaling};

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
    /// Times that the router has tried to place it.
    attempts: u32,
    /// Whether the router counts it as in flight at its workers.
    is_placed: bool,
    /// Whether the router's limiter has let it through.
    has_token: bool,
    /// Whether its decode worker has reserved memory.
    is_reserved: bool,
    /// Whether its client has seen a token.
    has_begun: bool,
    /// Pieces of its KV that were ever sent, the first one of this attempt, and how many are under way.
    pieces: u32,
    first_piece: u32,
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
    /// What else is known of each of them.
    pub(crate) fleet: Vec<Member>,
    /// How to build one anew.
    pub(crate) blueprint: Blueprint,
    pub(crate) faults: Vec<Fault>,
    pub(crate) fabric: Box<dyn Fabric>,
    pub(crate) transfer: Option<TransferProgram>,
    /// Pieces of KV under way, and how often the fabric has shared links anew at which instant.
    pub(crate) under_way: u64,
    pub(crate) turns: (SimTime, u64),
    /// Requests whose pieces were cancelled, and the first piece that is wanted all the same.
    pub(crate) cancelled: HashMap<RequestId, u32>,
    pub(crate) metrics: Metrics,
    pub(crate) observers: &'a mut [Box<dyn Observer>],
    pub(crate) steps: StepQueue,
    /// Workers that wait for a copy to the host before they can go on.
    pub(crate) copies: StepQueue,
    pub(crate) timers: Timers,
    /// By [`Limit`](crate::timers::Limit).
    pub(crate) limits: [Deadlines; 4],
    pub(crate) limiter: Limiter,
    pub(crate) scaling: Option<Scaling>,
    pub(crate) retry: RetryConfig,
    pub(crate) health: HealthCheckConfig,
    /// The pauses before attempts.
    pub(crate) pauses: Pcg64Mcg,
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
    /// Those from `start` on; nobody before it is left.
    table: VecDeque<Option<Box<Live>>>,
    start: usize,
    len: usize,
}

impl LiveTable {
    fn insert(&mut self, id: RequestId, live: Live) {
        // Ids are in the order of arrival, and some leave as soon as they arrive.
        let place = id.index() - self.start;
        if self.table.len() <= place {
            self.table.resize_with(place + 1, || None);
        }
        self.table[place] = Some(Box::new(live));
        self.len += 1;
    }

    fn find(&mut self, id: RequestId) -> Option<&mut Live> {
        self.table.get_mut(id.index().checked_sub(self.start)?)?.as_deref_mut()
    }

    fn look(&self, id: RequestId) -> Option<&Live> {
        self.table.get(id.index().checked_sub(self.start)?)?.as_deref()
    }

    fn all(&self) -> impl Iterator<Item = &Live> {
        self.table.iter().flatten().map(|live| &**live)
    }

    fn get(&mut self, id: RequestId) -> &mut Live {
        self.find(id).expect("an unfinished request is in the table")
    }

    fn remove(&mut self, id: RequestId) -> Live {
        self.len -= 1;
        let live = self.table[id.index() - self.start].take();
        while self.table.pop_front_if(|live| live.is_none()).is_some() {
            self.start += 1;
        }
        *live.expect("an unfinished request is in the table")
    }

    fn first(&self) -> Option<&Live> {
        self.all().next()
    }
}

impl Run<'_> {
    /// Runs until nothing is left to happen.
    pub(crate) fn run(&mut self) -> Result<(), EngineError> {
        self.schedule_faults();
        loop {
            let arrival = self.workload.peek();
            if self.live.len == 0 && arrival.is_none() {
                // Nobody is there any more whom a fault could meet.
                self.timers.clear();
                self.scaling = None;
            }
            let next = next_event([
                self.steps.peek(),
                self.copies.peek(),
                self.fabric.peek(),
                self.next_timer(),
                arrival,
            ]);
            // Where nothing else will ever happen, patience that ends is no way out of a deadlock.
            let is_stuck = matches!(next, Some((_, Class::Timer))) && {
                let others = [self.steps.peek(), self.copies.peek(), self.fabric.peek(), arrival];
                let timers = [self.timers.peek(), self.limiter.next()];
                others.into_iter().chain(timers).all(|at| at.is_none()) && self.awake.is_empty()
            };
            let next = next.filter(|_| !is_stuck);
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
                        Class::Timer => self.timer()?,
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
        if request.id.index() != self.metrics.ledger.arrived() {
            return Err(self.workload_error("ids are 0, 1, 2, … in order of popping"));
        }
        self.emit(&Event::Arrived { request: &request, after });
        let id = request.id;
        let routing_key = request.labels.routing_key.map(|key| RoutingKey::of(&key.to_string()));
        let nowhere = Place { worker: WorkerId(0), rank: 0, slot: None };
        let live = Live {
            request,
            routing_key,
            prefill: nowhere,
            decode: nowhere,
            attempts: 0,
            is_placed: false,
            has_token: false,
            is_reserved: false,
            has_begun: false,
            pieces: 0,
            first_piece: 0,
            flows: 0,
            all_sent: false,
        };
        self.live.insert(id, live);
        self.let_in(id)
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
        let name = state.batch_name(rank);
        let (slot, id) = notice.subject();
        let is_current = self.live.look(id).is_some_and(|live| {
            let place = if mode == DisaggregationMode::Decode { live.decode } else { live.prefill };
            (place.worker, place.rank, place.slot) == (worker, rank, Some(slot))
        });
        if !is_current {
            // It was given up while a step worked on it; observers have it in the batch until now.
            if matches!(
                notice,
                Notice::Cancelled { .. } | Notice::Finished { .. } | Notice::Retracted { .. }
            ) {
                self.emit(&Event::Left { id, worker, rank: name });
            }
            return Ok(());
        }
        let rank = name;
        match notice {
            Notice::Admitted { id, cached, host, again, .. } => {
                self.emit(&Event::Admitted { id, cached, host, again });
                if sends && cached > 0 {
                    // A cached prefix is sent before the rest is computed.
                    self.send(id, cached)?;
                }
            }
            Notice::Extended { id, tokens, last, .. } => {
                self.emit(&Event::Extended { id, tokens });
                if last {
                    self.emit(&Event::Prefilled { id });
                }
                if sends {
                    self.live.get(id).all_sent = last;
                    self.send(id, tokens)?;
                } else if last {
                    self.live.get(id).has_begun = true;
                    self.emit(&Event::Token { id, worker, rank, decodes_from });
                }
            }
            Notice::Preallocated { id, .. } => {
                let live = self.live.get(id);
                live.is_reserved = true;
                let attempt = live.attempts;
                self.limits[Limit::Waiting as usize].start(self.now, id, attempt);
                match self.submit_prefill(id) {
                    Ok(prefill) => self.wake(prefill),
                    Err((_, SchedError::QueueFull { .. })) => self.turned_away(id)?,
                    Err((worker, error)) => return Err(self.worker_error(worker, error)),
                }
            }
            Notice::Prebuilt { id, .. } => {
                self.live.get(id).has_begun = true;
                self.emit(&Event::Token { id, worker, rank, decodes_from });
            }
            Notice::Resumed { id, .. } => {
                self.emit(&Event::Resumed { id, worker, rank, decodes_from });
            }
            Notice::Accepted { id, tokens, .. } => {
                self.emit(&Event::Accepted { id, worker, rank, tokens });
            }
            Notice::Aborted { id, .. } => {
                let live = self.live.get(id);
                let side = if mode == DisaggregationMode::Decode {
                    &mut live.decode
                } else {
                    &mut live.prefill
                };
                side.slot = None;
                if live.has_begun {
                    self.attempt_failed(id, None, Failure::OutOfMemory)?;
                } else {
                    self.turned_away(id)?;
                }
            }
            Notice::Retracted { id, .. } => self.emit(&Event::Retracted { id, worker, rank }),
            Notice::Finished { id, generated, .. } => {
                self.emit(&Event::Finished { id, worker, rank, generated });
                self.finished(id, generated)?;
            }
            _ => {}
        }
        Ok(())
    }
}

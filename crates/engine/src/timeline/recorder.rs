//! The observer that gathers a timeline.

use std::collections::BTreeMap;
use std::mem;
use std::sync::{Arc, Mutex, PoisonError};

use sglsim_units::{HashMap, RequestId, SimTime, TokenCount, WorkerId};

use super::{Choice, Keep, Life, MOST_STEPS, Moment, StepSpan, Timeline, WorkerName};
use crate::observer::{Event, Observer};
use crate::plan::DeploymentPlan;

/// The simulation owns one half, [`Timeline::record`] the other.
#[derive(Debug)]
pub(super) struct Shared(pub(super) Arc<Mutex<Recorder>>);

impl Observer for Shared {
    fn on_event(&mut self, at: SimTime, event: &Event<'_>) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).on_event(at, event);
    }
}

/// What is known of a worker while the run goes on.
#[derive(Clone, Debug)]
struct Seen {
    pool: usize,
    capacity: TokenCount,
    in_flight: u64,
    /// KV slots in use, by attention rank.
    kv_used: Vec<TokenCount>,
    /// Tokens of the step whose ranks are being told.
    extended: TokenCount,
    decoded: TokenCount,
    /// Pieces of kept requests in that step: the request and the place in its life.
    pieces: Vec<(RequestId, usize)>,
}

#[derive(Debug)]
pub(super) struct Recorder {
    keep: Keep,
    names: Vec<WorkerName>,
    seen: Vec<Seen>,
    /// Workers of every request that has not ended.
    routed: HashMap<RequestId, (WorkerId, WorkerId)>,
    lives: BTreeMap<RequestId, Life>,
    /// Kept requests that have not ended.
    alive: u32,
    steps: Vec<StepSpan>,
    left_out: u64,
    marks: Vec<(SimTime, WorkerId, &'static str)>,
}

impl Recorder {
    pub(super) fn new(plan: &DeploymentPlan, keep: Keep) -> Self {
        let (mut names, mut seen) = (Vec::new(), Vec::new());
        for (number, pool) in plan.pools.iter().enumerate() {
            let ranks = u64::from(pool.plan.dp_size);
            for worker in 0..pool.workers {
                names.push(WorkerName { pool: pool.name.to_owned(), number: worker });
                seen.push(Seen {
                    pool: number,
                    capacity: pool.scheduler.max_total_num_tokens * ranks,
                    in_flight: 0,
                    kv_used: vec![0; pool.plan.dp_size as usize],
                    extended: 0,
                    decoded: 0,
                    pieces: Vec::new(),
                });
            }
        }
        Self {
            keep,
            names,
            seen,
            routed: HashMap::default(),
            lives: BTreeMap::new(),
            alive: 0,
            steps: Vec::new(),
            left_out: 0,
            marks: Vec::new(),
        }
    }

    pub(super) fn take(&mut self) -> Timeline {
        Timeline {
            workers: mem::take(&mut self.names),
            lives: mem::take(&mut self.lives),
            steps: mem::take(&mut self.steps),
            left_out: self.left_out,
            marks: mem::take(&mut self.marks),
        }
    }

    fn is_in_window(&self, at: SimTime) -> bool {
        at >= self.keep.from && self.keep.to.is_none_or(|to| at <= to)
    }

    /// Whether what happens around the requests is of interest.
    fn is_watching(&self, at: SimTime) -> bool {
        self.is_in_window(at) && (self.keep.to.is_some() || self.alive > 0)
    }

    fn tell(&mut self, at: SimTime, id: RequestId, moment: Moment) {
        if let Some(life) = self.lives.get_mut(&id) {
            life.moments.push((at, moment));
        }
    }

    fn arrived(&mut self, at: SimTime, id: RequestId, moment: Moment) {
        let is_full = self.lives.len() >= self.keep.requests as usize;
        if id >= self.keep.first && self.is_in_window(at) && !is_full {
            self.lives.insert(id, Life::default());
            self.alive += 1;
            self.tell(at, id, moment);
        }
    }

    fn left(&mut self, at: SimTime, id: RequestId, moment: Moment) {
        if self.lives.contains_key(&id) {
            self.alive -= 1;
            self.tell(at, id, moment);
        }
        self.unroute(id);
    }

    fn unroute(&mut self, id: RequestId) {
        if let Some((prefill, decode)) = self.routed.remove(&id) {
            self.seen[prefill.index()].in_flight -= 1;
            if decode != prefill {
                self.seen[decode.index()].in_flight -= 1;
            }
        }
    }

    fn choice(&self, worker: WorkerId) -> Choice {
        let chosen = &self.seen[worker.index()];
        let pool = self.seen.iter().filter(|seen| seen.pool == chosen.pool);
        let loads = pool.map(|seen| seen.in_flight);
        let of_pool = (loads.clone().min().unwrap_or(0), loads.max().unwrap_or(0));
        let used: TokenCount = chosen.kv_used.iter().sum();
        let kv_usage = used as f64 / chosen.capacity.max(1) as f64;
        Choice { worker, in_flight: chosen.in_flight, of_pool, kv_usage }
    }

    fn routed(&mut self, at: SimTime, id: RequestId, prefill: WorkerId, decode: WorkerId) {
        if self.lives.contains_key(&id) {
            let apart = (decode != prefill).then(|| self.choice(decode));
            let moment = Moment::Routed { prefill: self.choice(prefill), decode: apart };
            self.tell(at, id, moment);
        }
        self.seen[prefill.index()].in_flight += 1;
        if decode != prefill {
            self.seen[decode.index()].in_flight += 1;
        }
        self.routed.insert(id, (prefill, decode));
    }

    fn kv_used(&mut self, worker: WorkerId, rank: usize, used: TokenCount) {
        let ranks = &mut self.seen[worker.index()].kv_used;
        // With pipeline stages the micro-batches of a rank share its memory.
        let rank = rank % ranks.len();
        ranks[rank] = used;
    }

    fn extended(&mut self, at: SimTime, id: RequestId, tokens: TokenCount) {
        let Some(life) = self.lives.get_mut(&id) else { return };
        let place = life.moments.len();
        // When its step began is told with the step.
        life.moments.push((at, Moment::Extended { tokens, of: tokens, began: at }));
        if let Some((prefill, _)) = self.routed.get(&id) {
            self.seen[prefill.index()].pieces.push((id, place));
        }
    }

    fn step(&mut self, ended: SimTime, worker: WorkerId, began: SimTime) {
        let seen = &mut self.seen[worker.index()];
        let (extended, decoded) = (mem::take(&mut seen.extended), mem::take(&mut seen.decoded));
        let kv_used = seen.kv_used.iter().sum();
        let mut pieces = mem::take(&mut seen.pieces);
        for (id, place) in pieces.drain(..) {
            let life = self.lives.get_mut(&id);
            if let Some((_, Moment::Extended { of, began: since, .. })) =
                life.and_then(|life| life.moments.get_mut(place))
            {
                (*of, *since) = (extended, began);
            }
        }
        self.seen[worker.index()].pieces = pieces;
        if !self.is_watching(ended) {
            return;
        }
        if self.steps.len() == MOST_STEPS {
            self.left_out += 1;
            return;
        }
        self.steps.push(StepSpan { worker, began, ended, extended, decoded, kv_used });
    }
}

impl Observer for Recorder {
    fn on_event(&mut self, at: SimTime, event: &Event<'_>) {
        match *event {
            Event::Arrived { request, after } => {
                let prompt = request.prompt.tokens();
                self.arrived(at, request.id, Moment::Arrived { prompt, after });
            }
            Event::Routed { id, prefill, decode } => self.routed(at, id, prefill, decode),
            Event::Refused { id } => self.left(at, id, Moment::Refused),
            Event::Retried { id, attempts } => {
                self.unroute(id);
                self.tell(at, id, Moment::Retried { attempts });
            }
            Event::Failed { id, reason } => self.left(at, id, Moment::Failed { reason }),
            Event::WorkerDown { worker } => {
                let seen = &mut self.seen[worker.index()];
                seen.kv_used.fill(0);
                (seen.extended, seen.decoded) = (0, 0);
                seen.pieces.clear();
                self.marks.push((at, worker, "down"));
            }
            Event::WorkerUp { worker } => self.marks.push((at, worker, "up")),
            Event::Queued { id } => self.tell(at, id, Moment::Queued),
            Event::Chosen { .. }
            | Event::Accepted { .. }
            | Event::Left { .. }
            | Event::LinkChanged { .. } => {}
            Event::Admitted { id, cached, again, .. } => {
                self.tell(at, id, Moment::Admitted { cached, again });
            }
            Event::Extended { id, tokens } => self.extended(at, id, tokens),
            Event::Prefilled { id } => self.tell(at, id, Moment::Prefilled),
            Event::Sent { id, tokens, .. } => self.tell(at, id, Moment::Sent { tokens }),
            Event::Delivered { id, tokens, took } => {
                let sent = SimTime::new((at.seconds() - took.get()).max(0.0)).unwrap_or(at);
                self.tell(at, id, Moment::Delivered { tokens, sent });
            }
            Event::Transferred { id } => self.tell(at, id, Moment::Transferred),
            Event::Token { id, .. } => self.tell(at, id, Moment::Token),
            Event::Resumed { id, .. } => self.tell(at, id, Moment::Resumed),
            Event::Retracted { id, .. } => self.tell(at, id, Moment::Retracted),
            Event::RankStep { worker, rank, result, kv_used } => {
                let seen = &mut self.seen[worker.index()];
                seen.extended += result.extended;
                seen.decoded += result.decoded;
                self.kv_used(worker, rank, kv_used);
            }
            Event::KvUsed { worker, rank, kv_used } => self.kv_used(worker, rank, kv_used),
            Event::Step { worker, began, .. } => self.step(at, worker, began),
            Event::Finished { id, generated, .. } => {
                self.left(at, id, Moment::Finished { generated });
            }
        }
    }
}

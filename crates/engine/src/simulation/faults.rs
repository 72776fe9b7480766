//! Workers that die, restart or slow down, links that fail: the fault schedule at work.

use sglsim_router::{Pool, Router};
use sglsim_units::{RequestId, Seconds, WorkerId};

use super::{Routing, Run};
use crate::error::EngineError;
use crate::observer::{Event, Failure};
use crate::scenario::{Fault, workers_of};
use crate::timers::Timer;

/// What the run knows of a worker beside its state.
#[derive(Clone, Debug)]
pub(crate) struct Member {
    /// Its pool: the first or the second.
    pub(crate) pool: usize,
    pub(crate) is_up: bool,
    /// Requests that the router has handed it; one that it both prefills and decodes counts twice.
    pub(crate) serving: u32,
    /// How many times as long its steps take.
    pub(crate) slowdown: f64,
    /// How often it went down.
    outages: u32,
    /// If it is being restarted: how long it will be down, and who follows.
    restart: Option<(Seconds, Vec<u32>)>,
}

impl Member {
    pub(crate) fn new(pool: usize) -> Self {
        Self { pool, is_up: true, serving: 0, slowdown: 1.0, outages: 0, restart: None }
    }

    /// Whether it is being restarted and nothing keeps it from going down.
    pub(crate) fn is_drained(&self) -> bool {
        self.restart.is_some() && self.is_up && self.serving == 0
    }

    /// Whether it has left the router.
    pub(crate) fn is_leaving(&self) -> bool {
        self.restart.is_some()
    }
}

impl Run<'_> {
    pub(super) fn is_up(&self, worker: WorkerId) -> bool {
        self.fleet[worker.index()].is_up
    }

    /// Sets the timers of the schedule.
    pub(crate) fn schedule_faults(&mut self) {
        for (at, fault) in self.faults.iter().enumerate() {
            self.timers.set(fault.at(), Timer::Fault(at));
        }
    }

    pub(super) fn begin_fault(&mut self, at: usize) -> Result<(), EngineError> {
        let fault = self.faults[at].clone();
        match &fault {
            Fault::Crash { worker, .. } => self.crash(WorkerId(*worker))?,
            Fault::Restart { worker, down, .. } => self.drain(WorkerId(*worker), *down, vec![])?,
            Fault::RollingRestart { pool, down, .. } => {
                let mut workers: Vec<u32> = workers_of(&self.blueprint.plan.pools, pool).collect();
                workers.reverse();
                if let Some(first) = workers.pop() {
                    self.drain(WorkerId(first), *down, workers)?;
                }
            }
            Fault::Slow { worker, factor, .. } => {
                self.fleet[*worker as usize].slowdown = *factor;
            }
            Fault::Link { .. } | Fault::Adapters { .. } => self.set_links(&fault, true),
        }
        if let Some(until) = fault.until() {
            self.timers.set(until, Timer::Mend(at));
        }
        Ok(())
    }

    pub(super) fn end_fault(&mut self, at: usize) -> Result<(), EngineError> {
        let fault = self.faults[at].clone();
        match &fault {
            Fault::Crash { worker, .. } => return self.come_up(WorkerId(*worker)),
            Fault::Slow { worker, .. } => self.fleet[*worker as usize].slowdown = 1.0,
            _ => self.set_links(&fault, false),
        }
        Ok(())
    }

    fn set_links(&mut self, fault: &Fault, is_broken: bool) {
        let (links, bandwidth) = match fault {
            Fault::Link { link, bandwidth, .. } => (vec![link.clone()], *bandwidth),
            Fault::Adapters { worker, bandwidth, .. } => {
                let network = self.blueprint.plan.network();
                let nics = network.map(|network| network.nics_of(WorkerId(*worker)));
                (nics.unwrap_or_default(), *bandwidth)
            }
            _ => return,
        };
        let share = if is_broken { bandwidth } else { 1.0 };
        for link in links {
            self.fabric.set_bandwidth(self.now, &link, share);
            self.emit(&Event::LinkChanged { link: &link, bandwidth: share });
        }
    }

    /// A worker dies, and every request on it with it.
    fn crash(&mut self, worker: WorkerId) -> Result<(), EngineError> {
        self.go_down(worker)?;
        for id in self.requests_on(worker) {
            self.attempt_failed(id, Some(worker), Failure::WorkerLost)?;
        }
        let outage = self.fleet[worker.index()].outages;
        let seen = self.health.seen(self.now, false);
        self.timers.set(seen, Timer::Health { worker, outage, is_up: false });
        Ok(())
    }

    /// The unfinished requests that a worker has, in order of arrival.
    fn requests_on(&self, worker: WorkerId) -> Vec<RequestId> {
        let here = |live: &&super::Live| {
            live.is_placed && (live.prefill.worker == worker || live.decode.worker == worker)
        };
        self.live.all().filter(here).map(|live| live.request.id).collect()
    }

    /// Everything in the worker is lost.
    fn go_down(&mut self, worker: WorkerId) -> Result<(), EngineError> {
        let ranks = self.workers[worker.index()].ranks.len();
        self.workers[worker.index()] = self.blueprint.worker(worker)?;
        self.steps.forget(worker);
        self.copies.forget(worker);
        self.awake.retain(|awake| *awake != worker);
        let member = &mut self.fleet[worker.index()];
        member.is_up = false;
        member.outages += 1;
        for rank in 0..ranks {
            self.emit(&Event::KvUsed { worker, rank, kv_used: 0 });
        }
        self.emit(&Event::WorkerDown { worker });
        Ok(())
    }

    pub(super) fn come_up(&mut self, worker: WorkerId) -> Result<(), EngineError> {
        let member = &mut self.fleet[worker.index()];
        member.is_up = true;
        let (restart, outage) = (member.restart.take(), member.outages);
        self.emit(&Event::WorkerUp { worker });
        match restart {
            None => {
                let seen = self.health.seen(self.now, true);
                self.timers.set(seen, Timer::Health { worker, outage, is_up: true });
            }
            Some((down, mut others)) => {
                self.router_of(worker).add_worker(worker);
                if let Some(next) = others.pop() {
                    self.drain(WorkerId(next), down, others)?;
                }
            }
        }
        Ok(())
    }

    /// A health check has told the router whether a worker is up.
    pub(super) fn see_health(
        &mut self,
        worker: WorkerId,
        outage: u32,
        is_up: bool,
    ) -> Result<(), EngineError> {
        let member = &self.fleet[worker.index()];
        if member.outages != outage || member.is_up != is_up || member.is_leaving() {
            return Ok(());
        }
        let told = self.router_of(worker).set_health(worker, is_up);
        told.map_err(|source| EngineError::Router { at: self.now, seed: self.seed, source })
    }

    fn router_of(&mut self, worker: WorkerId) -> &mut Router {
        let pool = self.fleet[worker.index()].pool;
        match &mut self.routing {
            Routing::One(router) => router,
            Routing::Pair(pair) => pair.pool_mut([Pool::Prefill, Pool::Decode][pool]),
        }
    }

    /// A worker is taken out of the router; when its requests have ended, it goes down for a while.
    fn drain(
        &mut self,
        worker: WorkerId,
        down: Seconds,
        others: Vec<u32>,
    ) -> Result<(), EngineError> {
        self.fleet[worker.index()].restart = Some((down, others));
        let gone = self.router_of(worker).remove_worker(worker);
        gone.map_err(|source| EngineError::Router { at: self.now, seed: self.seed, source })?;
        self.stop_if_drained(worker)
    }

    /// A worker that is being restarted goes down when nobody needs it any more.
    pub(super) fn stop_if_drained(&mut self, worker: WorkerId) -> Result<(), EngineError> {
        let member = &self.fleet[worker.index()];
        let Some((down, _)) = member.restart.as_ref().filter(|_| member.is_drained()) else {
            return Ok(());
        };
        let back = self.now + *down;
        self.go_down(worker)?;
        self.timers.set(back, Timer::Up(worker));
        Ok(())
    }
}

//! Workers that die, restart or slow down, links that fail: the fault schedule at work.

use sglsim_router::{Pool, Router};
use sglsim_units::{RequestId, Seconds, SimTime, WorkerId};

use super::{Routing, Run};
use crate::error::EngineError;
use crate::observer::{Event, Failure};
use crate::scaling::{Autoscaler, PoolView};
use crate::scenario::{Fault, workers_of};
use crate::timers::Timer;

/// What the run knows of a worker beside its state.
#[derive(Clone, Debug)]
pub(crate) struct Member {
    /// Its pool: the first or the second.
    pub(crate) pool: usize,
    pub(crate) is_up: bool,
    /// Whether the router has it in its pool, up or not.
    pub(crate) is_routed: bool,
    is_starting: bool,
    /// Requests that the router has handed it; one that it both prefills and decodes counts twice.
    pub(crate) serving: u32,
    /// How many times as long its steps take.
    pub(crate) slowdown: f64,
    /// How often it went down.
    outages: u32,
    /// What comes when its last request has ended, if it is to stop then.
    after_drain: Option<AfterDrain>,
}

/// What comes after a worker has ended its requests and gone down.
#[derive(Clone, Debug, Default)]
struct AfterDrain {
    /// Who comes up, and after how long.
    back: Option<(WorkerId, Seconds)>,
    /// Who is restarted next.
    others: Vec<u32>,
}

impl Member {
    pub(crate) fn new(pool: usize, is_up: bool) -> Self {
        Self {
            pool,
            is_up,
            is_routed: is_up,
            is_starting: false,
            serving: 0,
            slowdown: 1.0,
            outages: 0,
            after_drain: None,
        }
    }

    /// Whether nothing keeps it any more from going down as it is to.
    pub(crate) fn is_drained(&self) -> bool {
        self.after_drain.is_some() && self.is_up && self.serving == 0
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
            Fault::Crash { worker, .. } if self.fleet[*worker as usize].is_up => {
                self.crash(WorkerId(*worker))?;
            }
            Fault::Crash { .. } => {}
            Fault::Restart { worker, down, .. } => self.restart(*worker, *down, vec![])?,
            Fault::SwitchRole { worker, .. } if !self.fleet[*worker as usize].is_up => {}
            Fault::SwitchRole { worker, down, .. } => {
                let worker = WorkerId(*worker);
                let pool = self.fleet[worker.index()].pool;
                let spare = |member: &Member| {
                    member.pool != pool && !member.is_up && !member.is_routed && !member.is_starting
                };
                // All on standby may have been called up already; then the GPUs stay idle.
                let other = self.fleet.iter().position(spare).map(WorkerId::from_index);
                if let Some(other) = other {
                    self.fleet[other.index()].is_starting = true;
                }
                let back = other.map(|other| (other, *down));
                self.drain(worker, AfterDrain { back, others: Vec::new() })?;
            }
            Fault::RollingRestart { pool, down, .. } => {
                let mut workers: Vec<u32> = workers_of(&self.blueprint.plan.pools, pool).collect();
                workers.reverse();
                if let Some(first) = workers.pop() {
                    self.restart(first, *down, workers)?;
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
            Fault::Crash { worker, .. } if self.fleet[*worker as usize].is_routed => {
                return self.come_up(WorkerId(*worker));
            }
            Fault::Crash { .. } => {}
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
        let was_routed = std::mem::replace(&mut member.is_routed, true);
        (member.is_up, member.is_starting) = (true, false);
        let (restart, outage) = (member.after_drain.take(), member.outages);
        self.emit(&Event::WorkerUp { worker });
        if was_routed {
            // It died, and the router has to notice that it is back.
            let seen = self.health.seen(self.now, true);
            self.timers.set(seen, Timer::Health { worker, outage, is_up: true });
        } else {
            self.router_of(worker).add_worker(worker);
        }
        if let Some(AfterDrain { back: Some((_, down)), mut others }) = restart
            && let Some(next) = others.pop()
        {
            self.restart(next, down, others)?;
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
        if member.outages != outage || member.is_up != is_up || !member.is_routed {
            return Ok(());
        }
        let told = self.router_of(worker).set_health(worker, is_up);
        told.map_err(|source| EngineError::Router { at: self.now, seed: self.seed, source })
    }

    pub(super) fn router_of(&mut self, worker: WorkerId) -> &mut Router {
        let pool = self.fleet[worker.index()].pool;
        match &mut self.routing {
            Routing::One(router) => router,
            Routing::Pair(pair) => pair.pool_mut([Pool::Prefill, Pool::Decode][pool]),
        }
    }

    /// A worker is drained, and comes back after a while; then the next of the others.
    fn restart(
        &mut self,
        worker: u32,
        down: Seconds,
        mut others: Vec<u32>,
    ) -> Result<(), EngineError> {
        let worker = WorkerId(worker);
        if self.fleet[worker.index()].is_routed {
            return self.drain(worker, AfterDrain { back: Some((worker, down)), others });
        }
        // One on standby has nothing to restart.
        match others.pop() {
            Some(next) => self.restart(next, down, others),
            None => Ok(()),
        }
    }

    /// A worker is taken out of the router; when its requests have ended, it goes down.
    fn drain(&mut self, worker: WorkerId, then: AfterDrain) -> Result<(), EngineError> {
        let member = &mut self.fleet[worker.index()];
        member.after_drain = Some(then);
        if std::mem::take(&mut member.is_routed) {
            let gone = self.router_of(worker).remove_worker(worker);
            gone.map_err(|source| EngineError::Router { at: self.now, seed: self.seed, source })?;
        }
        self.stop_if_drained(worker)
    }

    /// A worker that is to stop goes down when nobody needs it any more.
    pub(super) fn stop_if_drained(&mut self, worker: WorkerId) -> Result<(), EngineError> {
        let member = &mut self.fleet[worker.index()];
        if !member.is_drained() {
            return Ok(());
        }
        let back = member.after_drain.as_ref().and_then(|then| then.back);
        if back.is_none_or(|(other, _)| other != worker) {
            member.after_drain = None;
        }
        self.go_down(worker)?;
        if let Some((other, down)) = back {
            self.timers.set(self.now + down, Timer::Up(other));
        }
        Ok(())
    }

    // --- autoscaling --------------------------------------------------------------------------

    /// The autoscaler looks at the pools and changes their size.
    pub(super) fn scale(&mut self) -> Result<(), EngineError> {
        let Some(mut scaling) = self.scaling.take() else { return Ok(()) };
        let pools = &self.blueprint.plan.pools;
        let views: Vec<PoolView<'_>> = (pools.iter().enumerate())
            .map(|(at, pool)| {
                let members = || self.fleet.iter().filter(move |member| member.pool == at);
                let count = |of: fn(&&Member) -> bool| members().filter(of).count() as u32;
                let served: u32 = members().map(|member| member.serving).sum();
                PoolView {
                    name: pool.name,
                    up: count(|member| member.is_up && member.is_routed),
                    starting: count(|member| member.is_starting),
                    least: pool.config.workers,
                    most: pool.workers,
                    // A worker of a single pool counts every request twice.
                    in_flight: if pools.len() == 1 { served / 2 } else { served },
                }
            })
            .collect();
        let wanted = scaling.policy.decide(self.now, &views);
        let changes = views
            .iter()
            .zip(wanted)
            .map(|(view, wanted)| (view.up + view.starting, wanted.clamp(view.least, view.most)));
        let changes: Vec<(u32, u32)> = changes.collect();
        for (pool, (now, wanted)) in changes.into_iter().enumerate() {
            for _ in now..wanted {
                let spare = |member: &Member| {
                    let is_down = !member.is_up && !member.is_routed && !member.is_starting;
                    member.pool == pool && is_down && member.after_drain.is_none()
                };
                if let Some(at) = self.fleet.iter().position(spare) {
                    self.fleet[at].is_starting = true;
                    let up = self.now + scaling.start_up;
                    self.timers.set(up, Timer::Up(WorkerId::from_index(at)));
                }
            }
            for _ in wanted..now {
                let stays =
                    |member: &Member| member.pool == pool && member.is_up && member.is_routed;
                if let Some(at) = self.fleet.iter().rposition(stays) {
                    self.drain(WorkerId::from_index(at), AfterDrain::default())?;
                }
            }
        }
        scaling.next = self.now + scaling.interval;
        self.scaling = Some(scaling);
        Ok(())
    }
}

/// The autoscaler of a run.
#[derive(Debug)]
pub(crate) struct Scaling {
    pub(crate) policy: Box<dyn Autoscaler>,
    pub(crate) interval: Seconds,
    pub(crate) start_up: Seconds,
    /// When it decides next.
    pub(crate) next: SimTime,
}

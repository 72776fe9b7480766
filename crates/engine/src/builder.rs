//! Putting a run together: a scenario, and whatever of it a user swaps for their own.

use std::fmt;
use std::path::{Path, PathBuf};

use sglsim_expr::Values;
use sglsim_radix::{PageSize, PrefixCache};
use sglsim_router::{Limiter, PdRouter, RoutePolicy, Router};
use sglsim_sched::{SchedulePolicy, Scheduler, SchedulerConfig};
use sglsim_units::{HashMap, RequestId, RngStreams, Seconds, SimTime, WorkerId};
use sglsim_workload::Workload;

use crate::blueprint::Blueprint;
use crate::cost::CostModel;
use crate::error::EngineError;
use crate::event::StepQueue;
use crate::fabric::Fabric;
use crate::metrics::{Metrics, OnRecord, RequestRecord};
use crate::observer::Observer;
use crate::plan::{DeploymentPlan, PoolPlan};
use crate::report::{Report, RunFacts};
use crate::scaling::{Autoscaler, TargetLoad};
use crate::scenario::{Scenario, ScenarioError};
use crate::simulation::{LiveTable, Member, Routing, Run, Scaling};
use crate::timers::{Deadlines, Timers};

/// A simulation about to run.
///
/// Every layer can be swapped: the queue order, the scheduler, the prefix cache, the routing, the
/// step cost, the fabric, the workload; observers watch.
///
/// ```
/// use sglsim_engine::{Fcfs, Scenario, Simulation};
///
/// let scenario = Scenario::from_ron(r#"(
///     model: "Llama-3.1-8B",
///     hardware: (gpu: "H100-SXM"),
///     deployment: Aggregated(workers: 1),
///     workload: Synthetic(
///         arrivals: Poisson(rate: 4.0),
///         input_len: Fixed(1000),
///         output_len: Fixed(50),
///         requests: 20,
///     ),
/// )"#)?;
/// let report = Simulation::new(scenario)?.schedule_policy(|_worker| Box::new(Fcfs)).run()?;
/// assert_eq!(report.completed, 20);
/// assert_eq!(report.total_output_tokens, 20 * 50);
/// # Ok::<(), sglsim_engine::EngineError>(())
/// ```
pub struct Simulation {
    scenario: Scenario,
    base: PathBuf,
    blueprint: Blueprint,
    workload: Option<Box<dyn Workload>>,
    on_record: Option<OnRecord>,
    routing: [Option<Box<dyn RoutePolicy>>; 2],
    fabric: Option<Box<dyn Fabric>>,
    scaling: Option<Scaling>,
    observers: Vec<Box<dyn Observer>>,
}

impl fmt::Debug for Simulation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Simulation").field("scenario", &self.scenario).finish_non_exhaustive()
    }
}

impl Simulation {
    /// The simulation of a scenario whose paths are relative to the working directory.
    ///
    /// # Errors
    ///
    /// [`ScenarioError`] if something in it cannot work.
    pub fn new(scenario: Scenario) -> Result<Self, EngineError> {
        Self::in_folder(scenario, Path::new("."))
    }

    /// The simulation of a scenario file; paths in it are relative to its folder.
    ///
    /// # Errors
    ///
    /// As [`Simulation::new`], and if the file is not a scenario.
    pub fn from_file(path: impl AsRef<Path>) -> Result<Self, EngineError> {
        let path = path.as_ref();
        let base = path.parent().unwrap_or(Path::new("."));
        Self::in_folder(Scenario::from_file(path)?, base)
    }

    /// The simulation of a scenario whose paths are relative to `base`.
    ///
    /// # Errors
    ///
    /// As [`Simulation::new`].
    pub fn in_folder(scenario: Scenario, base: &Path) -> Result<Self, EngineError> {
        let plan = DeploymentPlan::of(&scenario, base)?;
        let blueprint = Blueprint {
            plan,
            seed: scenario.seed,
            policy: None,
            scheduler: None,
            cache: None,
            cost: None,
        };
        let scaling = scenario.autoscale.map(|config| Scaling {
            policy: Box::new(TargetLoad::new(config.target_load)),
            interval: config.interval,
            start_up: config.start_up,
            next: SimTime::ZERO + config.interval,
        });
        Ok(Self {
            scenario,
            base: base.to_owned(),
            blueprint,
            workload: None,
            on_record: None,
            routing: [None, None],
            fabric: None,
            scaling,
            observers: Vec::new(),
        })
    }

    /// The scenario.
    #[must_use]
    pub fn scenario(&self) -> &Scenario {
        &self.scenario
    }

    /// What the scenario comes to: pools, memory, laws.
    #[must_use]
    pub fn plan(&self) -> &DeploymentPlan {
        &self.blueprint.plan
    }

    /// Runs on hardware with other figures, or with another θ: [`DeploymentPlan::with_parameters`].
    ///
    /// # Errors
    ///
    /// As [`DeploymentPlan::with_parameters`].
    pub fn parameters(mut self, values: &Values) -> Result<Self, EngineError> {
        self.blueprint.plan = self.blueprint.plan.with_parameters(values)?;
        Ok(self)
    }

    /// Takes requests from `workload` instead of the scenario's.
    #[must_use]
    pub fn workload(mut self, workload: Box<dyn Workload>) -> Self {
        self.workload = Some(workload);
        self
    }

    /// Orders the waiting queues of workers that prefill by another policy.
    #[must_use]
    pub fn schedule_policy(
        mut self,
        make: impl Fn(WorkerId) -> Box<dyn SchedulePolicy> + 'static,
    ) -> Self {
        self.blueprint.policy = Some(Box::new(make));
        self
    }

    /// Forms the batches of every worker by another scheduler; called once for each attention rank.
    #[must_use]
    pub fn scheduler(
        mut self,
        make: impl Fn(WorkerId, &SchedulerConfig) -> Box<dyn Scheduler> + 'static,
    ) -> Self {
        self.blueprint.scheduler = Some(Box::new(make));
        self
    }

    /// Keeps prefixes in another cache on workers that prefill; called once for each attention rank.
    #[must_use]
    pub fn prefix_cache(
        mut self,
        make: impl Fn(WorkerId, PageSize) -> Box<dyn PrefixCache> + 'static,
    ) -> Self {
        self.blueprint.cache = Some(Box::new(make));
        self
    }

    /// Costs the steps of every worker by another model.
    #[must_use]
    pub fn cost_model(
        mut self,
        make: impl Fn(WorkerId, &PoolPlan) -> Box<dyn CostModel> + 'static,
    ) -> Self {
        self.blueprint.cost = Some(Box::new(make));
        self
    }

    /// Routes requests by another policy: to all workers, or to the prefill pool.
    #[must_use]
    pub fn route_policy(mut self, policy: Box<dyn RoutePolicy>) -> Self {
        self.routing[0] = Some(policy);
        self
    }

    /// Routes requests within the decode pool by another policy.
    #[must_use]
    pub fn decode_route_policy(mut self, policy: Box<dyn RoutePolicy>) -> Self {
        self.routing[1] = Some(policy);
        self
    }

    /// Moves KV over another fabric.
    #[must_use]
    pub fn fabric(mut self, fabric: Box<dyn Fabric>) -> Self {
        self.fabric = Some(fabric);
        self
    }

    /// Hands the record of every request over, in order of arrival, as soon as it and all before it have left,
    /// instead of keeping them: then a run needs memory for the requests that are in the system only, and the
    /// report has no [`Report::requests`]. Do nothing with them if totals are all you ask for.
    ///
    /// [`ReportFolder::records`](crate::ReportFolder::records) writes them to a file.
    #[must_use]
    pub fn on_record(
        mut self,
        take: impl FnMut(RequestId, &RequestRecord) + Send + 'static,
    ) -> Self {
        self.on_record = Some(Box::new(take));
        self
    }

    /// Lets a policy of its own decide how many workers each pool has, once an interval; a worker that it
    /// starts takes requests after `start_up`. Workers to start are those on standby.
    #[must_use]
    pub fn autoscaler(
        mut self,
        policy: Box<dyn Autoscaler>,
        interval: Seconds,
        start_up: Seconds,
    ) -> Self {
        let next = SimTime::ZERO + interval;
        self.scaling = Some(Scaling { policy, interval, start_up, next });
        self
    }

    /// Adds an observer.
    #[must_use]
    pub fn observer(mut self, observer: Box<dyn Observer>) -> Self {
        self.observers.push(observer);
        self
    }

    /// The workload that will run, to ask how much it is.
    ///
    /// # Errors
    ///
    /// [`ScenarioError::Workload`] if it cannot be made.
    ///
    /// # Panics
    ///
    /// Never.
    pub fn prepare_workload(&mut self) -> Result<&mut dyn Workload, EngineError> {
        if self.workload.is_none() {
            let streams = RngStreams::new(self.scenario.seed);
            let made = self.scenario.workload.build(&self.base, streams);
            self.workload = Some(made.map_err(ScenarioError::Workload)?);
        }
        Ok(self.workload.as_deref_mut().expect("it was just made"))
    }

    /// Runs the simulation to its end.
    ///
    /// # Errors
    ///
    /// [`EngineError`] if the workload cannot be made or has no request, a request can never be
    /// held, a policy makes a move that cannot be made, or nothing happens any more while requests
    /// are left.
    ///
    /// # Panics
    ///
    /// Only by a bug of this crate, or if a plug-in panics.
    pub fn run(mut self) -> Result<Report, EngineError> {
        self.prepare_workload()?;
        let mut workload = self.workload.take().expect("it was just prepared");
        let name = workload.name().to_owned();
        if workload.peek().is_none() {
            return Err(EngineError::NoRequests { workload: name });
        }
        let workers = self.blueprint.workers()?;
        // No formula of a run with drafts or pipeline stages, or in which something fails, has been made.
        let plain = |pool: &PoolPlan| pool.speculation.is_none() && pool.plan.pp_size == 1;
        let laws = self.blueprint.plan.pools.iter().all(plain)
            && self.scenario.faults.is_empty()
            && workers.iter().all(|worker| worker.cost.is_law());
        let source = workers[0].cost.name().to_owned();
        let routing = self.routing()?;
        let plan = &self.blueprint.plan;
        let transfer = plan.transfer_program()?;
        let fabric = self.fabric.take().unwrap_or_else(|| plan.fabric());
        let fleet = workers.iter().map(|worker| {
            let (pool, place) = self.blueprint.place_of(worker.id);
            Member::new(pool, place < self.blueprint.plan.pools[pool].config.workers)
        });
        let fleet = fleet.collect();
        let router = &self.scenario.router;
        let pair = |limit| (plan.pools.len() == 2).then_some(limit);
        let limits = [
            Some(router.request_timeout_secs),
            pair(router.bootstrap_timeout),
            pair(router.waiting_timeout),
            self.scenario.client_timeout,
        ];
        let mut run = Run {
            now: SimTime::ZERO,
            seed: self.scenario.seed,
            oversized: self.scenario.oversized_requests,
            workload: workload.as_mut(),
            routing,
            metrics: Metrics::new(
                workers.iter().map(|worker| worker.ranks.len()).collect(),
                self.on_record,
            ),
            workers,
            fleet,
            blueprint: self.blueprint,
            faults: self.scenario.faults.clone(),
            fabric,
            transfer,
            under_way: 0,
            turns: (SimTime::ZERO, 0),
            cancelled: HashMap::default(),
            observers: &mut self.observers,
            steps: StepQueue::default(),
            copies: StepQueue::default(),
            timers: Timers::default(),
            limits: limits.map(Deadlines::new),
            limiter: Limiter::new(router.limits),
            scaling: self.scaling,
            retry: router.retry,
            health: router.health_check,
            pauses: RngStreams::new(self.scenario.seed).stream("router/retry"),
            live: LiveTable::default(),
            awake: Vec::new(),
            notices: Vec::new(),
        };
        run.run()?;
        let facts = RunFacts {
            workload: name,
            seed: run.seed,
            latency_source: source,
            formula_available: laws,
            links: run.fabric.link_use(),
        };
        Ok(Report::new(&run.blueprint.plan, facts, run.metrics))
    }

    fn routing(&mut self) -> Result<Routing, ScenarioError> {
        let config = &self.scenario.router;
        let streams = RngStreams::new(self.scenario.seed);
        let own = std::mem::take(&mut self.routing);
        let [first, second] = own;
        let pools = &self.blueprint.plan.pools;
        let policies = config.policies(pools.len() == 2);
        let router = |own: Option<Box<dyn RoutePolicy>>, at: usize| {
            let before: u32 = pools[..at].iter().map(|pool| pool.workers).sum();
            let workers = (before..before + pools[at].config.workers).map(WorkerId);
            let breakers = config.circuit_breaker;
            if let Some(policy) = own {
                return Ok(Router::new(policy, workers).with_circuit_breakers(breakers));
            }
            let policy = policies[at].build(streams.child(at as u64));
            let router = Router::new(policy.map_err(ScenarioError::Router)?, workers);
            let router = router.with_circuit_breakers(breakers);
            let is_counted = policies[at].is_load_counted(pools.len() == 2);
            Ok(if is_counted { router } else { router.without_load() })
        };
        Ok(match pools.as_slice() {
            [_] => Routing::One(router(first, 0)?),
            [_, _] => Routing::Pair(PdRouter::new(router(first, 0)?, router(second, 1)?)),
            _ => unreachable!("a deployment has one pool or two"),
        })
    }
}

//! Putting a run together: a scenario, and whatever of it a user swaps for their own.

use std::fmt;
use std::path::{Path, PathBuf};

use sglsim_expr::Values;
use sglsim_radix::{NoCache, PagePool, PageSize, PrefixCache, RadixCache};
use sglsim_router::{PdRouter, RoutePolicy, Router};
use sglsim_sched::{
    BatchState, DecodeScheduler, DisaggregationMode, Memory, SchedulePolicy, Scheduler,
    SchedulerConfig,
};
use sglsim_units::{RngStreams, SimTime, WorkerId};
use sglsim_workload::Workload;

use crate::balance::Balancer;
use crate::cost::{CostModel, LawCost, RebalancedCost};
use crate::error::EngineError;
use crate::event::StepQueue;
use crate::fabric::Fabric;
use crate::host::HostCopies;
use crate::metrics::Metrics;
use crate::observer::Observer;
use crate::pipeline::Pipeline;
use crate::plan::{DeploymentPlan, PoolPlan};
use crate::report::{Report, RunFacts};
use crate::scenario::{Scenario, ScenarioError};
use crate::simulation::{LiveTable, Routing, Run};
use crate::worker::{Rank, Worker};

type MakePolicy = Box<dyn Fn(WorkerId) -> Box<dyn SchedulePolicy>>;
type MakeScheduler = Box<dyn Fn(WorkerId, &SchedulerConfig) -> Box<dyn Scheduler>>;
type MakeCache = Box<dyn Fn(WorkerId, PageSize) -> Box<dyn PrefixCache>>;
type MakeCost = Box<dyn Fn(WorkerId, &PoolPlan) -> Box<dyn CostModel>>;

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
    plan: DeploymentPlan,
    workload: Option<Box<dyn Workload>>,
    policy: Option<MakePolicy>,
    scheduler: Option<MakeScheduler>,
    cache: Option<MakeCache>,
    cost: Option<MakeCost>,
    routing: [Option<Box<dyn RoutePolicy>>; 2],
    fabric: Option<Box<dyn Fabric>>,
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
        Ok(Self {
            scenario,
            base: base.to_owned(),
            plan,
            workload: None,
            policy: None,
            scheduler: None,
            cache: None,
            cost: None,
            routing: [None, None],
            fabric: None,
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
        &self.plan
    }

    /// Runs on hardware with other figures, or with another θ: [`DeploymentPlan::with_parameters`].
    ///
    /// # Errors
    ///
    /// As [`DeploymentPlan::with_parameters`].
    pub fn parameters(mut self, values: &Values) -> Result<Self, EngineError> {
        self.plan = self.plan.with_parameters(values)?;
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
        self.policy = Some(Box::new(make));
        self
    }

    /// Forms the batches of every worker by another scheduler; called once for each attention rank.
    #[must_use]
    pub fn scheduler(
        mut self,
        make: impl Fn(WorkerId, &SchedulerConfig) -> Box<dyn Scheduler> + 'static,
    ) -> Self {
        self.scheduler = Some(Box::new(make));
        self
    }

    /// Keeps prefixes in another cache on workers that prefill; called once for each attention rank.
    #[must_use]
    pub fn prefix_cache(
        mut self,
        make: impl Fn(WorkerId, PageSize) -> Box<dyn PrefixCache> + 'static,
    ) -> Self {
        self.cache = Some(Box::new(make));
        self
    }

    /// Costs the steps of every worker by another model.
    #[must_use]
    pub fn cost_model(
        mut self,
        make: impl Fn(WorkerId, &PoolPlan) -> Box<dyn CostModel> + 'static,
    ) -> Self {
        self.cost = Some(Box::new(make));
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
        let workers = self.workers()?;
        // No formula of a run with drafts or pipeline stages has been made yet.
        let plain = |pool: &PoolPlan| pool.speculation.is_none() && pool.plan.pp_size == 1;
        let laws =
            self.plan.pools.iter().all(plain) && workers.iter().all(|worker| worker.cost.is_law());
        let source = workers[0].cost.name().to_owned();
        let routing = self.routing()?;
        let transfer = self.plan.transfer_program()?;
        let fabric = self.fabric.take().unwrap_or_else(|| self.plan.fabric());
        let mut run = Run {
            now: SimTime::ZERO,
            seed: self.scenario.seed,
            oversized: self.scenario.oversized_requests,
            workload: workload.as_mut(),
            routing,
            metrics: Metrics::new(workers.iter().map(|worker| worker.ranks.len()).collect()),
            workers,
            fabric,
            transfer,
            under_way: 0,
            turns: 0,
            observers: &mut self.observers,
            steps: StepQueue::default(),
            copies: StepQueue::default(),
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
        };
        let metrics = run.metrics;
        Ok(Report::new(&self.plan, facts, metrics))
    }

    fn workers(&self) -> Result<Vec<Worker>, EngineError> {
        let mut workers = Vec::new();
        for pool in &self.plan.pools {
            for _ in 0..pool.workers {
                let id = WorkerId::from_index(workers.len());
                let ranks = (0..pool.plan.dp_size)
                    .map(|rank| self.rank(id, rank, pool))
                    .collect::<Result<Vec<_>, EngineError>>()?;
                let cost: Box<dyn CostModel> = match &self.cost {
                    Some(make) => make(id, pool),
                    None => {
                        let mut law =
                            LawCost::new(pool.program(), pool.coefficients.provenance.clone());
                        if let Some(latency) = pool.latency_program() {
                            law = law.with_latency(latency);
                        }
                        match &pool.rebalance {
                            None => Box::new(law),
                            Some(rebalance) => Box::new(RebalancedCost {
                                before: rebalance.before.clone(),
                                after: law,
                                pause: rebalance.pause,
                                steps_left: rebalance.iterations,
                                done: false,
                            }),
                        }
                    }
                };
                let streams = RngStreams::new(self.scenario.seed).child(u64::from(id.0));
                let balancer = Balancer::new(pool.load_balance(), ranks.len(), streams);
                let mut worker = Worker::new(id, ranks, cost, &pool.cuda_graphs, balancer);
                worker.overlaps = pool.overlaps();
                let stages = pool.plan.pp_size;
                worker.pipeline = (stages > 1).then(|| Pipeline::new(stages));
                workers.push(worker);
            }
        }
        Ok(workers)
    }

    fn rank(&self, worker: WorkerId, rank: u32, pool: &PoolPlan) -> Result<Rank, EngineError> {
        let mut config = pool.scheduler.clone();
        if let Some(speculative) = &mut config.speculative {
            let streams = RngStreams::new(self.scenario.seed);
            speculative.streams = streams.child(u64::from(worker.0)).child(u64::from(rank));
        }
        let page = PageSize::new(config.page_size).expect("the plan checked the page size");
        let kv = PagePool::new(config.max_total_num_tokens, page);
        let decodes_only = config.mode == DisaggregationMode::Decode;
        let cache: Box<dyn PrefixCache> = match &self.cache {
            // A decode worker keeps no prefixes: what it holds came from a prefill worker.
            _ if decodes_only || pool.config.disable_radix_cache => Box::new(NoCache::new(page)),
            Some(make) => make(worker, page),
            None => {
                let cache = RadixCache::new(page, pool.config.radix_eviction_policy);
                Box::new(match &pool.host_tier {
                    Some(host) => cache.with_host_tier(host.capacity, host.write_policy),
                    None => cache,
                })
            }
        };
        let scheduler: Box<dyn Scheduler> = match (&self.scheduler, decodes_only) {
            (Some(make), _) => make(worker, &config),
            (None, true) => Box::new(DecodeScheduler::new()),
            (None, false) => {
                let policy = match &self.policy {
                    Some(make) => make(worker),
                    None => {
                        let streams = RngStreams::new(self.scenario.seed);
                        // Every attention rank draws for itself.
                        let streams = streams.child(u64::from(worker.0)).child(u64::from(rank));
                        pool.config.schedule_policy.build(&config, streams).map_err(|source| {
                            ScenarioError::Scheduler { pool: pool.path, source }
                        })?
                    }
                };
                pool.config.scheduler.build(&config, policy)
            }
        };
        let batch = BatchState::new(config, Memory::new(kv, cache))
            .map_err(|source| ScenarioError::Scheduler { pool: pool.path, source })?;
        let host = pool.host_tier.as_ref().map(|host| host.law.compile()).transpose();
        let host = host.map_err(|source| ScenarioError::Pool { pool: pool.path, source })?;
        let host = host.map(HostCopies::new);
        Ok(Rank { batch, scheduler, kv_used: 0, host })
    }

    fn routing(&mut self) -> Result<Routing, ScenarioError> {
        let config = &self.scenario.router;
        let streams = RngStreams::new(self.scenario.seed);
        let own = std::mem::take(&mut self.routing);
        let [first, second] = own;
        let pools = &self.plan.pools;
        let policies = config.policies(pools.len() == 2);
        let router = |own: Option<Box<dyn RoutePolicy>>, at: usize| {
            let before: u32 = pools[..at].iter().map(|pool| pool.workers).sum();
            let workers = (before..before + pools[at].workers).map(WorkerId);
            if let Some(policy) = own {
                return Ok(Router::new(policy, workers));
            }
            let policy = policies[at].build(streams.child(at as u64));
            let router = Router::new(policy.map_err(ScenarioError::Router)?, workers);
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

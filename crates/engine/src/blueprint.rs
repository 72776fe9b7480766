//! How to build the workers of a run, at its start and after a fault.

use std::fmt;

use sglsim_radix::{NoCache, PagePool, PageSize, PrefixCache, RadixCache};
use sglsim_sched::{
    BatchState, DecodeScheduler, DisaggregationMode, Memory, SchedulePolicy, Scheduler,
    SchedulerConfig,
};
use sglsim_units::{RngStreams, WorkerId};

use crate::balance::Balancer;
use crate::cost::{CostModel, LawCost, RebalancedCost};
use crate::error::EngineError;
use crate::host::HostCopies;
use crate::pipeline::Pipeline;
use crate::plan::{DeploymentPlan, PoolPlan};
use crate::scenario::ScenarioError;
use crate::worker::{Rank, Worker};

pub(crate) type MakePolicy = Box<dyn Fn(WorkerId) -> Box<dyn SchedulePolicy>>;
pub(crate) type MakeScheduler = Box<dyn Fn(WorkerId, &SchedulerConfig) -> Box<dyn Scheduler>>;
pub(crate) type MakeCache = Box<dyn Fn(WorkerId, PageSize) -> Box<dyn PrefixCache>>;
pub(crate) type MakeCost = Box<dyn Fn(WorkerId, &PoolPlan) -> Box<dyn CostModel>>;

/// The plan of a deployment, and what of its workers a user swaps for their own.
pub(crate) struct Blueprint {
    pub(crate) plan: DeploymentPlan,
    pub(crate) seed: u64,
    pub(crate) policy: Option<MakePolicy>,
    pub(crate) scheduler: Option<MakeScheduler>,
    pub(crate) cache: Option<MakeCache>,
    pub(crate) cost: Option<MakeCost>,
}

impl fmt::Debug for Blueprint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Blueprint").field("seed", &self.seed).finish_non_exhaustive()
    }
}

impl Blueprint {
    /// The pool of a worker and its place there: workers are numbered pool by pool.
    pub(crate) fn place_of(&self, worker: WorkerId) -> (usize, u32) {
        let mut place = worker.0;
        for (at, pool) in self.plan.pools.iter().enumerate() {
            if place < pool.workers {
                return (at, place);
            }
            place -= pool.workers;
        }
        unreachable!("a worker has a pool")
    }

    /// All workers.
    pub(crate) fn workers(&self) -> Result<Vec<Worker>, EngineError> {
        let workers: u32 = self.plan.pools.iter().map(|pool| pool.workers).sum();
        (0..workers).map(|id| self.worker(WorkerId(id))).collect()
    }

    /// A worker at rest with empty caches.
    pub(crate) fn worker(&self, id: WorkerId) -> Result<Worker, EngineError> {
        let pool = &self.plan.pools[self.place_of(id).0];
        let ranks = (0..pool.plan.dp_size)
            .map(|rank| self.rank(id, rank, pool))
            .collect::<Result<Vec<_>, EngineError>>()?;
        let cost: Box<dyn CostModel> = match &self.cost {
            Some(make) => make(id, pool),
            None => {
                let mut law = LawCost::new(pool.program(), pool.coefficients.provenance.clone());
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
        let streams = RngStreams::new(self.seed).child(u64::from(id.0));
        let balancer = Balancer::new(pool.load_balance(), ranks.len(), streams);
        let mut worker = Worker::new(id, ranks, cost, &pool.cuda_graphs, balancer);
        worker.overlaps = pool.overlaps();
        let stages = pool.plan.pp_size;
        worker.pipeline = (stages > 1).then(|| Pipeline::new(stages));
        Ok(worker)
    }

    fn rank(&self, worker: WorkerId, rank: u32, pool: &PoolPlan) -> Result<Rank, EngineError> {
        let mut config = pool.scheduler.clone();
        if let Some(speculative) = &mut config.speculative {
            let streams = RngStreams::new(self.seed);
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
                        let streams = RngStreams::new(self.seed);
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
}

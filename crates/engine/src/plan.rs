//! What a scenario comes to before it runs: pools, parallel plans, memory and laws.

mod checks;
mod load;
mod network;
mod options;

use std::path::Path;

use sglsim_expr::{Context, Values};
use sglsim_hw::Topology;
use sglsim_kernels::{
    Coefficients, HostCopyLaw, KernelError, MemoryFit, MemoryLaw, MemoryOptions, ParallelPlan,
    Speculation, SpeculativeLaw, StepLaw, StepProgram, TransferLaw, TransferProgram,
    cuda_graph_sizes, speculative_cuda_graph_sizes,
};
use sglsim_model::ModelShape;
use sglsim_radix::WritePolicy;
use sglsim_sched::{
    DisaggregationMode, PrefillDelayerConfig, SchedulerConfig, SchedulerName, SpeculativeDecoding,
};
use sglsim_units::{Nearest, TokenCount};

use crate::balance::LoadBalanceMethod;
use crate::scenario::{
    Deployment, NetworkConfig, PoolConfig, Scenario, ScenarioError, check_faults,
};
use checks::{check_pool, check_scaling};
use load::{coefficients, load_model, load_topology};
use network::{check_layouts, kv_path};
use options::{placements, speculation};

/// A scenario worked out: what will be simulated, and the laws that it stands on.
///
/// All laws share one [`Context`], so that formulas can be made of several of them.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct DeploymentPlan {
    /// Where the laws live.
    pub context: Context,
    /// The model.
    pub model: ModelShape,
    /// One pool, or the prefill and the decode pool.
    pub pools: Vec<PoolPlan>,
    /// How long KV travels between the two pools.
    pub transfer: Option<TransferLaw>,
    /// What joins the nodes.
    pub network: NetworkConfig,
}

/// A pool worked out.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct PoolPlan {
    /// `worker`, `prefill` or `decode`.
    pub name: &'static str,
    /// Path of the pool in the scenario.
    pub path: &'static str,
    /// Its settings as the scenario has them.
    pub config: PoolConfig,
    /// Its workers, those on standby included.
    pub workers: u32,
    /// GPUs and links.
    pub topology: Topology,
    /// Parallel sizes of one worker.
    pub plan: ParallelPlan,
    /// Law coefficients.
    pub coefficients: Coefficients,
    /// How the memory of a GPU is divided.
    pub memory: MemoryLaw,
    /// The server arguments that decide it.
    pub memory_options: MemoryOptions,
    /// The same in numbers.
    pub fit: MemoryFit,
    /// Time of a step; of the target alone, where tokens are drafted.
    pub law: StepLaw,
    /// What holds until the experts are placed anew, if they are; [`PoolPlan::law`] holds after that.
    pub rebalance: Option<Rebalance>,
    /// How tokens are drafted, and the time of a step with it, if they are.
    pub speculation: Option<(Speculation, SpeculativeLaw)>,
    /// The same compiled, once: what is built in the laws' context later cannot change it.
    program: StepProgram,
    /// Time of a batch through all pipeline stages compiled, if there are several.
    latency: Option<StepProgram>,
    /// Settings of the scheduler of each attention rank.
    pub scheduler: SchedulerConfig,
    /// Decode batch sizes with a CUDA graph, ascending.
    pub cuda_graphs: Vec<u32>,
    /// The host tier under the prefix cache of each attention rank.
    pub host_tier: Option<HostTierPlan>,
}

/// A host tier worked out.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct HostTierPlan {
    /// Tokens it holds \[token\].
    pub capacity: TokenCount,
    /// When KV is copied to it.
    pub write_policy: WritePolicy,
    /// Time of copies over the link to the host.
    pub law: HostCopyLaw,
}

/// Experts that are placed anew once.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Rebalance {
    /// Steps before it.
    pub iterations: u32,
    /// How long it takes \[s\].
    pub pause: f64,
    /// Time of a step before it.
    pub before: StepProgram,
}

impl DeploymentPlan {
    /// Works a scenario out; paths in it are relative to `base`.
    ///
    /// # Errors
    ///
    /// [`ScenarioError`] naming the first field that cannot work.
    pub fn of(scenario: &Scenario, base: &Path) -> Result<Self, ScenarioError> {
        ScenarioError::check(scenario.network.check())?;
        let context = Context::new();
        let model = load_model(scenario, base)?;
        let make = |name, path, mode, config: &PoolConfig| {
            PoolPlan::of(&context, scenario, base, &model, (name, path, mode, config))
        };
        let pools = match &scenario.deployment {
            Deployment::Aggregated(pool) => {
                vec![make("worker", "deployment.Aggregated", DisaggregationMode::Null, pool)?]
            }
            Deployment::Disaggregated { prefill, decode } => vec![
                make(
                    "prefill",
                    "deployment.Disaggregated.prefill",
                    DisaggregationMode::Prefill,
                    prefill,
                )?,
                make(
                    "decode",
                    "deployment.Disaggregated.decode",
                    DisaggregationMode::Decode,
                    decode,
                )?,
            ],
        };
        scenario.router.check(pools.len() == 2).map_err(ScenarioError::Router)?;
        let transfer = match pools.as_slice() {
            [prefill, decode] => {
                check_layouts(prefill, decode)?;
                let path = kv_path(&scenario.network, prefill, decode);
                let plans = [&prefill.plan, &decode.plan];
                let law = TransferLaw::of(&context, &model, &path, &prefill.coefficients, plans);
                Some(law.map_err(|source| ScenarioError::Pool {
                    pool: "deployment.Disaggregated",
                    source,
                })?)
            }
            _ => None,
        };
        let plan = Self { context, model, pools, transfer, network: scenario.network };
        let mut wrong = check_scaling(scenario.autoscale.as_ref(), &plan.pools);
        wrong.extend(check_faults(&scenario.faults, &plan.pools, plan.network().as_ref()));
        ScenarioError::check(wrong)?;
        Ok(plan)
    }

    /// GPUs of all pools.
    #[must_use]
    pub fn gpus(&self) -> u32 {
        self.pools.iter().map(PoolPlan::gpus).sum()
    }

    /// All symbols of the step and transfer laws that are not features of a batch: parallel sizes,
    /// hardware, θ.
    #[must_use]
    pub fn parameters(&self) -> Values {
        let mut all = Values::new();
        for pool in &self.pools {
            all.extend(pool.law.values().iter());
        }
        if let Some(law) = &self.transfer {
            all.extend(law.values().iter());
        }
        all
    }

    /// The same deployment on hardware with other figures, or with another θ, under the names of the
    /// laws' symbols, such as `decode_hbm_bandwidth`. Memory stays as it is.
    ///
    /// # Errors
    ///
    /// [`ScenarioError::UnknownParameter`] with the closest name; [`ScenarioError::Pool`] if a value
    /// is out of its domain.
    pub fn with_parameters(mut self, values: &Values) -> Result<Self, ScenarioError> {
        let known = self.parameters();
        if let Some(name) = values.names().find(|name| known.get(name).is_none()) {
            return Err(ScenarioError::UnknownParameter {
                name: name.to_owned(),
                hint: Nearest::to(name, known.names()),
            });
        }
        for pool in &mut self.pools {
            if pool.speculation.is_some() || pool.rebalance.is_some() {
                return Err(ScenarioError::Pool {
                    pool: pool.path,
                    source: KernelError::Unsupported {
                        field: "parameters",
                        value: "changed".to_owned(),
                        reason: "not with speculative decoding or enable_eplb yet".to_owned(),
                    },
                });
            }
            pool.law = pool.law.clone().with_values(values);
            let in_pool = |source| ScenarioError::Pool { pool: pool.path, source };
            pool.program = pool.law.compile().map_err(in_pool)?;
            if pool.latency.is_some() {
                pool.latency = Some(pool.law.compile_latency().map_err(in_pool)?);
            }
        }
        self.transfer = self.transfer.map(|law| law.with_values(values));
        self.transfer_program()?;
        Ok(self)
    }

    pub(crate) fn transfer_program(&self) -> Result<Option<TransferProgram>, ScenarioError> {
        let compiled = self.transfer.as_ref().map(TransferLaw::compile).transpose();
        compiled.map_err(|source| ScenarioError::Pool { pool: "deployment.Disaggregated", source })
    }
}

impl PoolPlan {
    fn of(
        context: &Context,
        scenario: &Scenario,
        base: &Path,
        model: &ModelShape,
        (name, path, mode, config): (&'static str, &'static str, DisaggregationMode, &PoolConfig),
    ) -> Result<Self, ScenarioError> {
        check_pool(path, mode, config)?;
        let in_pool = |source| ScenarioError::Pool { pool: path, source };
        let hardware = config.hardware.as_ref().unwrap_or(&scenario.hardware);
        let topology = load_topology(hardware, base).map_err(|source| {
            let field = if config.hardware.is_some() {
                format!("{path}.hardware")
            } else {
                "hardware".to_owned()
            };
            ScenarioError::Hardware { field, source }
        })?;
        let mut coefficients = coefficients(scenario, base, topology.gpu())?;
        let plan = ParallelPlan {
            tp_size: config.tp_size,
            dp_size: config.dp_size,
            ep_size: config.ep_size,
            pp_size: config.pp_size,
            moe_a2a_backend: config.moe_a2a_backend,
            moe_dense_tp_size: config.moe_dense_tp_size,
            enable_two_batch_overlap: config.enable_two_batch_overlap,
        };
        let placements = placements(path, model, (config, &plan))?;
        if let Some((placement, loads)) = placements.last().zip(config.expert_loads.as_ref()) {
            coefficients.expert.imbalance = placement.imbalance(loads);
        }
        let scope = match mode {
            DisaggregationMode::Null => "",
            DisaggregationMode::Prefill => "prefill_",
            DisaggregationMode::Decode => "decode_",
        };
        let speculation = speculation(path, scenario, base, model, (config, &plan))?;
        let mut options = memory_options(scenario, mode, config);
        options.speculation.clone_from(&speculation);
        let law = StepLaw::of(context, scope, model, &topology, &coefficients, &plan);
        let law = law.map_err(in_pool)?;
        let speculation = match (speculation, &config.speculative_acceptance) {
            (Some(speculation), Some(acceptance)) => {
                let law = SpeculativeLaw::of(&law, &plan, &speculation, acceptance);
                Some((speculation, law.map_err(in_pool)?))
            }
            _ => None,
        };
        let program = match &speculation {
            Some((_, speculative)) => speculative.compile(),
            None => law.compile(),
        };
        let program = program.map_err(in_pool)?;
        let latency = (plan.pp_size > 1).then(|| law.compile_latency());
        let latency = latency.transpose().map_err(in_pool)?;
        let rebalance = match (placements.as_slice(), &config.expert_loads) {
            ([before, after], Some(loads)) => {
                let name = format!("{scope}expert_imbalance");
                let values = Values::from([(name.as_str(), before.imbalance(loads))]);
                let pause = law.expert_fetch_time(model, after.fetched(before)).map_err(in_pool)?;
                let pause = pause.evaluate(law.values()).map_err(KernelError::from);
                Some(Rebalance {
                    iterations: config.eplb_rebalance_num_iterations,
                    pause: pause.map_err(in_pool)?,
                    before: law.clone().with_values(&values).compile().map_err(in_pool)?,
                })
            }
            _ => None,
        };
        let memory = MemoryLaw::of(context, scope, model, topology.gpu(), &plan, &options);
        let memory = memory.map_err(in_pool)?;
        let fit = memory.fit().map_err(in_pool)?;
        let mut scheduler = scheduler_config(mode, config, &plan, &fit);
        if let (Some((speculation, _)), Some(acceptance)) =
            (&speculation, &config.speculative_acceptance)
        {
            scheduler.speculative = Some(SpeculativeDecoding::new(
                speculation.num_draft_tokens,
                TokenCount::from(speculation.reserved_tokens(config.page_size)),
                acceptance.probabilities(speculation),
            ));
            // SGLang switches it off, too.
            scheduler.enable_mixed_chunk = false;
        }
        let scheduler = scheduler
            .validated()
            .map_err(|source| ScenarioError::Scheduler { pool: path, source })?;
        let host_tier = config.enable_hierarchical_cache.then(|| {
            let (scope, link) = (format!("{scope}hicache_"), topology.host_link());
            let law = HostCopyLaw::of(context, &scope, model, link, &coefficients, &plan)?;
            HostTierPlan::of(config, law, fit.max_total_num_tokens)
        });
        let host_tier = host_tier.transpose().map_err(in_pool)?;
        let no_graphs = config.disable_cuda_graph || mode == DisaggregationMode::Prefill;
        let largest = if no_graphs { 0 } else { fit.settings.cuda_graph_max_bs };
        Ok(Self {
            name,
            path,
            config: config.clone(),
            workers: config.workers + config.standby,
            topology,
            plan,
            coefficients,
            memory,
            memory_options: options,
            fit,
            law,
            program,
            latency,
            scheduler,
            cuda_graphs: match speculation {
                Some(_) => speculative_cuda_graph_sizes(largest),
                None => cuda_graph_sizes(largest),
            },
            host_tier,
            speculation,
            rebalance,
        })
    }

    /// GPUs of all workers.
    #[must_use]
    pub fn gpus(&self) -> u32 {
        self.workers * self.plan.gpus()
    }

    /// Whether its workers choose a step while the one before runs (SGLang 0.5.23,
    /// `managers/scheduler.py:Scheduler.event_loop_overlap`).
    #[must_use]
    pub fn overlaps(&self) -> bool {
        !self.config.disable_overlap_schedule
            && self.config.scheduler == SchedulerName::Sglang
            && self.plan.pp_size == 1
    }

    /// How requests are spread over the attention ranks of a worker.
    #[must_use]
    pub fn load_balance(&self) -> LoadBalanceMethod {
        match (self.config.load_balance_method, self.scheduler.mode) {
            (LoadBalanceMethod::Auto, DisaggregationMode::Prefill) => {
                LoadBalanceMethod::FollowBootstrapRoom
            }
            (LoadBalanceMethod::Auto, _) => LoadBalanceMethod::RoundRobin,
            (given, _) => given,
        }
    }

    /// The same of a batch's time through all pipeline stages, if there are several.
    #[must_use]
    pub fn latency_program(&self) -> Option<StepProgram> {
        self.latency.clone()
    }

    /// The compiled step law, with registers of its own.
    #[must_use]
    pub fn program(&self) -> StepProgram {
        self.program.clone()
    }
}

impl HostTierPlan {
    /// # Source
    ///
    /// SGLang 0.5.23, `mem_cache/pool_host/base.py:HostKVCache`.
    fn of(config: &PoolConfig, law: HostCopyLaw, pool: TokenCount) -> Result<Self, KernelError> {
        let page = TokenCount::from(config.page_size);
        let tokens = if config.hicache_size > 0.0 {
            let one = law.values().clone().with(law.tokens().name().unwrap_or_default(), 1.0);
            config.hicache_size * 1e9 / law.bytes().evaluate(&one)?
        } else {
            config.hicache_ratio * pool as f64
        };
        #[expect(
            clippy::cast_possible_truncation,
            clippy::cast_sign_loss,
            reason = "SGLang's int(); a cast saturates"
        )]
        let pages = tokens as TokenCount / page;
        let capacity = pages.saturating_add(1).saturating_mul(page);
        Ok(Self { capacity, write_policy: config.hicache_write_policy, law })
    }
}

fn memory_options(
    scenario: &Scenario,
    mode: DisaggregationMode,
    config: &PoolConfig,
) -> MemoryOptions {
    MemoryOptions {
        disaggregation_mode: mode,
        mem_fraction_static: config.mem_fraction_static,
        chunked_prefill_size: match config.chunked_prefill_size {
            // Without chunks, memory is kept for the largest pass (SGLang 0.5.23, `server_args.py`).
            Some(-1) => config.max_prefill_tokens.checked_next_multiple_of(config.page_size),
            chunk => chunk.and_then(|chunk| u32::try_from(chunk).ok()),
        },
        cuda_graph_max_bs: config.cuda_graph_max_bs,
        disable_cuda_graph: config.disable_cuda_graph,
        max_running_requests: config.max_running_requests,
        max_total_tokens: config.max_total_tokens,
        page_size: config.page_size,
        context_length: scenario.context_length,
        ..MemoryOptions::default()
    }
}

/// Under attention DP, SGLang divides the chunk and the cautiousness of every rank.
const DP_CONSERVATIVENESS: f64 = 0.3;

fn scheduler_config(
    mode: DisaggregationMode,
    config: &PoolConfig,
    plan: &ParallelPlan,
    fit: &MemoryFit,
) -> SchedulerConfig {
    let max_running = u32::try_from(fit.max_running_requests).unwrap_or(u32::MAX);
    let mut scheduler = SchedulerConfig::new(fit.max_total_num_tokens, max_running);
    scheduler.mode = mode;
    scheduler.page_size = config.page_size;
    scheduler.context_length = TokenCount::from(fit.settings.context_length);
    scheduler.chunked_prefill_size = match config.chunked_prefill_size {
        Some(-1) => None,
        _ => Some((fit.settings.chunked_prefill_size / plan.dp_size).max(1)),
    };
    scheduler.max_prefill_tokens = config.max_prefill_tokens;
    scheduler.schedule_conservativeness = config.schedule_conservativeness;
    scheduler.enable_mixed_chunk = config.enable_mixed_chunk;
    scheduler.prefill_max_requests = config.prefill_max_requests;
    scheduler.max_queued_requests = config.max_queued_requests;
    scheduler.prefill_decode_interval = config.prefill_decode_interval;
    scheduler.prefill_decode_interval_min_bs = config.prefill_decode_interval_min_bs;
    scheduler.min_free_slots = config.min_free_slots_delay;
    scheduler.enable_priority_scheduling = config.enable_priority_scheduling;
    scheduler.schedule_low_priority_values_first = config.schedule_low_priority_values_first;
    scheduler.priority_scheduling_preemption_threshold =
        config.priority_scheduling_preemption_threshold;
    scheduler.pp_size = plan.pp_size;
    scheduler.pp_max_micro_batch_size = config.pp_max_micro_batch_size;
    scheduler.retraction_policy = config.retraction_policy;
    scheduler.prefill_delayer = config.enable_prefill_delayer.then(PrefillDelayerConfig::default);
    if plan.dp_size > 1 {
        scheduler.schedule_conservativeness *= DP_CONSERVATIVENESS;
    }
    scheduler
}

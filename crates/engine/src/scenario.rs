//! The scenario: everything that a run depends on, in one RON file.

mod edit;
mod error;
mod faults;
mod load;
mod network;

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use sglsim_kernels::{Acceptance, MoeA2aBackend, SpeculativeAlgorithm};
use sglsim_model::Dtype;
use sglsim_radix::{EvictionPolicy, WritePolicy};
use sglsim_router::{
    CircuitBreakerConfig, HealthCheckConfig, LimiterConfig, PolicyConfig, RetryConfig, RouteError,
};
use sglsim_sched::{
    DEFAULT_MAX_PREFILL_TOKENS, RetractionPolicy, SchedulePolicyName, SchedulerName,
};
use sglsim_units::{RngStreams, Seconds};
use sglsim_workload::WorkloadConfig;

use crate::scaling::AutoscaleConfig;

use crate::balance::LoadBalanceMethod;

pub use error::ScenarioError;
pub use faults::Fault;
pub(crate) use faults::{check_faults, workers_of};
pub use network::{NetworkConfig, Sharing};

/// Everything that a run depends on. Every default is SGLang's.
///
/// ```
/// use sglsim_engine::{Deployment, Scenario};
///
/// let scenario = Scenario::from_ron(r#"(
///     model: "Llama-3.1-8B",
///     hardware: (gpu: "H100-SXM"),
///     deployment: Disaggregated(prefill: (workers: 1), decode: (workers: 2)),
///     workload: Synthetic(
///         arrivals: Poisson(rate: 4.0),
///         input_len: Fixed(2000),
///         output_len: Fixed(200),
///         requests: 100,
///     ),
/// )"#)?;
/// assert!(matches!(scenario.deployment, Deployment::Disaggregated { .. }));
///
/// let scenario = scenario.with("deployment.decode.workers", "4")?;
/// let error = scenario.with("deployment.decode.wrokers", "4").unwrap_err();
/// assert!(error.to_string().contains("did you mean `workers`?"));
/// # Ok::<(), sglsim_engine::ScenarioError>(())
/// ```
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Scenario {
    /// A model preset, or the path of a Hugging Face `config.json` or of a RON file; paths are
    /// relative to the scenario file.
    pub model: String,
    /// Number format of the weights, if not the model's own.
    #[serde(default)]
    pub quantization: Option<Dtype>,
    /// Number format of the KV cache, if not the model's own.
    #[serde(default)]
    pub kv_cache_dtype: Option<Dtype>,
    /// Longest prompt plus output \[token\], if not the model's own.
    #[serde(default)]
    pub context_length: Option<u32>,
    /// GPUs and links of every pool that names none of its own.
    pub hardware: Hardware,
    /// What joins the nodes.
    #[serde(default)]
    pub network: NetworkConfig,
    /// The workers.
    pub deployment: Deployment,
    /// Which worker gets a request.
    #[serde(default)]
    pub router: RouterConfig,
    /// What arrives, and when.
    pub workload: WorkloadConfig,
    /// Where the laws' coefficients come from: the path of a file that `sglsim calibrate fit` wrote,
    /// a GPU whose calibration comes with sglsim, or `datasheet` for none. By default what sglsim has
    /// for each pool's GPU. What a file lacks stays as by default.
    #[serde(default)]
    pub calibration: Option<String>,
    /// Law coefficients that differ from those, by name.
    #[serde(default)]
    pub coefficients: BTreeMap<String, f64>,
    /// What goes wrong, and what is restarted, when.
    #[serde(default)]
    pub faults: Vec<Fault>,
    /// How pools grow and shrink.
    #[serde(default)]
    pub autoscale: Option<AutoscaleConfig>,
    /// How long clients wait for the whole response before they go away \[s\]; without limit if left
    /// out.
    #[serde(default)]
    pub client_timeout: Option<Seconds>,
    /// What to do with a request that no worker can ever hold.
    #[serde(default)]
    pub oversized_requests: Oversized,
    /// Seed of every random stream.
    #[serde(default = "default_seed")]
    pub seed: u64,
}

fn default_seed() -> u64 {
    42
}

/// GPUs and the links between them.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Hardware {
    /// A GPU preset, or the path of a RON file.
    pub gpu: String,
    /// GPUs that share the fast link, if not the GPU's usual number.
    #[serde(default)]
    pub gpus_per_node: Option<u32>,
    /// The link inside a node, if not the GPU's usual one.
    #[serde(default)]
    pub scale_up: Option<String>,
    /// The link between nodes, one per GPU, if not the GPU's usual one. KV travels over it.
    #[serde(default)]
    pub scale_out: Option<String>,
    /// The link between a GPU and the memory of its host, if not the GPU's usual one. HiCache copies
    /// over it.
    #[serde(default)]
    pub host_link: Option<String>,
}

/// The pools of workers.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
#[expect(clippy::large_enum_variant, reason = "a scenario has one of them, and is read once")]
pub enum Deployment {
    /// Every worker prefills and decodes.
    Aggregated(PoolConfig),
    /// Some workers prefill, others decode; the KV travels between them.
    Disaggregated {
        /// The workers that prefill.
        prefill: PoolConfig,
        /// The workers that decode.
        decode: PoolConfig,
    },
}

/// A pool of equal workers, under SGLang's server arguments.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct PoolConfig {
    /// Workers in the pool that are up at the start.
    pub workers: u32,
    /// Further workers, down at the start, that autoscaling or a change of roles brings up.
    pub standby: u32,
    /// GPUs of one worker.
    pub tp_size: u32,
    /// Attention replicas inside one worker (`--dp-size N --enable-dp-attention`).
    pub dp_size: u32,
    /// Which attention rank gets a request.
    pub load_balance_method: LoadBalanceMethod,
    /// Expert parallel ranks of one worker.
    pub ep_size: u32,
    /// Pipeline stages of one worker; SGLang's overlap loop is off with several.
    pub pp_size: u32,
    /// Most requests that decode together in one micro-batch, of which there are as many as stages; by
    /// default an equal share of `max_running_requests`.
    pub pp_max_micro_batch_size: Option<u32>,
    /// Relative load of each routed expert, the same in every layer and for the whole run; equal loads if
    /// not given. Matters where the experts are spread over ranks.
    pub expert_loads: Option<Vec<f64>>,
    /// Place the experts anew by their loads after some steps, without redundant ones.
    pub enable_eplb: bool,
    /// Steps before that.
    pub eplb_rebalance_num_iterations: u32,
    /// How tokens reach the experts of other ranks.
    pub moe_a2a_backend: MoeA2aBackend,
    /// 1 if every rank has the dense FFNs of a model with experts whole.
    pub moe_dense_tp_size: Option<u32>,
    /// Hide the collectives of one half of the batch behind the kernels of the other.
    pub enable_two_batch_overlap: bool,
    /// GPUs and links, if not the scenario's.
    pub hardware: Option<Hardware>,
    /// Tokens one prefill step may compute \[token\]; -1 switches chunking off; by default decided
    /// by GPU memory. Divided by `dp_size`, as SGLang does.
    pub chunked_prefill_size: Option<i64>,
    /// Input budget of one prefill pass \[token\].
    pub max_prefill_tokens: u32,
    /// Most requests of one worker that run at once; by default decided by the KV pool. Divided by
    /// `dp_size`, as SGLang does.
    pub max_running_requests: Option<u32>,
    /// Upper limit of the KV pool of one attention rank \[token\].
    pub max_total_tokens: Option<u64>,
    /// Share of GPU memory for weights and KV; by default decided as SGLang does.
    pub mem_fraction_static: Option<f64>,
    /// Tokens in a page of KV.
    pub page_size: u32,
    /// Who forms the batches: SGLang's scheduler, or another one for comparison. Pools that decode
    /// only take SGLang's.
    pub scheduler: SchedulerName,
    /// Order of the waiting queue.
    pub schedule_policy: SchedulePolicyName,
    /// Above 1, admission reserves more for running requests.
    pub schedule_conservativeness: f64,
    /// Choose each step when the one before is done, instead of while it runs. Schedulers other than
    /// SGLang's always do.
    pub disable_overlap_schedule: bool,
    /// Whether a prefill step takes the running batch along, one token each.
    pub enable_mixed_chunk: bool,
    /// Most requests of one prefill step, if there is such a limit.
    pub prefill_max_requests: Option<u32>,
    /// Most requests that may wait on one attention rank, if there is such a limit; others are
    /// refused.
    pub max_queued_requests: Option<u32>,
    /// Decode steps between two prefill steps, once `prefill_decode_interval_min_bs` requests run.
    pub prefill_decode_interval: u32,
    /// Requests from which on `prefill_decode_interval` holds.
    pub prefill_decode_interval_min_bs: u32,
    /// Rows that must be free before new prompts are taken while others run; below 2 is no limit.
    pub min_free_slots_delay: u32,
    /// Who is pushed out first when decode runs out of memory; `priority` needs `enable_priority_scheduling`.
    pub retraction_policy: RetractionPolicy,
    /// Hold prefill back until there is room for a batch as large as recent ones.
    pub enable_prefill_delayer: bool,
    /// How tokens are drafted, if they are.
    pub speculative_algorithm: Option<SpeculativeAlgorithm>,
    /// Tokens drafted one after the other \[token\]; this and the next two by default as SGLang chooses.
    pub speculative_num_steps: Option<u32>,
    /// Candidates kept at every drafting step.
    pub speculative_eagle_topk: Option<u32>,
    /// Tokens verified per sequence \[token\].
    pub speculative_num_draft_tokens: Option<u32>,
    /// The draft model of `STANDALONE`: a preset, or the path of a file, as for `model`.
    pub speculative_draft_model_path: Option<String>,
    /// How many drafts are accepted; needed with `speculative_algorithm`, as no law knows it.
    pub speculative_acceptance: Option<Acceptance>,
    /// Largest decode batch with a CUDA graph; by default decided by GPU memory.
    pub cuda_graph_max_bs: Option<u32>,
    /// Launch every decode kernel one by one.
    pub disable_cuda_graph: bool,
    /// Keep no prefix.
    pub disable_radix_cache: bool,
    /// Which cached prefix goes first.
    pub radix_eviction_policy: EvictionPolicy,
    /// Let priorities order the waiting queue and push running requests out.
    pub enable_priority_scheduling: bool,
    /// A smaller priority is the more urgent one.
    pub schedule_low_priority_values_first: bool,
    /// A request is pushed out only for one that is more urgent by more than this.
    pub priority_scheduling_preemption_threshold: i64,
    /// Keep prefixes in the memory of the host too (HiCache).
    pub enable_hierarchical_cache: bool,
    /// Size of the host tier, as a multiple of the KV pool.
    pub hicache_ratio: f64,
    /// Size of the host tier of one rank \[GB\]; 0 takes `hicache_ratio`.
    pub hicache_size: f64,
    /// When KV is copied to the host.
    pub hicache_write_policy: WritePolicy,
}

impl Default for PoolConfig {
    fn default() -> Self {
        Self {
            workers: 1,
            standby: 0,
            tp_size: 1,
            dp_size: 1,
            load_balance_method: LoadBalanceMethod::Auto,
            ep_size: 1,
            pp_size: 1,
            pp_max_micro_batch_size: None,
            expert_loads: None,
            enable_eplb: false,
            eplb_rebalance_num_iterations: 1000,
            moe_a2a_backend: MoeA2aBackend::None,
            moe_dense_tp_size: None,
            enable_two_batch_overlap: false,
            hardware: None,
            chunked_prefill_size: None,
            max_prefill_tokens: DEFAULT_MAX_PREFILL_TOKENS,
            max_running_requests: None,
            max_total_tokens: None,
            mem_fraction_static: None,
            page_size: 1,
            scheduler: SchedulerName::Sglang,
            schedule_policy: SchedulePolicyName::Fcfs,
            schedule_conservativeness: 1.0,
            disable_overlap_schedule: false,
            enable_mixed_chunk: false,
            prefill_max_requests: None,
            max_queued_requests: None,
            prefill_decode_interval: 0,
            prefill_decode_interval_min_bs: 0,
            min_free_slots_delay: 0,
            retraction_policy: RetractionPolicy::Length,
            enable_prefill_delayer: false,
            speculative_algorithm: None,
            speculative_num_steps: None,
            speculative_eagle_topk: None,
            speculative_num_draft_tokens: None,
            speculative_draft_model_path: None,
            speculative_acceptance: None,
            cuda_graph_max_bs: None,
            disable_cuda_graph: false,
            disable_radix_cache: false,
            radix_eviction_policy: EvictionPolicy::Lru,
            enable_priority_scheduling: false,
            schedule_low_priority_values_first: false,
            priority_scheduling_preemption_threshold: 10,
            enable_hierarchical_cache: false,
            hicache_ratio: 2.0,
            hicache_size: 0.0,
            hicache_write_policy: WritePolicy::WriteThrough,
        }
    }
}

/// Routing policies.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct RouterConfig {
    /// Policy of an aggregated pool, and of both pools of a disaggregated one unless they name
    /// their own.
    pub policy: PolicyConfig,
    /// Policy among prefill workers.
    pub prefill_policy: Option<PolicyConfig>,
    /// Policy among decode workers.
    pub decode_policy: Option<PolicyConfig>,
    /// How often and when a request is tried again.
    pub retry: RetryConfig,
    /// When a worker that fails is not asked any more.
    pub circuit_breaker: CircuitBreakerConfig,
    /// How the router learns that a worker is down or back.
    pub health_check: HealthCheckConfig,
    /// How many requests it lets through.
    pub limits: LimiterConfig,
    /// Longest time of an attempt, its whole response included \[s\].
    pub request_timeout_secs: Seconds,
    /// Longest time until a decode worker has reserved memory
    /// (`SGLANG_DISAGGREGATION_BOOTSTRAP_TIMEOUT`) \[s\].
    pub bootstrap_timeout: Seconds,
    /// Longest time from there until all KV is there (`SGLANG_DISAGGREGATION_WAITING_TIMEOUT`) \[s\].
    pub waiting_timeout: Seconds,
}

impl Default for RouterConfig {
    fn default() -> Self {
        let seconds = |seconds| Seconds::new(seconds).expect("a constant");
        Self {
            policy: PolicyConfig::default(),
            prefill_policy: None,
            decode_policy: None,
            retry: RetryConfig::default(),
            circuit_breaker: CircuitBreakerConfig::default(),
            health_check: HealthCheckConfig::default(),
            limits: LimiterConfig::default(),
            request_timeout_secs: seconds(1800.0),
            bootstrap_timeout: seconds(300.0),
            waiting_timeout: seconds(300.0),
        }
    }
}

impl RouterConfig {
    /// The policy of each pool: of the only one, or of prefill and decode workers.
    pub(crate) fn policies(&self, is_disaggregated: bool) -> Vec<PolicyConfig> {
        if is_disaggregated {
            let of = |own: Option<PolicyConfig>| own.unwrap_or(self.policy);
            vec![of(self.prefill_policy), of(self.decode_policy)]
        } else {
            vec![self.policy]
        }
    }

    /// Whether every policy can be made and is where it may be.
    pub(crate) fn check(&self, is_disaggregated: bool) -> Result<(), RouteError> {
        self.retry.check()?;
        self.circuit_breaker.check()?;
        self.health_check.check()?;
        self.limits.check()?;
        for (at, policy) in self.policies(is_disaggregated).into_iter().enumerate() {
            policy.build(RngStreams::new(0))?;
            if matches!(policy, PolicyConfig::Bucket(_)) && !(is_disaggregated && at == 0) {
                let pool = if is_disaggregated { "the decode pool" } else { "a single pool" };
                return Err(RouteError::PrefillOnly { policy: "bucket", pool });
            }
        }
        Ok(())
    }
}

/// What happens to a request whose prompt no worker can ever hold.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub enum Oversized {
    /// The run ends with an error: the scenario does not fit the workload.
    #[default]
    Error,
    /// The request is refused and counted, as SGLang answers it with an error.
    Refuse,
}

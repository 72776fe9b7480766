//! Discrete-event simulation of an SGLang deployment: router, workers, prefix caches, chunked
//! prefill, KV transfer between prefill and decode workers, and what users feel of it.
//!
//! ```
//! use sglsim_engine::{Scenario, Simulation};
//!
//! let scenario = Scenario::from_ron(r#"(
//!     model: "Llama-3.1-8B",
//!     hardware: (gpu: "H100-SXM"),
//!     deployment: Disaggregated(prefill: (workers: 1), decode: (workers: 1)),
//!     workload: Synthetic(
//!         arrivals: Poisson(rate: 5.0),
//!         input_len: LogNormal(mean: 2000, cv: 0.8, max: 16000),
//!         output_len: Fixed(100),
//!         requests: 50,
//!     ),
//! )"#)?;
//! let report = Simulation::new(scenario)?.run()?;
//! assert_eq!(report.completed, 50);
//! println!("{:.0} output tokens/s, TTFT {:.0} ms", report.output_throughput(), report.ttft.mean * 1e3);
//! # Ok::<(), sglsim_engine::EngineError>(())
//! ```
//!
//! * [`Scenario`]: everything that a run depends on, a RON file;
//! * [`DeploymentPlan`]: what a scenario comes to, before it runs: pools, memory, laws;
//! * [`Simulation`]: a run, in which every layer can be swapped for your own;
//! * [`Observer`]: watches a run, event by event; [`Timeline`] is one that keeps lives of requests;
//! * [`Report`]: what it found; with an [`Slo`] its goodput and what limits it.
//!
//! A step's duration comes from a [`CostModel`]; the standard one is the compiled step law of
//! `sglsim-kernels`, the same expression that a formula is made of. Only this crate advances time.
//!
//! What the author of a plug-in needs from the crates below is re-exported here, so that
//! `sglsim-engine` is the one dependency of a downstream project; the feature `testing` brings their
//! conformance suites.

mod balance;
mod blueprint;
mod builder;
mod cost;
mod error;
mod event;
mod fabric;
mod host;
mod metrics;
mod observer;
mod pipeline;
mod plan;
mod report;
mod scaling;
mod scenario;
mod simulation;
#[cfg(feature = "testing")]
pub mod testing;
mod timeline;
mod timers;
mod worker;

pub use balance::LoadBalanceMethod;
pub use builder::Simulation;
pub use cost::{CostModel, LawCost};
pub use error::EngineError;
pub use fabric::{
    Delivery, Fabric, FairFabric, FairShares, FifoFabric, Flow, LinkId, LinkKind, LinkUse, Network,
    Port, ShareId,
};
pub use metrics::{RequestRecord, Summary};
pub use observer::{Event, Failure, Observer};
pub use plan::{DeploymentPlan, HostTierPlan, PoolPlan, Rebalance};
pub use report::{
    Bottleneck, LinkReport, PoolReport, Report, ReportFolder, Resource, Slo, WorkerReport,
    WriteError,
};
pub use scaling::{AutoscaleConfig, Autoscaler, PoolView, TargetLoad};
pub use scenario::{
    Deployment, Fault, Hardware, NetworkConfig, Oversized, PoolConfig, RouterConfig, Scenario,
    ScenarioError, Sharing,
};
pub use timeline::{Choice, Keep, Life, Moment, Timeline};

pub use sglsim_kernels::{
    Acceptance, ParallelPlan, Speculation, SpeculativeAlgorithm, SpeculativeLaw, StepFeatures,
};
pub use sglsim_radix::{
    Backup, EvictionPolicy, Key, NodeId, PageSize, PrefixCache, PrefixMatch, Prompt, RadixCache,
    Span, WritePolicy,
};
pub use sglsim_router::{
    CacheAwareConfig, CircuitBreakerConfig, HealthCheckConfig, LimiterConfig, PolicyConfig,
    RetryConfig, RouteError, RoutePolicy, RouteRequest, WorkerView,
};
pub use sglsim_sched::{
    BatchState, CLIP_MAX_NEW_TOKENS, DecodeScheduler, DisaggregationMode, ExtendSlice, Fcfs,
    ForwardBatch, ForwardMode, Labels, LongestOutputFirst, LongestPrefixMatch, Memory,
    MixedScheduler, NUM_RESERVED_DECODE_TOKENS, Needs, NewTokenRatio, PrefillAdder, QueueEntry,
    ReqView, RetractionPolicy, SchedError, SchedulePolicy, SchedulePolicyName, Scheduler,
    SchedulerConfig, SchedulerName, SglangScheduler, Slot, SpeculativeDecoding, StepResult,
    WholeScheduler,
};
pub use sglsim_units::{RequestId, RngStreams, Seconds, SimTime, TokenCount, WorkerId};
pub use sglsim_workload::{Finished, Request, Workload, WorkloadConfig, WorkloadError};

//! One worker's batch policy: what runs in the next step.
//!
//! The crate separates mechanism from policy. [`BatchState`] is the state of one rank, its queues,
//! its running batch (accounted lazily: a decode step costs O(1)) and its KV memory, with moves that
//! refuse what cannot be. A [`Scheduler`] reads it and chooses moves; [`SglangScheduler`] and
//! [`DecodeScheduler`] choose as SGLang does, [`MixedScheduler`], [`PrefillFirstScheduler`] and
//! [`WholeScheduler`] as vLLM, Sarathi-Serve, Orca and static batching do, for comparison. A [`SchedulePolicy`] orders the waiting queue.
//!
//! Your own scheduler or queue order is tested by one call of `testing::conformance`,
//! `testing::decode_conformance` or `testing::policy_conformance` (feature `testing`).
//!
//! It knows tokens, queues and memory; it knows nothing of how long a step takes, of other workers,
//! or of a request's true output length.
//!
//! ```
//! use sglsim_radix::{EvictionPolicy, PagePool, PageSize, Prompt, RadixCache, Span};
//! use sglsim_sched::*;
//! use sglsim_units::{RequestId, SimTime};
//!
//! let config = SchedulerConfig::new(100_000, 256);
//! let cache = RadixCache::new(PageSize::ONE, EvictionPolicy::Lru);
//! let memory = Memory::new(PagePool::new(100_000, PageSize::ONE), Box::new(cache));
//! let mut batch = BatchState::new(config.clone(), memory)?;
//! batch.submit(Submission {
//!     id: RequestId(0),
//!     prompt: Prompt::new(vec![Span::new(1, 10_000)]),
//!     output_content: 2,
//!     max_new_tokens: 100,
//!     stop_after: 100,
//!     ignore_eos: true,
//!     arrival: SimTime::ZERO,
//!     labels: Labels::default(),
//! })?;
//!
//! let mut scheduler = SglangScheduler::new(&config);
//! let mode = scheduler.next_step(&mut batch, SimTime::ZERO)?;
//! assert_eq!(mode, ForwardMode::Extend);
//! assert_eq!(batch.extend_batch()[0].extend, 8192); // chunked_prefill_size
//! batch.begin_step(mode)?;
//! batch.finish_step(SimTime::ZERO);
//! assert_eq!(scheduler.next_step(&mut batch, SimTime::ZERO)?, ForwardMode::Extend);
//! assert_eq!(batch.extend_batch()[0].extend, 10_000 - 8192);
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```

mod adder;
mod batch;
mod cancel;
mod config;
mod decode;
mod delayer;
mod error;
mod fixed_length;
mod host;
mod memory;
mod micro_batch;
mod mixed;
mod moves;
mod notice;
mod policies;
mod policy;
mod prefill_first;
mod queue;
mod ratio;
mod request;
mod running;
mod scheduler;
mod sglang;
mod speculation;
mod step;
#[cfg(feature = "testing")]
pub mod testing;
mod whole;

pub use adder::{AddReqResult, PrefillAdder};
pub use batch::BatchState;
pub use config::{
    CLIP_MAX_NEW_TOKENS, DEFAULT_MAX_PREFILL_TOKENS, NUM_RESERVED_DECODE_TOKENS,
    PrefillDelayerConfig, RETRACT_DECODE_STEPS, RetractionPolicy, SchedulerConfig,
};
pub use decode::DecodeScheduler;
pub use error::SchedError;
pub use memory::Memory;
pub use mixed::MixedScheduler;
pub use notice::Notice;
pub use policies::{
    DfsWeight, Fcfs, HighestResponseRatio, LongestOutputFirst, LongestPrefixMatch, MostUrgentFirst,
    MostUrgentLongestOutputFirst, RoutingKey, SchedulePolicyName, ShortestPrefillFirst, Shuffled,
};
pub use policy::{Needs, QueueEntry, SchedulePolicy};
pub use prefill_first::PrefillFirstScheduler;
pub use ratio::NewTokenRatio;
pub use request::{ReqView, Slot, Submission};
pub use running::RunningBatch;
pub use scheduler::{Scheduler, SchedulerName};
pub use sglang::SglangScheduler;
pub use sglsim_units::{DisaggregationMode, Labels};
pub use speculation::SpeculativeDecoding;
pub use step::{ExtendSlice, ForwardBatch, ForwardMode, StepResult};
pub use whole::WholeScheduler;

//! The batch policy of one worker, as a trait.

use std::fmt;

use serde::{Deserialize, Serialize};
use sglsim_units::SimTime;

use crate::{
    BatchState, ForwardMode, MixedScheduler, PrefillFirstScheduler, SchedError, SchedulePolicy,
    SchedulerConfig, SglangScheduler, WholeScheduler,
};

/// Decides what a rank runs next.
///
/// # Implementing
///
/// *Observes* the rank through [`BatchState`]: queues, memory, the running batch, and of each
/// request what [`ReqView`](crate::ReqView) shows, which never includes its true output length.
/// *Controls* it through the moves of [`BatchState`] (`admit`, `continue_chunked`, `retract`, …),
/// each of which refuses what cannot be. *Owns* its own state only.
///
/// The engine calls [`Scheduler::next_step`] at the end of each step, and on an idle rank whenever
/// something arrives or a transfer ends. It then takes the memory of the chosen step, runs it for
/// as long as the step law says, and books its results.
///
/// Laws, checked by `testing::conformance` (feature `testing`):
///
/// * `SCHED-1` the extend batch computes at most [`Scheduler::token_budget`] tokens;
/// * `SCHED-2` at most `max_running_requests` requests hold a row;
/// * `SCHED-3` memory is never overdrawn;
/// * `SCHED-4` at most one prompt is being chunked;
/// * `SCHED-5` work conserving: if requests wait or run, a step is chosen or memory is short;
/// * `SCHED-6` no starvation: every request finishes;
/// * `SCHED-7` determinism: the same history gives the same decisions;
/// * `SCHED-8` no move is refused, and the step fits the batches that were formed.
///
/// ```
/// # #[cfg(feature = "testing")] {
/// use sglsim_sched::{SglangScheduler, testing};
/// testing::conformance(|config| Box::new(SglangScheduler::new(config)));
/// # }
/// ```
pub trait Scheduler: fmt::Debug + Send {
    /// Name in reports.
    fn name(&self) -> &str;

    /// Most prompt tokens that it puts into one step under these settings; `None` if it never cuts a
    /// prompt. Checked by `SCHED-1`.
    fn token_budget(&self, config: &SchedulerConfig) -> Option<u32> {
        config.chunked_prefill_size
    }

    /// Chooses the next step and makes the moves that it takes.
    ///
    /// # Errors
    ///
    /// Whatever a move refused; it ends the run, since a decision that cannot be carried out is a
    /// bug of the policy.
    fn next_step(
        &mut self,
        batch: &mut BatchState,
        now: SimTime,
    ) -> Result<ForwardMode, SchedError>;
}

/// Schedulers that a scenario can name.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum SchedulerName {
    /// [`SglangScheduler`](crate::SglangScheduler).
    #[default]
    Sglang,
    /// [`MixedScheduler::vllm`](crate::MixedScheduler::vllm).
    Vllm,
    /// [`MixedScheduler::sarathi`](crate::MixedScheduler::sarathi).
    Sarathi,
    /// [`PrefillFirstScheduler`](crate::PrefillFirstScheduler).
    #[serde(rename = "vllm_v0")]
    VllmV0,
    /// [`WholeScheduler::orca`](crate::WholeScheduler::orca).
    Orca,
    /// [`WholeScheduler::static`](crate::WholeScheduler::static).
    Static,
}

impl SchedulerName {
    /// Every name, in order of declaration.
    pub const ALL: [Self; 6] =
        [Self::Sglang, Self::Vllm, Self::Sarathi, Self::VllmV0, Self::Orca, Self::Static];

    /// The name as scenarios write it.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Sglang => "sglang",
            Self::Vllm => "vllm",
            Self::Sarathi => "sarathi",
            Self::VllmV0 => "vllm_v0",
            Self::Orca => "orca",
            Self::Static => "static",
        }
    }

    /// The scheduler of that name; only SGLang's takes a queue order, the others serve first come,
    /// first served.
    #[must_use]
    pub fn build(
        self,
        config: &SchedulerConfig,
        policy: Box<dyn SchedulePolicy>,
    ) -> Box<dyn Scheduler> {
        match self {
            Self::Sglang => Box::new(SglangScheduler::with_policy(config, policy)),
            Self::Vllm => Box::new(MixedScheduler::vllm()),
            Self::Sarathi => Box::new(MixedScheduler::sarathi()),
            Self::VllmV0 => Box::new(PrefillFirstScheduler),
            Self::Orca => Box::new(WholeScheduler::orca()),
            Self::Static => Box::new(WholeScheduler::r#static()),
        }
    }
}

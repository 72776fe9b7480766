//! Two plug-ins: a queue order, and a scheduler that lets decode go before prefill.
//!
//! ```
//! use shortest_first::ShortestFirst;
//! use sglsim_engine::{Scenario, Simulation};
//!
//! let scenario = Scenario::from_ron(shortest_first::SCENARIO)?;
//! let fcfs = Simulation::new(scenario.clone())?.run()?;
//! let mine = Simulation::new(scenario)?.schedule_policy(|_| Box::new(ShortestFirst)).run()?;
//! assert!(mine.ttft.p50 < fcfs.ttft.p50);
//! # Ok::<(), sglsim_engine::EngineError>(())
//! ```

use sglsim_engine::{
    BatchState, ForwardMode, Needs, QueueEntry, SchedError, SchedulePolicy, Scheduler,
    SchedulerConfig, SglangScheduler, SimTime,
};

/// A workload with short and long prompts on one busy worker, on which the order matters.
pub const SCENARIO: &str = r#"(
    model: "Llama-3.1-8B",
    hardware: (gpu: "H100-SXM"),
    deployment: Aggregated(chunked_prefill_size: 2048),
    workload: Synthetic(
        arrivals: Poisson(rate: 40.0),
        input_len: LogNormal(mean: 2000, cv: 2.0, max: 30000),
        output_len: Fixed(40),
        requests: 400,
    ),
)"#;

/// Orders the waiting queue by tokens to prefill, the fewest first.
///
/// It starves long prompts as long as short ones keep coming; that is the point of trying it here
/// and not on a cluster.
#[derive(Clone, Copy, Debug, Default)]
pub struct ShortestFirst;

impl SchedulePolicy for ShortestFirst {
    fn name(&self) -> &str {
        "shortest-first"
    }

    fn needs(&self, _waiting: usize) -> Needs {
        Needs::Entries
    }

    fn order(&mut self, entries: &[QueueEntry], order: &mut [usize]) {
        order.sort_by_key(|&i| entries[i].tokens);
    }
}

/// SGLang's scheduler, except that between two prefill steps the running batch decodes at least
/// once, so that a burst of prompts does not stop everybody's tokens.
#[derive(Debug)]
pub struct DecodeBetween {
    inner: SglangScheduler,
    /// Whether the last step was a prefill while something was running.
    owes_decode: bool,
}

impl DecodeBetween {
    /// The scheduler of one rank.
    #[must_use]
    pub fn new(config: &SchedulerConfig) -> Self {
        Self { inner: SglangScheduler::new(config), owes_decode: false }
    }
}

impl Scheduler for DecodeBetween {
    fn name(&self) -> &str {
        "decode-between"
    }

    fn next_step(
        &mut self,
        batch: &mut BatchState,
        now: SimTime,
    ) -> Result<ForwardMode, SchedError> {
        if std::mem::take(&mut self.owes_decode)
            && !batch.running().is_empty()
            && batch.check_decode_mem()
        {
            return Ok(ForwardMode::Decode);
        }
        let mode = self.inner.next_step(batch, now)?;
        self.owes_decode = mode == ForwardMode::Extend;
        Ok(mode)
    }
}

//! How long a step takes, as a trait, and the step law as its main implementation.

use std::fmt;

use sglsim_kernels::{StepFeatures, StepProgram};

/// Cost of a step.
///
/// # Implementing
///
/// *Observes* the features of a step over the ranks of a worker; returns its duration \[s\], finite and
/// positive whenever there is work. An opaque cost (a table, a measured function) is allowed; the
/// report then says that no formula is available for the run.
pub trait CostModel: fmt::Debug + Send {
    /// Name in reports, and where its numbers come from.
    fn name(&self) -> &str;

    /// Duration of a step \[s\]; with pipeline stages, the time after which the first of them can take in
    /// the next batch.
    fn step_seconds(&mut self, step: &StepFeatures) -> f64;

    /// Time of a batch through all pipeline stages \[s\]. Unless told otherwise it is one step, as if
    /// there were one stage.
    fn latency_seconds(&mut self, step: &StepFeatures) -> f64 {
        self.step_seconds(step)
    }

    /// Whether the cost is a law that a formula can be made of.
    fn is_law(&self) -> bool {
        false
    }
}

/// The compiled step law: what the formula says, at the speed that a simulation needs.
#[derive(Debug)]
pub struct LawCost {
    program: StepProgram,
    latency: Option<StepProgram>,
    provenance: String,
}

impl LawCost {
    /// The cost by a compiled law whose coefficients come from `provenance`.
    #[must_use]
    pub fn new(program: StepProgram, provenance: String) -> Self {
        Self { program, latency: None, provenance }
    }

    /// The same with pipeline stages, which a batch passes in the time of another compiled law.
    #[must_use]
    pub fn with_latency(mut self, latency: StepProgram) -> Self {
        self.latency = Some(latency);
        self
    }
}

/// The step law of a worker that places its experts anew after some steps. It is not one law, so no
/// formula of such a run is made.
#[derive(Debug)]
pub(crate) struct RebalancedCost {
    pub(crate) before: StepProgram,
    pub(crate) after: LawCost,
    pub(crate) pause: f64,
    /// Steps left before that.
    pub(crate) steps_left: u32,
    pub(crate) done: bool,
}

impl CostModel for RebalancedCost {
    fn name(&self) -> &str {
        self.after.name()
    }

    fn step_seconds(&mut self, step: &StepFeatures) -> f64 {
        if self.steps_left > 0 {
            self.steps_left -= 1;
            return self.before.seconds(step);
        }
        let pause = if std::mem::replace(&mut self.done, true) { 0.0 } else { self.pause };
        pause + self.after.step_seconds(step)
    }
}

impl CostModel for LawCost {
    fn name(&self) -> &str {
        &self.provenance
    }

    fn step_seconds(&mut self, step: &StepFeatures) -> f64 {
        self.program.seconds(step)
    }

    fn latency_seconds(&mut self, step: &StepFeatures) -> f64 {
        self.latency.as_mut().unwrap_or(&mut self.program).seconds(step)
    }

    fn is_law(&self) -> bool {
        true
    }
}

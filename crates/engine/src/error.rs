//! What can end a run early.

use sglsim_router::RouteError;
use sglsim_sched::SchedError;
use sglsim_units::{SimTime, WorkerId};

use crate::scenario::ScenarioError;

/// A run could not be completed.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum EngineError {
    /// The scenario cannot be simulated; nothing was run.
    #[error(transparent)]
    Scenario(#[from] ScenarioError),
    /// The workload has no request.
    #[error("the workload `{workload}` has no request")]
    NoRequests {
        /// Name of the workload.
        workload: String,
    },
    /// A worker could not form a batch, or a request does not fit it.
    #[error("at {at} on worker {worker} (seed {seed}){hint}")]
    Worker {
        /// When.
        at: SimTime,
        /// Where.
        worker: WorkerId,
        /// Seed of the run.
        seed: u64,
        /// What may help.
        hint: &'static str,
        /// Why.
        #[source]
        source: SchedError,
    },
    /// The router could not place a request.
    #[error("at {at} in the router (seed {seed})")]
    Router {
        /// When.
        at: SimTime,
        /// Seed of the run.
        seed: u64,
        /// Why.
        #[source]
        source: RouteError,
    },
    /// A cost model gave a step a duration that is not one.
    #[error(
        "at {at} on worker {worker}: the cost model `{model}` gave a step {seconds} s, allowed is \
         finite and >= 0; features of the step: {features}"
    )]
    BadCost {
        /// When.
        at: SimTime,
        /// Where.
        worker: WorkerId,
        /// Name of the cost model.
        model: String,
        /// What it said.
        seconds: f64,
        /// The features.
        features: String,
    },
    /// Requests are left, but nothing will ever happen again.
    #[error(
        "at {at} nothing happens any more, but {unfinished} requests are not finished; the first is \
         {first} on worker {worker} (scheduler `{scheduler}`, seed {seed})"
    )]
    Stalled {
        /// When.
        at: SimTime,
        /// How many requests are left.
        unfinished: usize,
        /// The first of them.
        first: sglsim_units::RequestId,
        /// Where it is.
        worker: WorkerId,
        /// The scheduler there.
        scheduler: String,
        /// Seed of the run.
        seed: u64,
    },
    /// A plug-in broke a law of its trait in a way that the run cannot go on from.
    #[error("at {at} the {plugin} broke a law of its trait: {law}")]
    BrokenLaw {
        /// When.
        at: SimTime,
        /// Which one, such as ``fabric `fifo` ``.
        plugin: String,
        /// The law.
        law: &'static str,
    },
    /// A law could not be evaluated for the transfer of KV.
    #[error(
        "at {at}: the transfer law gave {seconds} s for {tokens} tokens of KV, allowed is finite and >= 0"
    )]
    BadTransfer {
        /// When.
        at: SimTime,
        /// What it said.
        seconds: f64,
        /// For how much.
        tokens: u64,
    },
}

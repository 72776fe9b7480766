//! What happened in a run, kept for looking at: the lives of some requests, the steps and transfers
//! around them.

mod chrome;
mod recorder;

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};

use sglsim_units::{RequestId, SimTime, TokenCount, WorkerId};

use crate::builder::Simulation;
use crate::error::EngineError;
use crate::observer::Failure;
use crate::report::Report;
use recorder::{Recorder, Shared};

/// What a [`Timeline`] keeps.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Keep {
    /// The first request that is kept, by its number, or the first after `from`.
    pub first: RequestId,
    /// How many requests are kept.
    pub requests: u32,
    /// Nothing before this instant is kept.
    pub from: SimTime,
    /// Nothing after this instant is kept; without it nothing after the end of the last request that is kept.
    pub to: Option<SimTime>,
}

impl Default for Keep {
    /// The first hundred requests.
    fn default() -> Self {
        Self { first: RequestId(0), requests: 100, from: SimTime::ZERO, to: None }
    }
}

impl Keep {
    /// One request and what happens around it.
    #[must_use]
    pub fn only(id: RequestId) -> Self {
        Self { first: id, requests: 1, ..Self::default() }
    }
}

/// The lives of some requests, and the steps and transfers around them.
///
/// ```
/// use sglsim_engine::{Keep, RequestId, Scenario, Simulation, Timeline};
///
/// let scenario = Scenario::from_ron(r#"(
///     model: "Llama-3.1-8B",
///     hardware: (gpu: "H100-SXM"),
///     deployment: Disaggregated(prefill: (workers: 1), decode: (workers: 1)),
///     workload: Synthetic(
///         arrivals: Poisson(rate: 5.0), input_len: Fixed(20000), output_len: Fixed(30), requests: 20,
///     ),
/// )"#)?;
/// let (_, timeline) = Timeline::record(Simulation::new(scenario)?, Keep::only(RequestId(7)))?;
/// for (at, moment) in &timeline.life(RequestId(7)).expect("it was kept").moments {
///     println!("{at}: {moment:?}");
/// }
/// let mut file = Vec::new();
/// timeline.write_chrome(&mut file).expect("memory can be written");
/// # Ok::<(), sglsim_engine::EngineError>(())
/// ```
#[derive(Clone, Debug)]
pub struct Timeline {
    workers: Vec<WorkerName>,
    lives: BTreeMap<RequestId, Life>,
    steps: Vec<StepSpan>,
    left_out: u64,
    /// Workers that went down and came up.
    marks: Vec<(SimTime, WorkerId, &'static str)>,
}

/// What happened to one request.
#[derive(Clone, Debug, Default, PartialEq)]
#[non_exhaustive]
pub struct Life {
    /// In order of time.
    pub moments: Vec<(SimTime, Moment)>,
}

/// Something that happened to a request, with what was to be seen of its surroundings.
#[derive(Clone, Copy, Debug, PartialEq)]
#[non_exhaustive]
pub enum Moment {
    /// It arrived at the router.
    Arrived {
        /// Tokens of its prompt.
        prompt: TokenCount,
        /// The request whose end it waited for, in a conversation or a closed loop.
        after: Option<RequestId>,
    },
    /// The router chose a worker.
    Routed {
        /// The worker that prefills it.
        prefill: Choice,
        /// The worker that decodes it, if another one.
        decode: Option<Choice>,
    },
    /// An attempt came to nothing; the router tries again.
    Retried {
        /// Attempts so far.
        attempts: u32,
    },
    /// It joined the waiting queue of its prefill worker; where workers are apart, its decode worker has
    /// room for it now.
    Queued,
    /// It was taken into a prefill batch.
    Admitted {
        /// Tokens found in the prefix cache.
        cached: TokenCount,
        /// Whether it had been retracted before.
        again: bool,
    },
    /// A piece of its prompt was computed.
    Extended {
        /// Its tokens.
        tokens: TokenCount,
        /// Prompt tokens of all requests in that step.
        of: TokenCount,
        /// When the step began.
        began: SimTime,
    },
    /// Its whole prompt is computed.
    Prefilled,
    /// A piece of its KV was handed to the fabric.
    Sent {
        /// Its tokens.
        tokens: TokenCount,
    },
    /// A piece of its KV arrived at its decode worker.
    Delivered {
        /// Its tokens.
        tokens: TokenCount,
        /// When it had been handed over.
        sent: SimTime,
    },
    /// All its KV is at its decode worker.
    Transferred,
    /// A token made by a prefill reached the client.
    Token,
    /// It was pushed out of memory.
    Retracted,
    /// It decodes again.
    Resumed,
    /// No worker could hold it, or none took it.
    Refused,
    /// It ended without all its tokens.
    Failed {
        /// Why.
        reason: Failure,
    },
    /// It has all its tokens.
    Finished {
        /// How many.
        generated: TokenCount,
    },
}

/// A worker that the router chose, and what the pool looked like.
#[derive(Clone, Copy, Debug, PartialEq)]
#[non_exhaustive]
pub struct Choice {
    /// The worker.
    pub worker: WorkerId,
    /// Requests that had been routed to it and not ended.
    pub in_flight: u64,
    /// The same of the least and the most loaded worker of its pool.
    pub of_pool: (u64, u64),
    /// Share of its KV slots that requests held.
    pub kv_usage: f64,
}

#[derive(Clone, Debug)]
struct WorkerName {
    pool: String,
    number: u32,
}

/// A step of a worker.
#[derive(Clone, Copy, Debug)]
struct StepSpan {
    worker: WorkerId,
    began: SimTime,
    ended: SimTime,
    extended: TokenCount,
    decoded: TokenCount,
    kv_used: TokenCount,
}

/// Steps that are kept at most.
const MOST_STEPS: usize = 1_000_000;

impl Timeline {
    /// Runs a simulation and keeps some of what happens.
    ///
    /// # Errors
    ///
    /// As [`Simulation::run`].
    pub fn record(simulation: Simulation, keep: Keep) -> Result<(Report, Self), EngineError> {
        let recorder = Arc::new(Mutex::new(Recorder::new(simulation.plan(), keep)));
        let watched = simulation.observer(Box::new(Shared(Arc::clone(&recorder))));
        let report = watched.run()?;
        let mut recorder = recorder.lock().unwrap_or_else(PoisonError::into_inner);
        Ok((report, recorder.take()))
    }

    /// The life of a request, if it was kept.
    #[must_use]
    pub fn life(&self, id: RequestId) -> Option<&Life> {
        self.lives.get(&id)
    }

    /// The requests that were kept, in order of arrival.
    pub fn requests(&self) -> impl Iterator<Item = RequestId> {
        self.lives.keys().copied()
    }

    /// Steps that were kept.
    #[must_use]
    pub fn steps(&self) -> usize {
        self.steps.len()
    }

    /// Steps that were left out because there were a million of them already.
    #[must_use]
    pub fn left_out(&self) -> u64 {
        self.left_out
    }

    /// What a worker is called: its pool and its number there, from 0.
    #[must_use]
    pub fn worker_name(&self, worker: WorkerId) -> String {
        match self.workers.get(worker.index()) {
            Some(WorkerName { pool, number }) if pool == "worker" => format!("worker {number}"),
            Some(WorkerName { pool, number }) => format!("{pool} worker {number}"),
            None => format!("worker {worker}"),
        }
    }
}

impl Life {
    /// Stages of the life, each from an instant to another: what it waited for or was served.
    /// A stage that took no time is left out; the last one of a life that did not end in the run is open
    /// and left out too.
    #[must_use]
    pub fn stages(&self) -> Vec<(&'static str, SimTime, SimTime)> {
        let mut stages: Vec<(&'static str, SimTime, SimTime)> = Vec::new();
        let mut now: Option<(&'static str, SimTime)> = None;
        let is_apart = self
            .moments
            .iter()
            .any(|(_, moment)| matches!(moment, Moment::Routed { decode: Some(_), .. }));
        for (at, moment) in &self.moments {
            let next = match moment {
                Moment::Routed { .. } if is_apart => "wait for room on the decode worker",
                Moment::Arrived { .. } | Moment::Routed { .. } => "route",
                Moment::Retried { .. } => "wait for another attempt",
                Moment::Queued => "wait in the prefill queue",
                Moment::Admitted { .. } => "prefill",
                Moment::Prefilled if is_apart => "KV transfer",
                Moment::Transferred => "wait for a decode step",
                Moment::Token | Moment::Resumed => "decode",
                Moment::Retracted => "retracted",
                Moment::Finished { .. } | Moment::Refused | Moment::Failed { .. } => "",
                _ => continue,
            };
            if let Some((stage, since)) = now
                && *at > since
            {
                stages.push((stage, since, *at));
            }
            now = Some((next, *at));
        }
        stages
    }
}

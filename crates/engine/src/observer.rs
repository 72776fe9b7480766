//! Watching a run: every transition of a request and every step is an event.

use std::fmt;

use sglsim_kernels::StepFeatures;
use sglsim_sched::StepResult;
use sglsim_units::{RequestId, Seconds, SimTime, TokenCount, WorkerId};
use sglsim_workload::Request;

/// Something that happened.
#[derive(Clone, Copy, Debug)]
#[non_exhaustive]
pub enum Event<'a> {
    /// A request arrived at the router.
    Arrived {
        /// The request.
        request: &'a Request,
        /// The request whose end decided when this one comes, in a closed loop or a conversation.
        after: Option<RequestId>,
    },
    /// The router chose its workers. Told again for every attempt that finds some.
    Routed {
        /// The request.
        id: RequestId,
        /// The worker that prefills it.
        prefill: WorkerId,
        /// The worker that decodes it; the same one in an aggregated deployment.
        decode: WorkerId,
    },
    /// What the router knew of a worker that it chose, and what it did not.
    Chosen {
        /// The worker.
        worker: WorkerId,
        /// Requests that the policy counted there, without the one that is being placed.
        seen: u32,
        /// Requests that are there.
        real: u32,
    },
    /// An attempt came to nothing, or the router found no worker; it tries again.
    Retried {
        /// The request.
        id: RequestId,
        /// Attempts so far.
        attempts: u32,
    },
    /// The request ends without all its tokens.
    Failed {
        /// The request.
        id: RequestId,
        /// Why.
        reason: Failure,
    },
    /// A request that was given up leaves the batch of a rank, in which a step still worked on it.
    Left {
        /// The request.
        id: RequestId,
        /// The worker.
        worker: WorkerId,
        /// The attention rank.
        rank: usize,
    },
    /// A worker is down, and all that it had is lost: batches, queues, caches.
    WorkerDown {
        /// The worker.
        worker: WorkerId,
    },
    /// A worker is up again.
    WorkerUp {
        /// The worker.
        worker: WorkerId,
    },
    /// A link of the network has another bandwidth from now on.
    LinkChanged {
        /// Its name.
        link: &'a str,
        /// The share of its own bandwidth that it has.
        bandwidth: f64,
    },
    /// No worker can ever hold the request, or none took it in all attempts, or the router did not let it
    /// through.
    Refused {
        /// The request.
        id: RequestId,
    },
    /// It joined the waiting queue of the worker that prefills it.
    Queued {
        /// The request.
        id: RequestId,
    },
    /// It was taken into a prefill batch.
    Admitted {
        /// The request.
        id: RequestId,
        /// Leading tokens found in the prefix cache \[token\].
        cached: TokenCount,
        /// How many of them came back from the host \[token\].
        host: TokenCount,
        /// Whether it had been retracted before.
        again: bool,
    },
    /// A piece of its prompt was computed.
    Extended {
        /// The request.
        id: RequestId,
        /// Its tokens.
        tokens: TokenCount,
    },
    /// The prefill worker has computed its prompt, and with it a token.
    Prefilled {
        /// The request.
        id: RequestId,
    },
    /// A token made by a prefill reaches the client: the first one, or the next after a retraction.
    Token {
        /// The request.
        id: RequestId,
        /// Its worker.
        worker: WorkerId,
        /// Its attention rank there.
        rank: usize,
        /// The first decode step of the rank in which it takes part, by [`StepResult::decode_step`].
        decodes_from: u64,
    },
    /// A request that was pushed out to the host decodes again.
    Resumed {
        /// The request.
        id: RequestId,
        /// Its worker.
        worker: WorkerId,
        /// Its attention rank there.
        rank: usize,
        /// The first decode step of the rank in which it takes part.
        decodes_from: u64,
    },
    /// A step that verified drafts gave it tokens, all of which reach the client now.
    Accepted {
        /// The request.
        id: RequestId,
        /// Its worker.
        worker: WorkerId,
        /// Its attention rank there.
        rank: usize,
        /// Tokens that it has more \[token\].
        tokens: TokenCount,
    },
    /// It was pushed out of memory.
    Retracted {
        /// The request.
        id: RequestId,
        /// Its worker.
        worker: WorkerId,
        /// Its attention rank there.
        rank: usize,
    },
    /// A piece of its KV was handed to the fabric.
    Sent {
        /// The request.
        id: RequestId,
        /// Tokens of KV.
        tokens: TokenCount,
        /// Time that the piece takes over idle links.
        alone: Seconds,
    },
    /// A piece of its KV arrived at its decode worker.
    Delivered {
        /// The request.
        id: RequestId,
        /// Tokens of KV.
        tokens: TokenCount,
        /// Time since the piece was handed to the fabric.
        took: Seconds,
    },
    /// All of its KV is at its decode worker.
    Transferred {
        /// The request.
        id: RequestId,
    },
    /// A rank of a worker has done its part of a step. Told once for each rank that had work,
    /// before the transitions that it caused.
    RankStep {
        /// The worker.
        worker: WorkerId,
        /// The attention rank.
        rank: usize,
        /// What it ran, and what came of it.
        result: StepResult,
        /// KV slots that are neither free nor evictable afterwards \[token\].
        kv_used: TokenCount,
    },
    /// A rank holds more or less KV than at its last step's end: it took memory for the step that
    /// begins or for a prompt that is to come, or let go of what was sent.
    KvUsed {
        /// The worker.
        worker: WorkerId,
        /// The attention rank.
        rank: usize,
        /// KV slots that are neither free nor evictable \[token\].
        kv_used: TokenCount,
    },
    /// A worker has done a step.
    Step {
        /// The worker.
        worker: WorkerId,
        /// When it began.
        began: SimTime,
        /// What the cost model said that it takes.
        cost: Seconds,
        /// What its cost was computed from.
        features: &'a StepFeatures,
    },
    /// It has all its tokens.
    Finished {
        /// The request.
        id: RequestId,
        /// The worker that made its last token.
        worker: WorkerId,
        /// Its attention rank there.
        rank: usize,
        /// Tokens generated.
        generated: TokenCount,
    },
}

/// Why a request ends without all its tokens.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Failure {
    /// A worker that had it died or was down.
    WorkerLost,
    /// It took longer than the router or a worker allows.
    TimedOut,
    /// Its client went away.
    Abandoned,
    /// It was pushed out of memory for good, after its client had seen tokens.
    OutOfMemory,
}

impl Failure {
    /// Its name in reports.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::WorkerLost => "worker lost",
            Self::TimedOut => "timed out",
            Self::Abandoned => "abandoned",
            Self::OutOfMemory => "out of memory",
        }
    }
}

/// Watches a run.
///
/// # Implementing
///
/// *Observes* every event in the order of simulated time; *controls* nothing; *owns* what it
/// gathers. What one decode step gives to a whole batch is told once, not once for each request:
/// an observer that wants every token of every request keeps who is in a rank's batch, and from which
/// decode step on, by `Token`, `Resumed`, `Retracted` and `Finished`. With pipeline stages every micro-batch
/// of a rank has a batch of its own, and these events and `RankStep` count each as a rank: the number is
/// `micro_batch · dp_size + rank`. Where drafts are verified, requests
/// gain different numbers of tokens, and each is told by `Accepted`.
pub trait Observer: fmt::Debug + Send {
    /// Called for each event.
    fn on_event(&mut self, at: SimTime, event: &Event<'_>);
}

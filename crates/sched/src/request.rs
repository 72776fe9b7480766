//! A request as one rank knows it.

use sglsim_radix::{Holding, Key, Prompt, Span};
use sglsim_units::{Labels, RequestId, SimTime, TokenCount};

/// A request handed to a rank.
#[derive(Clone, Debug)]
pub struct Submission {
    /// Its id.
    pub id: RequestId,
    /// Its prompt.
    pub prompt: Prompt,
    /// Content id of the tokens it will generate.
    pub output_content: u64,
    /// Most tokens it may generate: what the scheduler may know.
    pub max_new_tokens: TokenCount,
    /// Tokens after which it stops, at most `max_new_tokens`: hidden from every scheduler
    /// (invariant `INV-9`).
    pub stop_after: TokenCount,
    /// Whether it is known to generate exactly `max_new_tokens`.
    pub ignore_eos: bool,
    /// When it came.
    pub arrival: SimTime,
    /// Namespace, priority, routing key.
    pub labels: Labels,
}

/// Place of a request in a rank's table. Valid from submission until the request leaves.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Slot(pub(crate) u32);

impl Slot {
    pub(crate) fn index(self) -> usize {
        self.0 as usize
    }
}

/// Where a request is on its way through a rank.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Stage {
    /// In a queue.
    Waiting,
    /// In the extend batch now being built or run.
    Extending,
    /// Between two slices of its prompt.
    Chunked,
    /// In the running batch.
    Running,
    /// Prefilled, waiting for its KV to be sent.
    Inflight,
    /// Memory reserved, waiting for its KV to come.
    Receiving,
    /// Its KV is here, waiting to join the running batch.
    Received,
    /// Out of the running batch: the step now under way makes its last token.
    Finishing,
    /// Not here any more.
    Gone,
}

impl Stage {
    pub(crate) fn name(self) -> &'static str {
        match self {
            Stage::Waiting => "waiting",
            Stage::Extending => "being extended",
            Stage::Chunked => "between two chunks",
            Stage::Running => "running",
            Stage::Inflight => "sending its KV",
            Stage::Receiving => "receiving its KV",
            Stage::Received => "ready to decode",
            Stage::Finishing => "in its last step",
            Stage::Gone => "gone",
        }
    }
}

/// A request's state. While it runs, `generated` and `committed` are those of the step at which it
/// joined; the running batch knows how many steps have passed since.
#[derive(Debug)]
pub(crate) struct Req {
    pub(crate) id: RequestId,
    pub(crate) prompt: Prompt,
    pub(crate) output: Span,
    pub(crate) max_new_tokens: TokenCount,
    pub(crate) stop_after: TokenCount,
    pub(crate) ignore_eos: bool,
    pub(crate) labels: Labels,
    pub(crate) queued_at: SimTime,
    /// Prompt tokens that the rank had computed when the request joined the queue.
    pub(crate) queued_after: TokenCount,
    pub(crate) stage: Stage,
    /// Prefix that the last look-up found, capped and not (SGLang's `num_matched_prefix_tokens` and
    /// `prefix_len`).
    pub(crate) matched: TokenCount,
    pub(crate) prefix: TokenCount,
    /// Tokens generated.
    pub(crate) generated: TokenCount,
    /// Tokens whose KV is computed.
    pub(crate) committed: TokenCount,
    /// Slots it covers, shared prefix included; whole pages.
    pub(crate) allocated: TokenCount,
    /// What the cache holds for it, while it has memory.
    pub(crate) held: Option<Holding>,
    /// Prefix found in the cache at admission, for reports.
    pub(crate) cached: TokenCount,
    /// The part of it that came from the host.
    pub(crate) loaded: TokenCount,
    /// Decode step at which it joined the running batch.
    pub(crate) joined: u64,
    /// Place in the order of the running batch.
    pub(crate) join_order: i64,
    /// Position in the running batch.
    pub(crate) position: u32,
    /// Bumped whenever it joins or leaves a batch, so that old heap entries can be told.
    pub(crate) epoch: u32,
    /// Tokens that the step now under way brings, if drafts are verified; not known yet.
    pub(crate) pending: TokenCount,
    /// The launch, by number, that computed the end of its prompt.
    pub(crate) prefilled_in: u64,
}

impl Req {
    /// A request at its start, with its limits as they hold on this rank.
    pub(crate) fn new(new: Submission, max_new_tokens: TokenCount, stop_after: TokenCount) -> Self {
        Self {
            id: new.id,
            prompt: new.prompt,
            output: Span { content: new.output_content, offset: 0, len: u32::MAX },
            max_new_tokens,
            stop_after,
            ignore_eos: new.ignore_eos,
            labels: new.labels,
            queued_at: new.arrival,
            queued_after: 0,
            matched: 0,
            prefix: 0,
            stage: Stage::Waiting,
            generated: 0,
            committed: 0,
            allocated: 0,
            held: None,
            cached: 0,
            loaded: 0,
            joined: 0,
            join_order: 0,
            position: 0,
            epoch: 0,
            pending: 0,
            prefilled_in: 0,
        }
    }

    /// Tokens that a prefill has to cover: the prompt and, after a retraction, the output so far.
    pub(crate) fn total(&self) -> TokenCount {
        self.prompt.tokens() + self.generated
    }

    /// Tokens not computed yet.
    pub(crate) fn rest(&self) -> TokenCount {
        self.total() - self.committed
    }

    /// Tokens to compute beside what the last look-up found, at least one.
    pub(crate) fn uncached(&self) -> TokenCount {
        self.total().saturating_sub(self.matched).max(1)
    }

    /// Most tokens still to come.
    pub(crate) fn max_left(&self) -> TokenCount {
        self.max_new_tokens.saturating_sub(self.generated)
    }

    /// The key of the first `tokens` tokens of prompt and output.
    pub(crate) fn key(&self, tokens: TokenCount) -> Key<'_> {
        Key::new(&self.prompt)
            .with_tail(std::slice::from_ref(&self.output))
            .first(tokens)
            .in_namespace(self.labels.namespace)
            .with_priority(self.labels.priority.unwrap_or(0))
    }

    /// Leading tokens that the cache owns.
    pub(crate) fn protected(&self) -> TokenCount {
        self.held.map_or(0, Holding::protected)
    }
}

/// What a scheduler sees of a request. It has no field for the true output length (`INV-9`).
#[derive(Clone, Copy, Debug, PartialEq)]
#[non_exhaustive]
pub struct ReqView {
    /// Its place in the rank's table.
    pub slot: Slot,
    /// Its id.
    pub id: RequestId,
    /// Tokens of its prompt.
    pub prompt_tokens: TokenCount,
    /// Tokens generated so far (more than 0 while waiting means: retracted).
    pub generated: TokenCount,
    /// Tokens whose KV is computed.
    pub committed: TokenCount,
    /// Most tokens it may generate.
    pub max_new_tokens: TokenCount,
    /// Whether it is known to generate exactly that many.
    pub ignore_eos: bool,
    /// When it joined the queue.
    pub queued_at: SimTime,
    /// Namespace, priority, routing key.
    pub labels: Labels,
    /// Its place in the running batch, the lowest first; means nothing elsewhere.
    pub join_order: i64,
}

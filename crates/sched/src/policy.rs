//! The order of the waiting queue, as a trait.

use std::fmt;

use sglsim_units::{Labels, RequestId, SimTime, TokenCount};

/// A waiting request as a queue order sees it.
#[derive(Clone, Copy, Debug, PartialEq)]
#[non_exhaustive]
pub struct QueueEntry {
    /// Its id.
    pub id: RequestId,
    /// Tokens to prefill: prompt, and output so far after a retraction \[token\].
    pub tokens: TokenCount,
    /// Most tokens it may generate \[token\].
    pub max_new_tokens: TokenCount,
    /// When it joined the queue.
    pub queued_at: SimTime,
    /// Leading tokens found in the prefix cache \[token\]; 0 unless the policy asked for matches.
    pub matched: TokenCount,
    /// Whether an earlier request in this queue shares a prefix that is not cached yet, so that it
    /// pays to let that one go first; false unless the policy asked for matches.
    pub deprioritized: bool,
    /// Tokens of its prompt alone \[token\].
    pub prompt_tokens: TokenCount,
    /// Namespace, priority, routing key.
    pub labels: Labels,
    /// How urgent it is by its priority; larger is more urgent.
    pub urgency: i64,
    /// Prompt tokens that the rank has computed since it joined the queue \[token\].
    pub waited_tokens: TokenCount,
    /// Its turn in a walk of the prefix tree; 0 unless the policy asked for it.
    pub tree_rank: usize,
    /// Running requests with its routing key; 0 unless the policy asked for it.
    pub running_with_key: u32,
}

impl QueueEntry {
    /// An entry without prefix matches.
    #[must_use]
    pub fn new(
        id: RequestId,
        tokens: TokenCount,
        max_new_tokens: TokenCount,
        queued_at: SimTime,
    ) -> Self {
        Self {
            id,
            tokens,
            max_new_tokens,
            queued_at,
            matched: 0,
            deprioritized: false,
            prompt_tokens: tokens,
            labels: Labels::default(),
            urgency: i64::MIN,
            waited_tokens: 0,
            tree_rank: 0,
            running_with_key: 0,
        }
    }
}

/// What a queue order needs to know before it is asked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Needs {
    /// Nothing: the queue keeps its order.
    KeepOrder,
    /// The entries without prefix matches.
    Entries,
    /// The entries with prefix matches; each look-up counts as a use of the prefix. On a rank
    /// without a prefix cache the queue keeps its order.
    Matches,
    /// The entries with prefix matches and with their turn in a walk of the prefix tree
    /// ([`PrefixCache::dfs_weight_order`](sglsim_radix::PrefixCache::dfs_weight_order)). On a rank
    /// without a prefix cache the queue keeps its order.
    TreeOrder,
    /// The entries with the number of running requests of their routing key. While nobody runs who
    /// has a key, the queue keeps its order.
    RoutingKeys,
}

/// Orders the waiting queue before each prefill batch is formed.
///
/// # Implementing
///
/// *Observes* the entries; *controls* only their order; *owns* its own state. Laws, checked by
/// `testing::policy_conformance` (feature `testing`):
///
/// * `POLICY-1` the result is a permutation;
/// * `POLICY-2` the same entries and state give the same order.
pub trait SchedulePolicy: fmt::Debug + Send {
    /// SGLang's name of the policy, such as `"lpm"`.
    fn name(&self) -> &str;

    /// What to prepare for a queue of this length.
    fn needs(&self, waiting: usize) -> Needs;

    /// Whether a prompt that is being chunked leaves room in its chunk for shorter ones behind it.
    /// The queue must then be in order of tokens to compute.
    fn yields_chunk_to_shorter(&self) -> bool {
        false
    }

    /// Brings `order`, the positions 0, 1, 2, … of `entries`, into the order to be considered.
    fn order(&mut self, entries: &[QueueEntry], order: &mut [usize]);
}

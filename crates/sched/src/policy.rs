//! The order of the waiting queue, as a trait, and SGLang's orders.

use std::fmt;

use sglsim_units::{RequestId, SimTime, TokenCount};

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
        Self { id, tokens, max_new_tokens, queued_at, matched: 0, deprioritized: false }
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

    /// Brings `order`, the positions 0, 1, 2, … of `entries`, into the order to be considered.
    fn order(&mut self, entries: &[QueueEntry], order: &mut [usize]);
}

/// First come, first served: SGLang's default.
#[derive(Clone, Copy, Debug, Default)]
pub struct Fcfs;

impl SchedulePolicy for Fcfs {
    fn name(&self) -> &str {
        "fcfs"
    }

    fn needs(&self, _waiting: usize) -> Needs {
        Needs::KeepOrder
    }

    fn order(&mut self, _entries: &[QueueEntry], _order: &mut [usize]) {}
}

/// Above this many waiting requests, `lpm` keeps the order of arrival: matching them all would cost
/// more than it gains (SGLang 0.5.23, `managers/schedule_policy.py:SchedulePolicy`).
const LPM_MAX_WAITING: usize = 128;

/// Longest prefix match first; requests that wait for another one's prefix last.
#[derive(Clone, Copy, Debug, Default)]
pub struct LongestPrefixMatch;

impl SchedulePolicy for LongestPrefixMatch {
    fn name(&self) -> &str {
        "lpm"
    }

    fn needs(&self, waiting: usize) -> Needs {
        if waiting > LPM_MAX_WAITING { Needs::KeepOrder } else { Needs::Matches }
    }

    fn order(&mut self, entries: &[QueueEntry], order: &mut [usize]) {
        order.sort_by_key(|&i| {
            let entry = &entries[i];
            (entry.deprioritized, std::cmp::Reverse(entry.matched))
        });
    }
}

/// Longest output first.
#[derive(Clone, Copy, Debug, Default)]
pub struct LongestOutputFirst;

impl SchedulePolicy for LongestOutputFirst {
    fn name(&self) -> &str {
        "lof"
    }

    fn needs(&self, _waiting: usize) -> Needs {
        Needs::Entries
    }

    fn order(&mut self, entries: &[QueueEntry], order: &mut [usize]) {
        order.sort_by_key(|&i| std::cmp::Reverse(entries[i].max_new_tokens));
    }
}

/// SGLang's `schedule_policy` names that are implemented here.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum SchedulePolicyName {
    /// [`Fcfs`].
    #[default]
    Fcfs,
    /// [`LongestPrefixMatch`].
    Lpm,
    /// [`LongestOutputFirst`].
    Lof,
}

impl SchedulePolicyName {
    /// The policy of that name.
    #[must_use]
    pub fn build(self) -> Box<dyn SchedulePolicy> {
        match self {
            Self::Fcfs => Box::new(Fcfs),
            Self::Lpm => Box::new(LongestPrefixMatch),
            Self::Lof => Box::new(LongestOutputFirst),
        }
    }
}

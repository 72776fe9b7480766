//! SGLang's orders of the waiting queue.
//!
//! # Source
//!
//! SGLang 0.5.23, `managers/schedule_policy.py:SchedulePolicy`.

use std::cmp::Reverse;

use rand_core::Rng;
use serde::{Deserialize, Serialize};
use sglsim_units::RngStreams;

use crate::policy::{Needs, QueueEntry, SchedulePolicy};
use crate::{SchedError, SchedulerConfig};

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

/// The most urgent first, then first come, first served: `fcfs` with priorities.
#[derive(Clone, Copy, Debug, Default)]
pub struct MostUrgentFirst;

impl SchedulePolicy for MostUrgentFirst {
    fn name(&self) -> &str {
        "fcfs"
    }

    fn needs(&self, _waiting: usize) -> Needs {
        Needs::Entries
    }

    fn order(&mut self, entries: &[QueueEntry], order: &mut [usize]) {
        order.sort_by_key(|&i| (Reverse(entries[i].urgency), entries[i].queued_at));
    }
}

/// Above this many waiting requests, policies that would match them all keep the order of arrival:
/// it would cost more than it gains.
const MOST_MATCHED: usize = 128;

fn matches_up_to_limit(waiting: usize) -> Needs {
    if waiting > MOST_MATCHED { Needs::KeepOrder } else { Needs::Matches }
}

/// Longest prefix match first; requests that wait for another one's prefix last.
#[derive(Clone, Copy, Debug, Default)]
pub struct LongestPrefixMatch;

impl SchedulePolicy for LongestPrefixMatch {
    fn name(&self) -> &str {
        "lpm"
    }

    fn needs(&self, waiting: usize) -> Needs {
        matches_up_to_limit(waiting)
    }

    fn order(&mut self, entries: &[QueueEntry], order: &mut [usize]) {
        order.sort_by_key(|&i| {
            let entry = &entries[i];
            let waits = entry.deprioritized;
            (waits, Reverse(if waits { 0 } else { entry.matched }))
        });
    }
}

/// A walk of the prefix tree, the branches that most requests lie on first.
#[derive(Clone, Copy, Debug, Default)]
pub struct DfsWeight;

impl SchedulePolicy for DfsWeight {
    fn name(&self) -> &str {
        "dfs-weight"
    }

    fn needs(&self, _waiting: usize) -> Needs {
        Needs::TreeOrder
    }

    fn order(&mut self, entries: &[QueueEntry], order: &mut [usize]) {
        order.sort_by_key(|&i| entries[i].tree_rank);
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
        order.sort_by_key(|&i| Reverse(entries[i].max_new_tokens));
    }
}

/// The most urgent first, then the longest output: `lof` with priorities.
#[derive(Clone, Copy, Debug, Default)]
pub struct MostUrgentLongestOutputFirst;

impl SchedulePolicy for MostUrgentLongestOutputFirst {
    fn name(&self) -> &str {
        "lof"
    }

    fn needs(&self, _waiting: usize) -> Needs {
        Needs::Entries
    }

    fn order(&mut self, entries: &[QueueEntry], order: &mut [usize]) {
        order.sort_by_key(|&i| (Reverse(entries[i].urgency), Reverse(entries[i].max_new_tokens)));
    }
}

/// A new order each time.
#[derive(Clone, Debug)]
pub struct Shuffled<R> {
    rng: R,
}

impl<R: Rng> Shuffled<R> {
    /// Orders drawn from `rng`.
    pub fn new(rng: R) -> Self {
        Self { rng }
    }

    /// A number below `limit`, without bias: what does not fill a whole round is drawn again.
    fn below(&mut self, limit: u64) -> u64 {
        let rounds = u64::MAX / limit * limit;
        loop {
            let drawn = self.rng.next_u64();
            if drawn < rounds {
                return drawn % limit;
            }
        }
    }
}

impl<R: Rng + std::fmt::Debug + Send> SchedulePolicy for Shuffled<R> {
    fn name(&self) -> &str {
        "random"
    }

    fn needs(&self, _waiting: usize) -> Needs {
        Needs::Entries
    }

    fn order(&mut self, _entries: &[QueueEntry], order: &mut [usize]) {
        for last in (1..order.len()).rev() {
            let other = self.below(last as u64 + 1);
            order.swap(last, usize::try_from(other).expect("below the length of a list"));
        }
    }
}

/// Requests whose routing key most running requests have, first.
#[derive(Clone, Copy, Debug, Default)]
pub struct RoutingKey;

impl SchedulePolicy for RoutingKey {
    fn name(&self) -> &str {
        "routing-key"
    }

    fn needs(&self, _waiting: usize) -> Needs {
        Needs::RoutingKeys
    }

    fn order(&mut self, entries: &[QueueEntry], order: &mut [usize]) {
        order.sort_by_key(|&i| {
            let entry = &entries[i];
            (Reverse(entry.running_with_key), entry.labels.routing_key)
        });
    }
}

/// Highest response ratio next: what was computed while a request waited, over what it has to
/// compute itself.
#[derive(Clone, Copy, Debug, Default)]
pub struct HighestResponseRatio;

impl SchedulePolicy for HighestResponseRatio {
    fn name(&self) -> &str {
        "hrrn"
    }

    fn needs(&self, waiting: usize) -> Needs {
        matches_up_to_limit(waiting)
    }

    fn order(&mut self, entries: &[QueueEntry], order: &mut [usize]) {
        let key = |i: usize| {
            let entry = &entries[i];
            let uncached = entry.prompt_tokens.saturating_sub(entry.matched);
            if entry.deprioritized {
                f64::INFINITY
            } else if uncached == 0 {
                f64::NEG_INFINITY
            } else {
                // Nobody waited at all: 0, and not -0, which would come before it.
                0.0 - entry.waited_tokens as f64 / uncached as f64
            }
        };
        order.sort_by(|&a, &b| key(a).total_cmp(&key(b)).then(entries[a].id.cmp(&entries[b].id)));
    }
}

/// Fewest tokens to compute first; a long prompt that is being chunked leaves room for shorter ones.
#[derive(Clone, Copy, Debug, Default)]
pub struct ShortestPrefillFirst;

impl SchedulePolicy for ShortestPrefillFirst {
    fn name(&self) -> &str {
        "shortest-prefill-first"
    }

    fn needs(&self, _waiting: usize) -> Needs {
        Needs::Matches
    }

    fn yields_chunk_to_shorter(&self) -> bool {
        true
    }

    fn order(&mut self, entries: &[QueueEntry], order: &mut [usize]) {
        order.sort_by_key(|&i| {
            let entry = &entries[i];
            let work = entry.tokens.saturating_sub(entry.matched).max(1);
            (entry.deprioritized, work, entry.queued_at)
        });
    }
}

/// SGLang's `schedule_policy` names.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum SchedulePolicyName {
    /// [`Fcfs`], or [`MostUrgentFirst`] with priorities.
    #[default]
    Fcfs,
    /// [`LongestPrefixMatch`].
    Lpm,
    /// [`DfsWeight`].
    DfsWeight,
    /// [`LongestOutputFirst`], or [`MostUrgentLongestOutputFirst`] with priorities.
    Lof,
    /// [`Shuffled`].
    Random,
    /// [`RoutingKey`].
    RoutingKey,
    /// [`HighestResponseRatio`].
    Hrrn,
    /// [`ShortestPrefillFirst`].
    ShortestPrefillFirst,
}

impl SchedulePolicyName {
    /// Every name, in order of declaration.
    pub const ALL: [Self; 8] = [
        Self::Fcfs,
        Self::Lpm,
        Self::DfsWeight,
        Self::Lof,
        Self::Random,
        Self::RoutingKey,
        Self::Hrrn,
        Self::ShortestPrefillFirst,
    ];

    /// The policy of that name on a rank with these settings; random orders are drawn from
    /// `streams`.
    ///
    /// # Errors
    ///
    /// [`SchedError::Config`] if priorities are on and the policy knows none.
    pub fn build(
        self,
        config: &SchedulerConfig,
        streams: RngStreams,
    ) -> Result<Box<dyn SchedulePolicy>, SchedError> {
        Ok(match (self, config.enable_priority_scheduling) {
            (Self::Fcfs, false) => Box::new(Fcfs),
            (Self::Fcfs, true) => Box::new(MostUrgentFirst),
            (Self::Lof, false) => Box::new(LongestOutputFirst),
            (Self::Lof, true) => Box::new(MostUrgentLongestOutputFirst),
            (_, true) => {
                return Err(SchedError::Config {
                    field: "schedule_policy",
                    value: self.name().to_owned(),
                    allowed: "fcfs or lof, as enable_priority_scheduling is set".to_owned(),
                });
            }
            (Self::Lpm, _) => Box::new(LongestPrefixMatch),
            (Self::DfsWeight, _) => Box::new(DfsWeight),
            (Self::Random, _) => Box::new(Shuffled::new(streams.stream("sched/random"))),
            (Self::RoutingKey, _) => Box::new(RoutingKey),
            (Self::Hrrn, _) => Box::new(HighestResponseRatio),
            (Self::ShortestPrefillFirst, _) => Box::new(ShortestPrefillFirst),
        })
    }

    /// SGLang's spelling of the name.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Fcfs => "fcfs",
            Self::Lpm => "lpm",
            Self::DfsWeight => "dfs-weight",
            Self::Lof => "lof",
            Self::Random => "random",
            Self::RoutingKey => "routing-key",
            Self::Hrrn => "hrrn",
            Self::ShortestPrefillFirst => "shortest-prefill-first",
        }
    }
}

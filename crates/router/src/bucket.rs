//! Prompts of like length to the same worker.

use std::collections::VecDeque;

use serde::{Deserialize, Serialize};
use sglsim_units::{Seconds, SimTime, WorkerId};

use crate::ticks::Ticks;
use crate::{RouteError, RoutePolicy, RouteRequest, WorkerView};

/// Each worker has a range of prompt lengths; the ranges are cut again once an interval so that
/// each gets the same share of the work, and the least loaded worker helps when they are uneven.
///
/// Lengths and loads are characters. The load of a worker is what it was sent during the last
/// interval; older requests are only dropped when a new one comes. With `l_min`, `l_max` the least
/// and greatest of these loads:
///
/// ```text
/// if l_max - l_min > balance_abs_threshold and l_max > balance_rel_threshold * l_min:
///     the first worker with least load
/// else:
///     the worker whose range has the prompt's length
/// ```
///
/// Every worker that joins cuts the whole range of integers into equal parts: until the first
/// adjustment nearly every prompt belongs to the worker that joined first. A range can belong to a
/// worker that may not be chosen, and then the request cannot be placed.
///
/// # Source
///
/// sglang-router 0.3.2, `policies/bucket.rs`. Only its prefill pools can have this policy. (Its
/// first cut, at 4096 characters over the workers, is undone when the second worker joins.)
#[derive(Clone, Debug)]
pub struct Bucket {
    config: BucketConfig,
    /// In the order in which they joined.
    members: Vec<Member>,
    /// What was sent during the last interval, oldest first.
    recent: VecDeque<Sent>,
    /// Characters in `recent`.
    total: u64,
    /// A worker's fair share at the last cut.
    share: u64,
    cuts: Ticks,
}

#[derive(Clone, Copy, Debug)]
struct Member {
    worker: WorkerId,
    /// Prompt lengths that belong to it, both ends included; empty if reversed.
    range: (u64, u64),
    load: u64,
}

#[derive(Clone, Copy, Debug)]
struct Sent {
    at: SimTime,
    to: WorkerId,
    characters: u64,
}

/// Parameters of [`Bucket`], in the units of SGLang's command line.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct BucketConfig {
    /// Difference of loads above which they may be uneven \[character\].
    pub balance_abs_threshold: u64,
    /// Ratio of loads above which they may be uneven, at least 1.
    pub balance_rel_threshold: f64,
    /// Time between two cuts, and how long a request counts as load \[s\].
    pub bucket_adjust_interval: Seconds,
    /// Characters of text that one token stands for \[1\].
    pub characters_per_token: u64,
}

/// The defaults of SGLang's command line (`router_args.py`), not those of its library.
impl Default for BucketConfig {
    fn default() -> Self {
        Self {
            balance_abs_threshold: 64,
            balance_rel_threshold: 1.5,
            bucket_adjust_interval: Seconds::new(5.0).expect("5 s is a duration"),
            characters_per_token: crate::CHARACTERS_PER_TOKEN,
        }
    }
}

impl Bucket {
    /// A policy without workers.
    ///
    /// # Errors
    ///
    /// [`RouteError::OutOfRange`] if a parameter is outside its range.
    pub fn new(config: BucketConfig) -> Result<Self, RouteError> {
        let BucketConfig { balance_rel_threshold, bucket_adjust_interval, .. } = config;
        RouteError::check("balance_rel_threshold", balance_rel_threshold, 1.0..=1e6, "1 to 1e6")?;
        let interval = bucket_adjust_interval.get();
        RouteError::check("bucket_adjust_interval", interval, 1e-3..=1e9, "0.001 to 1e9")?;
        RouteError::check("characters_per_token", config.characters_per_token, 1.., "at least 1")?;
        Ok(Self {
            config,
            members: Vec::new(),
            recent: VecDeque::new(),
            total: 0,
            share: 0,
            cuts: Ticks::every(bucket_adjust_interval),
        })
    }

    /// Gives every member an equal part of all lengths, and no load.
    fn divide(&mut self) {
        let members = self.members.len() as u64;
        let part = u64::MAX.checked_div(members).unwrap_or(0);
        for (at, member) in (0..members).zip(&mut self.members) {
            let last = if at + 1 == members { u64::MAX } else { (at + 1) * part - 1 };
            member.range = (at * part, last);
            member.load = 0;
        }
    }

    /// Cuts the ranges so that each member has its share of the recent characters, longest prompts
    /// last. Nothing changes while the share is within a factor 2 of that of the last cut.
    fn adjust(&mut self) {
        let members = self.members.len() as u64;
        if self.recent.is_empty() || members == 0 {
            return;
        }
        let share = self.total / members;
        let is_near = share <= 2 * self.share && self.share <= 2 * share && self.share != 0;
        if is_near {
            return;
        }
        self.share = share;
        let mut lengths: Vec<u64> = self.recent.iter().map(|sent| sent.characters).collect();
        lengths.sort_unstable();
        let mut lengths = lengths.into_iter();
        let mut first = 0;
        let (last_member, others) = self.members.split_last_mut().expect("there are members");
        for member in others {
            // The member takes the shortest prompts left until it has its share.
            let mut load = 0;
            let full = lengths.by_ref().find(|length| {
                load += length;
                load >= share
            });
            let end = full.filter(|length| *length > first).unwrap_or(first + share);
            member.range = (first, end);
            first = end + 1;
        }
        last_member.range = (first, u64::MAX);
    }

    fn is_uneven(&self) -> bool {
        let loads = || self.members.iter().map(|member| member.load);
        let (least, most) = (loads().min().unwrap_or(0), loads().max().unwrap_or(0));
        #[expect(
            clippy::cast_precision_loss,
            clippy::cast_possible_truncation,
            reason = "the real router compares in f32"
        )]
        let is_relative = most as f32 > self.config.balance_rel_threshold as f32 * least as f32;
        most - least > self.config.balance_abs_threshold && is_relative
    }

    /// Counts what `to` is sent, and drops what is older than an interval.
    fn count(&mut self, sent: Sent) {
        if let Some(member) = self.members.iter_mut().find(|member| member.worker == sent.to) {
            member.load += sent.characters;
        }
        let interval = self.config.bucket_adjust_interval;
        while let Some(old) = self.recent.pop_front_if(|old| old.at + interval < sent.at) {
            self.total -= old.characters;
            if let Some(member) = self.members.iter_mut().find(|member| member.worker == old.to) {
                member.load = member.load.saturating_sub(old.characters);
            }
        }
        self.recent.push_back(sent);
        self.total += sent.characters;
    }
}

impl RoutePolicy for Bucket {
    fn name(&self) -> &str {
        "bucket"
    }

    fn route(
        &mut self,
        request: &RouteRequest<'_>,
        workers: &[WorkerView],
    ) -> Result<usize, RouteError> {
        for worker in workers {
            self.on_added(worker.id());
        }
        if self.cuts.passed(request.now()) {
            self.adjust();
        }
        let characters = request.prompt().tokens() * self.config.characters_per_token;
        let chosen = if self.is_uneven() {
            // Of equal loads the first in the order of the pool, which joining may not have kept.
            let position =
                |member: &Member| workers.iter().position(|worker| worker.id() == member.worker);
            self.members
                .iter()
                .min_by_key(|member| (member.load, position(member).unwrap_or(usize::MAX)))
        } else {
            let is_in = |member: &&Member| (member.range.0..=member.range.1).contains(&characters);
            self.members.iter().find(is_in)
        };
        let to = chosen.expect("the ranges of the members cover all lengths").worker;
        self.count(Sent { at: request.now(), to, characters });
        let position = workers.iter().position(|worker| worker.id() == to);
        position.ok_or_else(|| RouteError::NotPlaced {
            policy: self.name().to_owned(),
            reason: "the worker that prompts of its length belong to may not be chosen",
        })
    }

    fn on_added(&mut self, worker: WorkerId) {
        if !self.members.iter().any(|member| member.worker == worker) {
            self.members.push(Member { worker, range: (0, 0), load: 0 });
            self.divide();
        }
    }

    fn on_removed(&mut self, worker: WorkerId) {
        self.members.retain(|member| member.worker != worker);
        self.divide();
    }
}

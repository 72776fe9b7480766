//! What a synthetic workload is made of, as it stands in a scenario file.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use sglsim_units::SimTime;

use super::Limits;
use crate::error::{WorkloadError, check};
use crate::laws::{Arrivals, DurationLaw, LengthLaw};

/// Most turns of a conversation.
const MOST_TURNS: u32 = 10_000;

/// Most groups that share a prefix.
const MOST_GROUPS: u32 = 1_000_000;

/// A workload drawn from laws.
///
/// At least one of `requests` and `duration` ends it. Conversation *k* is the same one whatever the
/// simulated system does, so that two systems are compared on the same load; only in a closed loop
/// does the system decide when it begins. A conversation of which a request was refused or aborted
/// without a single token is over.
#[derive(Clone, Debug, PartialEq)]
pub struct SyntheticConfig {
    /// When requests, or the first turns of conversations, arrive.
    pub arrivals: Arrivals,
    /// Tokens of a prompt that nobody shares: all of it, or what follows the shared prefix or the
    /// earlier turns.
    pub input_len: LengthLaw,
    /// Tokens generated.
    pub output_len: LengthLaw,
    /// Groups of requests whose prompts begin alike.
    pub prefix: Option<SharedPrefix>,
    /// Conversations of several turns.
    pub sessions: Option<Sessions>,
    /// Priorities, routing keys and namespaces.
    pub labels: Option<LabelLaws>,
    /// No more requests than this; each turn is one. From 1 to 2³² - 1.
    pub requests: Option<u64>,
    /// No request arrives at this time or later, but for those that `max_concurrency` holds back
    /// \[s\]. Positive.
    pub duration: Option<f64>,
    /// Limit on generated tokens that every request asks for, at least the longest output. By
    /// default each asks for exactly what it will generate and ignores end of sequence, as SGLang's
    /// `bench_serving` does; with a limit, outputs end by themselves.
    pub max_new_tokens: Option<u32>,
    /// At most so many requests in flight, see [`MaxConcurrency`](crate::MaxConcurrency).
    pub max_concurrency: Option<u32>,
}

/// Groups of requests that share a prefix, such as a system prompt.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SharedPrefix {
    /// Number of different prefixes, from 1 to 1,000,000.
    pub groups: u32,
    /// Length of a prefix, drawn once per group \[token\].
    pub len: LengthLaw,
    /// Share of the requests (or conversations) that have one, from 0 to 1. Default 1.
    #[serde(default = "everyone")]
    pub share: f64,
    /// How unequal the groups are: group *k* is chosen with probability proportional to *k* to the
    /// power of `-skew`. From 0 to 100, default 0: equally likely.
    #[serde(default)]
    pub skew: f64,
}

fn everyone() -> f64 {
    1.0
}

/// Labels of requests; all turns of a conversation have the same.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct LabelLaws {
    /// Priorities and how often each is chosen, in any unit. Default none.
    pub priorities: BTreeMap<i64, f64>,
    /// Number of routing keys, all equally likely. Default none.
    pub routing_keys: u32,
    /// Number of namespaces (SGLang's `extra_key`, LoRA adapters), all equally likely. Default one.
    pub extra_keys: u32,
}

/// Conversations: each prompt is the one before, its answer, and new words of the user.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Sessions {
    /// Turns of a conversation, at most 10,000.
    pub turns: LengthLaw,
    /// Time from the end of an answer to the user's next turn. Default none.
    #[serde(default)]
    pub think: DurationLaw,
    /// A conversation ends before a prompt would be longer than this \[token\]. Default never.
    #[serde(default)]
    pub max_prompt_len: Option<u64>,
}

impl SyntheticConfig {
    /// So many requests and nothing else.
    #[must_use]
    pub fn new(
        arrivals: Arrivals,
        input_len: LengthLaw,
        output_len: LengthLaw,
        requests: u64,
    ) -> Self {
        Self {
            arrivals,
            input_len,
            output_len,
            prefix: None,
            sessions: None,
            labels: None,
            requests: Some(requests),
            duration: None,
            max_new_tokens: None,
            max_concurrency: None,
        }
    }

    /// Checks everything that is not a law of its own.
    pub(super) fn limits(&self) -> Result<Limits, WorkloadError> {
        let most = u64::from(u32::MAX);
        if let Some(requests) = self.requests {
            check("requests", requests, 1..=most)?;
        }
        if let Some(duration) = self.duration {
            check("duration", duration, 1e-9..=1e9)?;
        }
        if self.requests.is_none() {
            let arrivals = self.arrivals.name();
            let (Some(rate), Some(duration)) = (self.arrivals.rate(), self.duration) else {
                let either = self.arrivals.rate().is_some();
                let give = if either { "`requests` or `duration`" } else { "`requests`" };
                return Err(WorkloadError::Endless { arrivals, give });
            };
            check("duration x rate (expected requests)", rate * duration, 0.0..=1e9)?;
        }
        if let Some(prefix) = &self.prefix {
            check("prefix.groups", prefix.groups, 1..=MOST_GROUPS)?;
            check("prefix.share", prefix.share, 0.0..=1.0)?;
        }
        if let Some(labels) = &self.labels {
            for (priority, weight) in &labels.priorities {
                check(&format!("labels.priorities.{priority}"), *weight, 1e-9..=1e9)?;
            }
        }
        let mut max_prompt_len = u64::MAX;
        if let Some(sessions) = &self.sessions {
            check("longest of sessions.turns", sessions.turns.longest(), 1..=MOST_TURNS)?;
            max_prompt_len = sessions.max_prompt_len.unwrap_or(u64::MAX);
            check("sessions.max_prompt_len", max_prompt_len, 1..=u64::MAX)?;
        }
        if let Some(limit) = self.max_new_tokens {
            check("max_new_tokens", limit, self.output_len.longest()..=u32::MAX)?;
        }
        Ok(Limits {
            requests: self.requests.and_then(|requests| u32::try_from(requests).ok()),
            end: self.duration.and_then(|duration| SimTime::new(duration).ok()),
            max_new_tokens: self.max_new_tokens,
            max_prompt_len,
        })
    }
}

//! What a router is started with, under the names of sglang-router's command line.

use std::fmt::Display;
use std::str::FromStr;

use serde_json::{Map, Value};
use sglsim_router::{
    AssignmentMode, BucketConfig, CacheAwareConfig, CircuitBreakerConfig, ManualConfig,
    PolicyConfig, RetryConfig,
};
use sglsim_units::{Nearest, RngStreams, Seconds};

/// Every option, and what it means.
pub(crate) const OPTIONS: [(&str, &str); 27] = [
    ("workers", "workers of one pool (2)"),
    ("prefill", "prefill workers, with --decode"),
    ("decode", "decode workers, with --prefill"),
    ("dp_size", "ranks of a worker, each a worker of its own under --dp-aware (1)"),
    ("dp_aware", "route to ranks; takes no value here"),
    (
        "policy",
        "random, round_robin, power_of_two, cache_aware, manual, consistent_hashing, bucket (cache_aware)",
    ),
    ("prefill_policy", "policy of the prefill workers"),
    ("decode_policy", "policy of the decode workers"),
    ("seed", "seed of the random streams (0)"),
    ("cache_threshold", "cache_aware: share that must match (0.3)"),
    (
        "balance_abs_threshold",
        "cache_aware [request], bucket [character]: difference of loads (64)",
    ),
    ("balance_rel_threshold", "cache_aware, bucket: ratio of loads (1.5)"),
    ("eviction_interval_secs", "cache_aware: time between evictions [s] (60)"),
    ("max_tree_size", "cache_aware: characters of a worker that an eviction leaves (2^26)"),
    ("max_idle_secs", "manual: how long an unseen key is remembered [s] (14400)"),
    ("assignment_mode", "manual: random, min_load, min_group (random)"),
    ("bucket_adjust_interval_secs", "bucket: time between cuts [s] (5)"),
    ("retry_max_retries", "attempts in all (5)"),
    ("retry_initial_backoff_ms", "pause before the second attempt [ms] (50)"),
    ("retry_max_backoff_ms", "longest pause [ms] (30000)"),
    ("retry_backoff_multiplier", "growth of the pauses (1.5)"),
    ("retry_jitter_factor", "spread of the pauses (0.2)"),
    ("cb_failure_threshold", "failures in a row that open a circuit breaker (10)"),
    ("cb_success_threshold", "successes in a row that close it (3)"),
    ("cb_timeout_duration_secs", "how long it stays open [s] (60)"),
    (
        "worker_startup_check_interval",
        "power_of_two: time between polls of loads, which nobody answers [s] (30)",
    ),
    ("disable_retries", "one attempt only (false)"),
];

/// A policy by name.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Policy {
    Random,
    RoundRobin,
    PowerOfTwo,
    CacheAware,
    Manual,
    ConsistentHashing,
    Bucket,
}

const POLICIES: [(&str, Policy); 7] = [
    ("random", Policy::Random),
    ("round_robin", Policy::RoundRobin),
    ("power_of_two", Policy::PowerOfTwo),
    ("cache_aware", Policy::CacheAware),
    ("manual", Policy::Manual),
    ("consistent_hashing", Policy::ConsistentHashing),
    ("bucket", Policy::Bucket),
];

const MODES: [(&str, AssignmentMode); 3] = [
    ("random", AssignmentMode::Random),
    ("min_load", AssignmentMode::MinLoad),
    ("min_group", AssignmentMode::MinGroup),
];

/// Workers and options.
#[derive(Clone, Debug)]
pub(crate) struct Settings {
    workers: Option<u32>,
    prefill: Option<u32>,
    decode: Option<u32>,
    dp_size: u32,
    dp_aware: bool,
    policy: Policy,
    prefill_policy: Option<Policy>,
    decode_policy: Option<Policy>,
    pub(crate) seed: u64,
    cache_aware: CacheAwareConfig,
    bucket: BucketConfig,
    manual: ManualConfig,
    pub(crate) retry: RetryConfig,
    pub(crate) breakers: CircuitBreakerConfig,
    pub(crate) polls: Seconds,
}

impl Default for Settings {
    fn default() -> Self {
        // Prompts are characters here.
        let characters_per_token = 1;
        Self {
            workers: None,
            prefill: None,
            decode: None,
            dp_size: 1,
            dp_aware: false,
            policy: Policy::CacheAware,
            prefill_policy: None,
            decode_policy: None,
            seed: 0,
            cache_aware: CacheAwareConfig { characters_per_token, ..Default::default() },
            bucket: BucketConfig { characters_per_token, ..Default::default() },
            manual: ManualConfig::default(),
            retry: RetryConfig::default(),
            breakers: CircuitBreakerConfig::default(),
            polls: Seconds::new(30.0).expect("30 s is a duration"),
        }
    }
}

impl Settings {
    /// Gives the option `name` a value.
    pub(crate) fn set(&mut self, name: &str, value: &str) -> Result<(), String> {
        match name {
            "workers" => self.workers = Some(number(name, value)?),
            "prefill" => self.prefill = Some(number(name, value)?),
            "decode" => self.decode = Some(number(name, value)?),
            "dp_size" => self.dp_size = number(name, value)?,
            "dp_aware" => self.dp_aware = flag(name, value)?,
            "policy" => self.policy = one_of(name, value, &POLICIES)?,
            "prefill_policy" => self.prefill_policy = Some(one_of(name, value, &POLICIES)?),
            "decode_policy" => self.decode_policy = Some(one_of(name, value, &POLICIES)?),
            "seed" => self.seed = number(name, value)?,
            "cache_threshold" => self.cache_aware.cache_threshold = number(name, value)?,
            "balance_abs_threshold" => {
                self.cache_aware.balance_abs_threshold = number(name, value)?;
                self.bucket.balance_abs_threshold = number(name, value)?;
            }
            "balance_rel_threshold" => {
                self.cache_aware.balance_rel_threshold = number(name, value)?;
                self.bucket.balance_rel_threshold = number(name, value)?;
            }
            "eviction_interval_secs" => self.cache_aware.eviction_interval = seconds(name, value)?,
            "max_tree_size" => self.cache_aware.max_tree_size = number(name, value)?,
            "max_idle_secs" => self.manual.max_idle = seconds(name, value)?,
            "assignment_mode" => self.manual.assignment_mode = one_of(name, value, &MODES)?,
            "bucket_adjust_interval_secs" => {
                self.bucket.bucket_adjust_interval = seconds(name, value)?;
            }
            "retry_max_retries" => self.retry.retry_max_retries = number(name, value)?,
            "retry_initial_backoff_ms" => {
                self.retry.retry_initial_backoff_ms = number(name, value)?;
            }
            "retry_max_backoff_ms" => self.retry.retry_max_backoff_ms = number(name, value)?,
            "retry_backoff_multiplier" => {
                self.retry.retry_backoff_multiplier = number(name, value)?;
            }
            "retry_jitter_factor" => self.retry.retry_jitter_factor = number(name, value)?,
            "worker_startup_check_interval" => self.polls = seconds(name, value)?,
            "disable_retries" => self.retry.disable_retries = flag(name, value)?,
            "cb_failure_threshold" => self.breakers.cb_failure_threshold = number(name, value)?,
            "cb_success_threshold" => self.breakers.cb_success_threshold = number(name, value)?,
            "cb_timeout_duration_secs" => {
                self.breakers.cb_timeout_duration_secs = seconds(name, value)?;
            }
            other => {
                let hint = Nearest::to(other, OPTIONS.iter().map(|(name, _)| *name));
                return Err(format!("there is no option `{other}`{hint}"));
            }
        }
        Ok(())
    }

    /// The same settings with those of a `start` operation.
    pub(crate) fn with(&self, fields: &Map<String, Value>) -> Result<Self, String> {
        let mut new = self.clone();
        if fields.contains_key("workers") {
            (new.prefill, new.decode) = (None, None);
        }
        if fields.contains_key("prefill") || fields.contains_key("decode") {
            new.workers = None;
        }
        for (name, value) in fields {
            match value.as_str() {
                Some(text) => new.set(name, text)?,
                None => new.set(name, &value.to_string())?,
            }
        }
        new.check()?;
        Ok(new)
    }

    /// What no option says by itself.
    pub(crate) fn check(&self) -> Result<(), String> {
        let said = |error: sglsim_router::RouteError| error.to_string();
        self.breakers.check().map_err(said)?;
        self.retry.check().map_err(said)?;
        match (self.workers, self.prefill, self.decode) {
            (Some(_), Some(_), _) | (Some(_), _, Some(_)) => {
                return Err("`workers` and `prefill` exclude each other".into());
            }
            (_, Some(_), None) => return Err("`prefill` workers need `decode` workers".into()),
            (_, None, Some(_)) => return Err("`decode` workers need `prefill` workers".into()),
            _ => {}
        }
        for (name, count) in [
            ("workers", self.workers),
            ("prefill", self.prefill),
            ("decode", self.decode),
            ("dp_size", Some(self.dp_size)),
        ] {
            if let Some(count) = count
                && !(1..=4096).contains(&count)
            {
                return Err(format!("`{name}` is {count}, allowed is 1 to 4096"));
            }
        }
        if self.prefill.is_none() && self.policy == Policy::Bucket {
            return Err("`bucket` is for prefill workers: `prefill_policy`".into());
        }
        if self.decode_policy == Some(Policy::Bucket) {
            return Err("`bucket` is for prefill workers: `prefill_policy`".into());
        }
        for (_, config) in self.pools() {
            config.build(RngStreams::new(0)).map_err(said)?;
        }
        Ok(())
    }

    /// Number of workers and policy of each pool: of one, or of prefill and decode.
    pub(crate) fn pools(&self) -> Vec<(u32, PolicyConfig)> {
        let config = |policy: Option<Policy>| self.config(policy.unwrap_or(self.policy));
        let ranks = if self.dp_aware { self.dp_size } else { 1 };
        match (self.prefill, self.decode) {
            (Some(prefill), Some(decode)) => vec![
                (prefill * ranks, config(self.prefill_policy)),
                (decode * ranks, config(self.decode_policy)),
            ],
            _ => vec![(self.workers.unwrap_or(2) * ranks, config(None))],
        }
    }

    fn config(&self, policy: Policy) -> PolicyConfig {
        match policy {
            Policy::Random => PolicyConfig::Random,
            Policy::RoundRobin => PolicyConfig::RoundRobin,
            Policy::PowerOfTwo => PolicyConfig::PowerOfTwo,
            Policy::CacheAware => PolicyConfig::CacheAware(CacheAwareConfig {
                // That version forgets to make the trees of prefill and decode pools.
                has_tree: self.prefill.is_none(),
                ..self.cache_aware
            }),
            Policy::ConsistentHashing => PolicyConfig::ConsistentHashing(Default::default()),
            Policy::Manual => PolicyConfig::Manual(self.manual),
            Policy::Bucket => PolicyConfig::Bucket(self.bucket),
        }
    }
}

fn number<N: FromStr<Err: Display>>(name: &str, value: &str) -> Result<N, String> {
    value.parse().map_err(|error| format!("`{name}` is `{value}`: {error}"))
}

fn flag(name: &str, value: &str) -> Result<bool, String> {
    value.parse().map_err(|_| format!("`{name}` is `{value}`, allowed is true or false"))
}

fn seconds(name: &str, value: &str) -> Result<Seconds, String> {
    Seconds::new(number(name, value)?)
        .map_err(|_| format!("`{name}` is {value}, allowed is 0 or more"))
}

fn one_of<T: Copy>(name: &str, value: &str, known: &[(&str, T)]) -> Result<T, String> {
    let found = known.iter().find(|(known, _)| *known == value).map(|(_, which)| *which);
    found.ok_or_else(|| {
        let names = || known.iter().map(|(name, _)| *name);
        let all: Vec<&str> = names().collect();
        let hint = Nearest::to(value, names());
        format!("`{name}` is `{value}`, known are {}{hint}", all.join(", "))
    })
}

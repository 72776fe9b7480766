//! A scenario as JSON, and the rank that it describes.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;

use serde::de::{self, MapAccess, SeqAccess, Visitor};
use serde::{Deserialize, Deserializer};
use sglsim_radix::{
    EvictionPolicy, NoCache, PagePool, PageSize, PrefixCache, Prompt, RadixCache, Span,
};
use sglsim_sched::testing::seed;
use sglsim_sched::{
    BatchState, Labels, Memory, PrefillAdder, SchedulePolicy, SchedulePolicyName, SchedulerConfig,
    Submission,
};
use sglsim_units::{RequestId, RngStreams, SimTime};

/// One line of input.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Scenario {
    pub(crate) capacity: u64,
    #[serde(default = "one")]
    pub(crate) page_size: u32,
    #[serde(default = "chunk")]
    chunked_prefill_size: Option<u32>,
    #[serde(default = "input")]
    max_prefill_tokens: u32,
    #[serde(default = "ratio")]
    pub(crate) new_token_ratio: f64,
    #[serde(default)]
    pub(crate) mixed_decode_tokens: usize,
    prefill_max_requests: Option<u32>,
    pub(crate) allocatable: Option<usize>,
    #[serde(default)]
    pub(crate) policy: SchedulePolicyName,
    #[serde(default)]
    processed_tokens: u64,
    #[serde(default)]
    priority_scheduling: bool,
    #[serde(default)]
    low_priority_first: bool,
    #[serde(default)]
    pub(crate) preempt: bool,
    #[serde(default = "threshold")]
    preempt_threshold: i64,
    #[serde(default)]
    pub(crate) disable_tree: bool,
    eviction_policy: Option<String>,
    #[serde(default)]
    pub(crate) cached: Vec<Tokens>,
    #[serde(default)]
    pub(crate) running: Vec<Request>,
    pub(crate) chunked: Option<Request>,
    #[serde(default)]
    waiting: Vec<Request>,
    /// A pool and rows that do refuse, if set.
    #[serde(skip)]
    pub(crate) pool: Option<u64>,
    #[serde(skip)]
    pub(crate) rows: Option<u32>,
    /// Which of two equal trees the real driver is to use.
    #[serde(rename = "tree_core")]
    _tree_core: Option<String>,
}

fn one() -> u32 {
    1
}

fn chunk() -> Option<u32> {
    Some(8192)
}

fn input() -> u32 {
    16384
}

fn ratio() -> f64 {
    0.7
}

fn threshold() -> i64 {
    10
}

/// A request, wherever it is.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Request {
    rid: String,
    /// Length of a running request's prompt.
    prompt: Option<u32>,
    tokens: Option<Tokens>,
    #[serde(default)]
    done: u64,
    #[serde(default)]
    out: u64,
    max_new: u64,
    #[serde(default)]
    ignore_eos: bool,
    priority: Option<i64>,
    #[serde(default)]
    entry: f64,
    extra_key: Option<String>,
    routing_key: Option<String>,
    #[serde(default)]
    arrival_processed: u64,
}

/// A prompt.
pub(crate) struct Tokens(Prompt);

/// Ids of a seed begin at (seed + 1) times this.
const IDS_OF_A_SEED: u64 = 10_000_000;

/// `len` consecutive token ids. Id 1 is the first token of the text that every answer begins with.
fn consecutive(first: u64, len: u64) -> Vec<Span> {
    const TEXT: u64 = 1 << 31;
    let (mut at, end) = (first.wrapping_sub(1), first.wrapping_sub(1).wrapping_add(len));
    let mut spans = Vec::new();
    while at != end {
        let (content, offset) = (at / TEXT, at % TEXT);
        let len = (end.wrapping_sub(at)).min(TEXT - offset);
        let small = |tokens: u64| u32::try_from(tokens).expect("below the length of a text");
        spans.push(Span { content, offset: small(offset), len: small(len) });
        at = at.wrapping_add(len);
    }
    spans
}

impl<'de> Deserialize<'de> for Tokens {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct TokensVisitor;
        impl<'de> Visitor<'de> for TokensVisitor {
            type Value = Tokens;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a list of token ids, or {\"seed\": s, \"len\": n}")
            }

            fn visit_seq<A: SeqAccess<'de>>(self, mut list: A) -> Result<Tokens, A::Error> {
                let mut spans = Vec::new();
                while let Some(id) = list.next_element::<u64>()? {
                    spans.extend(consecutive(id, 1));
                }
                Ok(Tokens(Prompt::new(spans)))
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Tokens, A::Error> {
                let (mut seed, mut len) = (None, None);
                while let Some(key) = map.next_key::<String>()? {
                    match key.as_str() {
                        "seed" => seed = Some(map.next_value::<u32>()?),
                        "len" => len = Some(map.next_value::<u32>()?),
                        other => return Err(de::Error::unknown_field(other, &["seed", "len"])),
                    }
                }
                let seed = seed.ok_or_else(|| de::Error::missing_field("seed"))?;
                let len = len.ok_or_else(|| de::Error::missing_field("len"))?;
                if u64::from(len) > IDS_OF_A_SEED {
                    return Err(de::Error::custom(format!("`len` is above {IDS_OF_A_SEED}")));
                }
                let first = (u64::from(seed) + 1) * IDS_OF_A_SEED;
                Ok(Tokens(Prompt::new(consecutive(first, u64::from(len)))))
            }
        }
        deserializer.deserialize_any(TokensVisitor)
    }
}

/// A rank, the names of its requests by id, and what its budgets start from.
pub(crate) struct Rank {
    pub(crate) batch: BatchState,
    pub(crate) names: Vec<String>,
    pub(crate) adder: PrefillAdder,
    /// The request that is being chunked and how much of it is done: its first tokens come into the
    /// cache only after the queue was brought into order.
    pub(crate) chunked: Option<(Submission, u64)>,
}

impl Scenario {
    /// Reads one line; what is wrong is named by field and column.
    pub(crate) fn read(line: &str) -> Result<Self, String> {
        let mut json = serde_json::Deserializer::from_str(line);
        let read: Self = serde_path_to_error::deserialize(&mut json).map_err(|error| {
            let (field, inner) = (error.path().to_string(), error.inner());
            let place = format!(" at line {} column {}", inner.line(), inner.column());
            let message = inner.to_string().replace(&place, "");
            match field.as_str() {
                "." => format!("column {}: {message}", inner.column()),
                field => format!("`{field}`, column {}: {message}", inner.column()),
            }
        })?;
        json.end().map_err(|_| "one JSON object a line is allowed, here is more".to_owned())?;
        read.check()?;
        Ok(read)
    }

    /// What no field says by itself.
    fn check(&self) -> Result<(), String> {
        let everybody = self.running.iter().chain(&self.chunked).chain(&self.waiting);
        let mut names = BTreeSet::new();
        for request in everybody {
            if !names.insert(request.rid.as_str()) {
                return Err(format!("`rid`: there are two requests `{}`", request.rid));
            }
        }
        for request in &self.running {
            if request.out > request.max_new {
                let Request { rid, out, max_new, .. } = request;
                return Err(format!(
                    "`running`, `{rid}`: `out` is {out}, allowed is 0 to {max_new}"
                ));
            }
        }
        for (list, request) in self.waiting.iter().map(|request| ("waiting", request)) {
            if request.tokens.as_ref().is_none_or(|tokens| tokens.0.is_empty()) {
                return Err(format!("`{list}`, `{}`: `tokens` is missing or empty", request.rid));
            }
        }
        if let Some(Request { rid, tokens, done, .. }) = &self.chunked {
            let len = tokens.as_ref().map_or(0, |tokens| tokens.0.tokens());
            if *done >= len {
                return Err(format!("`chunked`, `{rid}`: `done` is {done} of {len} `tokens`"));
            }
            if self.chunked_prefill_size.is_none() {
                return Err("`chunked` needs a `chunked_prefill_size`".into());
            }
        }
        if self.disable_tree && self.policy == SchedulePolicyName::ShortestPrefillFirst {
            return Err("`policy` shortest-prefill-first needs a tree".into());
        }
        if !(0.0..=1.0).contains(&self.new_token_ratio) {
            return Err(format!(
                "`new_token_ratio` is {}, allowed is 0 to 1",
                self.new_token_ratio
            ));
        }
        if self.capacity < u64::from(self.page_size) {
            let (capacity, page) = (self.capacity, self.page_size);
            return Err(format!(
                "`capacity` is {capacity}, allowed is at least one page of {page}"
            ));
        }
        Ok(())
    }

    /// Settings of the rank. Its pool and rows never refuse anything by themselves: they are only
    /// counted, by the budgets and by whoever walks the queue.
    pub(crate) fn config(&self) -> SchedulerConfig {
        let page = u64::from(self.page_size.max(1));
        let pool = self.pool.unwrap_or((1 << 40) / page * page);
        let mut config = SchedulerConfig::new(pool, self.rows.unwrap_or(u32::MAX));
        config.page_size = self.page_size;
        config.chunked_prefill_size = self.chunked_prefill_size;
        config.max_prefill_tokens = self.max_prefill_tokens;
        config.prefill_max_requests = self.prefill_max_requests;
        config.enable_priority_scheduling = self.priority_scheduling
            && matches!(self.policy, SchedulePolicyName::Fcfs | SchedulePolicyName::Lof);
        config.schedule_low_priority_values_first = self.low_priority_first;
        config.priority_scheduling_preemption_threshold = self.preempt_threshold;
        config
    }

    /// The queue order of the scenario.
    pub(crate) fn policy(&self) -> Result<Box<dyn SchedulePolicy>, String> {
        let built = self.policy.build(&self.config(), RngStreams::new(0));
        built.map_err(|error| error.to_string())
    }

    /// The rank, in the middle of its life.
    pub(crate) fn rank(&self) -> Result<Rank, String> {
        let page = PageSize::new(self.page_size).map_err(|error| error.to_string())?;
        let name = self.eviction_policy.as_deref().unwrap_or("lru");
        let eviction: EvictionPolicy =
            name.parse().map_err(|e| format!("`eviction_policy`: {e}"))?;
        let cache: Box<dyn PrefixCache> = if self.disable_tree {
            Box::new(NoCache::new(page))
        } else {
            Box::new(RadixCache::new(page, eviction))
        };
        let config = self.config();
        let memory = Memory::new(PagePool::new(config.max_total_num_tokens, page), cache);
        let mut batch = BatchState::new(config, memory).map_err(|error| error.to_string())?;
        let names = Names::of(self);
        seed::processed(&mut batch, self.processed_tokens);
        let mut lost = 0;
        for tokens in &self.cached {
            if self.disable_tree {
                // Nothing keeps them, and nobody gives their slots back.
                lost += page.floor(tokens.0.tokens());
            } else {
                seed::cache(&mut batch, &tokens.0);
            }
        }
        for request in &self.running {
            let tokens = u64::from(request.prompt.unwrap_or(0)) + request.out;
            seed::running(&mut batch, names.submission(request)?, request.out, tokens);
        }
        for request in &self.waiting {
            let slot = seed::waiting(&mut batch, names.submission(request)?, request.out);
            seed::queued_after(&mut batch, slot, request.arrival_processed);
        }
        let beyond = i64::try_from(batch.memory().capacity() + lost).expect("a test's pool")
            - i64::try_from(self.capacity).map_err(|_| "`capacity` is above 2^63".to_owned())?;
        let mixed = self.mixed_decode_tokens;
        let adder = seed::adder(&batch, self.new_token_ratio, mixed, beyond);
        let chunked = self
            .chunked
            .as_ref()
            .map(|request| names.submission(request).map(|submission| (submission, request.done)));
        Ok(Rank { batch, names: names.rids, adder, chunked: chunked.transpose()? })
    }
}

/// Numbers for names, in the order of the names.
struct Names {
    rids: Vec<String>,
    namespaces: BTreeMap<String, u32>,
    routing_keys: BTreeMap<String, u32>,
}

impl Names {
    fn of(scenario: &Scenario) -> Self {
        let everybody =
            || scenario.running.iter().chain(&scenario.chunked).chain(&scenario.waiting);
        let mut rids: Vec<String> = everybody().map(|request| request.rid.clone()).collect();
        rids.sort();
        let numbered = |pick: fn(&Request) -> &Option<String>| -> BTreeMap<String, u32> {
            let names: BTreeSet<&String> = everybody().filter_map(|r| pick(r).as_ref()).collect();
            names.into_iter().cloned().zip(1..).collect()
        };
        let namespaces = numbered(|request| &request.extra_key);
        Self { rids, namespaces, routing_keys: numbered(|request| &request.routing_key) }
    }

    fn submission(&self, request: &Request) -> Result<Submission, String> {
        let place = self.rids.binary_search(&request.rid).expect("every request was listed");
        let id = RequestId::from_index(place);
        let arrival = SimTime::new(request.entry)
            .map_err(|error| format!("`entry` of `{}`: {error}", request.rid))?;
        let prompt = match &request.tokens {
            Some(tokens) => tokens.0.clone(),
            // A text of its own, of which only the length matters.
            None => Prompt::new(vec![Span::new(
                u64::MAX / 2 + id.index() as u64,
                request.prompt.unwrap_or(0),
            )]),
        };
        let number = |numbers: &BTreeMap<String, u32>, name: &Option<String>| {
            name.as_ref().map(|name| numbers[name])
        };
        let key = request.routing_key.clone().filter(|key| !key.is_empty());
        Ok(Submission {
            id,
            prompt,
            output_content: 0,
            max_new_tokens: request.max_new,
            stop_after: request.max_new,
            ignore_eos: request.ignore_eos,
            arrival,
            labels: Labels {
                namespace: number(&self.namespaces, &request.extra_key).unwrap_or(0),
                priority: Some(request.priority.unwrap_or(0)),
                routing_key: number(&self.routing_keys, &key),
            },
        })
    }
}

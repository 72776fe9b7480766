//! Operations on a prefix cache, and requests that live in a pool, as JSON.

use std::collections::{BTreeMap, VecDeque};
use std::fmt::Write;

use serde::Deserialize;
use sglsim_radix::{
    Backup, EvictionPolicy, Holding, Key, NodeId, PagePool, PageSize, PrefixCache, PrefixMatch,
    RadixCache, WritePolicy,
};
use sglsim_units::Nearest;

/// What a replay starts from.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Settings {
    pub(crate) page_size: u64,
    pub(crate) policy: EvictionPolicy,
    /// KV slots; `None` is a tree without a pool.
    pub(crate) capacity: Option<u64>,
    /// Slots of the host tier; `None` is a tree without one.
    pub(crate) host: Option<u64>,
    pub(crate) write_policy: WritePolicy,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            page_size: 1,
            policy: EvictionPolicy::Lru,
            capacity: None,
            host: None,
            write_policy: WritePolicy::WriteThrough,
        }
    }
}

impl Settings {
    /// Refuses page sizes and capacities that no pool has.
    pub(crate) fn check(self) -> Result<PageSize, String> {
        let page = u32::try_from(self.page_size).map_or_else(
            |_| {
                Err(format!("`page_size` is {}, allowed is 1 to {}", self.page_size, PageSize::MAX))
            },
            |page| PageSize::new(page).map_err(|error| error.to_string()),
        )?;
        for (name, size) in [("capacity", self.capacity), ("hicache_size", self.host)] {
            if let Some(size) = size
                && (size == 0 || page.floor(size) != size)
            {
                return Err(format!(
                    "`{name}` is {size}, allowed is a positive multiple of the page size {page}"
                ));
            }
        }
        if self.capacity.is_some() && self.host.is_some() {
            return Err("--capacity and --hicache-size cannot be given together".into());
        }
        Ok(page)
    }
}

/// The fields that operations have; which one needs which is said where it is used.
#[derive(Deserialize)]
struct Operation {
    op: String,
    tokens: Option<Vec<u32>>,
    id: Option<String>,
    rid: Option<String>,
    n: Option<u64>,
    extra_key: Option<String>,
    priority: Option<i64>,
    inserted_len: Option<u64>,
}

const OPERATIONS: [&str; 13] = [
    "insert", "match", "lock", "unlock", "evict", "ack", "state", "reset", "admit", "extend",
    "decode", "finish", "release",
];

/// A request in the pool.
struct Request {
    tokens: Vec<u32>,
    prompt: u64,
    namespace: u32,
    priority: i64,
    held: Holding,
    /// Tokens that have slots.
    have: u64,
}

/// A cache, a pool if there is one, and who holds what.
pub(crate) struct Driver {
    settings: Settings,
    cache: RadixCache<u32>,
    pool: Option<PagePool>,
    namespaces: BTreeMap<String, u32>,
    locks: BTreeMap<String, NodeId>,
    requests: BTreeMap<String, Request>,
    /// Copies to the host that are under way, the eldest first.
    backups: VecDeque<Backup>,
}

/// One field of an answer.
type Field = (&'static str, u64);

const OUT_OF_MEMORY: &str = "out of memory";

/// What an operation answers beside the totals.
#[derive(Default)]
struct Answer {
    fields: Vec<Field>,
    error: Option<&'static str>,
}

impl From<Field> for Answer {
    fn from(field: Field) -> Self {
        Self { fields: vec![field], error: None }
    }
}

impl Driver {
    pub(crate) fn new(settings: Settings) -> Result<Self, String> {
        let page = settings.check()?;
        let cache = RadixCache::new(page, settings.policy);
        Ok(Self {
            settings,
            cache: match settings.host {
                Some(size) => cache.with_host_tier(size, settings.write_policy),
                None => cache,
            },
            pool: settings.capacity.map(|capacity| PagePool::new(capacity, page)),
            namespaces: BTreeMap::new(),
            locks: BTreeMap::new(),
            requests: BTreeMap::new(),
            backups: VecDeque::new(),
        })
    }

    /// Does what one line says and answers with one line.
    pub(crate) fn run(&mut self, line: &str) -> Result<String, String> {
        let operation = read(line)?;
        let answer = self.operate(&operation)?;
        self.cache.finish_loads();
        let begun = std::iter::from_fn(|| self.cache.next_backup());
        self.backups.extend(begun.filter(|backup| !backup.blocking));
        let quote = |text: &str| serde_json::Value::from(text).to_string();
        let mut out = format!("{{\"op\": {}", quote(&operation.op));
        let mut put = |name: &str, value: &str| {
            write!(out, ", \"{name}\": {value}").expect("a string can be written to");
        };
        if let Some(rid) = &operation.rid {
            put("rid", &quote(rid));
        }
        for (name, value) in answer.fields {
            put(name, &value.to_string());
        }
        if let Some(error) = answer.error {
            put("error", &quote(error));
        }
        put("evictable", &self.cache.evictable_tokens().to_string());
        put("protected", &self.cache.protected_tokens().to_string());
        if let Some(pool) = &self.pool {
            put("available", &pool.available().to_string());
        }
        if self.settings.host.is_some() {
            put("on_host", &self.cache.host_usage().0.to_string());
        }
        out.push('}');
        Ok(out)
    }

    fn operate(&mut self, o: &Operation) -> Result<Answer, String> {
        match o.op.as_str() {
            "match" => {
                let namespace = self.namespace(o);
                let key = Key::of(tokens(o)?).in_namespace(namespace);
                let found = self.cache.match_prefix(key);
                Ok(self.found(found))
            }
            "insert" if self.pool.is_some() => {
                Err("`op` is `insert`: with --capacity, requests fill the tree (`admit`)".into())
            }
            "insert" => {
                let namespace = self.namespace(o);
                let key = Key::of(tokens(o)?)
                    .in_namespace(namespace)
                    .with_priority(o.priority.unwrap_or(0));
                Ok(("prefix_len", self.cache.insert(key, o.inserted_len.unwrap_or(0)).present)
                    .into())
            }
            "lock" => {
                let (id, namespace) = (id(o)?, self.namespace(o));
                if self.locks.contains_key(id) {
                    return Err(format!("`id`: there is a lock `{id}` already"));
                }
                let found = self.cache.match_prefix(Key::of(tokens(o)?).in_namespace(namespace));
                self.cache.lock(found.end);
                self.cache.load_back(found.end);
                self.locks.insert(id.to_owned(), found.end);
                Ok(self.found(found))
            }
            "ack" => {
                if self.settings.host.is_none() {
                    return Err("`op` is `ack`, which needs --hicache-size".into());
                }
                let most = o.n.ok_or("`n` is missing")?.min(self.backups.len() as u64);
                for _ in 0..most {
                    let backup = self.backups.pop_front().expect("so many are under way");
                    self.cache.finish_backup(backup);
                }
                Ok(Answer::default())
            }
            "unlock" => {
                let id = id(o)?;
                let node = self.locks.remove(id).ok_or_else(|| {
                    let known = Nearest::to(id, self.locks.keys().map(String::as_str));
                    format!("`id`: there is no lock `{id}`{known}")
                })?;
                self.cache.unlock(node);
                Ok(Answer::default())
            }
            "evict" => {
                let wanted = o.n.ok_or("`n` is missing")?;
                let evicted = self.cache.evict(wanted);
                if let Some(pool) = &mut self.pool {
                    pool.release(evicted);
                }
                Ok(("evicted", evicted).into())
            }
            "state" => {
                let total = self.cache.evictable_tokens() + self.cache.protected_tokens();
                Ok(("total", total).into())
            }
            "reset" => {
                *self = Self::new(self.settings)?;
                Ok(Answer::default())
            }
            "admit" | "extend" | "decode" | "finish" | "release" => self.live(o),
            other => {
                let hint = Nearest::to(other, OPERATIONS);
                Err(format!("`op` is `{other}`, known are {}{hint}", OPERATIONS.join(", ")))
            }
        }
    }

    /// What a lookup found, by tier where there are two.
    fn found(&self, found: PrefixMatch) -> Answer {
        let mut answer = Answer::from(("matched", found.tokens));
        if self.settings.host.is_some() {
            answer.fields.push(("host", found.host_tokens));
        }
        answer
    }

    /// One operation of a request's life.
    fn live(&mut self, o: &Operation) -> Result<Answer, String> {
        if self.pool.is_none() {
            return Err(format!("`op` is `{}`, which needs --capacity", o.op));
        }
        let rid = o.rid.as_deref().ok_or("`rid` is missing")?;
        if o.op == "admit" {
            return self.admit(rid, o);
        }
        let mut request = self.requests.remove(rid).ok_or_else(|| {
            let known = Nearest::to(rid, self.requests.keys().map(String::as_str));
            format!("`rid`: there is no request `{rid}`{known}")
        })?;
        let stays = |driver: &mut Self, request, answer| {
            driver.requests.insert(rid.to_owned(), request);
            Ok(answer)
        };
        match o.op.as_str() {
            "extend" => {
                let left = request.tokens.len() as u64 - request.have;
                let chunk = o.n.map_or(left, |n| n.min(left));
                if chunk > 0 && !self.grow(&mut request, chunk) {
                    let answer = Answer { fields: vec![], error: Some(OUT_OF_MEMORY) };
                    return stays(self, request, answer);
                }
                if chunk > 0 {
                    self.checkpoint(&mut request);
                }
                let protected = request.held.protected();
                stays(self, request, ("protected_len", protected).into())
            }
            "decode" => {
                let mut answer = Answer::default();
                for token in tokens(o)? {
                    request.tokens.push(*token);
                    if !self.grow(&mut request, 1) {
                        answer.error = Some(OUT_OF_MEMORY);
                        break;
                    }
                }
                stays(self, request, answer)
            }
            publishes => {
                if publishes == "finish" {
                    self.checkpoint(&mut request);
                }
                let kept = request.held.protected();
                let page = self.cache.page_size();
                self.give_back(page.ceil(request.have) - kept);
                request.held.unlock(&mut self.cache);
                Ok(("kept", kept).into())
            }
        }
    }

    fn admit(&mut self, rid: &str, o: &Operation) -> Result<Answer, String> {
        if self.requests.contains_key(rid) {
            return Err(format!("`rid`: there is a request `{rid}` already"));
        }
        let (tokens, namespace) = (tokens(o)?.to_vec(), self.namespace(o));
        let Some(all_but_one) = (tokens.len() as u64).checked_sub(1) else {
            return Err("`tokens` is empty, allowed is at least one token".into());
        };
        let key = Key::of(&tokens).in_namespace(namespace).first(all_but_one);
        let found = self.cache.match_prefix(key);
        let held = Holding::lock(&mut self.cache, found);
        let request = Request {
            prompt: tokens.len() as u64,
            tokens,
            namespace,
            priority: o.priority.unwrap_or(0),
            held,
            have: found.tokens,
        };
        self.requests.insert(rid.to_owned(), request);
        Ok(("matched", found.tokens).into())
    }

    /// Room for `tokens` more tokens of `request`; whether there was any.
    fn grow(&mut self, request: &mut Request, tokens: u64) -> bool {
        let page = self.cache.page_size();
        // With pages, SGLang evicts as if one more page might be opened.
        let room = tokens + if page == PageSize::ONE { 0 } else { u64::from(page.get()) };
        let pool = self.pool.as_mut().expect("requests live in a pool");
        let evicted = self.cache.evict(room.saturating_sub(pool.available()));
        pool.release(evicted);
        let slots = page.ceil(request.have + tokens) - page.ceil(request.have);
        let is_there = pool.allocate(slots).is_ok();
        if is_there {
            request.have += tokens;
        }
        is_there
    }

    fn checkpoint(&mut self, request: &mut Request) {
        let key = Key::of(&request.tokens)
            .in_namespace(request.namespace)
            .with_priority(request.priority)
            .first(request.have);
        let duplicates = request.held.checkpoint(&mut self.cache, key, request.prompt);
        self.give_back(duplicates);
    }

    fn give_back(&mut self, slots: u64) {
        self.pool.as_mut().expect("requests live in a pool").release(slots);
    }

    /// Number of the namespace that an operation names.
    fn namespace(&mut self, o: &Operation) -> u32 {
        let Some(name) = &o.extra_key else { return 0 };
        let next = u32::try_from(self.namespaces.len() + 1).expect("fewer namespaces than 2^32");
        *self.namespaces.entry(name.clone()).or_insert(next)
    }
}

/// Reads one line; what is wrong is named by field and column.
fn read(line: &str) -> Result<Operation, String> {
    let mut json = serde_json::Deserializer::from_str(line);
    let read: Operation = serde_path_to_error::deserialize(&mut json).map_err(|error| {
        let (field, inner) = (error.path().to_string(), error.inner());
        let place = format!(" at line {} column {}", inner.line(), inner.column());
        let message = inner.to_string().replace(&place, "");
        match field.as_str() {
            "." => format!("column {}: {message}", inner.column()),
            field => format!("`{field}`, column {}: {message}", inner.column()),
        }
    })?;
    json.end().map_err(|_| "one JSON object a line is allowed, here is more".to_owned())?;
    Ok(read)
}

fn tokens(o: &Operation) -> Result<&[u32], String> {
    o.tokens.as_deref().ok_or_else(|| "`tokens` is missing".into())
}

fn id(o: &Operation) -> Result<&str, String> {
    o.id.as_deref().ok_or_else(|| "`id` is missing".into())
}

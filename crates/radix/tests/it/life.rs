//! Recorded request lives on SGLang 0.5.23's own tree and allocator: admission, chunks, decode,
//! finish and retraction over a pool of 320 tokens, with eviction under pressure.

use std::collections::BTreeMap;
use std::fs;

use serde_json::Value;
use sglsim_radix::{EvictionPolicy, Key, NodeId, PagePool, PageSize, PrefixCache, RadixCache};

use crate::data;

struct Request {
    tokens: Vec<u32>,
    prompt: u64,
    node: NodeId,
    /// Tokens that the tree holds for it (`cache_protected_len`).
    protected: u64,
    /// Tokens that it has inserted itself.
    inserted: u64,
    /// Tokens whose KV is there.
    have: u64,
}

struct Driver {
    cache: RadixCache<u32>,
    pool: PagePool,
    requests: BTreeMap<String, Request>,
}

impl Driver {
    fn new(page_size: u32, capacity: u64) -> Self {
        let page_size = PageSize::new(page_size).expect("recorded with an allowed page size");
        Self {
            cache: RadixCache::new(page_size, EvictionPolicy::Lru),
            pool: PagePool::new(capacity, page_size),
            requests: BTreeMap::new(),
        }
    }

    /// Room for `tokens` more tokens of `request`; whether there was any.
    fn grow(&mut self, request: &mut Request, tokens: u64) -> bool {
        let page = self.pool.page_size();
        let need = tokens + if page == PageSize::ONE { 0 } else { u64::from(page.get()) };
        let freed = self.cache.evict(need.saturating_sub(self.pool.available()));
        self.pool.release(freed);
        let pages = page.ceil(request.have + tokens) - page.ceil(request.have);
        let is_there = self.pool.allocate(pages).is_ok();
        if is_there {
            request.have += tokens;
        }
        is_there
    }

    fn checkpoint(&mut self, request: &mut Request) {
        let key = Key::of(&request.tokens).first(request.have);
        let done = self.cache.insert(key, request.inserted);
        if request.have > request.prompt {
            // The prompt outranks what was generated, which may be evicted without it.
            let prompt = key.first(request.prompt).with_priority(key.priority() + 1);
            self.cache.insert(prompt, done.tokens);
        }
        self.pool.release(done.present.saturating_sub(request.protected));
        self.cache.lock(done.node);
        self.cache.unlock(request.node);
        (request.node, request.protected) = (done.node, done.tokens);
        request.inserted = done.tokens;
    }

    fn leave(&mut self, request: &Request) -> u64 {
        self.pool.release(request.have - request.protected);
        self.cache.unlock(request.node);
        request.protected
    }

    fn run(&mut self, operation: &Value) -> BTreeMap<&'static str, Value> {
        let rid = operation["rid"].as_str().expect("a request").to_owned();
        let tokens = || data::parse_list::<u32>(&operation["tokens"]);
        let mut answer = BTreeMap::new();
        match operation["op"].as_str().expect("an operation") {
            "admit" => {
                let tokens = tokens();
                let prompt = tokens.len() as u64;
                let found = self.cache.match_prefix(Key::of(&tokens).first(prompt - 1));
                self.cache.lock(found.node);
                answer.insert("matched", found.tokens.into());
                let request = Request {
                    tokens,
                    prompt,
                    node: found.node,
                    protected: found.tokens,
                    inserted: 0,
                    have: found.tokens,
                };
                self.requests.insert(rid, request);
            }
            "extend" => {
                let mut request = self.requests.remove(&rid).expect("admitted");
                let left = request.prompt - request.have;
                let chunk = operation.get("n").map_or(left, |n| n.as_u64().expect("a count"));
                let chunk = chunk.min(left);
                if chunk > 0 && !self.grow(&mut request, chunk) {
                    answer.insert("error", "out of memory".into());
                } else {
                    if chunk > 0 {
                        self.checkpoint(&mut request);
                    }
                    answer.insert("protected_len", request.protected.into());
                }
                self.requests.insert(rid, request);
            }
            "decode" => {
                let mut request = self.requests.remove(&rid).expect("admitted");
                for token in tokens() {
                    request.tokens.push(token);
                    if !self.grow(&mut request, 1) {
                        answer.insert("error", "out of memory".into());
                        break;
                    }
                }
                self.requests.insert(rid, request);
            }
            "finish" => {
                let mut request = self.requests.remove(&rid).expect("admitted");
                self.checkpoint(&mut request);
                answer.insert("kept", self.leave(&request).into());
            }
            "release" => {
                let request = self.requests.remove(&rid).expect("admitted");
                answer.insert("kept", self.leave(&request).into());
            }
            other => panic!("unknown operation {other}"),
        }
        answer.insert("evictable", self.cache.evictable_tokens().into());
        answer.insert("protected", self.cache.protected_tokens().into());
        answer.insert("available", self.pool.available().into());
        answer
    }
}

#[test]
fn lives_are_those_of_sglang() {
    let Some(folder) = data::recordings() else { return };
    let read = |name: &str| fs::read_to_string(folder.join(name)).expect("recorded answers");
    let operations = read("radix_life.jsonl");
    for page_size in [1, 16] {
        let mut driver = Driver::new(page_size, 320);
        let answers = read(&format!("radix_life.page{page_size}.cap320.expected.jsonl"));
        assert_eq!(operations.lines().count(), answers.lines().count());
        for (at, (operation, recorded)) in operations.lines().zip(answers.lines()).enumerate() {
            let operation = serde_json::from_str(operation).expect("JSON");
            let recorded: Value = serde_json::from_str(recorded).expect("JSON");
            let ours = driver.run(&operation);
            assert_eq!(ours.contains_key("error"), recorded.get("error").is_some());
            for (name, ours) in ours {
                let line = at + 1;
                assert_eq!(ours, recorded[name], "`{name}` of line {line}: {operation}");
            }
        }
    }
}

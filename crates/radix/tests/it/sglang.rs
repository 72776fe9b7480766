//! Recorded answers of SGLang 0.5.23's own tree, operation by operation.
//!
//! The recordings hold the identity of every KV slot. Ours are counts, so the driver keeps the
//! slots: it knows which slot stands for which prefix, and after each operation asks the tree, by
//! `peek`, whether exactly the freed ones are gone.

use std::collections::BTreeMap;
use std::fs;

use serde_json::Value;
use sglsim_radix::{EvictionPolicy, Key, NodeId, PageSize, PrefixCache, RadixCache};

use crate::data::{self, parse_list};

struct Driver {
    cache: RadixCache<u32>,
    locks: BTreeMap<String, NodeId>,
    next_slot: u64,
    /// Slots of the last page of each kept prefix.
    slots: BTreeMap<Vec<u32>, Vec<u64>>,
}

impl Driver {
    fn new(page_size: u32, policy: EvictionPolicy) -> Self {
        let page_size = PageSize::new(page_size).expect("recorded with an allowed page size");
        Self {
            cache: RadixCache::new(page_size, policy),
            locks: BTreeMap::new(),
            next_slot: 1,
            slots: BTreeMap::new(),
        }
    }

    /// Does one recorded operation and returns what it says in the recording's own words.
    fn run(&mut self, operation: &Value) -> BTreeMap<&'static str, Value> {
        let tokens: Vec<u32> = operation.get("tokens").map_or_else(Vec::new, parse_list);
        let page_size = self.cache.page_size().get() as usize;
        let id = || operation["id"].as_str().expect("an id").to_owned();
        let mut freed: Vec<u64> = Vec::new();
        let mut answer = BTreeMap::new();
        match operation["op"].as_str().expect("an operation") {
            "match" => {
                let found = self.cache.match_prefix(Key::of(&tokens)).tokens;
                answer.insert("matched", found.into());
                let ends = (page_size..=found as usize).step_by(page_size);
                let path = ends.flat_map(|end| self.slots[&tokens[..end]].clone());
                answer.insert("indices", path.collect());
            }
            "insert" => {
                let first = self.next_slot;
                self.next_slot += tokens.len() as u64;
                let done = self.cache.insert(Key::of(&tokens), 0);
                answer.insert("prefix_len", done.present.into());
                answer.insert("values", (first..self.next_slot).collect());
                freed.extend(first..first + done.present);
                for page in done.present as usize / page_size..done.tokens as usize / page_size {
                    let (start, end) = (page * page_size, (page + 1) * page_size);
                    let page = (start as u64..end as u64).map(|at| first + at).collect();
                    self.slots.insert(tokens[..end].to_vec(), page);
                }
            }
            "lock" => {
                let found = self.cache.match_prefix(Key::of(&tokens));
                self.cache.lock(found.node);
                self.locks.insert(id(), found.node);
                answer.insert("matched", found.tokens.into());
            }
            "unlock" => {
                let node = self.locks.remove(&id()).expect("locked before");
                self.cache.unlock(node);
            }
            "evict" => {
                let evicted = self.cache.evict(operation["n"].as_u64().expect("a count"));
                answer.insert("evicted", evicted.into());
            }
            other => panic!("unknown operation {other}"),
        }
        let cache = &self.cache;
        self.slots.retain(|prefix, page| {
            let is_kept = cache.peek(Key::of(prefix)) == prefix.len() as u64;
            if !is_kept {
                freed.append(page);
            }
            is_kept
        });
        freed.sort_unstable();
        answer.insert("freed", freed.into());
        answer.insert("evictable", self.cache.evictable_tokens().into());
        answer.insert("protected", self.cache.protected_tokens().into());
        answer
    }
}

/// The recorded answer, slots freed in one sorted list.
fn normalise(mut recorded: Value) -> Value {
    let lists = recorded["freed"].as_array().expect("a list of lists");
    let mut freed: Vec<u64> = lists.iter().flat_map(parse_list::<u64>).collect();
    freed.sort_unstable();
    recorded["freed"] = freed.into();
    recorded
}

#[test]
fn answers_are_those_of_sglang() {
    let Some(folder) = data::recordings() else { return };
    let read = |name: &str| fs::read_to_string(folder.join(name)).expect("recorded answers");
    let operations = read("radix_raw.jsonl");
    for page_size in [1, 4] {
        for policy in [EvictionPolicy::Lru, EvictionPolicy::Slru] {
            let mut driver = Driver::new(page_size, policy);
            let answers = read(&format!("radix_raw.page{page_size}.{policy}.expected.jsonl"));
            assert_eq!(operations.lines().count(), answers.lines().count());
            for (at, (operation, recorded)) in operations.lines().zip(answers.lines()).enumerate() {
                let operation = serde_json::from_str(operation).expect("JSON");
                let recorded = normalise(serde_json::from_str(recorded).expect("JSON"));
                for (name, ours) in driver.run(&operation) {
                    assert_eq!(
                        ours,
                        recorded[name],
                        "`{name}` of line {} with page {page_size} and {policy}: {operation}",
                        at + 1
                    );
                }
            }
        }
    }
}

//! Conformance of a [`PrefixCache`] to its laws, and proptest strategies for prompts and operations.
//!
//! ```
//! use sglsim_radix::{BlockLru, testing};
//!
//! testing::conformance(|page_size| Box::new(BlockLru::new(page_size)));
//! ```

use std::fmt::Debug;

use proptest::prelude::*;
use proptest::test_runner::{Config, RngAlgorithm, TestCaseError, TestError, TestRng, TestRunner};

use crate::{Cursor, Element, Key, NodeId, PageSize, PrefixCache, PrefixMatch, Prompt, Span};

/// One call of a cache.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Operation {
    /// A lookup of the first `tokens` tokens.
    Match {
        /// What is looked up.
        prompt: Prompt,
        /// How much of it \[token\].
        tokens: u64,
        /// In which namespace.
        namespace: u32,
    },
    /// An insert of all of a prompt.
    Insert {
        /// What is inserted.
        prompt: Prompt,
        /// What the same request has inserted before \[token\].
        inserted_len: u64,
        /// In which namespace.
        namespace: u32,
        /// With which priority.
        priority: i64,
    },
    /// A lookup whose end is then locked, and brought back from the host if it was there only.
    Lock {
        /// What is looked up.
        prompt: Prompt,
        /// In which namespace.
        namespace: u32,
    },
    /// The end of a lock.
    Unlock {
        /// Which lock, modulo the number of those that there are.
        which: usize,
    },
    /// An eviction.
    Evict {
        /// How much is needed \[token\].
        tokens: u64,
    },
}

/// Prompts of up to about a hundred tokens that often share a prefix.
///
/// Three contents, short spans, cut at random: nothing may depend on where.
pub fn prompts() -> impl Strategy<Value = Prompt> {
    let span = (0_u64..3, 0_u32..24, 0_u32..24);
    proptest::collection::vec(span, 0..5).prop_map(|spans| {
        spans
            .into_iter()
            .flat_map(|(content, len, cut)| {
                let (front, rest) = Span::new(content, len).split(cut);
                [front, rest]
            })
            .collect()
    })
}

/// Up to `most` operations on [`prompts`], in two namespaces.
pub fn operations(most: usize) -> impl Strategy<Value = Vec<Operation>> {
    let namespace = || prop_oneof![4 => Just(0_u32), 1 => Just(1_u32)];
    let operation = prop_oneof![
        3 => (prompts(), 0_u64..120, namespace())
            .prop_map(|(prompt, tokens, namespace)| Operation::Match { prompt, tokens, namespace }),
        4 => (prompts(), prop_oneof![3 => Just(0), 1 => 0_u64..60], namespace(), 0_i64..3)
            .prop_map(|(prompt, inserted_len, namespace, priority)| {
                Operation::Insert { prompt, inserted_len, namespace, priority }
            }),
        2 => (prompts(), namespace())
            .prop_map(|(prompt, namespace)| Operation::Lock { prompt, namespace }),
        2 => any::<usize>().prop_map(|which| Operation::Unlock { which }),
        2 => (0_u64..80).prop_map(|tokens| Operation::Evict { tokens }),
    ];
    proptest::collection::vec(operation, 0..=most)
}

/// Checks the laws of [`PrefixCache`] on the caches that `make` makes, with pages of 1, 4 and 16
/// tokens.
///
/// The same operations in every run.
///
/// # Panics
///
/// If a law is broken: the message names it, and shows the shortest list of operations found that
/// breaks it.
pub fn conformance(make: impl Fn(PageSize) -> Box<dyn PrefixCache>) {
    for page_size in [1, 4, 16].map(|size| PageSize::new(size).expect("in range")) {
        let config = Config { cases: 96, failure_persistence: None, ..Config::default() };
        let rng = TestRng::deterministic_rng(RngAlgorithm::ChaCha);
        let outcome = TestRunner::new_with_rng(config, rng).run(&operations(40), |operations| {
            let mut check = Check::new(make(page_size), make(page_size), page_size)?;
            operations.iter().try_for_each(|operation| check.run(operation))
        });
        match outcome {
            Ok(()) => {}
            Err(TestError::Fail(law, operations)) => panic!(
                "`{}` with pages of {page_size} breaks a law: {law}\nafter {operations:#?}",
                make(page_size).name()
            ),
            Err(TestError::Abort(reason)) => panic!("conformance could not be checked: {reason}"),
        }
    }
}

/// A cache under test, its twin, and what is known to be true of both.
struct Check {
    cache: Box<dyn PrefixCache>,
    twin: Box<dyn PrefixCache>,
    page_size: PageSize,
    inserted: Vec<(u32, Prompt)>,
    kept: u64,
    locks: Vec<Lock>,
}

struct Lock {
    node: NodeId,
    twin: NodeId,
    prompt: Prompt,
    namespace: u32,
    tokens: u64,
}

fn law(holds: bool, text: &str) -> Result<(), TestCaseError> {
    if holds { Ok(()) } else { Err(TestCaseError::fail(text.to_owned())) }
}

fn equal<T: PartialEq + Debug>(ours: T, wanted: T, text: &str) -> Result<(), TestCaseError> {
    if ours == wanted {
        Ok(())
    } else {
        Err(TestCaseError::fail(format!("{text}: {ours:?} instead of {wanted:?}")))
    }
}

impl Check {
    fn new(
        cache: Box<dyn PrefixCache>,
        twin: Box<dyn PrefixCache>,
        page_size: PageSize,
    ) -> Result<Self, TestCaseError> {
        equal(cache.page_size(), page_size, "a cache has the page size it was made with")?;
        Ok(Self { cache, twin, page_size, inserted: Vec::new(), kept: 0, locks: Vec::new() })
    }

    fn run(&mut self, operation: &Operation) -> Result<(), TestCaseError> {
        self.apply(operation)?;
        for cache in [&mut self.cache, &mut self.twin] {
            cache.finish_loads();
            while let Some(backup) = cache.next_backup() {
                cache.finish_backup(backup);
            }
        }
        let (evictable, protected) = (self.cache.evictable_tokens(), self.cache.protected_tokens());
        equal(evictable + protected, self.kept, "3: evictable + protected is what is kept")?;
        equal(evictable, self.twin.evictable_tokens(), "6: equal calls, equal answers")?;
        let locked = self.locks.iter().map(|lock| lock.tokens);
        law(protected >= locked.clone().max().unwrap_or(0), "4: a lock protects its prefix")?;
        let is_all = protected <= locked.sum();
        law(is_all, "4: nothing but locked prefixes is protected")?;
        let (on_host, capacity) = self.cache.host_usage();
        law(on_host <= capacity, "7: the host holds no more than its capacity")?;
        equal((on_host, capacity), self.twin.host_usage(), "6: equal calls, equal answers")
    }

    fn apply(&mut self, operation: &Operation) -> Result<(), TestCaseError> {
        match operation {
            Operation::Match { prompt, tokens, namespace } => {
                self.lookup(Key::new(prompt).first(*tokens).in_namespace(*namespace))?;
            }
            Operation::Insert { prompt, inserted_len, namespace, priority } => {
                let key = Key::new(prompt).in_namespace(*namespace).with_priority(*priority);
                self.insert(prompt, key, *inserted_len)?;
            }
            Operation::Lock { prompt, namespace } => self.lock(prompt, *namespace)?,
            Operation::Unlock { which } => self.unlock(*which),
            Operation::Evict { tokens } => self.evict(*tokens)?,
        }
        Ok(())
    }

    /// What the cache and its twin find.
    fn lookup(&mut self, key: Key<'_>) -> Result<[PrefixMatch; 2], TestCaseError> {
        let found = self.cache.match_prefix(key);
        let twin = self.twin.match_prefix(key);
        let lengths = |found: PrefixMatch| (found.tokens, found.host_tokens);
        equal(lengths(found), lengths(twin), "6: equal calls, equal answers")?;
        for part in [found.tokens, found.host_tokens] {
            equal(part, self.page_size.floor(part), "2: a match is a page multiple")?;
        }
        let length = found.tokens + found.host_tokens;
        law(length <= key.tokens(), "2: a match is no longer than the key")?;
        let same_namespace =
            self.inserted.iter().filter(|(namespace, _)| *namespace == key.namespace());
        let possible = same_namespace
            .map(|(_, prompt)| Cursor::over(prompt.elements()).common_prefix(&mut key.cursor()));
        law(
            length <= possible.max().unwrap_or(0),
            "2: a match is no longer than what was inserted in its namespace",
        )?;
        Ok([found, twin])
    }

    fn insert(
        &mut self,
        prompt: &Prompt,
        key: Key<'_>,
        inserted_len: u64,
    ) -> Result<(), TestCaseError> {
        let present = self.cache.insert(key, inserted_len);
        let twin = self.twin.insert(key, inserted_len);
        equal(
            (present.present, present.tokens),
            (twin.present, twin.tokens),
            "6: equal calls, equal answers",
        )?;
        law(present.present <= present.tokens, "3: no more is present before than after")?;
        law(
            present.tokens == 0 || present.tokens == self.page_size.floor(key.tokens()),
            "1: all whole pages of an inserted key are kept, or nothing",
        )?;
        self.inserted.push((key.namespace(), prompt.clone()));
        self.kept += present.tokens - present.present;
        let [found, _] = self.lookup(key)?;
        equal(found.tokens, present.tokens, "1: a match right after an insert finds what was kept")
    }

    fn lock(&mut self, prompt: &Prompt, namespace: u32) -> Result<(), TestCaseError> {
        let key = Key::new(prompt).in_namespace(namespace);
        let [found, twin] = self.lookup(key)?;
        self.cache.lock(found.end);
        self.twin.lock(twin.end);
        let loaded = self.cache.load_back(found.end);
        equal(loaded, found.host_tokens, "7: what a match found on the host is brought back")?;
        equal(loaded, self.twin.load_back(twin.end), "6: equal calls, equal answers")?;
        self.kept += loaded;
        let tokens = found.tokens + loaded;
        let [again, _] = self.lookup(key)?;
        equal(again.tokens, tokens, "7: what was brought back is found on the device")?;
        let (node, twin) = (found.end, twin.end);
        self.locks.push(Lock { node, twin, prompt: prompt.clone(), namespace, tokens });
        Ok(())
    }

    fn unlock(&mut self, which: usize) {
        if !self.locks.is_empty() {
            let lock = self.locks.swap_remove(which % self.locks.len());
            self.cache.unlock(lock.node);
            self.twin.unlock(lock.twin);
        }
    }

    fn evict(&mut self, tokens: u64) -> Result<(), TestCaseError> {
        let evictable = self.cache.evictable_tokens();
        let freed = self.cache.evict(tokens);
        equal(freed, self.twin.evict(tokens), "6: equal calls, equal answers")?;
        law(freed >= tokens.min(evictable), "5: an eviction frees what is asked, or all")?;
        law(freed <= evictable, "5: an eviction frees only what is evictable")?;
        law(tokens > 0 || freed == 0, "5: an eviction of nothing frees nothing")?;
        self.kept -= freed;
        for at in 0..self.locks.len() {
            let Lock { ref prompt, namespace, tokens, .. } = self.locks[at];
            let prompt = prompt.clone();
            let key = Key::new(&prompt).first(tokens).in_namespace(namespace);
            let [found, _] = self.lookup(key)?;
            equal(found.tokens, tokens, "4: a locked prefix survives an eviction")?;
        }
        Ok(())
    }
}

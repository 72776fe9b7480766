//! Our own caches keep the laws, and the suite notices one that does not.

use std::panic::{AssertUnwindSafe, catch_unwind};

use sglsim_radix::{
    Backup, BlockLru, EvictionPolicy, Inserted, Key, NoCache, NodeId, PageSize, PrefixCache,
    PrefixMatch, RadixCache, WritePolicy, testing,
};

#[test]
fn radix_cache_keeps_the_laws() {
    for policy in EvictionPolicy::ALL {
        testing::conformance(|page_size| Box::new(RadixCache::new(page_size, policy)));
    }
}

#[test]
fn a_host_tier_keeps_the_laws() {
    for (policy, write) in EvictionPolicy::ALL.into_iter().zip(WritePolicy::ALL.into_iter().cycle())
    {
        // From nearly nothing to more than is ever inserted.
        for capacity in [16, 64, 100_000] {
            let make =
                |page_size| RadixCache::new(page_size, policy).with_host_tier(capacity, write);
            testing::conformance(|page_size| Box::new(make(page_size)));
        }
    }
}

#[test]
fn block_lru_keeps_the_laws() {
    testing::conformance(|page_size| Box::new(BlockLru::new(page_size)));
}

#[test]
fn no_cache_keeps_the_laws() {
    testing::conformance(|page_size| Box::new(NoCache::new(page_size)));
}

/// A radix cache with one mistake.
#[derive(Debug)]
struct Wrong {
    cache: RadixCache,
    mistake: Mistake,
}

#[derive(Clone, Copy, Debug)]
enum Mistake {
    IgnoresNamespaces,
    ForgetsLocks,
    FreesTooLittle,
    MissesAPage,
    LosesWhatItLoads,
}

impl PrefixCache for Wrong {
    fn name(&self) -> &str {
        "wrong"
    }

    fn page_size(&self) -> PageSize {
        self.cache.page_size()
    }

    fn match_prefix(&mut self, key: Key<'_>) -> PrefixMatch {
        let key = match self.mistake {
            Mistake::IgnoresNamespaces => key.in_namespace(0),
            Mistake::MissesAPage => key.first(key.tokens().saturating_sub(1)),
            _ => key,
        };
        self.cache.match_prefix(key)
    }

    fn insert(&mut self, key: Key<'_>, inserted_len: u64) -> Inserted {
        match self.mistake {
            Mistake::IgnoresNamespaces => self.cache.insert(key.in_namespace(0), inserted_len),
            _ => self.cache.insert(key, inserted_len),
        }
    }

    fn lock(&mut self, node: NodeId) {
        if !matches!(self.mistake, Mistake::ForgetsLocks) {
            self.cache.lock(node);
        }
    }

    fn unlock(&mut self, node: NodeId) {
        if !matches!(self.mistake, Mistake::ForgetsLocks) {
            self.cache.unlock(node);
        }
    }

    fn evict(&mut self, tokens: u64) -> u64 {
        match self.mistake {
            Mistake::FreesTooLittle => self.cache.evict(tokens / 4),
            _ => self.cache.evict(tokens),
        }
    }

    fn load_back(&mut self, end: NodeId) -> u64 {
        match self.mistake {
            Mistake::LosesWhatItLoads => 0,
            _ => self.cache.load_back(end),
        }
    }

    fn next_backup(&mut self) -> Option<Backup> {
        self.cache.next_backup()
    }

    fn finish_backup(&mut self, backup: Backup) {
        self.cache.finish_backup(backup);
    }

    fn evictable_tokens(&self) -> u64 {
        self.cache.evictable_tokens()
    }

    fn protected_tokens(&self) -> u64 {
        self.cache.protected_tokens()
    }
}

#[test]
fn a_broken_law_is_named() {
    let cases = [
        (Mistake::IgnoresNamespaces, "2: a match is no longer than what was inserted"),
        (Mistake::ForgetsLocks, "4: "),
        (Mistake::FreesTooLittle, "5: an eviction frees what is asked"),
        (Mistake::MissesAPage, "1: a match right after an insert"),
        (Mistake::LosesWhatItLoads, "7: what a match found on the host"),
    ];
    for (mistake, law) in cases {
        let make = |page_size| -> Box<dyn PrefixCache> {
            let cache = RadixCache::new(page_size, EvictionPolicy::Lru);
            let cache = match mistake {
                Mistake::LosesWhatItLoads => cache.with_host_tier(1000, WritePolicy::WriteThrough),
                _ => cache,
            };
            Box::new(Wrong { cache, mistake })
        };
        let outcome = catch_unwind(AssertUnwindSafe(|| testing::conformance(make)));
        let message = outcome.expect_err("the mistake is found");
        let message = message.downcast_ref::<String>().expect("a formatted message");
        assert!(message.contains(law), "{mistake:?} is reported as {message}");
    }
}

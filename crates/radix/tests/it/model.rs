//! The tree against a list of sequences, and over spans against over token ids.

use proptest::prelude::*;
use sglsim_radix::testing::{Operation, operations};
use sglsim_radix::{
    BlockLru, EvictionPolicy, Key, NodeId, PageSize, PrefixCache, Prompt, RadixCache,
};

/// The token ids that stand for a prompt's tokens.
fn ids(prompt: &Prompt) -> Vec<u32> {
    let tokens = prompt.elements().iter().flat_map(|span| {
        let content = u32::try_from(span.content).expect("a small content");
        (span.offset..span.offset + span.len).map(move |at| content * 1000 + at)
    });
    tokens.collect()
}

/// Everything ever inserted, as it was inserted: no tree, no eviction.
struct Naive {
    page_size: PageSize,
    sequences: Vec<(u32, Vec<u32>)>,
}

impl Naive {
    fn matched(&self, namespace: u32, tokens: &[u32]) -> u64 {
        let same_namespace = self.sequences.iter().filter(|(kept_in, _)| *kept_in == namespace);
        let common = same_namespace.map(|(_, kept)| {
            kept.iter().zip(tokens).take_while(|(kept, wanted)| kept == wanted).count() as u64
        });
        self.page_size.floor(common.max().unwrap_or(0))
    }
}

fn page_sizes() -> impl Strategy<Value = PageSize> {
    prop_oneof![Just(1), Just(4), Just(16)].prop_map(|size| PageSize::new(size).expect("in range"))
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 128, ..ProptestConfig::default() })]

    #[test]
    fn without_eviction_a_cache_is_a_list_of_sequences(
        page_size in page_sizes(),
        operations in operations(30),
    ) {
        let mut naive = Naive { page_size, sequences: Vec::new() };
        let mut caches: [Box<dyn PrefixCache>; 2] = [
            Box::new(RadixCache::new(page_size, EvictionPolicy::Lru)),
            Box::new(BlockLru::new(page_size)),
        ];
        let mut kept = 0;
        for operation in operations {
            match operation {
                Operation::Match { prompt, tokens, namespace } => {
                    let key = Key::new(&prompt).first(tokens).in_namespace(namespace);
                    let length = tokens.min(prompt.tokens()) as usize;
                    let expected = naive.matched(namespace, &ids(&prompt)[..length]);
                    for cache in &mut caches {
                        prop_assert_eq!(cache.match_prefix(key).tokens, expected);
                    }
                }
                Operation::Insert { prompt, inserted_len, namespace, .. } => {
                    let key = Key::new(&prompt).in_namespace(namespace);
                    let mut tokens = ids(&prompt);
                    tokens.truncate(page_size.floor(prompt.tokens()) as usize);
                    let present = naive.matched(namespace, &tokens);
                    kept += tokens.len() as u64 - present;
                    for cache in &mut caches {
                        let done = cache.insert(key, inserted_len);
                        prop_assert_eq!((done.present, done.tokens), (present, tokens.len() as u64));
                        prop_assert_eq!(cache.evictable_tokens(), kept);
                    }
                    naive.sequences.push((namespace, tokens));
                }
                Operation::Lock { .. } | Operation::Unlock { .. } | Operation::Evict { .. } => {}
            }
        }
    }

    #[test]
    fn spans_and_token_ids_give_the_same_answers(
        page_size in page_sizes(),
        policy in proptest::sample::select(EvictionPolicy::ALL.to_vec()),
        operations in operations(40),
    ) {
        let mut spans = RadixCache::new(page_size, policy);
        let mut tokens = RadixCache::<u32>::new(page_size, policy);
        let mut locks: Vec<(NodeId, NodeId)> = Vec::new();
        for operation in operations {
            match operation {
                Operation::Match { prompt, tokens: first, namespace } => {
                    let ids = ids(&prompt);
                    let ours = spans
                        .match_prefix(Key::new(&prompt).first(first).in_namespace(namespace));
                    let theirs =
                        tokens.match_prefix(Key::of(&ids).first(first).in_namespace(namespace));
                    prop_assert_eq!(ours, theirs);
                }
                Operation::Insert { prompt, inserted_len, namespace, priority } => {
                    let ids = ids(&prompt);
                    let key = Key::new(&prompt).in_namespace(namespace).with_priority(priority);
                    let ours = spans.insert(key, inserted_len);
                    let key = Key::of(&ids).in_namespace(namespace).with_priority(priority);
                    prop_assert_eq!(ours, tokens.insert(key, inserted_len));
                }
                Operation::Lock { prompt, namespace } => {
                    let ids = ids(&prompt);
                    let ours = spans.match_prefix(Key::new(&prompt).in_namespace(namespace)).node;
                    let theirs = tokens.match_prefix(Key::of(&ids).in_namespace(namespace)).node;
                    spans.lock(ours);
                    tokens.lock(theirs);
                    locks.push((ours, theirs));
                }
                Operation::Unlock { which } => {
                    if !locks.is_empty() {
                        let (ours, theirs) = locks.swap_remove(which % locks.len());
                        spans.unlock(ours);
                        tokens.unlock(theirs);
                    }
                }
                Operation::Evict { tokens: wanted } => {
                    prop_assert_eq!(spans.evict(wanted), tokens.evict(wanted));
                }
            }
            prop_assert_eq!(spans.evictable_tokens(), tokens.evictable_tokens());
            prop_assert_eq!(spans.protected_tokens(), tokens.protected_tokens());
        }
    }
}

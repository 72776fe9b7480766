//! Examples of what the tree does, small enough to check by hand.

use sglsim_radix::{EvictionPolicy, Key, PageSize, PrefixCache, Prompt, RadixCache, Span};

fn cache(page_size: u32, policy: EvictionPolicy) -> RadixCache {
    RadixCache::new(PageSize::new(page_size).expect("allowed"), policy)
}

#[test]
fn other_cuts_of_the_same_tokens_match() {
    for page_size in [1, 4, 16] {
        let mut cache = cache(page_size, EvictionPolicy::Lru);
        let cut = [
            Span { content: 3, offset: 0, len: 7 },
            Span { content: 3, offset: 7, len: 93 },
            Span { content: 9, offset: 0, len: 60 },
        ];
        cache.insert(Key::of(&cut), 0);
        let whole = Prompt::new(vec![Span::new(3, 100), Span::new(9, 60)]);
        assert_eq!(cache.peek(Key::new(&whole)), 160);
        assert_eq!(cache.match_prefix(Key::new(&whole)).tokens, 160);
        assert_eq!(cache.nodes(), 1);
    }
}

#[test]
fn namespaces_share_nothing() {
    let mut cache = cache(1, EvictionPolicy::Lru);
    let prompt = Prompt::new(vec![Span::new(1, 10)]);
    cache.insert(Key::new(&prompt), 0);
    assert_eq!(cache.match_prefix(Key::new(&prompt).in_namespace(1)).tokens, 0);
    assert_eq!(cache.insert(Key::new(&prompt).in_namespace(1), 0).present, 0);
    assert_eq!(cache.evictable_tokens(), 20);
}

/// A prompt of one span.
fn whole(content: u64, len: u32) -> Prompt {
    Prompt::new(vec![Span::new(content, len)])
}

#[test]
fn pages_are_whole() {
    let mut cache = cache(16, EvictionPolicy::Lru);
    let prompt = whole(1, 40);
    assert_eq!(cache.insert(Key::new(&prompt), 0).tokens, 32);
    assert_eq!(cache.match_prefix(Key::new(&prompt)).tokens, 32);
    assert_eq!(cache.match_prefix(Key::new(&prompt).first(31)).tokens, 16);
    // Less than a page is never shared, and a difference inside the first page is all of it.
    assert_eq!(cache.match_prefix(Key::new(&prompt).first(15)).tokens, 0);
    let late = Prompt::new(vec![Span::new(1, 15), Span::new(2, 100)]);
    assert_eq!(cache.match_prefix(Key::new(&late)).tokens, 0);
    // What is shorter than a page is not kept either.
    let short = cache.insert(Key::new(&whole(3, 15)), 0);
    assert_eq!((short.present, short.tokens), (0, 0));
    cache.lock(short.node); // the root: allowed, and protects nothing
    assert_eq!((cache.evictable_tokens(), cache.protected_tokens()), (32, 0));
}

#[test]
fn a_lookup_that_cuts_a_leaf_makes_its_tail_young() {
    let mut cache = cache(1, EvictionPolicy::Lru);
    let (old, new) = (whole(1, 10), whole(2, 7));
    cache.insert(Key::new(&old), 0);
    cache.insert(Key::new(&new), 0);
    assert_eq!(cache.match_prefix(Key::new(&old).first(4)).tokens, 4);
    // Without the cut the older prompt would go first.
    assert_eq!(cache.evict(1), 7);
    assert_eq!(cache.peek(Key::new(&old)), 10);
}

#[test]
fn slru_protects_what_was_inserted_again() {
    let mut cache = cache(1, EvictionPolicy::Slru);
    cache.insert(Key::new(&whole(1, 10)), 0);
    cache.insert(Key::new(&whole(1, 10)), 0);
    cache.insert(Key::new(&whole(2, 7)), 0);
    // The same request again, and a lookup: neither counts.
    cache.insert(Key::new(&whole(2, 7)), 7);
    cache.match_prefix(Key::new(&whole(2, 7)));
    assert_eq!(cache.evict(1), 7);
    assert_eq!(cache.evict(1), 10);
}

#[test]
fn lfu_counts_inserts() {
    let mut cache = cache(1, EvictionPolicy::Lfu);
    for (content, times) in [(1, 3), (2, 2), (3, 4)] {
        for _ in 0..times {
            cache.insert(Key::new(&whole(content, 10 + content as u32)), 0);
        }
    }
    assert_eq!([cache.evict(1), cache.evict(1), cache.evict(1)], [12, 11, 13]);
}

#[test]
fn order_of_age_outlives_use_and_cuts() {
    for (policy, order) in [
        (EvictionPolicy::Fifo, [11, 12, 13]),
        (EvictionPolicy::Filo, [13, 12, 11]),
        (EvictionPolicy::Mru, [11, 13, 12]),
    ] {
        let mut cache = cache(1, policy);
        for content in 1..=3 {
            cache.insert(Key::new(&whole(content, 10 + content as u32)), 0);
        }
        cache.match_prefix(Key::new(&whole(1, 11)));
        assert_eq!([cache.evict(1), cache.evict(1), cache.evict(1)], order, "{policy}");
    }
    // Both parts of a node that was cut are as old as it was.
    let mut cache = cache(1, EvictionPolicy::Fifo);
    cache.insert(Key::new(&whole(1, 10)), 0);
    cache.insert(Key::new(&whole(2, 7)), 0);
    cache.match_prefix(Key::new(&whole(1, 4)));
    assert_eq!([cache.evict(1), cache.evict(1), cache.evict(1)], [6, 4, 7]);
}

#[test]
fn an_answer_goes_before_its_prompt_and_before_other_prompts() {
    let mut cache = cache(1, EvictionPolicy::Priority);
    let prompt = whole(1, 10);
    let answer = [Span::new(2, 5)];
    let key = Key::new(&prompt).with_tail(&answer);
    cache.insert(key.first(10).with_priority(1), 0);
    cache.insert(key, 10);
    cache.insert(Key::new(&whole(3, 7)).with_priority(1), 0);
    cache.match_prefix(key);
    assert_eq!([cache.evict(1), cache.evict(1), cache.evict(1)], [5, 7, 10]);
}

#[test]
fn names_of_policies_are_those_of_the_command_line() {
    for policy in EvictionPolicy::ALL {
        assert_eq!(policy.name().parse(), Ok(policy));
    }
    let error = "sluru".parse::<EvictionPolicy>().unwrap_err();
    assert_eq!(
        error.to_string(),
        "unknown eviction policy `sluru`, known are lru, lfu, slru, fifo, filo, mru, priority; \
         did you mean `slru`?"
    );
    let error = PageSize::new(0).unwrap_err();
    assert_eq!(error.to_string(), "`page_size` is 0 tokens, allowed is 1 to 1048576");
}

#[test]
fn the_branch_that_most_lie_on_is_walked_first() {
    let mut cache = RadixCache::<u32>::new(PageSize::ONE, EvictionPolicy::Lru);
    for kept in [[1, 2, 3].as_slice(), &[1, 5], &[7, 8], &[9]] {
        cache.insert(Key::of(kept), 0);
    }
    let mut end = |tokens: &[u32]| cache.match_prefix(Key::of(tokens)).node;
    // Two lie below 7, two at or below 1: a tie, and 1 is older. What ends at a node comes last.
    let ends = [end(&[7, 8]), end(&[1]), end(&[1, 5]), end(&[]), end(&[7])];
    assert_eq!(cache.dfs_weight_order(&ends), [2, 1, 0, 4, 3]);
}

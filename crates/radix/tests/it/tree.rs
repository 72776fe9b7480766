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

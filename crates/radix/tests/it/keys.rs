//! Sequences, keys and cursors against plain lists of tokens: where elements are cut is nothing.

use proptest::prelude::*;
use sglsim_radix::testing::prompts;
use sglsim_radix::{Cursor, Element, Key, PagePool, PageSize, Prompt, RadixError, Span};

/// Every token of a list of spans.
fn tokens(spans: &[Span]) -> Vec<(u64, u32)> {
    let positions = |span: &Span| span.offset..span.offset + span.len;
    spans.iter().flat_map(|span| positions(span).map(|at| (span.content, at))).collect()
}

/// The same tokens, every span cut at `at` and followed by an empty one.
fn cut(prompt: &Prompt, at: u32) -> Vec<Span> {
    let spans = prompt.elements().iter();
    spans.flat_map(|span| [span.split(at).0, span.split(at).1, Span::new(9, 0)]).collect()
}

proptest! {
    #[test]
    fn a_cut_sequence_is_the_same_sequence(prompt in prompts(), at in 0_u32..30) {
        let pieces = cut(&prompt, at);
        prop_assert_eq!(Prompt::new(pieces.clone()), prompt.clone());
        prop_assert_eq!(Key::of(&pieces).tokens(), prompt.tokens());
        prop_assert_eq!(tokens(prompt.elements()).len() as u64, prompt.tokens());
    }

    #[test]
    fn a_key_is_its_first_tokens(
        head in prompts(),
        tail in prompts(),
        first in 0_u64..150,
        skipped in 0_u64..150,
        at in 0_u32..30,
    ) {
        let pieces = cut(&tail, at);
        let key = Key::new(&head).with_tail(&pieces).first(first);
        let mut expected = tokens(head.elements());
        expected.extend(tokens(tail.elements()));
        expected.truncate(first as usize);
        prop_assert_eq!(key.tokens(), expected.len() as u64);

        let mut cursor = key.cursor();
        cursor.skip(skipped);
        let expected = &expected[expected.len().min(skipped as usize)..];
        prop_assert_eq!(cursor.left(), expected.len() as u64);
        let mut runs = Vec::new();
        cursor.for_each_run(u64::MAX, |run| runs.push(run));
        prop_assert_eq!(tokens(&runs), expected);
        prop_assert!(runs.windows(2).all(|pair| pair[0].join(pair[1]).is_none()));
        prop_assert_eq!(cursor.left(), 0);
    }

    #[test]
    fn a_common_prefix_is_that_of_the_tokens(
        a in prompts(),
        b in prompts(),
        first in 0_u64..150,
        at in 0_u32..30,
    ) {
        let pieces = cut(&b, at);
        let (mut ours, mut theirs) = (Key::new(&a).first(first).cursor(), Cursor::over(&pieces));
        let lists = (tokens(a.elements()), tokens(b.elements()));
        let pairs = lists.0.iter().zip(&lists.1).take(first as usize);
        let expected = pairs.take_while(|(a, b)| a == b).count() as u64;
        prop_assert_eq!(ours.common_prefix(&mut theirs), expected);
        prop_assert_eq!(theirs.left(), b.tokens() - expected);
        prop_assert_eq!(ours.left(), a.tokens().min(first) - expected);
    }

    #[test]
    fn equal_tokens_have_equal_hashes(prompt in prompts(), first in 0_u64..150, at in 0_u32..30) {
        let pieces = cut(&prompt, at);
        let hash = |key: Key<'_>| key.cursor().hash_of_next(first, 5);
        prop_assert_eq!(hash(Key::of(&pieces)), hash(Key::new(&prompt)));
    }

    #[test]
    fn a_pool_gives_whole_pages_or_nothing(
        capacity in 0_u64..500,
        page_size in 1_u32..40,
        wanted in proptest::collection::vec(0_u64..100, 0..20),
    ) {
        let page_size = PageSize::new(page_size).unwrap();
        let mut pool = PagePool::new(capacity, page_size);
        let mut taken = Vec::new();
        for tokens in wanted {
            let before = pool.available();
            match pool.allocate(tokens) {
                Ok(size) => {
                    prop_assert_eq!(size, page_size.ceil(tokens));
                    prop_assert_eq!(pool.available(), before - size);
                    taken.push(tokens);
                }
                Err(RadixError::OutOfPages { requested_pages, available_pages, .. }) => {
                    prop_assert!(requested_pages > available_pages);
                    prop_assert_eq!(pool.available(), before);
                }
                Err(other) => return Err(TestCaseError::fail(other.to_string())),
            }
            prop_assert_eq!(pool.in_use() + pool.available(), pool.capacity());
        }
        for tokens in taken {
            pool.release(tokens);
        }
        prop_assert_eq!(pool.available(), page_size.floor(capacity));
        prop_assert!(pool.allocate(u64::MAX).is_err());
    }
}

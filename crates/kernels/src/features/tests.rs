//! Tests of the feature vector.

use super::*;

#[test]
fn pairs_are_the_sum_over_queries() {
    let mut rank = RankFeatures::default();
    rank.add_extend(7, 5);
    rank.add_extend(0, 3);
    let counted = (1..=5).map(|i| 7 + i).sum::<u64>() + (1..=3).sum::<u64>();
    assert_eq!(rank.extend_pairs, counted as f64);
    assert_eq!((rank.extend_tokens, rank.extend_prefix, rank.extend_seqs), (8, 7, 2));
}

#[test]
fn chunks_of_a_prompt_have_the_pairs_of_the_whole() {
    let mut whole = RankFeatures::default();
    whole.add_extend(0, 1000);
    let mut chunks = RankFeatures::default();
    for start in [0, 250, 500, 750] {
        chunks.add_extend(start, 250);
    }
    assert_eq!(whole.extend_pairs, chunks.extend_pairs);
}

#[test]
fn ranks_are_joined_by_maximum_and_sum() {
    let mut extending = RankFeatures { eager: true, ..RankFeatures::default() };
    extending.add_extend(10, 100);
    let mut decoding = RankFeatures::default();
    decoding.set_decode(30, 32, 9_000, 2);
    let step = StepFeatures::of_ranks([&extending, &decoding]);
    assert_eq!(step.tokens, 100.0);
    assert_eq!(step.sum_tokens, 164.0);
    assert_eq!((step.logit_rows, step.sum_logit_rows), (64.0, 65.0));
    assert_eq!((step.extend_tokens, step.decode_context, step.eager), (100.0, 9_000.0, 1.0));
}

#[test]
fn names_and_values_are_in_the_same_order() {
    let step = StepFeatures { query_tokens: 3.0, ..StepFeatures::default() };
    let at = StepFeatures::NAMES.iter().position(|n| *n == "query_tokens").unwrap();
    assert_eq!(step.as_array()[at], 3.0);
    assert_eq!(step.as_array().iter().sum::<f64>(), 3.0);
}

#[test]
fn no_rank_is_no_work() {
    assert_eq!(StepFeatures::of_ranks([]), StepFeatures::default());
}

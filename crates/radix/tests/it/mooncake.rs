//! Hit rates of a real trace, as computed by others from the file alone.

use sglsim_radix::{BlockLru, EvictionPolicy, PageSize, RadixCache};

use crate::data;

#[path = "../../examples/mooncake_replay.rs"]
#[expect(dead_code, reason = "`main` belongs to the example")]
mod replay;

use replay::{BLOCK, HitRate};

fn four_digits(rate: HitRate) -> (f64, f64) {
    let round = |share: f64| (share * 1e4).round() / 1e4;
    (round(rate.blocks), round(rate.tokens))
}

#[test]
fn hit_rates_of_the_mooncake_conversation_trace() {
    let Some(folder) = data::folder() else { return };
    let trace = replay::read(&folder.join("traces/mooncake_conversation.jsonl.gz")).unwrap();
    let page_size = PageSize::new(BLOCK).unwrap();
    let facts = [
        (1_000_000, (0.0533, 0.0543)),
        (3_000_000, (0.1361, 0.1387)),
        (10_000_000, (0.2852, 0.2908)),
        (30_000_000, (0.3588, 0.3658)),
        (u64::MAX, (0.3664, 0.3736)),
    ];
    for (capacity, expected) in facts {
        let rate = replay::replay(&trace, &mut BlockLru::new(page_size), capacity);
        assert_eq!(four_digits(rate), expected, "block LRU of {capacity} tokens");
        // Whole leaves go: never better at the same capacity, and the same without a limit.
        let mut radix = RadixCache::new(page_size, EvictionPolicy::Lru);
        let radix = replay::replay(&trace, &mut radix, capacity);
        assert!(radix.blocks <= rate.blocks, "{radix:?} and {rate:?} of {capacity} tokens");
        assert!(capacity < u64::MAX || radix.blocks == rate.blocks);
    }
}

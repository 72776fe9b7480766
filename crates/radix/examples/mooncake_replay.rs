//! How much of a real hour of chat is in the prefix cache, and what does evicting whole leaves cost?
//!
//! ```text
//! trace ──► match_prefix ──► insert ──► evict what is above the capacity ──► next request
//! ```
//!
//! One cache, the requests in file order, no timing. A request's blocks of 512 tokens hit up to the
//! first miss; then all of them are kept. Prints the share of blocks and of tokens that hit, for a
//! plain LRU over blocks and for SGLang's radix tree.
//!
//! ```text
//! cargo run --release -p sglsim-radix --example mooncake_replay -- mooncake_conversation.jsonl.gz
//! ```
//!
//! The trace is `FAST25-release/traces/conversation_trace.jsonl` of kvcache-ai/Mooncake, gzipped.
#![expect(clippy::print_stdout, reason = "an example that prints its result")]

use std::error::Error;
use std::fs::File;
use std::io::{BufRead, BufReader};
use std::path::Path;

use flate2::read::GzDecoder;
use sglsim_radix::{
    BlockLru, EvictionPolicy, Key, PageSize, PrefixCache, Prompt, RadixCache, Span,
};

/// Tokens of one hashed block of the trace \[token\].
pub(crate) const BLOCK: u32 = 512;

/// A prompt of the trace, its last block filled up to a whole one.
#[derive(Debug)]
pub(crate) struct Request {
    prompt: Prompt,
    input_length: u64,
}

/// Shares of everything asked for \[1\].
#[derive(Clone, Copy, Debug)]
pub(crate) struct HitRate {
    /// Blocks that hit / blocks.
    pub(crate) blocks: f64,
    /// Tokens that hit / tokens, a partial last block counted at its true length.
    pub(crate) tokens: f64,
}

/// Reads a gzipped trace.
pub(crate) fn read(path: &Path) -> Result<Vec<Request>, Box<dyn Error>> {
    let lines = BufReader::new(GzDecoder::new(File::open(path)?)).lines();
    lines
        .map(|line| {
            let row: serde_json::Value = serde_json::from_str(&line?)?;
            let number = |value: &serde_json::Value| value.as_u64().ok_or("a number is missing");
            let ids = row["hash_ids"].as_array().ok_or("`hash_ids` is missing")?;
            let blocks = ids.iter().map(|id| Ok(Span::new(number(id)?, BLOCK)));
            let prompt = blocks.collect::<Result<Prompt, Box<dyn Error>>>()?;
            Ok(Request { prompt, input_length: number(&row["input_length"])? })
        })
        .collect()
}

/// Sends the whole trace through `cache`, which never holds more than `capacity` tokens between
/// two requests.
pub(crate) fn replay(trace: &[Request], cache: &mut dyn PrefixCache, capacity: u64) -> HitRate {
    let (mut hit_blocks, mut hit_tokens, mut all_blocks, mut all_tokens) = (0, 0, 0, 0);
    for request in trace {
        let key = Key::new(&request.prompt);
        let hit = cache.match_prefix(key).tokens;
        hit_blocks += hit / u64::from(BLOCK);
        hit_tokens += hit.min(request.input_length);
        all_blocks += key.tokens() / u64::from(BLOCK);
        all_tokens += request.input_length;
        cache.insert(key, 0);
        cache.evict(cache.evictable_tokens().saturating_sub(capacity));
    }
    HitRate {
        blocks: hit_blocks as f64 / all_blocks as f64,
        tokens: hit_tokens as f64 / all_tokens as f64,
    }
}

fn main() -> Result<(), Box<dyn Error>> {
    let path = std::env::args_os().nth(1).ok_or("usage: mooncake_replay TRACE.jsonl.gz")?;
    let trace = read(Path::new(&path))?;
    let page_size = PageSize::new(BLOCK)?;
    println!("{} requests; hit rates by blocks and by tokens", trace.len());
    println!("{:>12}  {:>15}  {:>15}", "capacity", "block-lru", "radix-lru");
    for (name, capacity) in [
        ("1 M", 1_000_000),
        ("3 M", 3_000_000),
        ("10 M", 10_000_000),
        ("30 M", 30_000_000),
        ("infinite", u64::MAX),
    ] {
        let blocks = replay(&trace, &mut BlockLru::new(page_size), capacity);
        let mut radix = RadixCache::new(page_size, EvictionPolicy::Lru);
        let radix = replay(&trace, &mut radix, capacity);
        println!(
            "{name:>12}  {:>7.4} {:>7.4}  {:>7.4} {:>7.4}",
            blocks.blocks, blocks.tokens, radix.blocks, radix.tokens
        );
    }
    Ok(())
}

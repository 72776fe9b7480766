//! Prefix matches of the waiting queue, and the scratch tree that finds prefixes shared within it.

use sglsim_radix::{EvictionPolicy, Key, PageSize, PrefixCache, RadixCache};

use crate::QueueEntry;
use crate::batch::BatchState;
use crate::request::Slot;

/// A request with at most this many cached tokens is compared with the others in the queue
/// (SGLang 0.5.23, `IN_BATCH_PREFIX_CACHING_CHECK_THRESHOLD`).
const CHECK_THRESHOLD: u64 = 32;
/// Sharing at least this many tokens with an earlier one makes it wait
/// (`IN_BATCH_PREFIX_CACHING_DEPRIORITIZE_THRESHOLD`).
const DEPRIORITIZE_THRESHOLD: u64 = 32;

/// Matches every waiting request against the cache, and those with hardly any match against each
/// other: of several requests that share an uncached prefix one goes first, the others then hit it.
///
/// # Source
///
/// SGLang 0.5.23, `managers/schedule_policy.py:SchedulePolicy._compute_prefix_matches`.
pub(crate) fn fill_matches(batch: &mut BatchState, slots: &[Slot], entries: &mut [QueueEntry]) {
    let mut scratch: RadixCache = RadixCache::new(PageSize::ONE, EvictionPolicy::Lru);
    for (&slot, entry) in slots.iter().zip(entries) {
        let req = batch.req(slot);
        let (prompt, output, total) = (req.prompt.clone(), req.output, req.total());
        let key = Key::new(&prompt).with_tail(std::slice::from_ref(&output)).first(total);
        entry.matched = batch.memory.match_prefix(key).tokens.min(total - 1);
        if entry.matched > CHECK_THRESHOLD {
            continue;
        }
        if scratch.match_prefix(key).tokens >= DEPRIORITIZE_THRESHOLD {
            entry.deprioritized = true;
        } else {
            scratch.insert(key, 0);
        }
    }
}

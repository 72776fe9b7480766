//! The waiting queue is brought into order: what a policy asks for is looked up, and it orders.

use std::collections::BTreeMap;

use sglsim_radix::{EvictionPolicy, NodeId, PageSize, PrefixCache, RadixCache};

use crate::batch::BatchState;
use crate::request::Slot;
use crate::{Needs, QueueEntry, SchedulePolicy};

/// A request with at most this many cached tokens is compared with the others in the queue
/// (SGLang 0.5.23, `IN_BATCH_PREFIX_CACHING_CHECK_THRESHOLD`).
const CHECK_THRESHOLD: u64 = 32;
/// Sharing at least this many tokens with an earlier one makes it wait
/// (`IN_BATCH_PREFIX_CACHING_DEPRIORITIZE_THRESHOLD`).
const DEPRIORITIZE_THRESHOLD: u64 = 32;

/// Brings the waiting queue into the order of a policy.
pub(crate) fn sort_waiting(batch: &mut BatchState, policy: &mut dyn SchedulePolicy) {
    let needs = policy.needs(batch.waiting.len());
    // Without a cache nothing matches, and SGLang falls back to first come, first served.
    let looks_up = matches!(needs, Needs::Matches | Needs::TreeOrder);
    if needs == Needs::KeepOrder || (looks_up && !batch.memory().caches()) {
        return;
    }
    let slots: Vec<Slot> = batch.waiting_queue().collect();
    let mut entries: Vec<QueueEntry> = slots.iter().map(|slot| entry(batch, *slot)).collect();
    match needs {
        Needs::Matches | Needs::TreeOrder => {
            let ends = fill_matches(batch, &slots, &mut entries);
            if needs == Needs::TreeOrder {
                let order = batch.memory.cache().dfs_weight_order(&ends);
                for (rank, at) in order.into_iter().enumerate() {
                    entries[at].tree_rank = rank;
                }
            }
        }
        Needs::RoutingKeys => {
            let mut counts: BTreeMap<u32, u32> = BTreeMap::new();
            for slot in batch.running().members() {
                if let Some(key) = batch.req(*slot).labels.routing_key {
                    *counts.entry(key).or_default() += 1;
                }
            }
            if counts.is_empty() {
                return;
            }
            for entry in &mut entries {
                let key = entry.labels.routing_key;
                entry.running_with_key = key.and_then(|key| counts.get(&key).copied()).unwrap_or(0);
            }
        }
        Needs::KeepOrder | Needs::Entries => {}
    }
    let mut order: Vec<usize> = (0..slots.len()).collect();
    policy.order(&entries, &mut order);
    batch.waiting.clear();
    batch.waiting.extend(order.iter().map(|&i| slots[i]));
}

fn entry(batch: &BatchState, slot: Slot) -> QueueEntry {
    let req = batch.req(slot);
    QueueEntry {
        prompt_tokens: req.prompt.tokens(),
        labels: req.labels,
        urgency: batch.config().urgency(req.labels.priority),
        waited_tokens: batch.processed.saturating_sub(req.queued_after),
        ..QueueEntry::new(req.id, req.total(), req.max_new_tokens, req.queued_at)
    }
}

/// Matches every waiting request against the cache, and those with hardly any match against each
/// other: of several requests that share an uncached prefix one goes first, the others then hit it.
/// Returns where the matches end.
///
/// # Source
///
/// SGLang 0.5.23, `managers/schedule_policy.py:SchedulePolicy._compute_prefix_matches`.
fn fill_matches(batch: &mut BatchState, slots: &[Slot], entries: &mut [QueueEntry]) -> Vec<NodeId> {
    let mut scratch: RadixCache = RadixCache::new(PageSize::ONE, EvictionPolicy::Lru);
    let mut ends = Vec::with_capacity(slots.len());
    for (&slot, entry) in slots.iter().zip(entries) {
        let req = &mut batch.requests[slot.index()];
        let total = req.total();
        let found = batch.memory.match_prefix(req.key(total));
        ends.push(found.node);
        req.prefix = found.tokens;
        req.matched = (found.tokens + found.host_tokens).min(total - 1);
        entry.matched = req.matched;
        if found.tokens > CHECK_THRESHOLD {
            continue;
        }
        let key = req.key(total);
        if scratch.match_prefix(key).tokens >= DEPRIORITIZE_THRESHOLD {
            entry.deprioritized = true;
        } else {
            scratch.insert(key, 0);
        }
    }
    ends
}

/// Most requests whose prefixes are kept from eviction (SGLang 0.5.23,
/// `WAITING_QUEUE_PREFIX_MATCH_MAX`).
const REFRESHED: usize = 128;

/// Looks up the first requests of the queue, the head last, so that the prefixes which are needed
/// soon are evicted last.
///
/// # Source
///
/// SGLang 0.5.23, `managers/schedule_policy.py:SchedulePolicy._touch_waiting_prefixes`.
pub(crate) fn refresh_waiting_prefixes(batch: &mut BatchState) {
    for place in (0..batch.waiting.len().min(REFRESHED)).rev() {
        let req = &batch.requests[batch.waiting[place].index()];
        batch.memory.match_prefix(req.key(req.total()));
    }
}

//! Ranks and requests that the tests share.

use sglsim_radix::{EvictionPolicy, NoCache, PagePool, PageSize, PrefixCache, RadixCache, Span};
use sglsim_sched::{
    BatchState, ForwardMode, Labels, Memory, Notice, Scheduler, SchedulerConfig, Slot, Submission,
};
use sglsim_units::{RequestId, SimTime, TokenCount};

/// A rank with SGLang's tree in it.
pub(crate) fn rank(config: &SchedulerConfig) -> BatchState {
    let page = PageSize::new(config.page_size).unwrap();
    with_cache(config, Box::new(RadixCache::new(page, EvictionPolicy::Lru)))
}

/// A rank without a prefix cache.
pub(crate) fn rank_without_cache(config: &SchedulerConfig) -> BatchState {
    with_cache(config, Box::new(NoCache::new(PageSize::new(config.page_size).unwrap())))
}

fn with_cache(config: &SchedulerConfig, cache: Box<dyn PrefixCache>) -> BatchState {
    let page = PageSize::new(config.page_size).unwrap();
    let memory = Memory::new(PagePool::new(config.max_total_num_tokens, page), cache);
    BatchState::new(config.clone(), memory).unwrap()
}

/// A request with a prompt of its own that generates all that it may.
pub(crate) fn request(id: u32, prompt: u32, max_new_tokens: TokenCount) -> Submission {
    Submission {
        id: RequestId(id),
        prompt: [Span::new(u64::from(id), prompt)].into_iter().collect(),
        output_content: 1_000_000 + u64::from(id),
        max_new_tokens,
        stop_after: max_new_tokens,
        ignore_eos: false,
        arrival: SimTime::ZERO,
        labels: Labels::default(),
    }
}

/// One whole step; returns what it was and what was told.
pub(crate) fn step(
    scheduler: &mut dyn Scheduler,
    batch: &mut BatchState,
) -> (ForwardMode, Vec<Notice>) {
    let mode = scheduler.next_step(batch, SimTime::ZERO).unwrap();
    batch.begin_step(mode).unwrap();
    batch.finish_step(SimTime::ZERO);
    (mode, batch.drain_notices().collect())
}

/// The extend batch as (request, prefix, extend).
pub(crate) fn slices(batch: &BatchState) -> Vec<(u32, TokenCount, TokenCount)> {
    let slice = |s: &sglsim_sched::ExtendSlice| (batch.id(s.slot).0, s.prefix, s.extend);
    batch.extend_batch().iter().map(slice).collect()
}

/// Ids of the requests in some slots.
pub(crate) fn ids(batch: &BatchState, slots: impl Iterator<Item = Slot>) -> Vec<u32> {
    slots.map(|slot| batch.id(slot).0).collect()
}

//! Ranks in the middle of their life, for tests that start from a given state.
//!
//! Limits of the rank are not applied to what is put there, so that a test says exactly what it
//! means.

use sglsim_radix::{Holding, Key, Prompt};
use sglsim_units::TokenCount;

use crate::request::{Req, Slot, Stage};
use crate::{
    BatchState, NewTokenRatio, PrefillAdder, SchedulePolicy, SchedulerConfig, SglangScheduler,
    Submission,
};

/// Puts a prompt into the prefix cache, held by nobody.
///
/// # Panics
///
/// If there is no memory for it.
pub fn cache(batch: &mut BatchState, prompt: &Prompt) {
    let inserted = batch.memory.cache().insert(Key::new(prompt), 0);
    take(batch, inserted.tokens - inserted.present);
}

/// Puts a request that has generated some tokens at the tail of the waiting queue.
pub fn waiting(batch: &mut BatchState, new: Submission, generated: TokenCount) -> Slot {
    let slot = insert(batch, new, generated);
    batch.waiting.push_back(slot);
    slot
}

/// Puts a request that has generated some tokens into the running batch. It holds slots for
/// `committed` tokens, shared with nobody: all but its newest one, in the course of a run.
///
/// # Panics
///
/// If there is no memory for it.
pub fn running(
    batch: &mut BatchState,
    new: Submission,
    generated: TokenCount,
    committed: TokenCount,
) -> Slot {
    let slot = insert(batch, new, generated);
    hold(batch, slot, committed);
    batch.join_running(slot);
    slot
}

/// Makes a request the chunked one: its first `done` tokens are computed, and published up to the
/// last whole page.
///
/// # Panics
///
/// If there is no memory for it.
pub fn chunked(batch: &mut BatchState, new: Submission, done: TokenCount) -> Slot {
    let slot = insert(batch, new, 0);
    hold(batch, slot, done);
    batch.checkpoint(slot);
    batch.req_mut(slot).stage = Stage::Chunked;
    batch.chunked = Some(slot);
    slot
}

/// Brings the waiting queue into the order of a policy.
pub fn sort(batch: &mut BatchState, policy: &mut dyn SchedulePolicy) {
    crate::queue::sort_waiting(batch, policy);
}

/// Says how many prompt tokens the rank has computed so far.
pub fn processed(batch: &mut BatchState, tokens: TokenCount) {
    batch.processed = tokens;
}

/// Says how many of them had been computed when a waiting request came.
pub fn queued_after(batch: &mut BatchState, slot: Slot, tokens: TokenCount) {
    batch.req_mut(slot).queued_after = tokens;
}

/// Budgets of a pass beside `mixed` decoding rows, in which `beyond` slots of the pool do not count.
#[must_use]
pub fn adder(batch: &BatchState, new_token_ratio: f64, mixed: usize, beyond: i64) -> PrefillAdder {
    let mut adder = PrefillAdder::with_mixed_rows(batch, new_token_ratio, mixed);
    adder.beyond = beyond;
    adder
}

/// SGLang's scheduler with a ratio that it has come to.
#[must_use]
pub fn scheduler(
    config: &SchedulerConfig,
    policy: Box<dyn SchedulePolicy>,
    new_token_ratio: f64,
) -> SglangScheduler {
    SglangScheduler::with_policy(config, policy).at_ratio(NewTokenRatio::at(new_token_ratio))
}

fn insert(batch: &mut BatchState, new: Submission, generated: TokenCount) -> Slot {
    let (max_new, stop_after) = (new.max_new_tokens, new.stop_after);
    let slot = batch.insert(Req::new(new, max_new, stop_after));
    batch.req_mut(slot).generated = generated;
    slot
}

fn hold(batch: &mut BatchState, slot: Slot, committed: TokenCount) {
    let allocated = committed.next_multiple_of(TokenCount::from(batch.config().page_size));
    let root = batch.memory.match_prefix(Key::of(&[]));
    let held = Holding::lock(batch.memory.cache(), root);
    take(batch, allocated);
    batch.hold_private(allocated);
    let req = batch.req_mut(slot);
    req.held = Some(held);
    req.committed = committed;
    req.allocated = allocated;
}

fn take(batch: &mut BatchState, tokens: TokenCount) {
    assert!(batch.memory.allocate(tokens), "{tokens} slots are not free");
}

//! The running (decode) batch, with lazy accounting: a decode step costs O(1), not O(batch).
//!
//! A member remembers the step at which it joined; its progress is a subtraction. Finishing times
//! sit in a heap keyed by step; the slots a step needs are a counter per page residue; sums over
//! the batch change by additions. Work per request happens when it joins or leaves.

use std::cmp::Reverse;
use std::collections::{BTreeMap, BinaryHeap};

use sglsim_units::TokenCount;

use crate::config::CLIP_MAX_NEW_TOKENS;
use crate::request::{Req, Slot};

/// Σ min(max_new − generated, 4096) over some requests, kept up to date in O(1) per step.
#[derive(Clone, Copy, Debug, Default)]
struct Reserve {
    /// Requests above the clip, each counting for the clip.
    clipped: u64,
    /// Requests at or below the clip, each losing one token a step.
    declining: u64,
    /// Their sum now.
    declining_sum: u64,
    /// Those of them that have a token which is not known yet.
    untold: u64,
}

impl Reserve {
    fn total(self) -> u64 {
        self.clipped * CLIP_MAX_NEW_TOKENS + self.declining_sum + self.untold
    }
}

/// Requests that decode together, one token each a step.
///
/// A step counts from its launch on. What a scheduler sees of tokens generated lags behind until the
/// results of the step are known: those tokens are *untold*.
#[derive(Debug)]
pub struct RunningBatch {
    page_size: u64,
    /// Whether a step brings every member one token; if not, who changes is told.
    is_lazy: bool,
    /// Decode steps done.
    step: u64,
    /// Places given at the tail and, below zero, at the head.
    joins: (i64, i64),
    members: Vec<Slot>,
    finishes: BinaryHeap<Reverse<(u64, i64, Slot, u32)>>,
    /// Members that have a token which is not known yet.
    untold: u64,
    declines: BinaryHeap<Reverse<(u64, Slot, u32)>>,
    /// Members by (committed − step) mod page size.
    residues: Vec<u64>,
    committed_sum: u64,
    total_sum: u64,
    reserves: [Reserve; 2],
    /// Members by the most tokens they can come to hold, clipped as admission clips.
    futures: BTreeMap<u64, u32>,
}

impl RunningBatch {
    pub(crate) fn new(page_size: u32, is_lazy: bool) -> Self {
        Self {
            is_lazy,
            page_size: u64::from(page_size),
            step: 0,
            joins: (0, 0),
            members: Vec::new(),
            finishes: BinaryHeap::new(),
            untold: 0,
            declines: BinaryHeap::new(),
            residues: vec![0; page_size as usize],
            committed_sum: 0,
            total_sum: 0,
            reserves: [Reserve::default(); 2],
            futures: BTreeMap::new(),
        }
    }

    /// Requests in the batch.
    #[must_use]
    pub fn len(&self) -> usize {
        self.members.len()
    }

    /// Whether the batch is empty.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.members.is_empty()
    }

    /// Decode steps launched since the start.
    #[must_use]
    pub fn steps(&self) -> u64 {
        self.step
    }

    /// Tokens whose KV the batch holds \[token\].
    #[must_use]
    pub fn committed_tokens(&self) -> TokenCount {
        self.committed_sum
    }

    /// Σ context a decode step attends to: every member's KV and its newest token \[token\].
    #[must_use]
    pub fn decode_context(&self) -> TokenCount {
        self.committed_sum + self.len() as u64
    }

    /// Σ prompt + output \[token\].
    #[must_use]
    pub fn total_tokens(&self) -> TokenCount {
        self.total_sum - self.untold
    }

    /// New slots that one decode step needs \[token\]: a page for each member whose KV ends on one.
    #[must_use]
    pub fn slots_for_one_step(&self) -> TokenCount {
        let page = self.page_size;
        let full = (page - self.step % page) % page;
        self.residues[full as usize] * page
    }

    /// Tokens that admission reserves for the batch: Σ min(max_new − generated, 4096) · r, with
    /// r = 1 for requests that ignore EOS and `new_token_ratio` for the others.
    #[must_use]
    pub fn reserved_tokens(&self, new_token_ratio: f64) -> f64 {
        self.reserves[0].total() as f64 * new_token_ratio + self.reserves[1].total() as f64
    }

    /// The most tokens that one member can come to hold, its future clipped at 4096 \[token\].
    #[must_use]
    pub fn longest_future(&self) -> TokenCount {
        self.futures.last_key_value().map_or(0, |(tokens, _)| *tokens)
    }

    /// The requests in the batch, in no order that means anything.
    #[must_use]
    pub fn members(&self) -> &[Slot] {
        &self.members
    }

    fn residue(&self, req: &Req) -> usize {
        let page = self.page_size;
        ((req.committed % page + page - req.joined % page) % page) as usize
    }

    fn future(req: &Req) -> u64 {
        req.prompt.tokens() + req.max_new_tokens.min(CLIP_MAX_NEW_TOKENS)
    }

    /// A request joins, behind everybody who is there.
    pub(crate) fn join(&mut self, slot: Slot, req: &mut Req) {
        req.join_order = self.joins.0;
        self.joins.0 += 1;
        self.enter(slot, req);
    }

    /// A request joins, before everybody who is there.
    pub(crate) fn join_at_head(&mut self, slot: Slot, req: &mut Req) {
        self.joins.1 -= 1;
        req.join_order = self.joins.1;
        self.enter(slot, req);
    }

    fn enter(&mut self, slot: Slot, req: &mut Req) {
        req.joined = self.step;
        req.epoch += 1;
        req.position = u32::try_from(self.members.len()).expect("a batch holds fewer than 2^32");
        self.members.push(slot);
        let finish = self.step + req.stop_after.saturating_sub(req.generated);
        if self.is_lazy {
            self.finishes.push(Reverse((finish, req.join_order, slot, req.epoch)));
        }
        let residue = self.residue(req);
        self.residues[residue] += 1;
        self.committed_sum += req.committed;
        self.total_sum += req.total();
        *self.futures.entry(Self::future(req)).or_default() += 1;
        let left = req.max_left();
        let reserve = &mut self.reserves[usize::from(req.ignore_eos)];
        if left > CLIP_MAX_NEW_TOKENS {
            reserve.clipped += 1;
            let at = self.step + (left - CLIP_MAX_NEW_TOKENS);
            if self.is_lazy {
                self.declines.push(Reverse((at, slot, req.epoch)));
            }
        } else {
            reserve.declining += 1;
            reserve.declining_sum += left;
        }
    }

    /// Takes a member out and brings its own counters up to date; `untold` says whether it has a token
    /// that is not known yet. Returns its successor in position, if one moved there.
    pub(crate) fn leave(&mut self, req: &mut Req, untold: bool) -> Option<Slot> {
        let residue = self.residue(req);
        if self.is_lazy {
            self.residues[residue] -= 1;
        }
        let passed = self.step - req.joined;
        *self.futures.get_mut(&Self::future(req)).expect("members are counted") -= 1;
        if self.futures[&Self::future(req)] == 0 {
            self.futures.remove(&Self::future(req));
        }
        req.generated += passed;
        req.committed += passed;
        req.epoch += 1;
        self.committed_sum -= req.committed;
        self.total_sum -= req.total();
        let left = req.max_left();
        let reserve = &mut self.reserves[usize::from(req.ignore_eos)];
        if left > CLIP_MAX_NEW_TOKENS {
            reserve.clipped -= 1;
        } else {
            reserve.declining -= 1;
            reserve.declining_sum -= left;
        }
        self.untold -= u64::from(untold);
        reserve.untold -= u64::from(untold && left < CLIP_MAX_NEW_TOKENS);
        let position = req.position as usize;
        self.members.swap_remove(position);
        self.members.get(position).copied()
    }

    /// A decode step was launched that brings members different numbers of tokens.
    pub(crate) fn count_step(&mut self) {
        self.step += 1;
    }

    /// A member has so many tokens more.
    pub(crate) fn grow(&mut self, req: &mut Req, tokens: TokenCount) {
        let before = req.max_left();
        req.generated += tokens;
        req.committed += tokens;
        self.committed_sum += tokens;
        self.total_sum += tokens;
        let reserve = &mut self.reserves[usize::from(req.ignore_eos)];
        if before <= CLIP_MAX_NEW_TOKENS {
            reserve.declining_sum -= tokens;
        } else if req.max_left() <= CLIP_MAX_NEW_TOKENS {
            reserve.clipped -= 1;
            reserve.declining += 1;
            reserve.declining_sum += req.max_left();
        }
    }

    /// The newest token of a member that just joined is not known yet.
    pub(crate) fn leave_untold(&mut self, req: &Req) {
        self.untold += 1;
        if req.max_left() < CLIP_MAX_NEW_TOKENS {
            self.reserves[usize::from(req.ignore_eos)].untold += 1;
        }
    }

    /// Members that have a token which is not known yet.
    pub(crate) fn untold(&self) -> u64 {
        self.untold
    }

    /// All tokens are known.
    pub(crate) fn tell(&mut self) {
        self.untold = 0;
        for reserve in &mut self.reserves {
            reserve.untold = 0;
        }
    }

    /// A decode step was launched: every member has one token more, which is not known yet.
    /// `is_current` tells whether a heap entry still speaks of a member.
    pub(crate) fn advance(&mut self, is_current: impl Fn(Slot, u32) -> Option<bool>) {
        self.step += 1;
        let n = self.len() as u64;
        self.committed_sum += n;
        self.total_sum += n;
        self.untold = n;
        for reserve in &mut self.reserves {
            reserve.untold = reserve.declining;
            // Nobody goes below zero: a member with nothing left has finished.
            reserve.declining_sum -= reserve.declining;
        }
        while let Some(&Reverse((at, slot, epoch))) = self.declines.peek()
            && at <= self.step
        {
            self.declines.pop();
            if let Some(ignore_eos) = is_current(slot, epoch) {
                let reserve = &mut self.reserves[usize::from(ignore_eos)];
                reserve.clipped -= 1;
                reserve.declining += 1;
                reserve.declining_sum += CLIP_MAX_NEW_TOKENS;
            }
        }
    }

    /// The next member that has generated all its tokens, if any.
    pub(crate) fn pop_finished(&mut self, is_current: impl Fn(Slot, u32) -> bool) -> Option<Slot> {
        while let Some(&Reverse((at, _, slot, epoch))) = self.finishes.peek() {
            let current = is_current(slot, epoch);
            if current && at > self.step {
                return None;
            }
            self.finishes.pop();
            if current {
                return Some(slot);
            }
        }
        None
    }
}

#[cfg(test)]
mod tests;

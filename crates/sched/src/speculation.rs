//! Speculative decoding on one rank: how many tokens a sequence gains by a step, and the KV that it needs.
//!
//! Sequences gain different numbers of tokens, so a step costs O(batch) here, and batches are small: 48
//! requests unless told otherwise. How many drafts are accepted is drawn when the step is launched, and
//! nobody sees it before its results come in.

use rand_core::Rng;
use sglsim_units::{RngStreams, TokenCount};

use crate::batch::BatchState;
use crate::notice::Notice;
use crate::request::{Req, Slot, Stage};

/// What a rank has to know of speculative decoding.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub struct SpeculativeDecoding {
    /// Tokens that a step verifies per sequence (SGLang's `speculative_num_draft_tokens`).
    pub num_draft_tokens: u32,
    /// KV slots that a step needs beyond a sequence's tokens \[token\] (SGLang 0.5.23,
    /// `mem_cache/allocation_sizing.py:get_alloc_reserve_per_decode`).
    pub reserved_tokens: TokenCount,
    /// Probability that exactly `j` drafts are accepted, by `j`; they add up to 1.
    pub accept_probabilities: Vec<f64>,
    /// Where the draws come from.
    pub streams: RngStreams,
}

impl SpeculativeDecoding {
    /// A rank's settings; draws come from seed 0 unless `streams` is set.
    #[must_use]
    pub fn new(
        num_draft_tokens: u32,
        reserved_tokens: TokenCount,
        accept_probabilities: Vec<f64>,
    ) -> Self {
        let streams = RngStreams::new(0);
        Self { num_draft_tokens, reserved_tokens, accept_probabilities, streams }
    }
}

/// The draws of a rank.
pub(crate) struct Drafts {
    reserved_tokens: TokenCount,
    /// Probability that at most `j` drafts are accepted.
    cumulative: Vec<f64>,
    rng: Box<dyn Rng + Send>,
    /// Scratch.
    members: Vec<Slot>,
}

impl std::fmt::Debug for Drafts {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Drafts").field("cumulative", &self.cumulative).finish_non_exhaustive()
    }
}

impl Drafts {
    pub(crate) fn new(config: &SpeculativeDecoding) -> Self {
        let mut sum = 0.0;
        let cumulative = config.accept_probabilities.iter().map(|p| {
            sum += p;
            sum
        });
        Self {
            reserved_tokens: config.reserved_tokens,
            cumulative: cumulative.collect(),
            rng: Box::new(config.streams.stream("sched/accepted drafts")),
            members: Vec::new(),
        }
    }

    /// Tokens that a sequence gains: the accepted drafts, and one of the target's own.
    fn draw(&mut self) -> TokenCount {
        // 53 bits make a number in [0, 1).
        let uniform = (self.rng.next_u64() >> 11) as f64 / (1_u64 << 53) as f64;
        let last = self.cumulative.len().saturating_sub(1);
        let drafts = self.cumulative.iter().position(|below| uniform < *below).unwrap_or(last);
        1 + drafts as TokenCount
    }

    /// Slots that a sequence lacks for its next step \[token\].
    fn growth(&self, req: &Req, page: TokenCount) -> TokenCount {
        (req.committed + self.reserved_tokens).next_multiple_of(page).saturating_sub(req.allocated)
    }
}

/// What the sequences of a step gained.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Verified {
    pub(crate) seqs: u64,
    pub(crate) accepted: TokenCount,
    pub(crate) generated: TokenCount,
}

impl BatchState {
    /// New slots that a decode step of the running batch needs \[token\].
    #[must_use]
    pub fn slots_for_decode(&self) -> TokenCount {
        let Some(drafts) = &self.drafts else { return self.running.slots_for_one_step() };
        let page = TokenCount::from(self.config.page_size);
        let members = self.running.members().iter();
        members.map(|slot| drafts.growth(self.req(*slot), page)).sum()
    }

    /// The sequences of the running batch have the slots that the step needs.
    pub(crate) fn grow_allocations(&mut self) {
        let Some(drafts) = &self.drafts else { return };
        let page = TokenCount::from(self.config.page_size);
        for slot in self.running.members() {
            let req = &mut self.requests[slot.index()];
            req.allocated += drafts.growth(req, page);
        }
    }

    /// Σ context that the next decode step attends to \[token\], that of tokens not known yet included.
    pub(crate) fn next_decode_context(&self) -> TokenCount {
        let mut context = self.running.decode_context();
        if self.drafts.is_some() {
            let members = self.running.members().iter();
            context += members.map(|slot| self.req(*slot).pending).sum::<TokenCount>();
        }
        context
    }

    /// A step that verifies drafts was launched.
    pub(crate) fn draw_accepted(&mut self) {
        let Some(drafts) = &mut self.drafts else { return };
        self.running.count_step();
        for slot in self.running.members() {
            let req = &mut self.requests[slot.index()];
            req.joined = self.running.steps();
            req.pending = drafts.draw();
        }
    }

    /// Requests whose last token by length the launched step makes, if drafts are verified.
    pub(crate) fn finishing_by_draft(&mut self) -> Vec<Slot> {
        let ends = |slot: &Slot| {
            let req = self.req(*slot);
            let in_flight = req.pending > 0 && req.generated + 1 >= req.max_new_tokens;
            in_flight || (self.is_untold(*slot) && req.generated >= req.max_new_tokens)
        };
        self.running.members().iter().copied().filter(ends).collect()
    }

    /// Books what the launched step brought to each sequence, and lists those that are done.
    pub(crate) fn book_accepted(&mut self) -> Verified {
        let mut all = Verified::default();
        let Some(drafts) = &mut self.drafts else { return all };
        let mut members = std::mem::take(&mut drafts.members);
        members.extend(self.running.members());
        members.extend(&self.finishing);
        for slot in members.drain(..) {
            let req = &mut self.requests[slot.index()];
            let accepted = std::mem::take(&mut req.pending);
            if accepted == 0 {
                continue;
            }
            let tokens = accepted.min(req.stop_after - req.generated);
            if req.stage == Stage::Running {
                self.running.grow(req, tokens);
            } else {
                req.generated += tokens;
                req.committed += tokens;
            }
            let (id, done) = (req.id, req.generated >= req.stop_after);
            if done && req.stage == Stage::Running {
                self.stopping.push((slot, req.epoch));
            }
            all.seqs += 1;
            all.accepted += accepted;
            all.generated += tokens;
            self.notify(Notice::Accepted { slot, id, tokens });
        }
        if let Some(drafts) = &mut self.drafts {
            drafts.members = members;
        }
        all
    }
}

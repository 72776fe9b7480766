//! The lazy batch against one that walks over its members.

use proptest::prelude::*;
use sglsim_radix::{Prompt, Span};
use sglsim_units::{RequestId, SimTime};

use super::RunningBatch;
use crate::config::CLIP_MAX_NEW_TOKENS;
use crate::request::{Req, Slot};
use crate::{Labels, Submission};

#[derive(Clone, Debug)]
enum Op {
    /// A request with a prompt, tokens generated, and more to come: allowed and real.
    Join {
        prompt: u32,
        generated: u64,
        max_left: u64,
        left: u64,
        ignore_eos: bool,
    },
    /// The member at this position, modulo their number.
    Leave(usize),
    Advance,
}

fn arb_op() -> impl Strategy<Value = Op> {
    let max_left = prop_oneof![1_u64..30, CLIP_MAX_NEW_TOKENS - 3..CLIP_MAX_NEW_TOKENS + 20];
    let join = (1_u32..100, 1_u64..50, max_left, any::<prop::sample::Index>(), any::<bool>())
        .prop_map(|(prompt, generated, max_left, left, ignore_eos)| {
            let most = usize::try_from(max_left.min(30)).expect("small");
            let left = 1 + left.index(most) as u64;
            Op::Join { prompt, generated, max_left, left, ignore_eos }
        });
    prop_oneof![2 => join, 1 => any::<usize>().prop_map(Op::Leave), 6 => Just(Op::Advance)]
}

/// A member as anyone would write it down.
#[derive(Clone, Copy, Debug)]
struct Member {
    slot: Slot,
    prompt: u64,
    generated: u64,
    max_new: u64,
    stop_after: u64,
    ignore_eos: bool,
}

impl Member {
    fn committed(&self) -> u64 {
        self.prompt + self.generated - 1
    }

    fn reserve(&self) -> u64 {
        (self.max_new - self.generated).min(CLIP_MAX_NEW_TOKENS)
    }
}

/// Both batches, side by side. The model keeps its members in the order of joining.
struct Pair {
    page: u64,
    batch: RunningBatch,
    reqs: Vec<Req>,
    model: Vec<Member>,
}

impl Pair {
    fn apply(&mut self, op: &Op) {
        match *op {
            Op::Join { prompt, generated, max_left, left, ignore_eos } => {
                self.join(prompt, generated, (max_left, left), ignore_eos);
            }
            Op::Leave(at) if !self.model.is_empty() => {
                let slot = self.model[at % self.model.len()].slot;
                self.leave(slot);
            }
            Op::Leave(_) => {}
            Op::Advance => self.advance(),
        }
    }

    fn join(&mut self, prompt: u32, generated: u64, left: (u64, u64), ignore_eos: bool) {
        let (max_new, stop_after) = (generated + left.0, generated + left.1);
        let slot = Slot(u32::try_from(self.reqs.len()).expect("few requests"));
        let new = Submission {
            id: RequestId(slot.0),
            prompt: Prompt::new(vec![Span::new(1, prompt)]),
            output_content: 2,
            max_new_tokens: max_new,
            stop_after,
            ignore_eos,
            arrival: SimTime::ZERO,
            labels: Labels::default(),
        };
        let mut req = Req::new(new, max_new, stop_after);
        req.generated = generated;
        req.committed = u64::from(prompt) + generated - 1;
        self.batch.join(slot, &mut req);
        self.reqs.push(req);
        let prompt = u64::from(prompt);
        self.model.push(Member { slot, prompt, generated, max_new, stop_after, ignore_eos });
    }

    fn leave(&mut self, slot: Slot) {
        let at = self.model.iter().position(|member| member.slot == slot).expect("a member");
        let member = self.model.remove(at);
        let req = &mut self.reqs[slot.index()];
        let moved = self.batch.leave(req, false);
        assert_eq!(req.generated, member.generated);
        assert_eq!(req.committed, member.committed());
        let position = req.position;
        if let Some(moved) = moved {
            self.reqs[moved.index()].position = position;
        }
    }

    fn advance(&mut self) {
        let reqs = &self.reqs;
        let current = |slot: Slot, epoch: u32| {
            let req = &reqs[slot.index()];
            (req.epoch == epoch).then_some(req.ignore_eos)
        };
        self.batch.advance(current);
        // Nobody knows of the new tokens yet.
        self.check_generated();
        self.batch.tell();
        for member in &mut self.model {
            member.generated += 1;
        }
        let done = |member: &&Member| member.generated == member.stop_after;
        let expected: Vec<Slot> = self.model.iter().filter(done).map(|m| m.slot).collect();
        for slot in expected {
            let reqs = &self.reqs;
            let finished = self.batch.pop_finished(|slot, epoch| {
                let req = &reqs[slot.index()];
                req.epoch == epoch
            });
            assert_eq!(finished, Some(slot));
            self.leave(slot);
        }
        let reqs = &self.reqs;
        let nobody = self.batch.pop_finished(|slot, epoch| {
            let req = &reqs[slot.index()];
            req.epoch == epoch
        });
        assert_eq!(nobody, None);
    }

    /// What depends on the tokens that are known to be generated.
    fn check_generated(&self) {
        let (batch, model) = (&self.batch, &self.model);
        let total: u64 = model.iter().map(|m| m.prompt + m.generated).sum();
        assert_eq!(batch.total_tokens(), total);
        for ratio in [0.0, 0.25, 1.0] {
            let reserved: f64 = model
                .iter()
                .map(|m| m.reserve() as f64 * if m.ignore_eos { 1.0 } else { ratio })
                .sum();
            assert_eq!(batch.reserved_tokens(ratio), reserved);
        }
    }

    fn check(&self) {
        let (batch, model) = (&self.batch, &self.model);
        let committed: u64 = model.iter().map(Member::committed).sum();
        assert_eq!(batch.len(), model.len());
        assert_eq!(batch.is_empty(), model.is_empty());
        assert_eq!(batch.committed_tokens(), committed);
        assert_eq!(batch.decode_context(), committed + model.len() as u64);
        self.check_generated();
        let full = model.iter().filter(|m| m.committed().is_multiple_of(self.page)).count();
        assert_eq!(batch.slots_for_one_step(), full as u64 * self.page);
        let longest = model.iter().map(|m| m.prompt + m.max_new.min(CLIP_MAX_NEW_TOKENS)).max();
        assert_eq!(batch.longest_future(), longest.unwrap_or(0));
        let mut members = batch.members().to_vec();
        members.sort_unstable();
        assert_eq!(members, model.iter().map(|m| m.slot).collect::<Vec<_>>());
    }
}

proptest! {
    #[test]
    fn lazy_batch_equals_the_naive_one(
        page in prop::sample::select(vec![1_u32, 4, 16]),
        ops in prop::collection::vec(arb_op(), 0..120),
    ) {
        let mut pair = Pair {
            page: u64::from(page),
            batch: RunningBatch::new(page, true),
            reqs: Vec::new(),
            model: Vec::new(),
        };
        for op in &ops {
            pair.apply(op);
            pair.check();
        }
    }
}

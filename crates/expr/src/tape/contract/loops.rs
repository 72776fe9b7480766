//! Contraction through sums and fixed points: their bodies are inverted round by round.

use super::{Backward, Narrowed};
use crate::math;
use crate::tape::bound::Forward;
use crate::tape::interval::{Interval, Values};
use crate::tape::{Instruction, Op};

impl Backward<'_> {
    /// Inverts the sum or fixed point at `at`.
    pub(super) fn repeat(&mut self, at: usize) -> Narrowed {
        let result = self.registers[self.code.first + at];
        let required = self.required[self.code.first + at];
        let Instruction { op, a, b, .. } = self.code.instructions[at];
        let limits = (self.at(a), self.at(b));
        if !(required || result.partial.is_no()) || !(limits.0.partial | limits.1.partial).is_no() {
            return Some(());
        }
        match op {
            Op::Sum => self.terms(at, result, limits, required),
            _ => self.crossing(at, result, limits),
        }
    }

    /// The value of a loop's body where its index is `index`.
    fn round(&mut self, at: usize, index: f64) -> Values {
        let Instruction { c, .. } = self.code.instructions[at];
        let body = self.code.body(at);
        let results = self.code.first + body.start..self.code.first + body.end;
        self.registers[results.start] = Values::point(index);
        let (code, plan) = (self.code, self.plan);
        let mut forward = Forward { code, plan, registers: &mut *self.registers, fuel: self.fuel };
        forward.block(c as usize + 1);
        self.fuel = forward.fuel;
        // What was said of another round is not true of this one.
        self.required[results].fill(false);
        self.at(code.loops[c as usize].term)
    }

    /// Every term is what the sum and the other terms leave for it.
    fn terms(
        &mut self,
        at: usize,
        sum: Values,
        (lo, hi): (Values, Values),
        required: bool,
    ) -> Narrowed {
        let Instruction { b, c, .. } = self.code.instructions[at];
        let term = self.code.loops[c as usize].term;
        let count = hi.hi() - lo.lo() + 1.0;
        // Twice as many rounds: forward, and back.
        if !(1.0..=self.fuel as f64 / 2.0).contains(&count) {
            return Some(());
        }
        self.fuel -= 2 * count as u64;
        let index = |step: usize| lo.lo() + step as f64;
        let certain = |step: usize| lo.hi() <= index(step) && index(step) <= hi.lo();
        let mut terms: Vec<Interval> = Vec::with_capacity(count as usize);
        for step in 0..count as usize {
            terms.push(self.round(at, index(step)).interval());
        }
        let share = |step: usize| match terms[step] {
            term if certain(step) => term,
            Interval { lo, hi } => Interval::new(math::min(lo, 0.0), math::max(hi, 0.0)),
        };
        let (mut least, mut most, mut size) = (0.0, 0.0, 0.0);
        for Interval { lo, hi } in (0..terms.len()).map(share) {
            (least, most) = (least + lo, most + hi);
            size += math::max(lo.abs(), hi.abs());
        }
        // What all additions, here and in a tape, may have rounded.
        let slack = 4.0 * f64::EPSILON * count * size + f64::MIN_POSITIVE;
        if !slack.is_finite() {
            return Some(());
        }
        let target = Interval::new(sum.lo() - slack, sum.hi() + slack);
        for step in (0..terms.len()).filter(|step| certain(*step)) {
            let Interval { lo, hi } = terms[step];
            let (low, high) = (target.lo - (most - hi), target.hi - (least - lo));
            if low <= lo && hi <= high {
                continue;
            }
            self.round(at, index(step));
            self.required[term as usize] = required;
            self.narrow(term, low, high).then_some(())?;
            self.sweep(c as usize + 1)?;
        }
        if lo.as_point().is_some() && terms.iter().all(|term| term.lo >= 0.0) {
            let (from, to) = trips(&terms, target);
            let last = |trips: usize| lo.lo() + trips as f64 - 1.0;
            let from = if from > 0 { last(from) } else { f64::NEG_INFINITY };
            let to = to.map_or(f64::INFINITY, last);
            return self.narrow(b, from, to).then_some(());
        }
        Some(())
    }

    /// On the right of a fixed point `x ≥ f(x)`, on its left `x ≤ f(x)`, steps or not.
    fn crossing(&mut self, at: usize, root: Values, (from, to): (Values, Values)) -> Narrowed {
        let Instruction { c, .. } = self.code.instructions[at];
        let term = self.code.loops[c as usize].term;
        // A search ends near the root, or after so many halvings of the whole range.
        let near = 2e-9 * math::max(root.lo().abs(), root.hi().abs());
        let slack = near + 1e-12 * (to.hi() - from.lo());
        let (left, right) = (root.lo() - slack, root.hi() + slack);
        if right < to.lo() {
            self.round(at, right);
            self.narrow(term, f64::NEG_INFINITY, right).then_some(())?;
            self.sweep(c as usize + 1)?;
        }
        if left > from.hi() {
            self.round(at, left);
            self.narrow(term, left, f64::INFINITY).then_some(())?;
            self.sweep(c as usize + 1)?;
        }
        Some(())
    }
}

/// How many of these terms, none negative, there must be and may be for their sum to be in a range.
fn trips(terms: &[Interval], sum: Interval) -> (usize, Option<usize>) {
    let (mut least, mut most) = (0.0, 0.0);
    let mut from = 0;
    for (before, term) in terms.iter().enumerate() {
        // A term without any value, such as a choice of kernels of which none is feasible.
        if term.lo > term.hi {
            return (from, Some(before));
        }
        (least, most) = (least + term.lo, most + term.hi);
        if most < sum.lo {
            from = before + 2;
        }
        if least > sum.hi {
            return (from, Some(before));
        }
    }
    // More than there are terms: a sum that cannot be reached.
    (from, None)
}

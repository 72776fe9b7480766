//! Closed forms of sums over the lower or upper envelope of lines: `Σ_j min_k (a_k + b_k·j)`.
//!
//! Of two lines the steeper one is the lower one up to where they cross, and the flatter one after
//! it. So line `k` is the least up to `E_k`, the smallest crossing with a flatter line, from where
//! the last of the steeper lines ended: the terms telescope, and no `j` is lost or counted twice
//! however the crossings are rounded. Signs of slopes need not be known.
//!
//! Lines with a guard that does not depend on `j` take part where it holds. The maximum is the
//! negated minimum of the negated lines.

use crate::arena::Arena;
use crate::build::{Comparison, Connective, Lattice};
use crate::node::{Id, Node};
use crate::number::Number;

/// Lines beyond which the sum stays a loop: their pairs are many.
const MAX_LINES: usize = 6;

/// Terms up to which the loop is at least as fast.
const FEW_TERMS: f64 = 16.0;

/// `a + b · j`, where `on` holds.
#[derive(Clone, Copy)]
pub(super) struct Line {
    a: Id,
    b: Id,
    on: Option<Id>,
}

/// The index of a sum and its limits.
#[derive(Clone, Copy)]
pub(super) struct Range {
    pub(super) index: u32,
    pub(super) lo: Id,
    pub(super) hi: Id,
}

impl Arena {
    /// The sum of an extremum of lines; `None` if the body is not one. `budget` bounds the parts
    /// that are looked at.
    pub(super) fn envelope(&mut self, range: Range, body: Id, budget: &mut usize) -> Option<Id> {
        let kind = match self.node(body) {
            Node::Min(_) | Node::MinOf(_) => Lattice::Min,
            Node::Max(_) => Lattice::Max,
            _ => return None,
        };
        if self.facts(range.hi).hi - self.facts(range.lo).lo < FEW_TERMS {
            return None;
        }
        let mut lines = self.lines(range, kind, body, budget)?;
        if lines.len() > MAX_LINES {
            return None;
        }
        let sign = if kind == Lattice::Min { Number::ONE } else { Number::MINUS_ONE };
        for line in &mut lines {
            (line.a, line.b) = (self.scale(line.a, sign), self.scale(line.b, sign));
        }
        let least = self.sum_of_least(range, &lines);
        Some(self.scale(least, sign))
    }

    /// The lines whose extremum a part is.
    fn lines(
        &mut self,
        range: Range,
        kind: Lattice,
        id: Id,
        budget: &mut usize,
    ) -> Option<Vec<Line>> {
        *budget = budget.checked_sub(1)?;
        if let Some((a, b)) = self.line(id, range.index) {
            return Some(vec![Line { a, b, on: None }]);
        }
        let mut lines = Vec::new();
        match self.shape(id) {
            Node::Min(arms) if kind == Lattice::Min => {
                for arm in arms {
                    lines.extend(self.lines(range, kind, arm, budget)?);
                }
            }
            Node::Max(arms) if kind == Lattice::Max => {
                for arm in arms {
                    lines.extend(self.lines(range, kind, arm, budget)?);
                }
            }
            Node::Min(arms) => lines.push(self.common_factor(range, Lattice::Min, &arms)?),
            Node::Max(arms) => lines.push(self.common_factor(range, Lattice::Max, &arms)?),
            Node::MinOf(choices) if kind == Lattice::Min => {
                // Otherwise a sum over nothing feasible would look like an empty one.
                choices.iter().find(|choice| self.always(choice.guard))?;
                for choice in choices {
                    let on = self.free_guard(range, choice.guard)?;
                    let found = self.lines(range, kind, choice.value, budget)?;
                    lines.extend(self.switched(on, found));
                }
            }
            Node::Piecewise { arms, otherwise } => {
                let mut before: Vec<Id> = Vec::new();
                for (guard, value) in arms {
                    let guard = self.free_guard(range, guard)?;
                    let mut all = before.clone();
                    all.push(guard);
                    let on = self.connect(Connective::And, &all);
                    let found = self.lines(range, kind, value, budget)?;
                    lines.extend(self.switched(on, found));
                    before.push(self.not(guard));
                }
                let on = self.connect(Connective::And, &before);
                let found = self.lines(range, kind, otherwise, budget)?;
                lines.extend(self.switched(on, found));
            }
            Node::Add { constant, terms } => {
                let bent = |arena: &mut Arena, id: Id| arena.line(id, range.index).is_none();
                let at = terms.iter().position(|(term, _)| bent(self, *term))?;
                let (term, c) = terms[at];
                let rest: Vec<(Id, Number)> = [&terms[..at], &terms[at + 1..]].concat();
                let rest = self.add(constant, &rest);
                let (a, b) = self.line(rest, range.index)?;
                let inner = if c.is_negative() { kind.dual() } else { kind };
                for line in self.lines(range, inner, term, budget)? {
                    let one = Number::ONE;
                    let a = self.add(Number::ZERO, &[(a, one), (line.a, c)]);
                    let b = self.add(Number::ZERO, &[(b, one), (line.b, c)]);
                    lines.push(Line { a, b, ..line });
                }
            }
            Node::Mul { coefficient, factors } => {
                let (inside, outside): (Vec<_>, Vec<_>) =
                    factors.iter().copied().partition(|(base, _)| self.depends(*base, range.index));
                let [(base, e)] = inside.as_slice() else { return None };
                let outside = self.mul(coefficient, &outside);
                let facts = *self.facts(outside);
                if !e.is_one() || !(facts.non_negative() || facts.hi <= 0.0) {
                    return None;
                }
                let inner = if facts.non_negative() { kind } else { kind.dual() };
                for line in self.lines(range, inner, *base, budget)? {
                    let scaled = |arena: &mut Arena, x: Id| {
                        arena.mul(Number::ONE, &[(outside, Number::ONE), (x, Number::ONE)])
                    };
                    let (a, b) = (scaled(self, line.a), scaled(self, line.b));
                    lines.push(Line { a, b, ..line });
                }
            }
            _ => return None,
        }
        Some(lines)
    }

    /// `id` as `a + b · index`.
    fn line(&mut self, id: Id, index: u32) -> Option<(Id, Id)> {
        let [a, b, c, d] = self.polynomial(id, index)?;
        if c.is_some() || d.is_some() {
            return None;
        }
        let zero = self.make_number("sum", Number::ZERO);
        Some((a.unwrap_or(zero), b.unwrap_or(zero)))
    }

    /// `max(x·p, x·q)` is the line `x · max(p, q)` where `x` is a line that is never negative.
    fn common_factor(&mut self, range: Range, kind: Lattice, arms: &[Id]) -> Option<Line> {
        let dependent = |arena: &Arena, arm: Id| -> Option<Id> {
            let Node::Mul { factors, .. } = arena.shape(arm) else { return Some(arm) };
            let mut inside = factors.iter().filter(|(base, _)| arena.depends(*base, range.index));
            match (inside.next(), inside.next()) {
                (Some((base, e)), None) if e.is_one() => Some(*base),
                _ => None,
            }
        };
        let common = dependent(self, *arms.first()?)?;
        let (a, b) = self.line(common, range.index)?;
        let mut ends = [range.lo, range.hi].map(|end| {
            let rise = self.mul(Number::ONE, &[(b, Number::ONE), (end, Number::ONE)]);
            let value = self.add(Number::ZERO, &[(a, Number::ONE), (rise, Number::ONE)]);
            self.facts(value).non_negative()
        });
        // A line that rises is least at the lower limit.
        ends[0] |= self.facts(b).hi <= 0.0;
        ends[1] |= self.facts(b).non_negative();
        if ends != [true, true] {
            return None;
        }
        let mut rest = Vec::with_capacity(arms.len());
        for arm in arms {
            if dependent(self, *arm)? != common {
                return None;
            }
            rest.push(match self.shape(*arm) {
                Node::Mul { coefficient, factors } if *arm != common => {
                    let others: Vec<(Id, Number)> =
                        factors.iter().copied().filter(|(base, _)| *base != common).collect();
                    self.mul(coefficient, &others)
                }
                _ => self.make_number("sum", Number::ONE),
            });
        }
        let slope = self.lattice(kind, &rest);
        let scaled = |arena: &mut Arena, x: Id| {
            arena.mul(Number::ONE, &[(slope, Number::ONE), (x, Number::ONE)])
        };
        Some(Line { a: scaled(self, a), b: scaled(self, b), on: None })
    }

    /// A guard that does not depend on the index and is always defined.
    fn free_guard(&self, range: Range, guard: Id) -> Option<Id> {
        (!self.depends(guard, range.index) && self.facts(guard).finite).then_some(guard)
    }

    fn switched(&mut self, on: Id, mut lines: Vec<Line>) -> Vec<Line> {
        for line in &mut lines {
            let both = match line.on {
                Some(other) => self.connect(Connective::And, &[on, other]),
                None => on,
            };
            line.on = if self.always(both) { None } else { Some(both) };
        }
        lines
    }

    fn sum_of_least(&mut self, range: Range, lines: &[Line]) -> Id {
        let before = self.add(Number::MINUS_ONE, &[(range.lo, Number::ONE)]);
        let ends: Vec<Id> = (0..lines.len()).map(|k| self.end(range, before, lines, k)).collect();
        let mut parts = Vec::new();
        for (k, line) in lines.iter().enumerate() {
            let mut starts = vec![before];
            for (m, other) in lines.iter().enumerate() {
                if m != k {
                    let steeper = self.steeper(other, line);
                    starts.push(self.piecewise(&[(steeper, ends[m])], before));
                }
            }
            let start = self.lattice(Lattice::Max, &starts);
            let one = Number::ONE;
            let count = self.subtract(ends[k], start);
            let count = self.at_least_zero(count);
            let bounds = self.add(one, &[(start, one), (ends[k], one)]);
            let constant = self.mul(one, &[(line.a, one), (count, one)]);
            let rising = self.mul(Number::HALF, &[(line.b, one), (count, one), (bounds, one)]);
            parts.extend([(constant, one), (rising, one)]);
        }
        self.add(Number::ZERO, &parts)
    }

    /// The last index at which line `k` is below all flatter ones; the one before the first if it is
    /// off or never below a parallel one.
    fn end(&mut self, range: Range, before: Id, lines: &[Line], k: usize) -> Id {
        let line = &lines[k];
        let mut ends = vec![range.hi];
        for (m, other) in lines.iter().enumerate() {
            if m == k {
                continue;
            }
            let crossing = self.crossing(range, before, line, other);
            let flatter = self.steeper(line, other);
            let parallel = self.compare(Comparison::Eq, line.b, other.b);
            // Of two parallel lines the lower one counts, of two equal ones the first.
            let loses = if m < k {
                self.compare(Comparison::Le, other.a, line.a)
            } else {
                self.compare(Comparison::Lt, other.a, line.a)
            };
            let hidden = self.connect(Connective::And, &[parallel, loses]);
            let mut arms = vec![(flatter, crossing), (hidden, before)];
            if let Some(on) = other.on {
                arms.insert(0, (self.not(on), range.hi));
            }
            ends.push(self.piecewise(&arms, range.hi));
        }
        let end = self.lattice(Lattice::Min, &ends);
        match line.on {
            Some(on) => self.piecewise(&[(on, end)], before),
            None => end,
        }
    }

    fn steeper(&mut self, line: &Line, than: &Line) -> Id {
        let difference = self.subtract(line.b, than.b);
        let facts = self.facts(difference);
        match (facts.positive(), facts.hi <= 0.0) {
            (true, _) => self.truth(true),
            (_, true) => self.truth(false),
            _ => self.compare(Comparison::Lt, than.b, line.b),
        }
    }

    /// `⌊t⌋` of the crossing of a line with a flatter one, inside the limits. The divisor is kept
    /// from zero: where it would be, this is not looked at.
    fn crossing(&mut self, range: Range, before: Id, line: &Line, flatter: &Line) -> Id {
        let rise = self.subtract(line.b, flatter.b);
        let rise = if self.facts(rise).positive() {
            rise
        } else {
            let tiny = self.make_number("sum", Number::float(f64::MIN_POSITIVE));
            self.lattice(Lattice::Max, &[rise, tiny])
        };
        let ahead = self.subtract(flatter.a, line.a);
        let at = self.mul(Number::ONE, &[(ahead, Number::ONE), (rise, Number::MINUS_ONE)]);
        let inside = self.lattice(Lattice::Min, &[at, range.hi]);
        let inside = self.lattice(Lattice::Max, &[inside, before]);
        self.floor(inside)
    }
}

//! How far one symbol can go before something else decides.
//!
//! The way is searched outward, piece by piece. Bounds over a piece prove that every decision stays,
//! or it is halved; what remains at the end is looked at as a point. So nothing between is missed.

use super::decide::{Arm, Decided, Decisions, Looked, choose, trips};
use super::{Decision, Reach};
use crate::node::Id;
use crate::{Evaluator, ExprError, Interval, IntervalEvaluator, Program, Sort, Symbol};

/// Pieces that one search looks at.
const PIECES: u32 = 3000;

/// How far a search goes: this many times the value.
const FAR: f64 = 1024.0;

/// Everything that is watched while a symbol moves.
pub(super) struct Watch<'a> {
    decided: &'a [Decided],
    /// Sums whose terms may come and go.
    sums: &'a [Looked],
    /// Names of conditions, whose nodes came along.
    conditions: Vec<(&'a str, Id)>,
    /// What is evaluated, in ascending order.
    outputs: Vec<Id>,
    evaluator: Evaluator,
    intervals: IntervalEvaluator,
    values: Vec<f64>,
    bounds: Vec<Interval>,
    point: Vec<f64>,
    /// The arm of each decision, the length of each sum, then 1 or 0 for each condition.
    state: Vec<Option<usize>>,
}

impl<'a> Watch<'a> {
    pub(super) fn new(
        Decisions { cx, decided, sums, others, .. }: &'a Decisions,
        conditions: &[&'a str],
        (names, point): (&[&str], &[f64]),
    ) -> Result<Watch<'a>, ExprError> {
        let conditions: Vec<(&str, Id)> =
            conditions.iter().copied().zip(others.iter().copied()).collect();
        let arms = decided.iter().flat_map(|decided| &decided.arms);
        let mut outputs: Vec<Id> =
            arms.flat_map(|arm| [Some(arm.value), arm.guard]).flatten().collect();
        outputs.extend(sums.iter().flat_map(|sum| [sum.lo, sum.hi]));
        outputs.extend(conditions.iter().map(|(_, id)| *id));
        outputs.sort_unstable();
        outputs.dedup();
        let program = Program::of_nodes(&cx.lock(), &outputs, names)?;
        let mut watch = Watch {
            decided,
            sums,
            conditions,
            evaluator: program.evaluator(),
            intervals: program.intervals(),
            values: vec![0.0; outputs.len()],
            bounds: vec![Interval::ALL; outputs.len()],
            outputs,
            point: point.to_vec(),
            state: Vec::new(),
        };
        watch.state = watch.state_at(None);
        Ok(watch)
    }

    /// What decides where one input has another value.
    fn state_at(&mut self, moved: Option<(usize, f64)>) -> Vec<Option<usize>> {
        let mut point = self.point.clone();
        if let Some((at, value)) = moved {
            point[at] = value;
        }
        self.evaluator.eval(&point, &mut self.values);
        let value = |id: Id| self.values[position(&self.outputs, id)];
        let decisions = self.decided.iter().map(|d| choose(d.kind, &d.arms, value));
        let sums = self.sums.iter().map(|sum| Some(trips(value(sum.lo), value(sum.hi))));
        let conditions = self.conditions.iter().map(|(_, id)| Some(usize::from(value(*id) != 0.0)));
        decisions.chain(sums).chain(conditions).collect()
    }

    /// Whether everything stays as it is while one input is anywhere in a range.
    fn stays(&mut self, at: usize, range: Interval) -> bool {
        let mut inputs: Vec<Interval> = self.point.iter().map(|x| Interval::point(*x)).collect();
        inputs[at] = range;
        self.intervals.eval(&inputs, &mut self.bounds);
        let bound = |id: Id| self.bounds[position(&self.outputs, id)];
        let (sums, conditions) = self.state[self.decided.len()..].split_at(self.sums.len());
        let length = |sum: &Looked| {
            let limits = bound(sum.lo).as_point().zip(bound(sum.hi).as_point());
            limits.map(|(lo, hi)| trips(lo, hi))
        };
        let met = |id: Id| bound(id).as_point().map(|value| usize::from(value != 0.0));
        self.decided.iter().all(|decided| remains(decided, bound))
            && self.sums.iter().map(length).eq(sums.iter().copied())
            && self.conditions.iter().map(|(_, id)| met(*id)).eq(conditions.iter().copied())
    }

    /// The first change when the input `at` goes up or down.
    pub(super) fn reach(&mut self, at: usize, symbol: &Symbol, up: bool) -> Reach {
        let x = self.point[at];
        let (low, high) = symbol.range();
        let toward = if up { 1.0 } else { -1.0 };
        let size = if x == 0.0 { 1.0 } else { x.abs() };
        let end = match up {
            true => high.min(x + size * FAR),
            false if x > 0.0 && low >= 0.0 => low.max(x / FAR),
            false => low.max(x - size * FAR),
        };
        let whole = symbol.sort != Sort::Real;
        let (end, gap) = if whole { (round(end, !up), 1.0) } else { (end, 0.0) };
        let beyond = |x: f64| (x - end) * toward > 0.0;
        let mut pieces = Vec::new();
        let (mut from, mut step) = (x + gap * toward, if whole { 1.0 } else { size * 1e-3 });
        while !beyond(from) {
            let to = from + (step - gap) * toward;
            let to = if beyond(to) { end } else { to };
            pieces.push((from, to));
            if to == end {
                break;
            }
            from = to + gap * toward;
            step *= 2.0;
        }
        pieces.reverse();
        let mut left = PIECES;
        while let Some((near, far)) = pieces.pop() {
            if left == 0 {
                return Reach::Unknown { until: near };
            }
            left -= 1;
            if self.stays(at, Interval::new(near.min(far), near.max(far))) {
                continue;
            }
            let middle = near + (far - near) / 2.0;
            let middle = if whole { round(middle, !up) } else { middle };
            let scale = near.abs().max(far.abs()).max(1e-3 * size);
            let small = (far - near).abs() <= 1e-9 * scale;
            if near != far && (whole || !small) {
                let next = middle + gap * toward;
                pieces.push((if beyond(next) { far } else { next }, far));
                pieces.push((near, middle));
                continue;
            }
            let state = self.state_at(Some((at, far)));
            if let Some(which) = (0..state.len()).find(|k| state[*k] != self.state[*k]) {
                return self.change(which, &state, far);
            }
        }
        Reach::Same { until: end }
    }

    fn change(&self, which: usize, state: &[Option<usize>], at: f64) -> Reach {
        let name = |arms: &[Arm], arm: Option<usize>| {
            arm.map_or_else(|| "nothing feasible".to_owned(), |arm| arms[arm].name.clone())
        };
        let (before, after) = (self.state[which], state[which]);
        let (decides, from, to) = if let Some(Decided { arms, told, .. }) = self.decided.get(which)
        {
            (told.decides.as_str(), name(arms, before), name(arms, after))
        } else if let Some(sum) = self.sums.get(which - self.decided.len()) {
            let words = |count: Option<usize>| match count.unwrap_or_default() {
                1 => "1 term".to_owned(),
                count => format!("{count} terms"),
            };
            (sum.name.as_str(), words(before), words(after))
        } else {
            let words = |met| if met == Some(1) { "met" } else { "violated" }.to_owned();
            let (name, _) = self.conditions[which - self.decided.len() - self.sums.len()];
            (name, words(before), words(after))
        };
        Reach::Change { at, decides: decides.to_owned(), from, to }
    }
}

/// Whether bounds prove that the same arm counts.
fn remains(Decided { kind, arms, chosen, .. }: &Decided, bound: impl Fn(Id) -> Interval) -> bool {
    // Whether an arm can be chosen, if that is certain.
    let open = |arm: &Arm| match arm.guard {
        None => Some(true),
        Some(guard) => bound(guard).as_point().map(|value| value != 0.0),
    };
    if *kind == Decision::Piecewise {
        let before = arms[..*chosen].iter().all(|arm| open(arm) == Some(false));
        return before && open(&arms[*chosen]) == Some(true);
    }
    let best = bound(arms[*chosen].value);
    let sure = best.lo.is_finite() && best.hi.is_finite() && open(&arms[*chosen]) == Some(true);
    sure && arms.iter().enumerate().all(|(at, arm)| {
        let other = bound(arm.value);
        let worse = match kind {
            Decision::Max => (best.lo, other.hi),
            _ => (other.lo, best.hi),
        };
        // Of equal arms the first counts.
        let behind = worse.0 > worse.1 || worse.0 == worse.1 && at > *chosen;
        at == *chosen || open(arm) == Some(false) || behind
    })
}

fn position(outputs: &[Id], id: Id) -> usize {
    outputs.binary_search(&id).expect("everything that is asked for is an output")
}

/// To an integer inside: up at the lower end.
fn round(x: f64, up: bool) -> f64 {
    if up { x.ceil() } else { x.floor() }
}

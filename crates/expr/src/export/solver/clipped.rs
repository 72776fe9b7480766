//! Where two lines cross: `floor(max(a, min(b, p / q)))` of a divisor that may be almost zero.
//!
//! The quotient has no range then, but its clipped and rounded value `w` has. Multiplied out, `w` is
//! where `w·q ≤ p` and `(w + 1)·q ≥ p`, or at the end that it is clipped to. On the crossing itself
//! either neighbour will do: the closed sums that are made of such crossings do not jump there.

use sglsim_units::HashSet;

use super::model::{Kind, Linear, Variable};
use super::prepare::UNBOUNDED;
use super::reformulate::{Reformulator, scale};
use crate::ExprError;
use crate::arena::Arena;
use crate::export::listing::Uses;
use crate::node::{Id, Node};
use crate::number::Number;

/// A quotient between bounds, rounded down.
pub(super) struct Clipped {
    /// It is not below these ...
    lower: Vec<Id>,
    /// ... nor above these, unless they are below those.
    upper: Vec<Id>,
    coefficient: Number,
    above: Vec<(Id, Number)>,
    divisor: Id,
    /// What has no value of its own.
    pub(super) inside: Vec<Id>,
}

impl Arena {
    /// The operand of a `floor` as such a quotient, if its own range is not finite.
    pub(super) fn clipped(&self, operand: Id) -> Option<Clipped> {
        let mut found = Clipped {
            lower: Vec::new(),
            upper: Vec::new(),
            coefficient: Number::ONE,
            above: Vec::new(),
            divisor: operand,
            inside: vec![operand],
        };
        let mut inner = operand;
        if let Node::Max(arms) = self.node(inner) {
            inner = self.open_arm(arms, &mut found.lower)?;
            found.inside.push(inner);
        }
        if let Node::Min(arms) = self.node(inner) {
            inner = self.open_arm(arms, &mut found.upper)?;
            found.inside.push(inner);
        }
        let facts = self.facts(inner);
        if facts.lo > -UNBOUNDED && facts.hi < UNBOUNDED {
            return None;
        }
        let Node::Mul { coefficient, factors } = self.shape(inner) else { return None };
        let (below, above): (Vec<_>, Vec<_>) = factors.iter().partition(|(_, e)| e.is_negative());
        let [(divisor, e)] = below.as_slice() else { return None };
        if !e.is_minus_one() || !self.facts(*divisor).positive() {
            return None;
        }
        Some(Clipped { coefficient, above, divisor: *divisor, ..found })
    }

    /// The arm of which no range is known; the others are integers.
    fn open_arm(&self, arms: &[Id], others: &mut Vec<Id>) -> Option<Id> {
        let open = |id: &Id| {
            let facts = self.facts(*id);
            !facts.integer || facts.lo <= -UNBOUNDED || facts.hi >= UNBOUNDED
        };
        let at = arms.iter().position(open)?;
        others.extend(arms.iter().copied().filter(|arm| *arm != arms[at]));
        others.iter().all(|arm| !open(arm)).then_some(arms[at])
    }

    /// Parts that only matter inside of clipped quotients.
    pub(super) fn inside_clipped(&self, all: &[Id], uses: &Uses) -> HashSet<Id> {
        let floors = all.iter().filter_map(|id| match self.node(*id) {
            Node::Floor(operand) => self.clipped(*operand),
            _ => None,
        });
        floors.flat_map(|clipped| clipped.inside).filter(|id| !uses.shared(*id)).collect()
    }
}

impl Reformulator<'_> {
    /// The integer `w` that a clipped quotient is rounded down to.
    pub(super) fn crossing(&mut self, id: Id, clipped: &Clipped) -> Result<Linear, ExprError> {
        let (lo, hi) = self.finite_range(id)?;
        let factors = |writer: &Self| -> Vec<(Linear, f64)> {
            clipped.above.iter().map(|(base, e)| (writer.of(*base), e.to_f64())).collect()
        };
        let dividend = Linear::product(clipped.coefficient.to_f64(), factors(self));
        let (least, most) = self.dividend_range(clipped);
        let (_, widest) = self.finite_range(clipped.divisor)?;
        let divisor = self.of(clipped.divisor);
        let name = self.names.claim("crossing");
        let (kind, start, doc) = (Kind::Integer, None, String::new());
        let at = self.add(Variable { name, kind, lo, hi, start, doc });
        let whole = Linear::variable(at);
        let times = |w: Linear| Linear::product(1.0, vec![(w, 1.0), (divisor.clone(), 1.0)]);
        for lower in &clipped.lower {
            let gap = whole.clone().minus(self.of(*lower));
            self.row("crossing", gap, (0.0, f64::INFINITY), 1.0);
        }
        // Not beyond the crossing, or clipped from below.
        let beyond = times(whole.clone()).minus(dividend.clone());
        let span = f64::max(hi.abs(), lo.abs()) + 1.0;
        let slack = span * widest - f64::min(least, 0.0) + f64::max(most, 0.0);
        let size = scale(-slack, slack);
        let picks = self.picks("crossing", clipped.lower.len() + 1);
        self.unless(&picks[0], beyond, slack, size);
        for upper in &clipped.upper {
            let over = whole.clone().minus(self.of(*upper));
            let (from, _) = self.range(*upper);
            self.unless(&picks[0], over, hi - from, 1.0);
        }
        for (lower, pick) in clipped.lower.iter().zip(&picks[1..]) {
            let over = whole.clone().minus(self.of(*lower));
            let (from, _) = self.range(*lower);
            self.unless(pick, over, hi - from, 1.0);
        }
        // Nor before it, or clipped from above.
        let next = whole.clone().plus(Linear::constant(1.0));
        let before = dividend.minus(times(next));
        let picks = self.picks("crossing", clipped.upper.len() + 1);
        self.unless(&picks[0], before, slack, size);
        for (upper, pick) in clipped.upper.iter().zip(&picks[1..]) {
            let under = self.of(*upper).minus(whole.clone());
            let (_, to) = self.range(*upper);
            self.unless(pick, under, to - lo, 1.0);
        }
        Ok(whole)
    }

    /// `body ≤ 0` where `pick` is 1; at most `slack` elsewhere.
    fn unless(&mut self, pick: &Linear, body: Linear, slack: f64, size: f64) {
        let row = body.plus(pick.clone().scaled(slack));
        self.row("crossing", row, (f64::NEG_INFINITY, slack), size);
    }

    fn dividend_range(&self, clipped: &Clipped) -> (f64, f64) {
        let one = crate::facts::Facts::constant(clipped.coefficient.to_f64(), false);
        let product = clipped.above.iter().fold(one, |product, (base, e)| {
            product.mul(&self.arena.facts(*base).pow(e.to_f64(), e.as_small_int()))
        });
        (product.lo, product.hi)
    }
}

//! Conditions: as rows where they must hold, as binaries where they decide something.

use sglsim_units::HashMap;

use super::model::Linear;
use super::prepare::UNBOUNDED;
use super::reformulate::{Reformulator, scale};
use crate::ExprError;
use crate::arena::Arena;
use crate::node::{Id, Node};
use crate::number::Number;

/// How near to equal, as a share of their range, two real numbers are that no comparison is made of.
const NEAR: f64 = 1e-6;

/// The denominator that all values of a part have, if there is one.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) struct Grain(Option<i128>);

impl Grain {
    const WHOLE: Grain = Grain(Some(1));
    const NONE: Grain = Grain(None);

    /// What two different values differ by at least.
    pub(super) fn step(self) -> Option<f64> {
        self.0.map(|denominator| 1.0 / denominator as f64)
    }

    fn meet(self, other: Grain) -> Grain {
        let (Some(a), Some(b)) = (self.0, other.0) else { return Grain::NONE };
        let (mut x, mut y) = (a, b);
        while y != 0 {
            (x, y) = (y, x % y);
        }
        Grain((a / x).checked_mul(b).filter(|all| *all < 1 << 20))
    }

    fn times(self, n: Number) -> Grain {
        let fraction = match n.as_ratio() {
            Some((_, denominator)) => Some(denominator),
            None => n.is_integer().then_some(1),
        };
        let product = self.0.zip(fraction).and_then(|(a, b)| a.checked_mul(b));
        Grain(product.filter(|all| *all < 1 << 20))
    }
}

pub(super) fn grains(arena: &Arena, roots: &[Id]) -> HashMap<Id, Grain> {
    let mut grains: HashMap<Id, Grain> = HashMap::default();
    for id in arena.reachable(roots) {
        let grain = match arena.shape(id) {
            _ if arena.facts(id).integer => Grain::WHOLE,
            Node::Number(n) => Grain::WHOLE.times(n),
            Node::Add { constant, terms } => {
                let start = Grain::WHOLE.times(constant);
                terms.iter().fold(start, |all, (term, c)| all.meet(grains[term].times(*c)))
            }
            Node::Mul { coefficient, factors } => {
                let whole = |(base, e): &(Id, Number)| {
                    grains[base] == Grain::WHOLE && e.is_integer() && !e.is_negative()
                };
                if factors.iter().all(whole) {
                    Grain::WHOLE.times(coefficient)
                } else {
                    Grain::NONE
                }
            }
            Node::Max(arms) | Node::Min(arms) => {
                arms.iter().fold(Grain::WHOLE, |all, arm| all.meet(grains[arm]))
            }
            _ => Grain::NONE,
        };
        grains.insert(id, grain);
    }
    grains
}

/// `a − b`, its range and the least that it differs from zero by.
struct Difference {
    value: Linear,
    lo: f64,
    hi: f64,
    step: f64,
    size: f64,
}

impl Reformulator<'_> {
    /// Rows that make a condition hold.
    pub(super) fn require(&mut self, id: Id, name: &str) -> Result<(), ExprError> {
        match self.arena.shape(id) {
            Node::Bool(true) => {}
            Node::And(list) => {
                for part in list {
                    self.require(part, name)?;
                }
            }
            Node::Le(a, b) => {
                let Difference { value, size, .. } = self.difference(a, b);
                self.row(name, value, (f64::NEG_INFINITY, 0.0), size);
            }
            Node::Lt(a, b) => {
                let Difference { value, size, step, .. } = self.difference(a, b);
                self.row(name, value, (f64::NEG_INFINITY, -step), size);
            }
            Node::Eq(a, b) => {
                let Difference { value, size, .. } = self.difference(a, b);
                self.row(name, value, (0.0, 0.0), size);
            }
            Node::Or(list) => {
                let mut any = Linear::default();
                for part in list {
                    any = any.plus(self.literal(part)?);
                }
                self.row(name, any, (1.0, f64::INFINITY), 1.0);
            }
            _ => {
                let holds = self.literal(id)?;
                self.row(name, holds, (1.0, f64::INFINITY), 1.0);
            }
        }
        Ok(())
    }

    /// What is 1 where a condition holds, and 0 where it does not.
    pub(super) fn literal(&mut self, id: Id) -> Result<Linear, ExprError> {
        if let Some(known) = self.literals.get(&id) {
            return Ok(known.clone());
        }
        let one = || Linear::constant(1.0);
        let literal = match self.arena.shape(id) {
            Node::Bool(value) => Linear::constant(f64::from(u8::from(value))),
            Node::Not(inner) => one().minus(self.literal(inner)?),
            Node::Le(a, b) => self.compared(id, (a, b), false)?,
            Node::Lt(a, b) => self.compared(id, (a, b), true)?,
            Node::Eq(a, b) => {
                let sides = [self.compared(id, (a, b), false)?, self.compared(id, (b, a), false)?];
                self.all(&sides)
            }
            Node::And(list) => {
                let parts: Result<Vec<Linear>, ExprError> =
                    list.iter().map(|part| self.literal(*part)).collect();
                self.all(&parts?)
            }
            Node::Or(list) => {
                let parts: Result<Vec<Linear>, ExprError> =
                    list.iter().map(|part| Ok(one().minus(self.literal(*part)?))).collect();
                one().minus(self.all(&parts?))
            }
            _ => return Err(super::no_form(self.arena, id, "it is not a comparison")),
        };
        self.literals.insert(id, literal.clone());
        Ok(literal)
    }

    fn all(&mut self, parts: &[Linear]) -> Linear {
        let every = self.binary("all");
        let mut sum = every.clone().scaled(-1.0);
        for part in parts {
            self.row("all", every.clone().minus(part.clone()), (f64::NEG_INFINITY, 0.0), 1.0);
            sum = sum.plus(part.clone());
        }
        self.row("all", sum, (f64::NEG_INFINITY, parts.len() as f64 - 1.0), 1.0);
        every
    }

    /// A binary that is 1 where `a ≤ b` (or `a < b`), and 0 where the contrary holds.
    fn compared(&mut self, id: Id, (a, b): (Id, Id), strict: bool) -> Result<Linear, ExprError> {
        let Difference { value, lo, hi, step, size } = self.difference(a, b);
        let (least, most) = if strict { (0.0, -step) } else { (step, 0.0) };
        if hi <= most {
            return Ok(Linear::constant(1.0));
        }
        if lo >= least {
            return Ok(Linear::constant(0.0));
        }
        if lo <= -UNBOUNDED || hi >= UNBOUNDED {
            let problem = "the range of its sides is not finite; give their symbols bounds";
            return Err(super::no_form(self.arena, id, problem));
        }
        let holds = self.binary("holds");
        // 1: difference ≤ most; 0: difference ≥ least.
        let upper = value.clone().plus(holds.clone().scaled(hi - most));
        self.row("holds", upper, (f64::NEG_INFINITY, hi), size);
        let lower = value.plus(holds.clone().scaled(least - lo));
        self.row("holds", lower, (least, f64::INFINITY), size);
        Ok(holds)
    }

    fn difference(&self, a: Id, b: Id) -> Difference {
        let ((a_lo, a_hi), (b_lo, b_hi)) = (self.range(a), self.range(b));
        let (lo, hi) = (a_lo - b_hi, a_hi - b_lo);
        let size = f64::max(lo.abs(), hi.abs());
        let near = if size < UNBOUNDED { NEAR * size } else { NEAR };
        let step = self.grains[&a].meet(self.grains[&b]).step();
        Difference {
            value: self.of(a).minus(self.of(b)),
            lo,
            hi,
            step: step.unwrap_or(near),
            size: scale(lo, hi),
        }
    }
}

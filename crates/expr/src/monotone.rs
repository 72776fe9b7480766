//! Whether a formula rises or falls with a symbol, proven over a box.
//!
//! Every part gets the range of its *slopes*, `(f(b) − f(a)) / (b − a)` for two values `a < b` of one
//! symbol inside the box, the others fixed. Slopes add, multiply with ranges of values (one factor
//! changes after the other), and are those of some arm of a maximum; unlike derivatives they know
//! steps and jumps: what rounds up a rising part rises.

use crate::arena::Arena;
use crate::facts::Facts;
use crate::module::Roots;
use crate::node::{Id, Node};
use crate::number::Number;
use crate::{Bounds, Expr, ExprError, Module, Values};

/// What happens to a formula when one symbol rises and the others stay.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Monotonicity {
    /// It does not change.
    Constant,
    /// It never falls.
    Increasing,
    /// It never rises.
    Decreasing,
    /// Nothing of this is proven.
    Unknown,
}

impl Expr {
    /// What happens to the value when each symbol rises, proven everywhere in a box where the value
    /// is defined. In order of declaration.
    ///
    /// The proof is for real numbers; rounding may make a last bit differ. A smaller box never
    /// proves less.
    ///
    /// ```
    /// use sglsim_expr::{Bounds, Context, Monotonicity, Symbol, ceil_div, max};
    /// let cx = Context::new();
    /// let tokens = cx.symbol(Symbol::int("tokens").at_least(1.0))?;
    /// let tp = cx.symbol(Symbol::int("tp").at_least(1.0).at_most(64.0))?;
    /// let time = max(128 * ceil_div(&tokens, 128) / &tp, 9) + 2 * &tp;
    /// use Monotonicity::{Decreasing, Increasing, Unknown};
    /// let found = time.monotonicity(&Bounds::new())?;
    /// assert_eq!(found, [("tokens".to_owned(), Increasing), ("tp".to_owned(), Unknown)]);
    /// // Many tokens on few ranks: more ranks help.
    /// let found = time.monotonicity(&Bounds::from([("tokens", (4e3, 1e9)), ("tp", (1.0, 8.0))]))?;
    /// assert_eq!(found[1].1, Decreasing);
    /// # Ok::<(), sglsim_expr::ExprError>(())
    /// ```
    ///
    /// # Errors
    ///
    /// [`ExprError::UnknownSymbol`] for a bound of what is no symbol, [`ExprError::EmptyRange`] for
    /// one that leaves no value, or what makes the expression invalid.
    pub fn monotonicity(&self, bounds: &Bounds) -> Result<Vec<(String, Monotonicity)>, ExprError> {
        self.check()?;
        let (cx, ids) = self.cx.narrowed(&Roots::single(self), bounds)?;
        let mut arena = cx.lock();
        let root = arena.prune(ids[0]);
        arena.check_closed(root)?;
        let order = arena.reachable(&[root]);
        let symbols = self.free_symbols();
        let mut found = Vec::with_capacity(symbols.len());
        for symbol in symbols {
            let slope = match arena.symbol_named(&symbol.name) {
                Some(id) => Slopes::by(&mut arena, id, &order).slope(root),
                None => Slope::ZERO,
            };
            found.push((symbol.name, slope.sense()));
        }
        Ok(found)
    }
}

impl Module {
    /// What happens to the objective when each of its symbols rises, as [`Expr::monotonicity`].
    /// Parameters without a bound have the module's own value; variables without one have their
    /// domain.
    ///
    /// # Errors
    ///
    /// As [`Expr::monotonicity`].
    pub fn monotonicity(&self, bounds: &Bounds) -> Result<Vec<(String, Monotonicity)>, ExprError> {
        self.objective.bind(&self.fixed(bounds)).monotonicity(bounds)
    }

    /// The values of the parameters that a box says nothing about.
    pub(crate) fn fixed(&self, bounds: &Bounds) -> Values {
        let variables: Vec<String> = self.variables.iter().filter_map(Expr::name).collect();
        let free = |name: &str| bounds.get(name).is_some() || variables.iter().any(|v| v == name);
        self.values.iter().filter(|(name, _)| !free(name)).collect()
    }
}

/// Two factors, each a base with its exponent.
type Pair = ((Id, Number), (Id, Number));

/// A range of slopes.
#[derive(Clone, Copy, Debug, PartialEq)]
struct Slope {
    lo: f64,
    hi: f64,
}

impl Slope {
    const ZERO: Slope = Slope { lo: 0.0, hi: 0.0 };
    const ONE: Slope = Slope { lo: 1.0, hi: 1.0 };
    const UP: Slope = Slope { lo: 0.0, hi: f64::INFINITY };
    const DOWN: Slope = Slope { lo: f64::NEG_INFINITY, hi: 0.0 };
    const ALL: Slope = Slope { lo: f64::NEG_INFINITY, hi: f64::INFINITY };

    fn sense(self) -> Monotonicity {
        match self {
            Slope::ZERO => Monotonicity::Constant,
            _ if self.lo >= 0.0 => Monotonicity::Increasing,
            _ if self.hi <= 0.0 => Monotonicity::Decreasing,
            _ => Monotonicity::Unknown,
        }
    }

    /// All that is known of it after a step: whether it rises or falls.
    fn sign(self) -> Slope {
        match self.sense() {
            Monotonicity::Constant => Slope::ZERO,
            Monotonicity::Increasing => Slope::UP,
            Monotonicity::Decreasing => Slope::DOWN,
            Monotonicity::Unknown => Slope::ALL,
        }
    }

    fn of(facts: &Facts) -> Slope {
        Slope { lo: facts.lo, hi: facts.hi }
    }

    fn negated(self) -> Slope {
        Slope { lo: -self.hi, hi: -self.lo }
    }

    fn plus(self, other: Slope) -> Slope {
        // Nothing is rounded where nothing is added.
        let sum = |a: f64, b: f64, outward: fn(f64) -> f64| {
            if a == 0.0 || b == 0.0 { a + b } else { outward(a + b) }
        };
        Slope {
            lo: sum(self.lo, other.lo, f64::next_down),
            hi: sum(self.hi, other.hi, f64::next_up),
        }
        .known()
    }

    fn times(self, other: Slope) -> Slope {
        if self == Slope::ONE {
            return other;
        }
        let product = |a: f64, b: f64| if a == 0.0 || b == 0.0 { 0.0 } else { a * b };
        let corners = [
            product(self.lo, other.lo),
            product(self.lo, other.hi),
            product(self.hi, other.lo),
            product(self.hi, other.hi),
        ];
        let lo = corners.iter().copied().fold(f64::INFINITY, f64::min);
        let hi = corners.iter().copied().fold(f64::NEG_INFINITY, f64::max);
        // Outward, but a product of positive numbers is not negative.
        let lo = if lo > 0.0 {
            lo.next_down().max(0.0)
        } else if lo < 0.0 {
            lo.next_down()
        } else {
            lo
        };
        let hi = if hi < 0.0 {
            hi.next_up().min(0.0)
        } else if hi > 0.0 {
            hi.next_up()
        } else {
            hi
        };
        // A product that vanished by rounding is still no zero.
        let vanished = |x: Slope, y: Slope| x != Slope::ZERO && y != Slope::ZERO;
        let tiny = vanished(self, other) && lo == 0.0 && hi == 0.0;
        Slope { lo, hi: if tiny { f64::MIN_POSITIVE } else { hi } }.known()
    }

    fn hull(self, other: Slope) -> Slope {
        Slope { lo: self.lo.min(other.lo), hi: self.hi.max(other.hi) }
    }

    fn known(self) -> Slope {
        let lo = if self.lo.is_nan() { f64::NEG_INFINITY } else { self.lo };
        let hi = if self.hi.is_nan() { f64::INFINITY } else { self.hi };
        Slope { lo, hi }
    }
}

/// The slopes of all parts by one symbol.
struct Slopes<'a> {
    arena: &'a mut Arena,
    order: &'a [Id],
    slopes: Vec<Slope>,
}

impl<'a> Slopes<'a> {
    fn by(arena: &'a mut Arena, symbol: Id, order: &'a [Id]) -> Slopes<'a> {
        let mut found = Slopes { arena, order, slopes: Vec::with_capacity(order.len()) };
        for id in order {
            let slope = if *id == symbol { Slope::ONE } else { found.node(*id) };
            found.slopes.push(slope);
        }
        found
    }

    fn slope(&self, id: Id) -> Slope {
        let at = self.order.binary_search(&id).expect("parts of the root are in order");
        self.slopes[at]
    }

    fn values(&self, id: Id) -> Slope {
        Slope::of(self.arena.facts(id))
    }

    fn node(&mut self, id: Id) -> Slope {
        let shape = self.arena.shape(id);
        let mut changes = false;
        shape.for_each_child(|child| changes |= self.slope(child) != Slope::ZERO);
        let facts = *self.arena.facts(id);
        if !changes || facts.finite && facts.lo == facts.hi {
            return Slope::ZERO;
        }
        match shape {
            Node::Number(_)
            | Node::Bool(_)
            | Node::Symbol(_)
            | Node::Index(_)
            | Node::Invalid(_) => Slope::ZERO,
            Node::Add { terms, .. } => terms.iter().fold(Slope::ZERO, |sum, (term, c)| {
                sum.plus(constant(*c).times(self.slope(*term)))
            }),
            Node::Mul { coefficient, factors } => {
                constant(coefficient).times(self.product(&factors))
            }
            Node::Pow(base, exponent) => self.power(id, base, exponent),
            Node::Exp(a) => self.values(id).times(self.slope(a)),
            Node::Ln(a) => {
                let rate = self.arena.facts(a).recip();
                let rate = Slope { lo: rate.lo.max(0.0), hi: rate.hi.max(0.0) };
                rate.times(self.slope(a))
            }
            Node::Max(arms) | Node::Min(arms) => self.hull(&arms),
            Node::Ceil(a) | Node::Floor(a) => self.slope(a).sign(),
            Node::Le(a, b) | Node::Lt(a, b) => self.slope(b).plus(self.slope(a).negated()).sign(),
            Node::Eq(..) => Slope::ALL,
            Node::And(list) | Node::Or(list) => self.hull(&list).sign(),
            Node::Not(a) => self.slope(a).negated(),
            Node::Piecewise { arms, otherwise } => self.piecewise(&arms, otherwise),
            Node::MinOf(choices) => {
                let values: Vec<Id> = choices.iter().map(|choice| choice.value).collect();
                let values = self.hull(&values);
                // What becomes feasible can only lower the least.
                let guards: Vec<Id> = choices.iter().map(|choice| choice.guard).collect();
                match self.hull(&guards) {
                    Slope::ZERO => values,
                    guards => values.hull(guards.negated()).sign(),
                }
            }
            Node::Assume { value, .. } => self.slope(value),
            Node::Table { table, index } => self.table(table, index),
            Node::Sum { lo, hi, body, .. } => self.sum((lo, hi), body),
            Node::FixedPoint { lo, hi, body, .. } => {
                // Where the body rises, `x − body` is zero further up; so do the bounds move.
                self.hull(&[lo, hi, body]).sign()
            }
        }
    }

    fn hull(&self, ids: &[Id]) -> Slope {
        let slopes = ids.iter().map(|id| self.slope(*id));
        slopes.reduce(Slope::hull).unwrap_or(Slope::ZERO)
    }

    /// One factor changes after the other.
    fn product(&mut self, factors: &[(Id, Number)]) -> Slope {
        let mut factors = factors.to_vec();
        // Slope and values of each factor.
        let mut units: Vec<(Slope, Slope)> = Vec::with_capacity(factors.len());
        if let Some(((above, below), unit)) = self.saturating(&factors) {
            factors.retain(|factor| *factor != above && *factor != below);
            units.push(unit);
        }
        for (base, e) in factors {
            let values = self.arena.facts(base).pow(e.to_f64(), e.as_small_int());
            units.push((self.constant_power(base, e), Slope::of(&values)));
        }
        let mut sum = Slope::ZERO;
        for (at, (slope, _)) in units.iter().enumerate() {
            if *slope != Slope::ZERO {
                let others = units.iter().enumerate().filter(|(other, _)| *other != at);
                let others =
                    others.fold(Slope::ONE, |product, (_, (_, values))| product.times(*values));
                sum = sum.plus(others.times(*slope));
            }
        }
        sum
    }

    /// `u / (c·u + r)`, which rises with `u` if `r` is positive though both sides do: the two
    /// factors, and slope and values of their product.
    fn saturating(&mut self, factors: &[(Id, Number)]) -> Option<(Pair, (Slope, Slope))> {
        let below = factors.iter().filter(|(_, e)| e.is_minus_one());
        let (above, below, terms) = below.into_iter().find_map(|below| {
            let Node::Add { terms, .. } = self.arena.shape(below.0) else { return None };
            let is_term = |(u, e): &&(Id, Number)| e.is_one() && terms.iter().any(|(t, _)| t == u);
            let above = factors.iter().find(is_term)?;
            Some((*above, *below, terms))
        })?;
        let ((u, _), (v, _)) = (above, below);
        let facts = *self.arena.facts(v);
        if !(facts.lo > 0.0 || facts.hi < 0.0 || facts.positive()) {
            return None;
        }
        let (own, others): (Vec<_>, Vec<_>) = terms.into_iter().partition(|(t, _)| *t == u);
        let (_, c) = *own.first()?;
        let rest = self.arena.add(Number::ZERO, &[(v, Number::ONE), (u, c.neg())]);
        let rest_slope = others
            .iter()
            .fold(Slope::ZERO, |sum, (term, c)| sum.plus(constant(*c).times(self.slope(*term))));
        // With values 1 and 2: u₂/v₂ − u₁/v₁ = (r₁·(u₂ − u₁) − u₁·(r₂ − r₁)) / (v₁·v₂).
        let change = self.values(rest).times(self.slope(u));
        let change = change.plus(self.values(u).times(rest_slope).negated());
        let squared = facts.pow(-2.0, Some(-2));
        let values = self.arena.facts(u).mul(&facts.recip());
        let slope = change.times(Slope { lo: squared.lo.max(0.0), hi: squared.hi });
        Some(((above, below), (slope, Slope::of(&values))))
    }

    /// `base ^ e`: the slope of a smooth function is its derivative somewhere between.
    fn constant_power(&self, base: Id, e: Number) -> Slope {
        let slope = self.slope(base);
        let facts = self.arena.facts(base);
        if slope == Slope::ZERO || e.is_one() {
            return slope;
        }
        let apart = facts.lo > 0.0 || facts.hi < 0.0 || facts.positive();
        if e.is_negative() && !apart {
            return Slope::ALL;
        }
        let less = e.add(Number::MINUS_ONE);
        let rate = match (e.as_small_int(), less.as_small_int()) {
            (Some(_), Some(less)) => facts.pow(f64::from(less), Some(less)),
            // Defined from zero on.
            _ => Facts { lo: facts.lo.max(0.0), ..*facts }.pow(less.to_f64(), None),
        };
        let rate = if e.is_negative() && facts.positive() && facts.lo <= 0.0 {
            Slope::UP
        } else {
            Slope::of(&rate)
        };
        constant(e).times(rate).times(slope)
    }

    fn power(&self, id: Id, base: Id, exponent: Id) -> Slope {
        let (by_base, by_exponent) = (self.slope(base), self.slope(exponent));
        let (b, e) = (self.arena.facts(base), self.arena.facts(exponent));
        if !b.non_negative() {
            return Slope::ALL;
        }
        // Of `b ^ e` by `b`, only the sign.
        let first = Slope::of(e).sign().times(by_base);
        let log = Slope { lo: b.lo.ln(), hi: b.hi.ln() }.known();
        let slack = |x: f64| 1e-14 * x.abs();
        let log = Slope { lo: log.lo - slack(log.lo), hi: log.hi + slack(log.hi) };
        first.plus(self.values(id).times(log).times(by_exponent))
    }

    fn piecewise(&mut self, arms: &[(Id, Id)], otherwise: Id) -> Slope {
        let mut rest = self.slope(otherwise);
        let mut rest_values = self.values(otherwise);
        let mut rest_id = Some(otherwise);
        for (guard, value) in arms.iter().rev() {
            let (on, slope, values) = (self.slope(*guard), self.slope(*value), self.values(*value));
            let both = slope.hull(rest);
            // The jump from the rest to this arm, as far as known.
            let jump = match rest_id {
                Some(rest) => {
                    let jump = self.arena.subtract(*value, rest);
                    self.values(jump)
                }
                None => values.plus(rest_values.negated()),
            };
            rest = match on {
                Slope::ZERO => both,
                _ => both.sign().hull(on.times(jump.sign()).sign()),
            };
            if on != Slope::ZERO && on.sense() == Monotonicity::Unknown {
                rest = Slope::ALL;
            }
            rest_values = rest_values.hull(values);
            rest_id = None;
        }
        rest
    }

    fn table(&self, table: u32, index: Id) -> Slope {
        let values = &self.arena.tables[table as usize];
        let rises = values.windows(2).all(|pair| pair[0] <= pair[1]);
        let falls = values.windows(2).all(|pair| pair[0] >= pair[1]);
        match (rises, falls) {
            (true, true) => Slope::ZERO,
            (true, false) => self.slope(index).sign(),
            (false, true) => self.slope(index).sign().negated(),
            (false, false) => Slope::ALL,
        }
    }

    /// Terms change, and terms come and go at both ends.
    fn sum(&self, (lo, hi): (Id, Id), body: Id) -> Slope {
        let (from, to) = (self.arena.facts(lo), self.arena.facts(hi));
        let fewest = (to.lo - from.hi + 1.0).max(0.0);
        let most = (to.hi - from.lo + 1.0).max(0.0);
        let count = Slope { lo: fewest, hi: most }.known();
        let inside = count.times(self.slope(body));
        let ends = self.slope(hi).plus(self.slope(lo).negated());
        match ends {
            Slope::ZERO if self.slope(hi) == Slope::ZERO => inside,
            _ => {
                let coming = self.slope(hi).sign().hull(self.slope(lo).negated().sign());
                inside.sign().hull(coming.times(self.values(body).sign()).sign())
            }
        }
    }
}

fn constant(n: Number) -> Slope {
    let value = n.to_f64();
    match n.as_ratio() {
        Some((_, den)) if den != 1 => Slope { lo: value.next_down(), hi: value.next_up() },
        _ => Slope { lo: value, hi: value },
    }
}

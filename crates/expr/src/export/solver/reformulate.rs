//! From expressions to rows: arithmetic, rounding and shared parts.

use sglsim_units::HashMap;

use super::logic::{self, Grain};
use super::model::{Atom, Kind, Linear, Model, Row, Variable};
use super::polarity::Polarity;
use super::prepare::{Prepared, UNBOUNDED};
use super::{Sense, no_form};
use crate::arena::Arena;
use crate::export::listing::{Names, Uses};
use crate::node::{Id, Node};
use crate::{ExprError, Module, Number, Sort};

/// Where a step of a real number is, to this: nearer to an integer from above, `ceil` has no value.
const NEAR: f64 = 1e-6;

/// Terms of a linear part that is written where it is used, even if more than once.
const FEW_TERMS: usize = 6;

pub(super) struct Reformulator<'a> {
    pub(super) arena: &'a Arena,
    pub(super) model: Model,
    pub(super) names: Names,
    uses: Uses,
    polarities: HashMap<Id, Polarity>,
    /// The value of each part.
    values: HashMap<Id, Linear>,
    /// The truth of each condition, between 0 and 1.
    pub(super) literals: HashMap<Id, Linear>,
    pub(super) grains: HashMap<Id, Grain>,
}

pub(super) fn reformulate(
    module: &Module,
    prepared: &Prepared,
    sense: Sense,
) -> Result<Model, ExprError> {
    let arena = prepared.cx.lock();
    let roots = prepared.roots();
    let mut conditions = prepared.constraints.clone();
    conditions.extend(&prepared.equations);
    let maximise = sense == Sense::Maximise;
    let wanted = if maximise { Polarity::ABOVE } else { Polarity::BELOW };
    let model = Model {
        name: module.name.clone(),
        doc: module.doc.clone(),
        variables: Vec::new(),
        rows: Vec::new(),
        objective_name: module.objective_name.clone(),
        objective: Linear::default(),
        maximise,
    };
    let mut writer = Reformulator {
        arena: &arena,
        model,
        names: Names::default(),
        uses: Uses::of(&arena, &roots),
        polarities: arena.polarities((prepared.objective, wanted), &conditions),
        values: HashMap::default(),
        literals: HashMap::default(),
        grains: logic::grains(&arena, &roots),
    };
    writer.declare(module, &roots);
    let all = arena.reachable(&roots);
    let inside = arena.inside_clipped(&all, &writer.uses);
    for id in all {
        let valued = arena.facts(id).boolean || inside.contains(&id);
        if !valued && !writer.values.contains_key(&id) {
            let value = writer.value(id)?;
            let value = writer.named(id, value)?;
            writer.values.insert(id, value);
        }
    }
    for (constraint, id) in module.constraints.iter().zip(&prepared.constraints) {
        writer.require(*id, &constraint.name)?;
    }
    for id in &prepared.equations {
        writer.require(*id, "fixed_point")?;
    }
    let objective = writer.of(prepared.objective);
    writer.model.objective = match objective.is_linear() {
        true => objective,
        false => writer.defined(prepared.objective, &module.objective_name.clone(), objective),
    };
    Ok(writer.model)
}

impl Reformulator<'_> {
    /// A variable for every symbol, those to be decided first.
    fn declare(&mut self, module: &Module, roots: &[Id]) {
        let symbols = self.arena.reachable(roots).into_iter().filter_map(|id| {
            let Node::Symbol(at) = self.arena.node(id) else { return None };
            Some((*at, id))
        });
        let mut symbols: Vec<(u32, Id)> = symbols.collect();
        symbols.sort_unstable();
        for (at, id) in symbols {
            let symbol = &self.arena.symbols[at as usize];
            let kind = match symbol.sort {
                Sort::Bool => Kind::Binary,
                Sort::Int => Kind::Integer,
                Sort::Real => Kind::Real,
            };
            let (lo, hi) = symbol.range();
            let doc = described(&symbol.unit, &symbol.doc);
            let start = module.values.get(&symbol.name);
            let name = self.names.claim(&symbol.name);
            let at = self.add(Variable { name, kind, lo, hi, start, doc });
            self.values.insert(id, Linear::variable(at));
            if symbol.sort == Sort::Bool {
                self.literals.insert(id, Linear::variable(at));
            }
        }
    }

    pub(super) fn add(&mut self, mut variable: Variable) -> usize {
        if variable.lo <= -UNBOUNDED {
            variable.lo = f64::NEG_INFINITY;
        }
        if variable.hi >= UNBOUNDED {
            variable.hi = f64::INFINITY;
        }
        self.model.variables.push(variable);
        self.model.variables.len() - 1
    }

    /// A new binary variable.
    pub(super) fn binary(&mut self, name: &str) -> Linear {
        let name = self.names.claim(name);
        let doc = String::new();
        let variable = Variable { name, kind: Kind::Binary, lo: 0.0, hi: 1.0, start: None, doc };
        Linear::variable(self.add(variable))
    }

    /// A new variable for the value of a part, in units of about its size.
    pub(super) fn variable(&mut self, id: Id, name: &str) -> Linear {
        let (lo, hi) = self.range(id);
        let scale = scale(lo, hi);
        let label = self.arena.label(id);
        let mut doc = label.map_or(String::new(), |label| described(&label.unit, &label.doc));
        if scale != 1.0 {
            doc = format!("{doc} (times {scale:e})").trim_start().to_owned();
        }
        let name = self.names.claim(label.map_or(name, |label| &label.name));
        let (kind, start) = (Kind::Real, None);
        let at = self.add(Variable { name, kind, lo: lo / scale, hi: hi / scale, start, doc });
        Linear::variable(at).scaled(scale)
    }

    pub(super) fn range(&self, id: Id) -> (f64, f64) {
        let facts = self.arena.facts(id);
        (facts.lo, facts.hi)
    }

    /// As [`Reformulator::range`], for a part that a bound is needed of.
    pub(super) fn finite_range(&self, id: Id) -> Result<(f64, f64), ExprError> {
        let (lo, hi) = self.range(id);
        if lo <= -UNBOUNDED || hi >= UNBOUNDED {
            let problem = "its range is not finite; give its symbols bounds";
            return Err(no_form(self.arena, id, problem));
        }
        Ok((lo, hi))
    }

    pub(super) fn polarity(&self, id: Id) -> Polarity {
        self.polarities.get(&id).copied().unwrap_or(Polarity::BOTH)
    }

    /// The value of a part that was done before.
    pub(super) fn of(&self, id: Id) -> Linear {
        self.values[&id].clone()
    }

    /// Adds a row, divided by the size of what it is about.
    pub(super) fn row(&mut self, name: &str, body: Linear, (lo, hi): (f64, f64), size: f64) {
        let mut body = body.scaled(1.0 / size);
        let constant = std::mem::take(&mut body.constant);
        let (lo, hi) = (lo / size - constant, hi / size - constant);
        let name = self.names.claim(name);
        self.model.rows.push(Row { name, body, lo, hi });
    }

    /// A variable where a part has a name or is used more than once and is not short.
    fn named(&mut self, id: Id, value: Linear) -> Result<Linear, ExprError> {
        let variable = matches!(value.terms.as_slice(), [(_, Atom::Variable(_))] | []);
        let long = !value.is_linear() || value.terms.len() > FEW_TERMS;
        let wanted = self.arena.label(id).is_some() || self.uses.shared(id) && long;
        Ok(if variable || !wanted { value } else { self.defined(id, "part", value) })
    }

    fn defined(&mut self, id: Id, name: &str, value: Linear) -> Linear {
        let variable = self.variable(id, name);
        let (lo, hi) = self.range(id);
        self.row("is", variable.clone().minus(value), (0.0, 0.0), scale(lo, hi));
        variable
    }

    fn value(&mut self, id: Id) -> Result<Linear, ExprError> {
        Ok(match self.arena.shape(id) {
            Node::Number(n) => Linear::constant(n.to_f64()),
            Node::Add { constant, terms } => {
                let start = Linear::constant(constant.to_f64());
                terms
                    .iter()
                    .fold(start, |sum, (term, c)| sum.plus(self.of(*term).scaled(c.to_f64())))
            }
            Node::Mul { coefficient, factors } => self.product(coefficient, &factors),
            Node::Pow(base, e) => {
                let (base, e) = (self.of(base), self.of(e));
                let ln = match base.as_constant() {
                    Some(base) => Linear::constant(base.ln()),
                    None => Linear::of(Atom::Ln(Box::new(base))),
                };
                Linear::of(Atom::Exp(Box::new(Linear::product(1.0, vec![(e, 1.0), (ln, 1.0)]))))
            }
            Node::Exp(a) => Linear::of(Atom::Exp(Box::new(self.of(a)))),
            Node::Ln(a) => Linear::of(Atom::Ln(Box::new(self.of(a)))),
            Node::Max(arms) => self.extremum(id, &arms, true)?,
            Node::Min(arms) => self.extremum(id, &arms, false)?,
            Node::Ceil(a) => self.rounded(id, a, true),
            Node::Floor(a) => match self.arena.clipped(a) {
                Some(clipped) => self.crossing(id, &clipped)?,
                None => self.rounded(id, a, false),
            },
            Node::Piecewise { arms, otherwise } => self.piecewise(id, &arms, otherwise)?,
            Node::MinOf(choices) => self.least(id, &choices)?,
            Node::Table { table, index } => self.entry(id, table, index)?,
            Node::Assume { value, .. } => {
                let (value, (lo, hi)) = (self.of(value), self.range(id));
                self.row("assumed", value.clone(), (lo, hi), scale(lo, hi));
                value
            }
            _ => unreachable!("written out, refused, or a truth value"),
        })
    }

    fn product(&self, coefficient: Number, factors: &[(Id, Number)]) -> Linear {
        let factors = factors.iter().map(|(base, e)| (self.of(*base), e.to_f64())).collect();
        Linear::product(coefficient.to_f64(), factors)
    }

    /// An integer variable within 1 of what is rounded. A quotient of integers is multiplied out.
    fn rounded(&mut self, id: Id, inner: Id, up: bool) -> Linear {
        let (lo, hi) = self.range(id);
        let name = self.names.claim(match self.arena.label(id) {
            Some(label) => &label.name,
            None if up => "ceil",
            None => "floor",
        });
        let doc = self.arena.label(id).map_or(String::new(), |l| described(&l.unit, &l.doc));
        let variable = Variable { name, kind: Kind::Integer, lo, hi, start: None, doc };
        let rounded = Linear::variable(self.add(variable));
        // With w = ceil: 0 ≤ w·d − n ≤ d − step; with w = floor: 0 ≤ n − w·d ≤ d − step.
        let (numerator, divisor, step) = match self.quotient(inner) {
            Some((numerator, divisor)) => (numerator, divisor, 1.0),
            None => {
                let step = self.grains[&inner].step().unwrap_or(NEAR);
                (self.of(inner), Linear::constant(1.0), step)
            }
        };
        let product = Linear::product(1.0, vec![(rounded.clone(), 1.0), (divisor.clone(), 1.0)]);
        let gap = product.minus(numerator).scaled(if up { 1.0 } else { -1.0 });
        let polarity = self.polarity(id);
        let (least, most) =
            if up { (polarity.below, polarity.above) } else { (polarity.above, polarity.below) };
        if least {
            self.row("rounded", gap.clone(), (0.0, f64::INFINITY), 1.0);
        }
        if most {
            self.row("rounded", gap.minus(divisor), (f64::NEG_INFINITY, -step), 1.0);
        }
        rounded
    }

    /// Numerator and divisor of a quotient of integers by a positive one that is not constant.
    fn quotient(&self, id: Id) -> Option<(Linear, Linear)> {
        let Node::Mul { coefficient, factors } = self.arena.shape(id) else { return None };
        let (above, below) = coefficient.as_ratio()?;
        let whole = |(base, e): &(Id, Number)| self.arena.facts(*base).integer && e.is_integer();
        let below_line: Vec<&(Id, Number)> =
            factors.iter().filter(|(_, e)| e.is_negative()).collect();
        let positive = below_line.iter().all(|(base, _)| self.arena.facts(*base).positive());
        if below_line.is_empty() || !positive || !factors.iter().all(whole) {
            return None;
        }
        let side = |negative: bool| {
            let here = factors.iter().filter(|(_, e)| e.is_negative() == negative);
            here.map(|(base, e)| (self.of(*base), e.to_f64().abs())).collect()
        };
        Some((
            Linear::product(above as f64, side(false)),
            Linear::product(below as f64, side(true)),
        ))
    }
}

/// A power of two near the size of a range; 1 if it is not known or no more than thousands.
pub(super) fn scale(lo: f64, hi: f64) -> f64 {
    let size = f64::max(lo.abs(), hi.abs());
    if !(0.0..UNBOUNDED).contains(&size) || size == 0.0 || (1e-2..1e3).contains(&size) {
        return 1.0;
    }
    size.log2().round().exp2()
}

fn described(unit: &str, doc: &str) -> String {
    let unit = if unit.is_empty() { String::new() } else { format!("[{unit}] ") };
    format!("{unit}{doc}").trim_end().to_owned()
}

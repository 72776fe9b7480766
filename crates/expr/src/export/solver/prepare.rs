//! A module without parameters, sums and fixed points, in a context of its own.

use sglsim_units::{HashMap, HashSet, Nearest};

use super::no_form;
use crate::arena::Arena;
use crate::build::{Comparison, Connective, Lattice};
use crate::facts::FreeSet;
use crate::node::{Id, Node};
use crate::{Context, Expr, ExprError, Module, Number, Symbol, Values};

/// Terms that all sums together may be written out to.
const MAX_TERMS: usize = 4096;

/// Ends beyond which a range counts as unbounded.
pub(super) const UNBOUNDED: f64 = 1e30;

pub(super) struct Prepared {
    pub(super) cx: Context,
    pub(super) objective: Id,
    pub(super) constraints: Vec<Id>,
    /// Equations of the unknowns of fixed points, and their bounds.
    pub(super) equations: Vec<Id>,
    pub(super) variables: Vec<Id>,
}

impl Prepared {
    pub(super) fn of(module: &Module) -> Result<Prepared, ExprError> {
        module.roots()?;
        let cx = Context::new();
        let variables = cx.adopt(&module.variables.iter().collect::<Vec<_>>());
        let parameters = parameters(module)?;
        let bound = |expr: &Expr| -> Result<Id, ExprError> {
            let here = cx.expr(cx.adopt(&[expr])[0]).bind(&parameters);
            here.check()?;
            Ok(cx.lock().prune(here.id))
        };
        let objective = bound(&module.objective)?;
        let constraints: Result<Vec<Id>, ExprError> =
            module.constraints.iter().map(|c| bound(&c.holds)).collect();
        let (constraints, equations) = (constraints?, Vec::new());
        let mut prepared = Prepared { cx, objective, constraints, equations, variables };
        prepared.write_out()?;
        prepared.clamp_arms();
        Ok(prepared)
    }

    pub(super) fn roots(&self) -> Vec<Id> {
        let mut roots = vec![self.objective];
        roots.extend(&self.constraints);
        roots.extend(&self.equations);
        roots.extend(&self.variables);
        roots
    }

    /// Lets what is assumed in arms that may not be taken exclude nothing.
    fn clamp_arms(&mut self) {
        let roots = self.roots();
        let mut arena = self.cx.lock();
        let certain = arena.certain(&roots);
        self.objective = arena.clamped(&[self.objective], &certain)[0];
        self.constraints = arena.clamped(&self.constraints, &certain);
        self.equations = arena.clamped(&self.equations, &certain);
    }

    /// Replaces sums by their terms and fixed points by unknowns, from the innermost on.
    fn write_out(&mut self) -> Result<(), ExprError> {
        let cx = self.cx.clone();
        let mut arena = cx.lock();
        let mut terms = 0;
        loop {
            let roots = self.roots();
            let closed = |id: &Id| arena.facts(*id).free == FreeSet::EMPTY;
            let bound =
                |id: &Id| matches!(arena.node(*id), Node::Sum { .. } | Node::FixedPoint { .. });
            let Some(id) = arena.reachable(&roots).into_iter().find(|id| bound(id) && closed(id))
            else {
                return Ok(());
            };
            let replaced = match *arena.node(id) {
                Node::Sum { index, lo, hi, body } => {
                    arena.terms(id, (index, lo, hi, body), &mut terms)?
                }
                Node::FixedPoint { index, lo, hi, body } => {
                    let (unknown, equations) = arena.equation((index, lo, hi, body))?;
                    self.equations.extend(equations);
                    unknown
                }
                _ => unreachable!("only sums and fixed points were looked for"),
            };
            arena.inherit(replaced, id);
            let map: HashMap<Id, Id> = [(id, replaced)].into_iter().collect();
            self.objective = arena.rebuild(&[self.objective], &map)[0];
            self.constraints = arena.rebuild(&self.constraints, &map);
            self.equations = arena.rebuild(&self.equations, &map);
        }
    }
}

/// The values of all symbols that are not to be decided.
fn parameters(module: &Module) -> Result<Values, ExprError> {
    let (cx, roots) = module.roots()?;
    let symbols = cx.lock().symbols_of(&roots);
    let mut parameters = Values::new();
    let mut missing = Vec::new();
    for (id, symbol) in symbols {
        match module.values.get(&symbol.name) {
            _ if roots.variables.contains(&id) => {}
            Some(value) => parameters.insert(symbol.name, value),
            None => missing.push(symbol.name),
        }
    }
    let Some(first) = missing.first() else { return Ok(parameters) };
    let hint = Nearest::to(first, module.values.names());
    let bound = module.values.names().map(str::to_owned).collect();
    Err(ExprError::Unbound { missing, bound, hint })
}

impl Arena {
    /// A sum as an addition; terms that the limits may exclude count where they are inside.
    fn terms(
        &mut self,
        sum: Id,
        (index, lo, hi, body): (u32, Id, Id, Id),
        written: &mut usize,
    ) -> Result<Id, ExprError> {
        let (first, last) = (self.facts(lo).lo, self.facts(hi).hi);
        let count = f64::max(last - first + 1.0, 0.0);
        *written += if count < MAX_TERMS as f64 { count as usize } else { MAX_TERMS + 1 };
        if *written > MAX_TERMS {
            return Err(no_form(self, sum, "sums may have more than 4096 terms"));
        }
        let running = self.intern(&Node::Index(index));
        let mut terms = Vec::new();
        for at in 0..count as i64 {
            let at = self.make_number("sum", Number::from(first as i64 + at));
            let map: HashMap<Id, Id> = [(running, at)].into_iter().collect();
            let term = self.rebuild(&[body], &map)[0];
            let after = self.compare(Comparison::Le, lo, at);
            let before = self.compare(Comparison::Le, at, hi);
            let inside = self.connect(Connective::And, &[after, before]);
            let term = if self.always(inside) {
                term
            } else {
                self.clamped(&[term], &HashSet::default())[0]
            };
            let zero = self.make_number("sum", Number::ZERO);
            let term = self.piecewise(&[(inside, term)], zero);
            terms.push((self.prune(term), Number::ONE));
        }
        Ok(self.add(Number::ZERO, &terms))
    }

    /// What counts whichever arms are taken.
    fn certain(&self, roots: &[Id]) -> HashSet<Id> {
        let mut certain: HashSet<Id> = HashSet::default();
        let mut open = roots.to_vec();
        while let Some(id) = open.pop() {
            if !certain.insert(id) {
                continue;
            }
            match self.node(id) {
                // The first guard is looked at always, the others if it does not hold.
                Node::Piecewise { arms, .. } => open.push(arms[0].0),
                Node::MinOf(choices) => {
                    open.extend(choices.iter().map(|choice| choice.guard));
                    let always = choices.iter().filter(|choice| self.always(choice.guard));
                    open.extend(always.map(|choice| choice.value));
                }
                node => node.for_each_child(|child| open.push(child)),
            }
        }
        certain
    }

    /// Parts of which all but `certain` may not count: what is assumed there holds only where it
    /// does, so it is no row but a clamp, which changes nothing there and keeps the range elsewhere.
    fn clamped(&mut self, roots: &[Id], certain: &HashSet<Id>) -> Vec<Id> {
        let mut replaced: HashMap<Id, Id> = HashMap::default();
        for id in self.reachable(roots) {
            let Node::Assume { value, lo, hi, .. } = self.shape(id) else { continue };
            if certain.contains(&id) {
                continue;
            }
            let mut value = self.rebuild(&[value], &replaced)[0];
            for (end, kind) in [(hi, Lattice::Min), (lo, Lattice::Max)] {
                if let Some(end) = end {
                    let end = self.make_number("assume", end);
                    value = self.lattice(kind, &[end, value]);
                }
            }
            replaced.insert(id, value);
        }
        self.rebuild(roots, &replaced)
    }

    /// A fixed point as a new symbol, with its equation and its bounds.
    fn equation(
        &mut self,
        (index, lo, hi, body): (u32, Id, Id, Id),
    ) -> Result<(Id, [Id; 3]), ExprError> {
        let mut name = self.indices[index as usize].clone();
        while self.symbols.iter().any(|symbol| symbol.name == name) {
            name.push('_');
        }
        let mut symbol = Symbol::real(name).doc("fixed point");
        let (least, most) = (self.facts(lo).lo, self.facts(hi).hi);
        if least > -UNBOUNDED {
            symbol = symbol.at_least(least);
        }
        if most < UNBOUNDED {
            symbol = symbol.at_most(most);
        }
        let unknown = self.declare(symbol)?;
        let running = self.intern(&Node::Index(index));
        let map: HashMap<Id, Id> = [(running, unknown)].into_iter().collect();
        let value = self.rebuild(&[body], &map)[0];
        let equations = [
            self.compare(Comparison::Eq, unknown, value),
            self.compare(Comparison::Le, lo, unknown),
            self.compare(Comparison::Le, unknown, hi),
        ];
        Ok((unknown, equations))
    }
}

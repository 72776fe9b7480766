//! Bounded simplification: prune by the domains, rewrite with an e-graph, keep what is cheaper.
//!
//! Equality saturation over the real numbers, with these rails:
//!
//! * rules with a condition ask what is proven about the operands, never assume it;
//! * operands of `ceil`, `floor`, comparisons and sums are rewritten by nobody but the pruning:
//!   a last-bit difference there is a jump;
//! * two proven facts that contradict each other discard the run;
//! * the result is accepted only if its tape is cheaper and it agrees at points of the domain.

mod analysis;
mod extract;
mod language;
mod prune;
mod rules;
#[cfg(test)]
mod tests;

use egg::RecExpr;
use sglsim_units::{HashMap, HashSet};

use crate::arena::{Arena, NumId};
use crate::export::{Uses, is_atom};
use crate::facts::FreeSet;
use crate::module::Roots;
use crate::node::{Id, Node};
use crate::{Expr, Program, Sort, Symbol};
use language::{Search, Term};

/// How far [`Expr::simplify`] may go. No limit is a time: the result never depends on the machine.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// E-graph nodes after which no new iteration starts.
    pub nodes: usize,
    /// Iterations of all rules.
    pub iterations: usize,
}

impl Default for Limits {
    fn default() -> Limits {
        Limits { nodes: 10_000, iterations: 30 }
    }
}

/// Why a simplification ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Stop {
    /// No rule has anything more to say.
    Saturated,
    /// [`Limits::iterations`] were done.
    Iterations,
    /// [`Limits::nodes`] were reached, or the expression has more to begin with.
    Nodes,
    /// Nothing was rewritten, because two proven facts disagree: a domain or a rule is wrong.
    Contradiction,
    /// The rewritten form was not cheaper, or differed by rounding: the pruned one is returned.
    Rejected,
    /// The expression is invalid and was left as it is.
    Invalid,
}

/// A simplified expression.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Simplified {
    /// The expression; equal in value wherever its symbols are inside their domains.
    pub expr: Expr,
    /// Why it went no further.
    pub stop: Stop,
    /// Cost of the given expression, as [`Program::cost`].
    pub cost_before: f64,
    /// Cost of this one; never more than before.
    pub cost_after: f64,
}

impl Expr {
    /// Looks for a cheaper form with the same value. Named parts stay, simplified themselves.
    ///
    /// Among equally good forms the one found first wins, which depends on the order in which the
    /// context's nodes were made: the same calls on a new context give the same form.
    ///
    /// ```
    /// use sglsim_expr::{Context, Limits, Symbol, max};
    /// let cx = Context::new();
    /// let x = cx.symbol(Symbol::real("x").positive())?;
    /// let y = cx.symbol(Symbol::real("y"))?;
    /// let e = max(&x * &y + 3 * &x, &x * 7 + &x * &y);
    /// assert_eq!(e.simplify(&Limits::default()).expr.to_string(), "x * (y + 7)");
    /// # Ok::<(), sglsim_expr::ExprError>(())
    /// ```
    #[must_use]
    pub fn simplify(&self, limits: &Limits) -> Simplified {
        let Some((before, cost_before)) = compiled(self) else {
            let (expr, stop) = (self.clone(), Stop::Invalid);
            return Simplified { expr, stop, cost_before: 0.0, cost_after: 0.0 };
        };
        let keep = |stop, best: Option<(Expr, f64)>| {
            let (expr, cost_after) = best.unwrap_or_else(|| (self.clone(), cost_before));
            Simplified { expr, stop, cost_before, cost_after }
        };
        let accept = |candidate: Expr, limit: f64| {
            let (program, cost) = compiled(&candidate)?;
            let agrees = agree(&self.free_symbols(), &before, &program);
            (cost < limit && agrees).then_some((candidate, cost))
        };
        let pruned = self.cx.lock().prune(self.id);
        let pruned_expr = self.cx.expr(pruned);
        let best = accept(pruned_expr, cost_before);
        let start = best.as_ref().map_or(self.id, |(expr, _)| expr.id);
        let limit = best.as_ref().map_or(cost_before, |(_, cost)| *cost);
        let rewriting = self.cx.lock().rewriting(start, limits);
        let Some(found) = rewriting.found.as_ref() else {
            return keep(rewriting.stop, best);
        };
        let rewritten = self.cx.lock().rewritten(&rewriting.parts, found);
        if rewritten == start {
            return keep(rewriting.stop, best);
        }
        match accept(self.cx.expr(rewritten), limit) {
            Some(better) => keep(rewriting.stop, Some(better)),
            None => keep(Stop::Rejected, best),
        }
    }
}

/// The parts of an expression, and the best form found for each.
struct Rewriting {
    stop: Stop,
    parts: Vec<Id>,
    found: Option<Vec<RecExpr<Term>>>,
}

impl Arena {
    /// Looks for better forms part by part, a part being what hangs below a name, or is used twice.
    fn rewriting(&self, root: Id, limits: &Limits) -> Rewriting {
        let all = self.reachable(&[root]);
        if all.len() > limits.nodes {
            return Rewriting { stop: Stop::Nodes, parts: Vec::new(), found: None };
        }
        // What is chosen from is rewritten by itself: the choice keeps its alternatives apart.
        let mut chosen: HashSet<Id> = HashSet::default();
        for id in &all {
            if let Node::MinOf(choices) = self.node(*id) {
                chosen.extend(choices.iter().map(|choice| choice.value));
            }
        }
        let uses = Uses::of(self, &[root]);
        let mut operations: HashMap<Id, usize> = HashMap::default();
        let mut parts: Vec<Id> = Vec::new();
        for id in all {
            let mut own = usize::from(!is_atom(self.node(id)));
            self.node(id).for_each_child(|child| own += operations[&child]);
            let shared = uses.shared(id) && own > SHARED;
            let part = self.label(id).is_some() || chosen.contains(&id) || shared;
            if part && self.check_closed(id).is_ok() && !is_atom(self.node(id)) {
                parts.push(id);
                own = 0;
            }
            operations.insert(id, own);
        }
        if parts.last() != Some(&root) {
            parts.push(root);
        }
        let Search { stop, found } = language::search(self, &parts, limits);
        Rewriting { stop, parts, found }
    }

    /// The last part, with the found form of every part that is cheaper so. What is cheaper as a tree
    /// may be dearer where its operands are shared.
    fn rewritten(&mut self, parts: &[Id], found: &[RecExpr<Term>]) -> Id {
        let mut replaced: HashMap<Id, Id> = HashMap::default();
        let mut kept: HashSet<Id> = HashSet::default();
        let mut last = None;
        for (part, recipe) in parts.iter().zip(found) {
            let old = self.rebuild(&[*part], &replaced)[0];
            let new = extract::build(self, recipe, &replaced);
            let new = if self.weight(new, &kept) < self.weight(old, &kept) { new } else { old };
            self.inherit(new, *part);
            if new != *part {
                replaced.insert(*part, new);
            }
            kept.insert(new);
            last = Some(new);
        }
        last.expect("the root is a part")
    }

    /// About what computing a node costs, once all of `known` is computed.
    fn weight(&self, root: Id, known: &HashSet<Id>) -> f64 {
        let inside = self.reachable_while(&[root], |id| !known.contains(&id));
        let weights = inside.into_iter().map(|id| {
            let factors = |list: &[(Id, _)]| list.len() as f64;
            let own = match self.node(id) {
                Node::Add { terms, .. } => factors(terms),
                Node::Mul { factors: list, .. } => {
                    let below = |(_, e): &&(Id, NumId)| self.number(*e).is_negative();
                    let divided = list.iter().any(|factor| below(&factor));
                    factors(list) + if divided { 2.0 } else { 0.0 }
                }
                Node::Pow(..) | Node::Exp(_) | Node::Ln(_) => 12.0,
                Node::Sum { .. } | Node::FixedPoint { .. } => 30.0,
                node => {
                    let mut children = 0;
                    node.for_each_child(|_| children += 1);
                    f64::from(children)
                }
            };
            let looped = self.facts(id).free != FreeSet::EMPTY;
            own * if looped { 50.0 } else { 1.0 }
        });
        weights.sum()
    }
}

fn compiled(expr: &Expr) -> Option<(Program, f64)> {
    let symbols = expr.cx.lock().symbols_of(&Roots::single(expr));
    let names: Vec<&str> = symbols.iter().map(|(_, symbol)| symbol.name.as_str()).collect();
    let program = expr.compile(&names).ok()?;
    let cost = program.cost();
    Some((program, cost))
}

/// Operations from which a part that is used twice is rewritten by itself.
const SHARED: usize = 6;

/// Points at which two forms are compared.
const SAMPLES: u32 = 48;

/// Whether two programs agree to 1e-12 at sample points, wherever the first is defined.
fn agree(symbols: &[Symbol], before: &Program, after: &Program) -> bool {
    let (mut old, mut new) = (before.evaluator(), after.evaluator());
    let position = |program: &Program| -> Vec<usize> {
        let at = |name: &str| symbols.iter().position(|s| s.name == name);
        program.inputs().filter_map(at).collect()
    };
    let (old_inputs, new_inputs) = (position(before), position(after));
    let mut draws = Draws(0x9e37_79b9_7f4a_7c15);
    (0..SAMPLES).all(|_| {
        let point: Vec<f64> = symbols.iter().map(|symbol| draws.value(symbol)).collect();
        let at = |inputs: &[usize]| inputs.iter().map(|at| point[*at]).collect::<Vec<_>>();
        // Not where it is undefined or its assumptions do not hold.
        let Ok(a) = old.evaluate(&at(&old_inputs)) else { return true };
        let b = new.eval1(&at(&new_inputs));
        (a - b).abs() <= 1e-12 * a.abs()
    })
}

/// A fixed sequence of numbers (splitmix64, Steele et al. 2014).
struct Draws(u64);

impl Draws {
    fn unit(&mut self) -> f64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        ((z ^ (z >> 31)) >> 11) as f64 / (1u64 << 53) as f64
    }

    /// A value inside a domain: an end, or spread over magnitudes where the domain is wide.
    fn value(&mut self, symbol: &Symbol) -> f64 {
        let (low, high) = symbol.range();
        // Not where everything over- or underflows: forms of one value differ there.
        let low = if low > 0.0 { low.max(1e-6).min(high) } else { low.max(-1e6) };
        let high = high.min(1e6).max(low);
        let kind = self.unit();
        let wide = self.unit();
        let value = if kind < 0.1 {
            low
        } else if kind < 0.2 {
            high
        } else if low >= 0.0 && high > 10.0 * low.max(1e-3) {
            let (a, b) = (low.max(1e-3).ln(), high.ln());
            (a + (b - a) * wide).exp()
        } else if low < 0.0 && high - low > 100.0 {
            let size = (wide * 1e3f64.ln()).exp();
            (if kind < 0.6 { size } else { -size }).clamp(low, high)
        } else {
            low + (high - low) * wide
        };
        match symbol.sort {
            Sort::Bool => f64::from(u8::from(wide < 0.5)),
            Sort::Int => value.round().clamp(low.ceil(), high.floor()),
            Sort::Real => value.clamp(low, high),
        }
    }
}

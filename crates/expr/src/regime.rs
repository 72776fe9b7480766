//! Which arm decides: the regime of a formula at a point.

mod distance;
mod report;

pub use report::{Reach, Reaction, RegimeReport};

use std::fmt;

use sglsim_units::HashSet;

use crate::arena::Arena;
use crate::facts::FreeSet;
use crate::node::{Id, Node};
use crate::number::Number;
use crate::{Expr, ExprError, Module, Program, Values};

/// What kind of decision was made.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Decision {
    /// The greatest of several.
    Max,
    /// The least of several.
    Min,
    /// The least feasible one of several, by name.
    Choice,
    /// The first whose guard holds.
    Piecewise,
}

/// A decision at a point: the arm that counts, and what would count next.
///
/// As text it is one line, such as `time: min_of ring (14), 14.3 % before one-shot (16)`.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub struct ActiveArm {
    /// Name of the expression that decides, or its text if it has none.
    pub decides: String,
    /// Kind of decision.
    pub decision: Decision,
    /// The arm that counts: its name or its text; for a piecewise expression with its guard.
    pub arm: String,
    /// Value of that arm.
    pub value: f64,
    /// The closest of the other arms; of a piecewise expression, the comparison in its guards that
    /// is closest to changing. `None` if there is no other.
    pub next: Option<NextArm>,
}

/// What would decide next.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub struct NextArm {
    /// The arm, or the comparison, by name or text.
    pub arm: String,
    /// Value of the arm; of a comparison, of its left side.
    pub value: f64,
    /// How far it is: the difference of the two arms, or of the two sides of the comparison.
    pub margin: f64,
}

impl Expr {
    /// The decisions that lead to the value at a point, outermost first: every maximum, minimum,
    /// [choice](crate::min_of_feasible) and piecewise expression that has a name or a named arm.
    ///
    /// Only the arm that counts is looked into, and nothing inside a sum or a fixed point.
    ///
    /// ```
    /// use sglsim_expr::{Context, Symbol, Values, max, min_of_feasible};
    /// let cx = Context::new();
    /// let n = cx.symbol(Symbol::int("n").at_least(1.0).unit("token"))?;
    /// let compute = (&n * 3).named("compute", "", "");
    /// let memory = (&n + 40).named("memory", "", "");
    /// let roof = max(&compute, &memory).named("gemm", "", "");
    /// let link = min_of_feasible([
    ///     ("ring", 5 + &n, cx.truth(true)),
    ///     ("one-shot", 1 + 3 * &n, n.le(8)),
    /// ]);
    /// let step = roof + link.named("all_reduce", "", "");
    /// let arms = step.active_arms(&Values::from([("n", 5.0)]))?;
    /// let words: Vec<String> = arms.iter().map(ToString::to_string).collect();
    /// assert_eq!(words, [
    ///     "all_reduce: min_of ring (10), 60.0 % before one-shot (16)",
    ///     "gemm: max memory (45), 66.7 % before compute (15)",
    /// ]);
    /// # Ok::<(), sglsim_expr::ExprError>(())
    /// ```
    ///
    /// # Errors
    ///
    /// As [`Expr::evaluate`].
    pub fn active_arms(&self, values: &Values) -> Result<Vec<ActiveArm>, ExprError> {
        Ok(self.decided(values)?.into_iter().map(|decided| decided.told).collect())
    }

    /// The decisions of [`Expr::active_arms`], with all their arms.
    fn decided(&self, values: &Values) -> Result<Vec<Decided>, ExprError> {
        self.evaluate(values)?;
        let symbols = self.free_symbols();
        let names: Vec<&str> = symbols.iter().map(|symbol| symbol.name.as_str()).collect();
        // Evaluating has found a value for every symbol.
        let inputs: Vec<f64> =
            names.iter().map(|name| values.get(name).unwrap_or(f64::NAN)).collect();
        let closed: Vec<Id> = {
            let arena = self.cx.lock();
            let all = arena.reachable(&[self.id]).into_iter();
            all.filter(|id| arena.facts(*id).free == FreeSet::EMPTY).collect()
        };
        let exprs: Vec<Expr> = closed.iter().map(|id| self.cx.expr(*id)).collect();
        let program = Program::compile(&exprs.iter().collect::<Vec<_>>(), &names)?;
        let mut found = vec![0.0; closed.len()];
        program.evaluator().eval(&inputs, &mut found);
        let arena = self.cx.lock();
        Ok(Regime { arena: &arena, closed: &closed, values: &found }.decisions(self.id))
    }
}

impl Module {
    /// The decisions that lead to the objective at a point, as [`Expr::active_arms`]; what is not in
    /// `values` has the module's own value.
    ///
    /// # Errors
    ///
    /// As [`Module::evaluate`].
    pub fn active_arms(&self, values: &Values) -> Result<Vec<ActiveArm>, ExprError> {
        self.objective.active_arms(&self.point(values)?)
    }
}

/// The value of every closed part at a point.
struct Regime<'a> {
    arena: &'a Arena,
    /// In ascending order.
    closed: &'a [Id],
    values: &'a [f64],
}

/// A decision that is told, with everything it chooses from.
struct Decided {
    kind: Decision,
    arms: Vec<Arm>,
    chosen: usize,
    told: ActiveArm,
}

/// What can be chosen, where its guard holds if it has one.
struct Arm {
    name: String,
    value: Id,
    guard: Option<Id>,
}

/// The arm that counts.
fn choose(kind: Decision, arms: &[Arm], value: impl Fn(Id) -> f64) -> Option<usize> {
    let mut feasible = arms
        .iter()
        .enumerate()
        .filter(|(_, arm)| arm.guard.is_none_or(|guard| value(guard) != 0.0));
    if kind == Decision::Piecewise {
        return feasible.next().map(|(at, _)| at);
    }
    let sign = if kind == Decision::Max { -1.0 } else { 1.0 };
    // Of equal arms the first counts.
    let cost = |arm: &Arm| sign * value(arm.value);
    feasible.min_by(|(_, a), (_, b)| cost(a).total_cmp(&cost(b))).map(|(at, _)| at)
}

impl Regime<'_> {
    fn decisions(&self, root: Id) -> Vec<Decided> {
        let mut found = Vec::new();
        let mut live: HashSet<Id> = [root].into_iter().collect();
        // Parents have greater ids than their children.
        for id in self.closed.iter().rev() {
            if !live.contains(id) {
                continue;
            }
            let node = self.arena.shape(*id);
            let decision = self.arms(&node).and_then(|(kind, arms)| {
                let chosen = choose(kind, &arms, |id| self.value(id))?;
                Some((kind, arms, chosen))
            });
            match decision {
                Some((kind, arms, chosen)) => {
                    live.insert(arms[chosen].value);
                    let labelled =
                        self.labelled(*id) || arms.iter().any(|arm| self.labelled(arm.value));
                    if kind == Decision::Choice || labelled {
                        let told = self.told(*id, kind, &arms, chosen);
                        found.push(Decided { kind, arms, chosen, told });
                    }
                }
                None => node.for_each_child(|child| {
                    live.insert(child);
                }),
            }
        }
        found
    }

    /// What a node chooses from, if it does.
    fn arms(&self, node: &Node<Number>) -> Option<(Decision, Vec<Arm>)> {
        let plain = |value: &Id| Arm { name: self.name(*value), value: *value, guard: None };
        Some(match node {
            Node::Max(arms) => (Decision::Max, arms.iter().map(plain).collect()),
            Node::Min(arms) => (Decision::Min, arms.iter().map(plain).collect()),
            Node::MinOf(choices) => {
                let arms = choices.iter().map(|choice| {
                    let guard = (!self.arena.always(choice.guard)).then_some(choice.guard);
                    Arm { name: choice.name.to_string(), value: choice.value, guard }
                });
                (Decision::Choice, arms.collect())
            }
            Node::Piecewise { arms, otherwise } => {
                let guarded = arms.iter().map(|(guard, value)| {
                    let name = format!("{} if {}", self.name(*value), self.arena.text(*guard, 80));
                    Arm { name, value: *value, guard: Some(*guard) }
                });
                let name = format!("{} otherwise", self.name(*otherwise));
                let last = Arm { name, value: *otherwise, guard: None };
                (Decision::Piecewise, guarded.chain([last]).collect())
            }
            _ => return None,
        })
    }

    fn told(&self, id: Id, kind: Decision, arms: &[Arm], chosen: usize) -> ActiveArm {
        let value = self.value(arms[chosen].value);
        let next = match kind {
            Decision::Piecewise => self.next_comparison(&arms[..=chosen]),
            _ => {
                let feasible = |arm: &Arm| arm.guard.is_none_or(|guard| self.value(guard) != 0.0);
                let others = arms.iter().enumerate();
                let others = others.filter(|(at, arm)| *at != chosen && feasible(arm));
                let next = others.map(|(_, arm)| {
                    let other = self.value(arm.value);
                    NextArm { arm: arm.name.clone(), value: other, margin: (other - value).abs() }
                });
                next.min_by(|a, b| a.margin.total_cmp(&b.margin))
            }
        };
        let (decides, arm) = (self.name(id), arms[chosen].name.clone());
        ActiveArm { decides, decision: kind, arm, value, next }
    }

    /// The comparison that is closest to changing, in the guards of arms.
    fn next_comparison(&self, arms: &[Arm]) -> Option<NextArm> {
        let guards: Vec<Id> = arms.iter().filter_map(|arm| arm.guard).collect();
        let sides = |guard: Id| match *self.arena.node(guard) {
            Node::Le(a, b) | Node::Lt(a, b) | Node::Eq(a, b) => Some((guard, a, b)),
            _ => None,
        };
        let boolean = |id: Id| self.arena.facts(id).boolean;
        let comparisons = self.arena.reachable_while(&guards, boolean);
        let next = comparisons.into_iter().filter_map(sides).map(|(guard, a, b)| NextArm {
            arm: self.arena.text(guard, 80),
            value: self.value(a),
            margin: (self.value(a) - self.value(b)).abs(),
        });
        next.min_by(|a, b| a.margin.total_cmp(&b.margin))
    }

    fn value(&self, id: Id) -> f64 {
        let at = self.closed.binary_search(&id).expect("children of closed parts are closed");
        self.values[at]
    }

    fn labelled(&self, id: Id) -> bool {
        self.arena.label(id).is_some()
    }

    fn name(&self, id: Id) -> String {
        match self.arena.label(id) {
            Some(label) => label.name.clone(),
            None => self.arena.text(id, 80),
        }
    }
}

impl fmt::Display for Decision {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Decision::Max => "max",
            Decision::Min => "min",
            Decision::Choice => "min_of",
            Decision::Piecewise => "piecewise",
        })
    }
}

impl fmt::Display for ActiveArm {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {} {} ({})", self.decides, self.decision, self.arm, brief(self.value))?;
        let Some(NextArm { arm, value, margin }) = &self.next else { return Ok(()) };
        match self.decision {
            Decision::Piecewise => write!(f, ", {} away from a change of {arm}", brief(*margin)),
            _ if self.value == 0.0 => {
                write!(f, ", {} before {arm} ({})", brief(*margin), brief(*value))
            }
            _ => {
                let share = 100.0 * margin / self.value.abs();
                write!(f, ", {share:.1} % before {arm} ({})", brief(*value))
            }
        }
    }
}

/// A number for a reader: an integer in full, anything else to six digits.
fn brief(value: f64) -> String {
    if value.fract() == 0.0 && value.abs() < 1e9 {
        return value.to_string();
    }
    let rounded: f64 = format!("{value:.5e}").parse().unwrap_or(value);
    if (1e-3..1e9).contains(&value.abs()) { rounded.to_string() } else { format!("{rounded:e}") }
}

//! Which arm decides: the regime of a formula at a point.

mod decide;
mod distance;
mod report;

pub use report::{Reach, Reaction, RegimeReport};

use std::fmt;

use crate::{Expr, ExprError, Module, Values};
use decide::Decisions;

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
    /// The terms in which this arm counts, if the decision is made inside a sum; the values are
    /// those of the first of them.
    pub terms: Option<Terms>,
}

/// Some terms of a sum.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub struct Terms {
    /// The sum, by its name or that of the part it belongs to.
    pub sum: String,
    /// How many they are.
    pub count: usize,
    /// How many the sum has.
    pub of: usize,
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
    /// Only the arm that counts is looked into. A decision inside a fixed point is that at its root;
    /// one inside a sum is told for each of its terms, if there are at most 64 and no closed form has
    /// taken their place.
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
        Ok(Decisions::of(self, &[], values)?.told())
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
        if let Some(NextArm { arm, value, margin }) = &self.next {
            let gap = brief(*margin);
            match self.decision {
                Decision::Piecewise => write!(f, ", {gap} away from a change of {arm}")?,
                _ if self.value == 0.0 => write!(f, ", {gap} before {arm} ({})", brief(*value))?,
                _ => {
                    let share = 100.0 * margin / self.value.abs();
                    write!(f, ", {share:.1} % before {arm} ({})", brief(*value))?;
                }
            }
        }
        match &self.terms {
            None => Ok(()),
            Some(Terms { sum, of: 1, .. }) => write!(f, ", in the one term of {sum}"),
            Some(Terms { sum, count, of }) if count == of => {
                write!(f, ", in all {of} terms of {sum}")
            }
            Some(Terms { sum, count, of }) => write!(f, ", in {count} of {of} terms of {sum}"),
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

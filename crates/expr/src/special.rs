//! Beyond arithmetic: the choice of a kernel, tables, fixed points, assumptions.

use crate::node::{Choice, Id};
use crate::ops::apply;
use crate::{Expr, ExprError, Number, Operand, max, piecewise};

/// The least of several values that can be used, each `(name, value, feasible)`.
///
/// This is how an engine chooses a kernel. A value that is not feasible has no influence, even where
/// it is undefined. Where none is feasible the result is infeasible: [`Expr::evaluate`] reports
/// [`ExprError::Infeasible`] if it matters, and [`Evaluator::eval`](crate::Evaluator::eval) takes it
/// as infinite. [`Expr::active_arms`] tells which one was taken.
///
/// ```
/// use sglsim_expr::{Context, Symbol, Values, min_of_feasible};
/// let cx = Context::new();
/// let n = cx.symbol(Symbol::int("n").at_least(1.0))?;
/// let time = min_of_feasible([
///     ("ring", 5 + &n, cx.truth(true)),
///     ("one-shot", 1 + 3 * &n, n.le(8)),
/// ]);
/// let at = |n| Values::from([("n", n)]);
/// assert_eq!(time.evaluate(&at(1.0))?, 4.0);
/// assert_eq!(time.evaluate(&at(9.0))?, 14.0);
/// # Ok::<(), sglsim_expr::ExprError>(())
/// ```
#[must_use]
pub fn min_of_feasible<S: Into<String>, T: Into<Operand>>(
    choices: impl IntoIterator<Item = (S, T, Expr)>,
) -> Expr {
    let mut names = Vec::new();
    let mut operands = Vec::new();
    for (name, value, feasible) in choices {
        names.push(name.into().into_boxed_str());
        operands.push(value.into());
        operands.push(feasible.into());
    }
    apply(&operands, |arena, ids| {
        let choice =
            |(name, pair): (Box<str>, &[Id])| Choice { name, value: pair[0], guard: pair[1] };
        let choices: Vec<Choice> = names.into_iter().zip(ids.chunks_exact(2)).map(choice).collect();
        let values: Vec<Id> = choices.iter().map(|choice| choice.value).collect();
        arena.alike("kernel choice", &values, |arena| arena.min_of(&choices))
    })
}

/// The `unknown` between `lo` and `hi` that equals `body`, to the last bits.
///
/// `x − body(x)` must rise through zero between the bounds, so that there is one: the body falls, or
/// grows slower than `x`. Where the body jumps over `x`, the result is where it jumps. If `x − body`
/// is not negative at `lo` or not positive at `hi` (or zero), the value is undefined:
/// [`ExprError::NotBracketed`]. Make the unknown with [`Context::unknown`](crate::Context::unknown).
///
/// ```
/// use sglsim_expr::{Context, Symbol, Values, fixed_point};
/// let cx = Context::new();
/// // The batch that a rate of requests keeps up, if a step takes longer the larger the batch is.
/// let rate = cx.symbol(Symbol::real("rate").positive())?;
/// let batch = cx.unknown("batch");
/// let stays = &rate * (0.5 + 0.01 * &batch);
/// let steady = fixed_point(&batch, 0, 1e6, stays);
/// let value = steady.evaluate(&Values::from([("rate", 20.0)]))?;
/// assert!((value - 12.5).abs() < 1e-13);
/// # Ok::<(), sglsim_expr::ExprError>(())
/// ```
#[must_use]
pub fn fixed_point(
    unknown: &Expr,
    lo: impl Into<Operand>,
    hi: impl Into<Operand>,
    body: impl Into<Operand>,
) -> Expr {
    let operands = [unknown.into(), lo.into(), hi.into(), body.into()];
    apply(&operands, |arena, ids| {
        arena.alike("fixed point", &ids[1..], |arena| {
            arena.fixed_point_of(ids[0], ids[1], ids[2], ids[3])
        })
    })
}

/// Entry `index` of a table, counted from 0: a history that was recorded, summed over in a formula.
///
/// Outside the table the value is undefined.
///
/// ```
/// use sglsim_expr::{Context, Symbol, Values, max, sum, table};
/// let cx = Context::new();
/// let x = cx.symbol(Symbol::real("x"))?;
/// let i = cx.index("i");
/// let total = sum(&i, 0, 3, max(table(&[3.0, 1.0, 4.0, 1.0], &i), &x));
/// assert_eq!(total.evaluate(&Values::from([("x", 2.0)]))?, 11.0);
/// # Ok::<(), sglsim_expr::ExprError>(())
/// ```
#[must_use]
pub fn table(values: &[f64], index: impl Into<Operand>) -> Expr {
    apply(&[index.into()], |arena, ids| {
        if let Some(value) = values.iter().find(|value| !value.is_finite()) {
            return arena.invalid(ExprError::NotFinite { operation: "table", value: *value });
        }
        let table = arena.register_table(values);
        arena.table(table, ids[0])
    })
}

/// The straight lines between points `(x, y)`, sorted by x; before the first and after the last
/// point, its y.
///
/// ```
/// use sglsim_expr::{Context, Symbol, Values, lookup};
/// let cx = Context::new();
/// let size = cx.symbol(Symbol::real("size"))?;
/// let efficiency = lookup(&size, &[(64.0, 0.125), (1024.0, 0.5), (8192.0, 0.75)]);
/// let at = |size| efficiency.evaluate(&Values::from([("size", size)]));
/// assert_eq!((at(0.0)?, at(544.0)?, at(1e9)?), (0.125, 0.3125, 0.75));
/// # Ok::<(), sglsim_expr::ExprError>(())
/// ```
#[must_use]
pub fn lookup(x: impl Into<Operand>, points: &[(f64, f64)]) -> Expr {
    let x = apply(&[x.into()], |_, ids| ids[0]);
    let increasing = points.windows(2).all(|pair| pair[0].0 < pair[1].0);
    let finite = points.iter().all(|(x, y)| x.is_finite() && y.is_finite());
    let (Some(first), Some(last)) = (points.first(), points.last()) else {
        return invalid(&x, "no points");
    };
    if !(increasing && finite) {
        return invalid(&x, "points that are not finite and sorted by x without repetition");
    }
    let segments = points.windows(2).map(|pair| {
        let [(x0, y0), (x1, y1)] = [pair[0], pair[1]];
        (x.le(x1), (&x - x0) * ((y1 - y0) / (x1 - x0)) + y0)
    });
    let before = (x.le(first.0), x.cx.constant(first.1));
    piecewise([before].into_iter().chain(segments), last.1)
}

fn invalid(x: &Expr, problem: &'static str) -> Expr {
    let id = x.cx.lock().invalid(ExprError::InvalidTable { problem });
    x.cx.expr(id)
}

/// The rest of dividing `a` by `b`, with the sign of `b`: `a − b·⌊a / b⌋`. Exact for integers below
/// 2⁵³.
#[must_use]
pub fn modulo(a: impl Into<Operand>, b: impl Into<Operand>) -> Expr {
    apply(&[a.into(), b.into()], |arena, ids| {
        arena.alike("modulo", ids, |arena| arena.modulo(ids[0], ids[1]))
    })
}

/// The absolute value.
#[must_use]
pub fn abs(x: impl Into<Operand>) -> Expr {
    let x = x.into();
    let negative = -apply(std::slice::from_ref(&x), |_, ids| ids[0]);
    max(x, negative)
}

impl Expr {
    /// The same value, asserted to be at least `lo` and at most `hi`; either may be infinite.
    ///
    /// For what is true but cannot be proven from the domains: the last chunk of a prompt,
    /// `min(chunk, n − (i − 1)·chunk)`, is at least 1. Simplification and ranges rely on it, and
    /// [`Expr::evaluate`] checks it ([`ExprError::Assumption`]).
    ///
    /// ```
    /// use sglsim_expr::{Context, Symbol, Values};
    /// let cx = Context::new();
    /// let n = cx.symbol(Symbol::int("n"))?;
    /// let rest = (-&n + 10).assume(1.0, f64::INFINITY);
    /// assert_eq!(rest.range().0, 1.0);
    /// assert_eq!(rest.evaluate(&Values::from([("n", 4.0)]))?, 6.0);
    /// let error = rest.evaluate(&Values::from([("n", 10.0)])).unwrap_err();
    /// assert_eq!(error.to_string(), "`-n + 10` is 0, assumed was a number >= 1");
    /// # Ok::<(), sglsim_expr::ExprError>(())
    /// ```
    #[must_use]
    pub fn assume(&self, lo: f64, hi: f64) -> Expr {
        self.assumed(lo, hi, false)
    }

    /// The same value, asserted to be an integer. Checked as [`Expr::assume`] is.
    #[must_use]
    pub fn assume_integer(&self) -> Expr {
        self.assumed(f64::NEG_INFINITY, f64::INFINITY, true)
    }

    fn assumed(&self, lo: f64, hi: f64, integer: bool) -> Expr {
        let mut arena = self.cx.lock();
        let id = if lo.is_nan() || hi.is_nan() || lo > hi {
            arena.invalid(ExprError::EmptyRange { lo, hi })
        } else {
            let end = |end: f64| end.is_finite().then(|| Number::from(end));
            let id = arena.assume(self.id, end(lo), end(hi), integer);
            let known = arena.known(self.id);
            arena.note(id, known)
        };
        drop(arena);
        self.cx.expr(id)
    }
}

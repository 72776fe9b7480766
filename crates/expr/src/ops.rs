//! Operators and functions on expressions and numbers.

use std::ops::{Add, Div, Mul, Neg, Sub};

use crate::arena::Arena;
use crate::build::{Connective, Lattice};
use crate::node::Id;
use crate::{Context, Expr, Number};

/// An argument of a function: an expression or a number.
#[derive(Clone, Debug)]
pub enum Operand {
    /// An expression.
    Expr(Expr),
    /// A constant.
    Number(Number),
}

impl Operand {
    pub(crate) fn in_context(&self, cx: &Context) -> Id {
        match self {
            Operand::Expr(expr) => cx.adopt(&[expr])[0],
            Operand::Number(n) => cx.lock().make_number("constant", *n),
        }
    }
}

impl<N: Into<Number>> From<N> for Operand {
    fn from(number: N) -> Operand {
        Operand::Number(number.into())
    }
}

impl From<Expr> for Operand {
    fn from(expr: Expr) -> Operand {
        Operand::Expr(expr)
    }
}

impl From<&Expr> for Operand {
    fn from(expr: &Expr) -> Operand {
        Operand::Expr(expr.clone())
    }
}

impl From<&Operand> for Operand {
    fn from(operand: &Operand) -> Operand {
        operand.clone()
    }
}

/// Applies an operation in the context of the first expression among the operands, or in a new one
/// if all are numbers.
pub(crate) fn apply(operands: &[Operand], operation: impl FnOnce(&mut Arena, &[Id]) -> Id) -> Expr {
    let cx = operands
        .iter()
        .find_map(|operand| match operand {
            Operand::Expr(expr) => Some(expr.cx.clone()),
            Operand::Number(_) => None,
        })
        .unwrap_or_default();
    let ids: Vec<Id> = operands.iter().map(|operand| operand.in_context(&cx)).collect();
    let id = operation(&mut cx.lock(), &ids);
    cx.expr(id)
}

fn collect<T: Into<Operand>>(items: impl IntoIterator<Item = T>) -> Vec<Operand> {
    items.into_iter().map(Into::into).collect()
}

/// The greater of two.
#[must_use]
pub fn max(a: impl Into<Operand>, b: impl Into<Operand>) -> Expr {
    apply(&[a.into(), b.into()], |arena, ids| extremum(arena, Lattice::Max, ids))
}

/// The smaller of two.
#[must_use]
pub fn min(a: impl Into<Operand>, b: impl Into<Operand>) -> Expr {
    apply(&[a.into(), b.into()], |arena, ids| extremum(arena, Lattice::Min, ids))
}

/// The greatest of several.
///
/// # Panics
///
/// If there are none: the maximum of nothing has no value.
#[must_use]
pub fn max_of<T: Into<Operand>>(items: impl IntoIterator<Item = T>) -> Expr {
    let operands = collect(items);
    assert!(!operands.is_empty(), "max_of needs at least one operand");
    apply(&operands, |arena, ids| extremum(arena, Lattice::Max, ids))
}

/// The smallest of several.
///
/// # Panics
///
/// If there are none: the minimum of nothing has no value.
#[must_use]
pub fn min_of<T: Into<Operand>>(items: impl IntoIterator<Item = T>) -> Expr {
    let operands = collect(items);
    assert!(!operands.is_empty(), "min_of needs at least one operand");
    apply(&operands, |arena, ids| extremum(arena, Lattice::Min, ids))
}

/// The sum of several terms; 0 for none.
#[must_use]
pub fn add_of<T: Into<Operand>>(items: impl IntoIterator<Item = T>) -> Expr {
    apply(&collect(items), |arena, ids| {
        let terms: Vec<(Id, Number)> = ids.iter().map(|id| (*id, Number::ONE)).collect();
        arena.alike("+", ids, |arena| arena.add(Number::ZERO, &terms))
    })
}

/// Whether all hold; true for none.
#[must_use]
pub fn all_of(conditions: impl IntoIterator<Item = Expr>) -> Expr {
    apply(&collect(conditions), |arena, ids| arena.connect(Connective::And, ids))
}

/// The least integer not below `x`.
#[must_use]
pub fn ceil(x: impl Into<Operand>) -> Expr {
    apply(&[x.into()], |arena, ids| arena.alike("ceil", ids, |arena| arena.ceil(ids[0])))
}

/// The greatest integer not above `x`.
#[must_use]
pub fn floor(x: impl Into<Operand>) -> Expr {
    apply(&[x.into()], |arena, ids| arena.alike("floor", ids, |arena| arena.floor(ids[0])))
}

/// `⌈a / b⌉`. Exact for integers below 2⁵³: the quotient is one true division, never a product with
/// a reciprocal.
#[must_use]
pub fn ceil_div(a: impl Into<Operand>, b: impl Into<Operand>) -> Expr {
    apply(&[a.into(), b.into()], |arena, ids| {
        let quotient = divide(arena, ids[0], ids[1]);
        arena.alike("ceil", &[quotient], |arena| arena.ceil(quotient))
    })
}

/// `⌊a / b⌋`, as exact as [`ceil_div`].
#[must_use]
pub fn floor_div(a: impl Into<Operand>, b: impl Into<Operand>) -> Expr {
    apply(&[a.into(), b.into()], |arena, ids| {
        let quotient = divide(arena, ids[0], ids[1]);
        arena.alike("floor", &[quotient], |arena| arena.floor(quotient))
    })
}

/// `a` to the power of `b`. The base must be positive unless the exponent is an integer constant.
#[must_use]
pub fn pow(a: impl Into<Operand>, b: impl Into<Operand>) -> Expr {
    apply(&[a.into(), b.into()], |arena, ids| arena.checked_power(ids[0], ids[1]))
}

/// The square root.
#[must_use]
pub fn sqrt(x: impl Into<Operand>) -> Expr {
    apply(&[x.into()], |arena, ids| {
        let half = arena.make_number("sqrt", Number::HALF);
        arena.checked_power(ids[0], half)
    })
}

/// The exponential function.
#[must_use]
pub fn exp(x: impl Into<Operand>) -> Expr {
    apply(&[x.into()], |arena, ids| arena.pure("exp", ids, |arena| arena.exp(ids[0])))
}

/// The natural logarithm.
#[must_use]
pub fn ln(x: impl Into<Operand>) -> Expr {
    apply(&[x.into()], |arena, ids| arena.pure("ln", ids, |arena| arena.ln(ids[0])))
}

/// The value of the first arm `(guard, value)` whose guard holds, else `otherwise`.
///
/// An arm that is not chosen has no influence, even where it is undefined.
///
/// ```
/// use sglsim_expr::{Context, Symbol, Values, piecewise};
/// let cx = Context::new();
/// let n = cx.symbol(Symbol::int("n"))?;
/// let share = piecewise([(n.le(1), 0)], 1 / (&n - 1));
/// assert_eq!(share.evaluate(&Values::from([("n", 1.0)]))?, 0.0);
/// assert_eq!(share.evaluate(&Values::from([("n", 3.0)]))?, 0.5);
/// # Ok::<(), sglsim_expr::ExprError>(())
/// ```
#[must_use]
pub fn piecewise<T: Into<Operand>>(
    arms: impl IntoIterator<Item = (Expr, T)>,
    otherwise: impl Into<Operand>,
) -> Expr {
    let mut operands = vec![otherwise.into()];
    for (guard, value) in arms {
        operands.push(guard.into());
        operands.push(value.into());
    }
    apply(&operands, |arena, ids| {
        let arms: Vec<(Id, Id)> = ids[1..].chunks_exact(2).map(|pair| (pair[0], pair[1])).collect();
        let values: Vec<Id> = arms.iter().map(|(_, value)| *value).chain([ids[0]]).collect();
        arena.alike("piecewise", &values, |arena| arena.piecewise(&arms, ids[0]))
    })
}

/// `Σ body` over `index = lo ..= hi`; 0 when `hi < lo`.
///
/// A body that is a polynomial in the index becomes its closed form; anything else stays a loop.
///
/// ```
/// use sglsim_expr::{Context, Symbol, Values, sum};
/// let cx = Context::new();
/// let n = cx.symbol(Symbol::int("n"))?;
/// let i = cx.index("i");
/// let odd = sum(&i, 1, &n, 2 * &i - 1);
/// assert_eq!(odd.evaluate(&Values::from([("n", 7.0)]))?, 49.0);
/// assert_eq!(odd.evaluate(&Values::from([("n", -3.0)]))?, 0.0);
/// # Ok::<(), sglsim_expr::ExprError>(())
/// ```
#[must_use]
pub fn sum(
    index: &Expr,
    lo: impl Into<Operand>,
    hi: impl Into<Operand>,
    body: impl Into<Operand>,
) -> Expr {
    let operands = [index.into(), lo.into(), hi.into(), body.into()];
    apply(&operands, |arena, ids| {
        arena.alike("sum", &ids[3..], |arena| arena.sum_over(ids[0], ids[1], ids[2], ids[3]))
    })
}

fn binary(a: Operand, b: Operand, operation: fn(&mut Arena, Id, Id) -> Id) -> Expr {
    apply(&[a, b], |arena, ids| operation(arena, ids[0], ids[1]))
}

fn add(arena: &mut Arena, a: Id, b: Id) -> Id {
    let terms = [(a, Number::ONE), (b, Number::ONE)];
    arena.alike("+", &[a, b], |arena| arena.add(Number::ZERO, &terms))
}

fn subtract(arena: &mut Arena, a: Id, b: Id) -> Id {
    arena.alike("-", &[a, b], |arena| arena.subtract(a, b))
}

fn multiply(arena: &mut Arena, a: Id, b: Id) -> Id {
    arena.checked_product(a, b, Number::ONE)
}

fn divide(arena: &mut Arena, a: Id, b: Id) -> Id {
    arena.checked_product(a, b, Number::MINUS_ONE)
}

fn extremum(arena: &mut Arena, kind: Lattice, ids: &[Id]) -> Id {
    arena.alike(kind.name(), ids, |arena| arena.lattice(kind, ids))
}

macro_rules! operators {
    ($($trait:ident $method:ident $operation:expr;)*) => {$(
        impl<T: Into<Operand>> $trait<T> for Expr {
            type Output = Expr;
            fn $method(self, other: T) -> Expr {
                binary(self.into(), other.into(), $operation)
            }
        }
        impl<T: Into<Operand>> $trait<T> for &Expr {
            type Output = Expr;
            fn $method(self, other: T) -> Expr {
                binary(self.into(), other.into(), $operation)
            }
        }
        numbers_first!($trait $method $operation; f64 i32 i64 u32 u64 usize);
    )*};
}

macro_rules! numbers_first {
    ($trait:ident $method:ident $operation:expr; $($number:ty)*) => {$(
        impl $trait<Expr> for $number {
            type Output = Expr;
            fn $method(self, other: Expr) -> Expr {
                binary(self.into(), other.into(), $operation)
            }
        }
        impl $trait<&Expr> for $number {
            type Output = Expr;
            fn $method(self, other: &Expr) -> Expr {
                binary(self.into(), other.into(), $operation)
            }
        }
    )*};
}

operators! {
    Add add add;
    Sub sub subtract;
    Mul mul multiply;
    Div div divide;
}

impl Neg for Expr {
    type Output = Expr;
    fn neg(self) -> Expr {
        -&self
    }
}

impl Neg for &Expr {
    type Output = Expr;
    fn neg(self) -> Expr {
        apply(&[self.into()], |arena, ids| {
            arena.alike("-", ids, |arena| arena.scale(ids[0], Number::MINUS_ONE))
        })
    }
}

impl std::iter::Sum for Expr {
    fn sum<I: Iterator<Item = Expr>>(items: I) -> Expr {
        add_of(items)
    }
}

//! Random expressions over a few symbols, and points inside their domains.

use proptest::prelude::*;
use sglsim_expr::{
    Context, Expr, Symbol, Values, ceil, exp, fixed_point, floor, ln, max, min, min_of_feasible,
    modulo, piecewise, pow, sqrt, sum, table,
};

/// The symbols of all random expressions.
pub(crate) struct Symbols {
    cx: Context,
    numbers: Vec<Expr>,
}

impl Symbols {
    pub(crate) fn new() -> Symbols {
        let cx = Context::new();
        let symbols = [
            Symbol::real("x"),
            Symbol::real("beta").positive(),
            Symbol::real("lambda").non_negative(),
            Symbol::int("N").at_least(1.0).at_most(40.0),
            Symbol::int("k"),
        ];
        let numbers = symbols.map(|symbol| cx.symbol(symbol).unwrap()).to_vec();
        Symbols { cx, numbers }
    }
}

/// Their names, in order.
pub(crate) const NAMES: [&str; 5] = ["x", "beta", "lambda", "N", "k"];

/// A point inside the domains.
pub(crate) fn point() -> impl Strategy<Value = Values> {
    (-4.0..4.0f64, 0.01..5.0f64, 0.0..3.0f64, 1..=40i32, -9..9i32).prop_map(
        |(x, beta, lambda, n, k)| {
            Values::from([
                ("x", x),
                ("beta", beta),
                ("lambda", lambda),
                ("N", f64::from(n)),
                ("k", f64::from(k)),
            ])
        },
    )
}

/// As [`point`], as inputs in order; often on the corners where arms tie and steps jump.
pub(crate) fn inputs() -> impl Strategy<Value = [f64; 5]> {
    let halves = |from: i32, to: i32| (from..=to).prop_map(|k| f64::from(k) / 2.0);
    (
        prop_oneof![3 => -4.0..4.0f64, 1 => halves(-8, 8)],
        prop_oneof![3 => 0.01..5.0f64, 1 => halves(1, 10)],
        prop_oneof![3 => 0.0..3.0f64, 1 => halves(0, 6)],
        1..=40i32,
        -9..9i32,
    )
        .prop_map(|(x, beta, lambda, n, k)| [x, beta, lambda, f64::from(n), f64::from(k)])
}

/// Steps of a stack machine: each takes what it needs from the stack and pushes one expression.
pub(crate) fn script(steps: usize) -> impl Strategy<Value = Vec<(u8, u8, u8)>> {
    prop::collection::vec(any::<(u8, u8, u8)>(), 1..steps)
}

/// What a step does is a number below this, if every language is to write it ...
pub(crate) const COMMON: u8 = 25;

/// ... and below this, if only programs are to run it.
pub(crate) const ALL: u8 = 30;

/// Entries of the table of step 28.
pub(crate) const TABLE: [f64; 4] = [1.5, -2.0, 0.25, 7.0];

/// Runs a script; the result is the last expression.
pub(crate) fn build(symbols: &Symbols, script: &[(u8, u8, u8)]) -> Expr {
    build_of(COMMON, symbols, script)
}

/// As [`build`], with this many kinds of steps.
pub(crate) fn build_of(kinds: u8, symbols: &Symbols, script: &[(u8, u8, u8)]) -> Expr {
    let mut stack = symbols.numbers.clone();
    for (operation, left, right) in script {
        let pick = |at: u8| stack[stack.len() - 1 - usize::from(at) % stack.len()].clone();
        let (a, b) = (pick(*left), pick(*right));
        let c = pick(left.wrapping_mul(31).wrapping_add(*right));
        let small = i32::from(right % 7) - 3;
        let next = match operation % kinds {
            0 | 1 => a + b,
            2 => a - b,
            3 | 4 => a * b,
            5 => piecewise([(b.equals(0), c)], a / b),
            6 => a * small + 1,
            7 => a * (f64::from(small) * 0.37),
            8 => a / (small.abs() + 1) + small,
            9 => max(a, b),
            10 => min(a, b),
            11 => max(a, small),
            12 => ceil(a / 3),
            13 => floor(a),
            14 => piecewise([(a.le(&b), c)], a),
            15 => piecewise([(a.lt(0).or(&b.gt(&c)), b), (c.le(small).not(), a)], c),
            16 => a.pow(2),
            17 => sqrt(max(a, 0)) + b,
            18 => ln(max(a, 0.5)) * b,
            19 => exp(min(a, 2)) - b,
            20 => loop_over(symbols, a, b),
            21 => modulo(a, small.abs() + 1),
            22 => min_of_feasible([
                ("a", a.clone(), b.le(&c)),
                ("b", b, symbols.cx.truth(true)),
                ("c", c, a.gt(small)),
            ]),
            23 => min_of_feasible([("a", a.clone(), b.gt(&c)), ("b", c + small, a.lt(&b))]),
            24 => a / max(b, 1),
            25 => lines(symbols, small, &a, &b, &c),
            26 => parabola(symbols, small, &a, &b, &c),
            27 => pow(max(b, 0.5), min(a, 3)),
            28 => table(&TABLE, max(min(floor(a), 3), 0)) + b,
            _ => root(symbols, a, &b),
        };
        stack.push(next);
    }
    stack.pop().unwrap()
}

/// A sum over extrema of lines, which has a closed form.
fn lines(symbols: &Symbols, from: i32, a: &Expr, b: &Expr, c: &Expr) -> Expr {
    let i = symbols.cx.index("i");
    sum(&i, from, &symbols.numbers[3], min(a + &i * b, max(c, &i)) - &i * a)
}

/// A sum over a polynomial.
fn parabola(symbols: &Symbols, from: i32, a: &Expr, b: &Expr, c: &Expr) -> Expr {
    let i = symbols.cx.index("i");
    sum(&i, from, &symbols.numbers[4], a * i.pow(2) + b * &i + c)
}

/// Where `u` is the larger of a half of `a` and of `u / 2 + b`: the larger of `a / 2` and `2 b`.
fn root(symbols: &Symbols, a: Expr, b: &Expr) -> Expr {
    let u = symbols.cx.unknown("u");
    let bounded = |e: Expr| max(min(e, 40), -40);
    fixed_point(&u, -1e3, 1e3, max(bounded(a) / 2, &u / 2 + bounded(b.clone())))
}

/// A sum with a body that has no closed form, over at most a few terms.
fn loop_over(symbols: &Symbols, a: Expr, b: Expr) -> Expr {
    let i = symbols.cx.index("i");
    let last = min(symbols.numbers[4].clone(), 4);
    sum(&i, -2, last, max(&a, &i * &b) + &i * &a)
}

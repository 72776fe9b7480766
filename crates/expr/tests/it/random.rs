//! Random expressions over a few symbols, and points inside their domains.

use proptest::prelude::*;
use sglsim_expr::{
    Context, Expr, Symbol, Values, ceil, exp, floor, ln, max, min, min_of_feasible, modulo,
    piecewise, sqrt, sum,
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

/// Steps of a stack machine: each takes what it needs from the stack and pushes one expression.
pub(crate) fn script(steps: usize) -> impl Strategy<Value = Vec<(u8, u8, u8)>> {
    prop::collection::vec(any::<(u8, u8, u8)>(), 1..steps)
}

/// Runs a script; the result is the last expression.
pub(crate) fn build(symbols: &Symbols, script: &[(u8, u8, u8)]) -> Expr {
    let mut stack = symbols.numbers.clone();
    for (operation, left, right) in script {
        let pick = |at: u8| stack[stack.len() - 1 - usize::from(at) % stack.len()].clone();
        let (a, b) = (pick(*left), pick(*right));
        let c = pick(left.wrapping_mul(31).wrapping_add(*right));
        let small = i32::from(right % 7) - 3;
        let next = match operation % 25 {
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
            _ => a / max(b, 1),
        };
        stack.push(next);
    }
    stack.pop().unwrap()
}

/// A sum with a body that has no closed form, over at most a few terms.
fn loop_over(symbols: &Symbols, a: Expr, b: Expr) -> Expr {
    let i = symbols.cx.index("i");
    let last = min(symbols.numbers[4].clone(), 4);
    sum(&i, -2, last, max(&a, &i * &b) + &i * &a)
}

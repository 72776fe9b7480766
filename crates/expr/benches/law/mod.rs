//! A step law of many operators, for measurements: rooflines, some with a choice of kernels.

use sglsim_expr::{Context, Expr, Symbol, ceil, max, min, piecewise, pow};

/// What it depends on.
pub(crate) const INPUTS: [&str; 4] = ["tokens", "context", "tp", "ep"];

/// How many operators [`law`] has.
pub(crate) const OPERATORS: u32 = 24;

/// Rooflines of many operators, some with a choice of kernels.
pub(crate) fn law() -> Expr {
    operators(OPERATORS)
}

/// As [`law`], of so many operators.
pub(crate) fn operators(count: u32) -> Expr {
    let cx = Context::new();
    let symbol =
        |name: &str| cx.symbol(Symbol::int(name).at_least(1.0).at_most(1e6)).expect("a new symbol");
    let [tokens, context, tp, ep] = INPUTS.map(symbol);
    let rows = 128 * ceil(&tokens / 128);
    let active = 256 * (1 - pow(0.96875, &tokens));
    (1..=count)
        .map(|k| {
            let share = f64::from(k) / f64::from(OPERATORS);
            let flops = &rows * (4096 * k) / &tp;
            let bytes = &context * (1152.0 * share) + &active * 4e4 / &ep + &tokens * 8192;
            let roof = max(&flops / (9e14 * share), &bytes / 3.35e12);
            let fast = piecewise([(tokens.ge(64 * k), &roof * 0.8 + 9e-6)], &roof + 4e-6);
            min(fast, &flops / 5e14 + share * 1e-5)
        })
        .sum()
}

//! Analyses over boxes: monotonicity and specialised forms, against the formula at points.

use proptest::prelude::*;
use sglsim_expr::{
    Bounds, Context, Expr, ExprError, Limits, Monotonicity, Symbol, Values, ceil, exp, fixed_point,
    floor, ln, max, min, min_of_feasible, modulo, piecewise, pow, sqrt, sum, table,
};

use crate::{random, server};

/// A box inside the domains of the random symbols, and points in it.
fn box_with_points() -> impl Strategy<Value = (Bounds, Vec<Values>)> {
    let ends = (random::point(), random::point());
    (ends, prop::collection::vec(prop::collection::vec(0.0..=1.0f64, 5), 6)).prop_map(
        |((a, b), shares)| {
            let mut bounds = Bounds::new();
            let mut points = vec![Values::new(); shares.len()];
            for (at, name) in random::NAMES.iter().enumerate() {
                let (x, y) = (a.get(name).unwrap(), b.get(name).unwrap());
                let (lo, hi) = (x.min(y), x.max(y));
                bounds = bounds.with(*name, lo, hi);
                for (point, share) in points.iter_mut().zip(&shares) {
                    let value = lo + (hi - lo) * share[at];
                    let whole = matches!(*name, "N" | "k");
                    point.insert(*name, if whole { value.round() } else { value.clamp(lo, hi) });
                }
            }
            (bounds, points)
        },
    )
}

/// The box without what an expression does not depend on.
fn of(expr: &Expr, bounds: &Bounds) -> Bounds {
    let symbols = expr.free_symbols();
    let kept = bounds.iter().filter(|(name, _)| symbols.iter().any(|s| s.name == *name));
    kept.fold(Bounds::new(), |bounds, (name, range)| bounds.with(name, range.lo, range.hi))
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(256))]

    #[test]
    fn what_is_proven_monotone_is(
        script in random::script(14),
        (bounds, points) in box_with_points(),
    ) {
        let expr = random::build(&random::Symbols::new(), &script);
        prop_assume!(expr.check().is_ok());
        for (name, found) in expr.monotonicity(&of(&expr, &bounds)).unwrap() {
            for pair in points.windows(2) {
                // Two points that differ in one symbol.
                let (mut low, mut high) = (pair[0].clone(), pair[0].clone());
                let (x, y) = (pair[0].get(&name).unwrap(), pair[1].get(&name).unwrap());
                low.insert(&name, x.min(y));
                high.insert(&name, x.max(y));
                let (Ok(a), Ok(b)) = (expr.evaluate(&low), expr.evaluate(&high)) else { continue };
                let rounding = 1e-9 * a.abs().max(b.abs()).max(1e-3);
                let holds = match found {
                    Monotonicity::Constant => (a - b).abs() <= rounding,
                    Monotonicity::Increasing => a <= b + rounding,
                    Monotonicity::Decreasing => a >= b - rounding,
                    _ => true,
                };
                prop_assert!(holds, "{expr}\nby {name}: {found:?}, {a} at {low:?}, {b} at {high:?}");
            }
        }
    }

    #[test]
    fn a_specialised_form_is_equal_in_its_box(
        script in random::script(18),
        (bounds, points) in box_with_points(),
    ) {
        let expr = random::build(&random::Symbols::new(), &script);
        prop_assume!(expr.check().is_ok());
        let limits = Limits { nodes: 1000, iterations: 5 };
        let special = expr.specialise(&of(&expr, &bounds), &limits).unwrap();
        for point in points {
            let Ok(want) = expr.evaluate(&point) else { continue };
            let got = special.expr.evaluate(&point).unwrap();
            let close = (got - want).abs() <= 1e-9 * want.abs().max(1e-3);
            prop_assert!(close, "{expr}\n{}\n{want} {got} at {point:?}", special.expr);
        }
    }
}

/// What is found for the only symbol, `x` in `[1, 4]`.
fn found(build: impl Fn(&Context, &Expr, &Expr) -> Expr) -> Monotonicity {
    let cx = Context::new();
    let x = cx.symbol(Symbol::real("x").positive()).unwrap();
    let n = cx.symbol(Symbol::int("n").at_least(1.0).at_most(9.0)).unwrap();
    let found = build(&cx, &x, &n).monotonicity(&Bounds::from([("x", (1.0, 4.0))])).unwrap();
    found.into_iter().find(|(name, _)| name == "x").unwrap().1
}

#[test]
fn every_operation_has_its_rule() {
    use Monotonicity::{Constant, Decreasing, Increasing, Unknown};
    assert_eq!(found(|_, x, n| x * n - 3), Increasing);
    assert_eq!(found(|_, x, n| n / x + n / x.pow(3)), Decreasing);
    assert_eq!(found(|_, x, n| x / (n + x)), Increasing);
    assert_eq!(found(|_, x, _| x.pow(2) - x), Increasing);
    assert_eq!(found(|_, x, _| x.pow(2) - 3 * x), Unknown);
    assert_eq!(found(|_, x, n| sqrt(x) + ln(x) * n + exp(-1 / x)), Increasing);
    assert_eq!(found(|_, x, n| pow(0.5, n * x)), Decreasing);
    assert_eq!(found(|_, x, n| pow(x, -n)), Decreasing);
    assert_eq!(found(|_, x, n| max(ceil(x * n), 3) - floor(2 / x)), Increasing);
    assert_eq!(found(|_, x, _| modulo(ceil(x), 3)), Unknown);
    assert_eq!(found(|_, x, n| max(x, n + 4) + x - x), Constant);
    // A guard that the symbol does not move, one whose jump goes up, and one that goes down.
    assert_eq!(found(|_, x, n| piecewise([(n.le(3), x + 1)], x * 2)), Increasing);
    assert_eq!(found(|_, x, _| piecewise([(x.le(2), x.clone())], x + 1)), Increasing);
    assert_eq!(found(|_, x, _| piecewise([(x.le(2), x + 1)], x.clone())), Unknown);
    assert_eq!(
        found(|cx, x, n| min_of_feasible([("a", x + n, x.le(2)), ("b", 2 * x, cx.truth(true))])),
        Increasing
    );
    assert_eq!(
        found(|cx, x, n| min_of_feasible([("a", x + n, x.ge(2)), ("b", 2 * x, cx.truth(true))])),
        Unknown
    );
    let histories = |x: &Expr| table(&[1.0, 2.0, 2.0, 5.0], floor(x) - 1);
    assert_eq!(found(|_, x, _| histories(x)), Increasing);
    assert_eq!(found(|_, x, _| histories(x) + table(&[5.0, 3.0, 4.0, 1.0], floor(x) - 1)), Unknown);
    // The index of a sum is never negative here, so each term rises.
    assert_eq!(
        found(|cx, x, n| {
            let i = cx.index("i");
            sum(&i, 0, n, max(&i * x, x.pow(2)).pow(2))
        }),
        Increasing
    );
    assert_eq!(
        found(|cx, x, _| {
            let i = cx.index("i");
            sum(&i, 1, floor(x), max(&i * &i, sqrt(x)))
        }),
        Increasing
    );
    assert_eq!(
        found(|cx, x, n| {
            let y = cx.unknown("y");
            fixed_point(&y, 0, 1000, x * 5 / (&y + n))
        }),
        Increasing
    );
}

#[test]
fn a_server_is_monotone_where_it_must_be() {
    let module = server::build().module;
    let bounds = Bounds::from([("peak", (9e14, 1e15)), ("chunk", (1000.0, 1000.0))]);
    let bounds = ["tp", "ep"].iter().fold(bounds, |bounds, name| bounds.with(*name, 1.0, 1.0));
    let found = module.monotonicity(&bounds.with("batch_tokens", 65_536.0, 65_536.0)).unwrap();
    let of = |name: &str| found.iter().find(|(n, _)| n == name).unwrap().1;
    assert_eq!(of("np"), Monotonicity::Increasing);
    assert_eq!(of("nd"), Monotonicity::Increasing);
    assert_eq!(of("peak"), Monotonicity::Increasing);
    assert_eq!(of("tp"), Monotonicity::Constant);
    // More ranks decode more, but each step reads more experts.
    assert_eq!(of("dp"), Monotonicity::Unknown);
}

#[test]
fn a_regime_is_a_smaller_program() {
    let module = server::build().module;
    let bounds = Bounds::from([
        ("tp", (2.0, 4.0)),
        ("ep", (16.0, 64.0)),
        ("chunk", (512.0, 4096.0)),
        ("batch_tokens", (4000.0, 200_000.0)),
    ]);
    let special = module.specialise(&bounds, &Limits::default()).unwrap();
    let before = module.objective.simplify(&Limits::default()).cost_after;
    let after = special.objective.simplify(&Limits::default()).cost_after;
    println!(
        "server: cost {before} -> {after}, {} -> {} nodes",
        module.objective.size(),
        special.objective.size()
    );
    assert!(after < before, "{before} {after}");
    assert!(special.objective.size() * 3 < module.objective.size() * 2);
    for (tp, ep, chunk) in [(2.0, 16.0, 512.0), (3.0, 64.0, 1000.0), (4.0, 20.0, 4096.0)] {
        let at =
            Values::from([("tp", tp), ("ep", ep), ("chunk", chunk), ("batch_tokens", 65_536.0)]);
        let (want, got) = (module.evaluate(&at).unwrap(), special.evaluate(&at).unwrap());
        assert!((want - got).abs() <= 1e-12 * want, "{want} {got}");
        assert_eq!(module.violated(&at).unwrap(), special.violated(&at).unwrap());
    }
    let outside = special.evaluate(&Values::from([("tp", 8.0)]));
    assert!(matches!(outside, Err(ExprError::OutOfDomain { .. })));
    // What the box fixes is no variable any more.
    let fixed = module.specialise(&Bounds::from([("tp", (2.0, 2.9))]), &Limits::default()).unwrap();
    assert_eq!(fixed.variables.len(), module.variables.len() - 1);
    assert_eq!(fixed.values.get("tp"), Some(2.0));
}

#[test]
fn bounds_are_checked() {
    let cx = Context::new();
    let tp = cx.symbol(Symbol::int("tp").at_least(1.0).at_most(8.0)).unwrap();
    let e = min(&tp * 2, 7);
    let error = |bounds: Bounds| e.monotonicity(&bounds).unwrap_err().to_string();
    assert_eq!(
        error(Bounds::from([("tpp", (1.0, 2.0))])),
        "`tpp` is not a symbol of this module; did you mean `tp`?"
    );
    assert_eq!(error(Bounds::from([("tp", (9.0, 12.0))])), "range from 9 to 12 is empty");
    assert_eq!(error(Bounds::from([("tp", (2.2, 2.8))])), "range from 2.2 to 2.8 is empty");
    assert!(e.specialise(&Bounds::from([("tp", (f64::NAN, 2.0))]), &Limits::default()).is_err());
}

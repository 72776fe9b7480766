//! Kernel choice, tables, fixed points and assumptions: values by plain arithmetic.

use proptest::prelude::*;
use sglsim_expr::{
    Context, Expr, ExprError, Limits, Sort, Symbol, Values, abs, exp, fixed_point, floor, lookup,
    max, min, min_of_feasible, modulo, sum, table,
};

fn symbols() -> (Context, Expr, Expr, Expr) {
    let cx = Context::new();
    let symbol = |s| cx.symbol(s).unwrap();
    let x = symbol(Symbol::real("x").at_least(-100.0).at_most(100.0));
    let y = symbol(Symbol::real("y").at_least(-100.0).at_most(100.0));
    let n = symbol(Symbol::int("n").at_least(-50.0).at_most(50.0));
    (cx, x, y, n)
}

fn point(x: f64, y: f64, n: i32) -> Values {
    Values::from([("x", x), ("y", y), ("n", f64::from(n))])
}

/// Every form that an expression takes has the same value or is as undefined.
#[track_caller]
fn same(expr: &Expr, at: &Values, want: Option<f64>) {
    let read = Expr::from_json(&Context::new(), &expr.to_json().unwrap()).unwrap();
    let other = Context::new();
    let copied = other.constant(0) + expr;
    let simplified = expr.simplify(&Limits::default()).expr;
    for e in [expr, &read, &copied, &simplified] {
        match (e.evaluate(at), want) {
            (Ok(got), Some(want)) => {
                assert!((got - want).abs() <= 1e-12 * want.abs().max(1.0), "{e}: {got} for {want}");
            }
            (Err(_), None) => {}
            (got, want) => panic!("{e}: {got:?} for {want:?} at {at:?}"),
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn the_least_feasible_choice_counts(
        x in -5.0..5.0f64, y in -5.0..5.0f64, n in -3..4i32, certain: bool, used: bool,
    ) {
        let (cx, ex, ey, en) = symbols();
        let mut choices = vec![
            ("a", &ex * &ey, en.ge(1)),
            ("b", &ex + 1, en.le(-1).or(&ex.gt(3))),
            ("c", 1 / &en, en.gt(0)),
        ];
        let mut values = Vec::new();
        let real = f64::from(n);
        if n >= 1 { values.push(x * y); }
        if n <= -1 || x > 3.0 { values.push(x + 1.0); }
        if n > 0 { values.push(1.0 / real); }
        if certain {
            choices.push(("d", ey.clone(), cx.truth(true)));
            values.push(y);
        }
        let least = values.into_iter().reduce(f64::min);
        let e = min_of_feasible(choices);
        let at = point(x, y, n);
        same(&e, &at, least);
        // Where it has no influence it need not be feasible; where it has, nothing hides it.
        let guarded = sglsim_expr::piecewise([(en.gt(9), &e)], 7);
        prop_assert_eq!(guarded.evaluate(&at).unwrap(), 7.0);
        if used && least.is_none() {
            let infeasible = |e: Expr| matches!(e.evaluate(&at), Err(ExprError::Infeasible { .. }));
            prop_assert!(infeasible(1 / &e));
            prop_assert!(infeasible(min(&e, 3)));
            prop_assert!(infeasible(max(&e, 3) + &ex));
        }
    }

    #[test]
    fn remainders_are_exact(n in -50..51i32, d in 1..20i32) {
        let (_, x, y, en) = symbols();
        prop_assert_eq!(modulo(&en, d).sort(), Sort::Int);
        same(&modulo(&en, d), &point(0.0, 0.0, n), Some(f64::from(n.rem_euclid(d))));
        same(&abs(&x), &point(-2.5, 0.0, n), Some(2.5));
        same(&modulo(&x, &y), &point(7.5, -2.0, n), Some(-0.5));
    }

    #[test]
    fn lookups_are_piecewise_linear(x in -30.0..30.0f64, ys in prop::collection::vec(-5.0..5.0f64, 1..8)) {
        let (_, ex, ..) = symbols();
        let points: Vec<(f64, f64)> =
            ys.iter().enumerate().map(|(k, y)| (f64::from(u8::try_from(k * k).unwrap()) - 10.0, *y)).collect();
        let after = points.iter().position(|(at, _)| x <= *at);
        let want = match after {
            Some(0) => ys[0],
            None => *ys.last().unwrap(),
            Some(k) => {
                let [(x0, y0), (x1, y1)] = [points[k - 1], points[k]];
                y0 + (x - x0) / (x1 - x0) * (y1 - y0)
            }
        };
        same(&lookup(&ex, &points), &point(x, 0.0, 0), Some(want));
    }

    #[test]
    fn tables_hold_what_they_were_given(values in prop::collection::vec(-5.0..5.0f64, 1..20), n in -3..25i32) {
        let (cx, x, _, en) = symbols();
        let want = usize::try_from(n).ok().and_then(|n| values.get(n).copied());
        same(&table(&values, &en), &point(0.0, 0.0, n), want);
        let i = cx.index("i");
        let e = sum(&i, 0, values.len() as u32 - 1, max(table(&values, &i), &x));
        let total = values.iter().map(|value| value.max(0.5)).sum::<f64>();
        same(&e, &point(0.5, 0.0, n), Some(total));
    }

    #[test]
    fn fixed_points_solve_their_equation(x in -3.0..3.0f64, slope in -9.0..0.95f64, wide in 0..8i32) {
        let (cx, ex, ey, _) = symbols();
        let u = cx.unknown("u");
        let bound = 200.0 * 10f64.powi(wide);
        // A line; a kinked, rising curve; a falling exponential.
        let line = fixed_point(&u, -bound, bound, &ex + &ey / 10 * &u);
        same(&line, &point(x, 10.0 * slope, 0), Some(x / (1.0 - slope)));
        let kinked = fixed_point(&u, -bound, bound, max(&u * 0.5 + &ex, &u * 0.9 - 1));
        same(&kinked, &point(x, 0.0, 0), Some((2.0 * x).max(-10.0)));
        let curve = fixed_point(&u, 0, 50, exp(-&u) * 3);
        let root = curve.evaluate(&point(x, 0.0, 0)).unwrap();
        prop_assert!((root - 3.0 * (-root).exp()).abs() < 1e-14);
        let step = fixed_point(&u, 0, 50, 20 - floor(&u));
        prop_assert!((step.evaluate(&point(0.0, 0.0, 0)).unwrap() - 10.0).abs() < 1e-12);
    }
}

#[test]
fn fixed_points_nest_and_sum() {
    let (cx, x, _, n) = symbols();
    let (u, v, i) = (cx.unknown("u"), cx.unknown("v"), cx.index("i"));
    let inner = fixed_point(&v, -1e3, 1e3, (&u + &v) / 4);
    let outer = fixed_point(&u, -1e3, 1e3, &x + inner);
    // v = u / 3, u = x + u / 3.
    same(&outer, &point(2.0, 0.0, 0), Some(3.0));
    let total = sum(&i, 1, &n, fixed_point(&u, -1e3, 1e3, max(&i, &x) + &u / 2));
    same(&total, &point(2.0, 0.0, 4), Some(2.0 * (2.0 + 2.0 + 3.0 + 4.0)));
}

#[test]
fn wrong_uses_are_reported() {
    let (cx, x, y, n) = symbols();
    let u = cx.unknown("u");
    let error = |e: &Expr| e.evaluate(&point(50.0, 1.0, 0)).unwrap_err().to_string();
    assert_eq!(
        error(&(fixed_point(&u, 0, &y, &x + &u / 2) + 1)),
        "no fixed point of `u` in [0, 1]: u − f(u) does not rise through zero"
    );
    assert_eq!(
        error(&fixed_point(&x, 0, 1, &x)),
        "`x` is not an unknown; make one with `Context::unknown`"
    );
    assert_eq!(error(&fixed_point(&u, 2, 1, &x)), "range from 2 to 1 is empty");
    assert!(matches!((&u + 1).evaluate(&point(0.0, 0.0, 0)), Err(ExprError::FreeIndex { .. })));
    assert!(matches!(sum(&u, 1, 2, &x).check(), Err(ExprError::NotAnIndex { .. })));
    let again = fixed_point(&u, 0, 1, fixed_point(&u, 0, 1, &u / 2) * &u);
    assert!(matches!(again.check(), Err(ExprError::IndexReused { .. })));
    assert_eq!(
        error(&table(&[1.0], &x)),
        "table index `x` is not an integer; wrap it in `floor` or `ceil`"
    );
    assert_eq!(error(&lookup(&x, &[])), "lookup table has no points");
    assert!(lookup(&x, &[(1.0, 1.0), (1.0, 2.0)]).check().is_err());
    assert!(matches!(table(&[f64::NAN], &n).check(), Err(ExprError::NotFinite { .. })));
    let none = min_of_feasible([("fa3", &x, n.gt(5)), ("mla", &y, n.gt(7))]);
    assert_eq!(error(&none), "no feasible choice among `fa3`, `mla`");
    assert_eq!(x.assume(2.0, 1.0).check().unwrap_err().to_string(), "range from 2 to 1 is empty");
}

#[test]
fn assumptions_are_relied_on_and_checked() {
    let (_, x, y, n) = symbols();
    let sure = (&x - &y).assume(1.0, 8.0);
    assert_eq!(sure.range(), (1.0, 8.0));
    assert_eq!(max(&sure, 0).simplify(&Limits::default()).expr, sure);
    assert_eq!((&sure / &sure).to_string(), "1");
    same(&sure, &point(5.0, 2.0, 0), Some(3.0));
    same(&sure, &point(5.0, 4.5, 0), None);
    assert_eq!((&x * 2).assume_integer().sort(), Sort::Int);
    same(&(&x * 2).assume_integer(), &point(0.25, 0.0, 0), None);
    // Already known: nothing to check.
    assert_eq!(n.assume(-50.0, 60.0), n);
    assert_eq!(x.assume(0.0, 9.0).assume(5.0, 20.0).range(), (5.0, 9.0));
    // An arm that is not chosen may assume what it likes.
    let e = sglsim_expr::piecewise([(x.gt(0), x.assume(1.0, 2.0))], -1);
    same(&e, &point(-5.0, 0.0, 0), Some(-1.0));
}

#[test]
fn decided_choices_disappear() {
    let (cx, x, y, n) = symbols();
    let always = cx.truth(true);
    let choice = |a: &Expr, b: &Expr, guard: Expr| {
        min_of_feasible([("a", a, always.clone()), ("b", b, guard)])
    };
    assert_eq!(choice(&x, &y, cx.truth(false)), x);
    assert_eq!(choice(&x, &x, n.gt(0)), x);
    // Never better than what is always there.
    let dear = choice(&x, &(&y + 300), n.gt(0));
    assert_eq!(dear.to_string(), "min_of{a: x; b: y + 300 if 0 < n}");
    assert_eq!(dear.simplify(&Limits::default()).expr, x);
    // Cheaper whenever it can be used.
    let cheap = choice(&x, &(&y - 300), n.ge(-50));
    assert_eq!(cheap.simplify(&Limits::default()).expr.to_string(), "y - 300");
    let tex = dear.to_latex().unwrap();
    assert!(
        tex.contains(
            r"\min \begin{cases} x & \text{a} \\ y + 300 & \text{b}\text{ if } 0 < n \end{cases}"
        ),
        "{tex}"
    );
}

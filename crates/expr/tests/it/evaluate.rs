//! Values: semantics of every operation, by the tape.

use proptest::prelude::*;
use sglsim_expr::{
    Context, Expr, Program, Symbol, Values, ceil, ceil_div, exp, floor, floor_div, ln, max, min,
    piecewise, pow, sqrt,
};

fn xy() -> (Expr, Expr) {
    let cx = Context::new();
    (cx.symbol(Symbol::real("x")).unwrap(), cx.symbol(Symbol::real("y")).unwrap())
}

#[track_caller]
fn value(expr: &Expr, x: f64, y: f64) -> f64 {
    expr.evaluate(&Values::from([("x", x), ("y", y)])).unwrap()
}

proptest! {
    #[test]
    fn operations_mean_what_they_say(x in -1e3..1e3f64, y in -1e3..1e3f64) {
        let (a, b) = xy();
        let at = |e: Expr| value(&e, x, y);
        let close = |got: f64, want: f64| (got - want).abs() <= 1e-12 * want.abs().max(1.0);
        prop_assert!(close(at(&a + &b * 3 - 2.5), x + y * 3.0 - 2.5));
        prop_assert!(close(at(&a * &b / 7), x * y / 7.0));
        prop_assert_eq!(at(-&a), -x);
        prop_assert_eq!(at(max(&a, &b)), x.max(y));
        prop_assert_eq!(at(min(&a, &b)), x.min(y));
        prop_assert_eq!(at(ceil(&a)), x.ceil());
        prop_assert_eq!(at(floor(&a)), x.floor());
        prop_assert!(close(at(a.pow(3)), x * x * x));
        prop_assert!(close(at(exp(&a / 100)), (x / 100.0).exp()));
        prop_assert!(close(at(ln(a.pow(2) + 1)), (x * x + 1.0).ln()));
        prop_assert!(close(at(sqrt(a.pow(2) + 1)), (x * x + 1.0).sqrt()));
        prop_assert!(close(at(pow(2, &a / 100)), (x / 100.0).exp2()));
        prop_assert_eq!(at(piecewise([(a.lt(&b), 1)], 2)), if x < y { 1.0 } else { 2.0 });
        prop_assert_eq!(at(piecewise([(a.ge(&b).and(&a.gt(0)), 1)], 2)), if x >= y && x > 0.0 { 1.0 } else { 2.0 });
        prop_assert_eq!(at(piecewise([(a.le(&b).not().or(&a.equals(&b)), 1)], 2)), if x >= y { 1.0 } else { 2.0 });
    }

    /// `ceil(x * (1 / 4300))` is wrong at one multiple in a hundred.
    #[test]
    fn integer_division_is_exact(quotient in 0u32..1 << 20, divisor in 1u32..5000) {
        let cx = Context::new();
        let n = cx.symbol(Symbol::int("n")).unwrap();
        let d = cx.symbol(Symbol::int("d").at_least(1.0)).unwrap();
        let exact = f64::from(quotient) * f64::from(divisor);
        let at = Values::from([("n", exact), ("d", f64::from(divisor))]);
        for e in [ceil_div(&n, divisor), ceil_div(&n, &d), floor_div(&n, &d), ceil_div(3 * &n, 3 * &d)] {
            prop_assert_eq!(e.evaluate(&at).unwrap(), f64::from(quotient));
            prop_assert_eq!(e.bind(&Values::from([("d", f64::from(divisor))])).evaluate(&at).unwrap(), f64::from(quotient));
        }
        let above = Values::from([("n", exact + 1.0), ("d", f64::from(divisor))]);
        prop_assert_eq!(ceil_div(&n, &d).evaluate(&above).unwrap(), f64::from(quotient) + 1.0);
    }
}

#[test]
fn an_arm_that_is_not_chosen_has_no_influence() {
    let (x, _) = xy();
    let e = piecewise([(x.le(0), 7)], ln(&x) + 1 / &x);
    assert_eq!(value(&e, 0.0, 0.0), 7.0);
    assert_eq!(value(&e, -1.0, 0.0), 7.0);
    assert_eq!(value(&e, 1.0, 0.0), 1.0);
    // Even when binding makes it 1 / 0 under a guard that is still open.
    let (x, y) = xy();
    let e = piecewise([(y.le(&x), 7)], 1 / (&x - 1)).bind(&Values::from([("x", 1.0)]));
    assert_eq!(value(&e, 0.0, 0.0), 7.0);
    assert!(e.evaluate(&Values::from([("y", 3.0)])).is_err());
}

#[test]
fn programs_share_work_between_outputs() {
    let (x, y) = xy();
    let shared = exp(&x) * &y;
    let (a, b) = (&shared + 1, &shared - 1);
    let both = Program::compile(&[&a, &b], &["x", "y", "unused"]).unwrap();
    let alone = a.compile(&["x", "y"]).unwrap();
    assert_eq!(both.instructions(), alone.instructions() + 1);
    assert_eq!(both.inputs().collect::<Vec<_>>(), ["x", "y", "unused"]);
    let mut out = [0.0; 2];
    both.evaluator().eval(&[0.0, 2.0, f64::NAN], &mut out);
    assert_eq!(out, [3.0, 1.0]);
}

#[test]
fn inputs_come_in_the_order_of_the_call() {
    let (x, y) = xy();
    let mut eval = (&x - &y).compile(&["y", "x"]).unwrap().evaluator();
    assert_eq!(eval.eval1(&[1.0, 5.0]), 4.0);
}

#[test]
fn equal_builds_give_equal_bits() {
    let build = || {
        let (x, y) = xy();
        let e = (0.1 * &x + 0.7 * &y) / (1.3 + &x * &x) + exp(&y / 3);
        value(&e, 1.234, 5.678).to_bits()
    };
    assert_eq!(build(), build());
}

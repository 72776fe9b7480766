//! Sums: closed forms, loops, empty ranges.

use proptest::prelude::*;
use sglsim_expr::{Context, Expr, Symbol, Values, max, min, sum};

struct Fixture {
    cx: Context,
    lo: Expr,
    hi: Expr,
    a: Expr,
    b: Expr,
}

fn fixture() -> Fixture {
    let cx = Context::new();
    let symbol = |s| cx.symbol(s).unwrap();
    Fixture {
        lo: symbol(Symbol::int("lo")),
        hi: symbol(Symbol::int("hi")),
        a: symbol(Symbol::real("a")),
        b: symbol(Symbol::real("b")),
        cx: cx.clone(),
    }
}

fn point(lo: i32, hi: i32, a: f64, b: f64) -> Values {
    Values::from([("lo", f64::from(lo)), ("hi", f64::from(hi)), ("a", a), ("b", b)])
}

fn looped(lo: i32, hi: i32, body: impl Fn(f64) -> f64) -> f64 {
    (lo..=hi).map(|i| body(f64::from(i))).sum()
}

fn close(got: f64, want: f64, scale: f64) -> bool {
    (got - want).abs() <= 1e-11 * want.abs().max(scale).max(1.0)
}

proptest! {
    #[test]
    fn polynomials_have_a_closed_form(lo in -20..20i32, hi in -20..40i32, a in -5..5i32, b in -5..5i32) {
        let Fixture { cx, lo: l, hi: h, a: ea, b: eb } = fixture();
        let i = cx.index("i");
        let bodies = [
            &ea + &eb * &i,
            (&ea + &i) * (&eb - &i),
            &i * &i * &i - &ea * &i * &i + 1,
            2 * (&ea + &i).pow(3),
            ea.clone(),
        ];
        let (x, y) = (f64::from(a), f64::from(b));
        let wanted: [&dyn Fn(f64) -> f64; 5] = [
            &|i| x + y * i,
            &|i| (x + i) * (y - i),
            &|i| i * i * i - x * i * i + 1.0,
            &|i| 2.0 * (x + i).powi(3),
            &|_| x,
        ];
        for (body, want) in bodies.iter().zip(wanted) {
            let closed = sum(&i, &l, &h, body);
            prop_assert!(!closed.to_string().contains("sum("), "{}", closed);
            let got = closed.evaluate(&point(lo, hi, x, y)).unwrap();
            prop_assert!(close(got, looped(lo, hi, want), 1e6), "{} at {:?}", closed, (lo, hi, x, y));
        }
    }

    #[test]
    fn other_bodies_loop(lo in -5..10i32, hi in -5..20i32, a in -3.0..3.0f64, b in -3.0..3.0f64) {
        let Fixture { cx, lo: l, hi: h, a: ea, b: eb } = fixture();
        let i = cx.index("i");
        let e = sum(&i, &l, &h, 3 * &eb * max(&ea, &i * &eb).pow(2) + &i + &ea);
        let got = e.evaluate(&point(lo, hi, a, b)).unwrap();
        let want = looped(lo, hi, |i| 3.0 * b * a.max(i * b).powi(2) + i + a);
        prop_assert!(close(got, want, 1.0), "{e}: {got} {want}");
    }

    #[test]
    fn sums_nest(n in 0..12i32, a in -3.0..3.0f64) {
        let Fixture { cx, hi, a: ea, .. } = fixture();
        let (i, j) = (cx.index("i"), cx.index("j"));
        let e = sum(&i, 1, &hi, min(sum(&j, &i, &hi, max(&j * &ea, &i)), &i * 10));
        let got = e.evaluate(&point(0, n, a, 0.0)).unwrap();
        let want = looped(1, n, |i| looped(i as i32, n, |j| (j * a).max(i)).min(i * 10.0));
        prop_assert!(close(got, want, 1.0));
    }
}

#[test]
fn two_sums_may_share_an_index() {
    let Fixture { cx, hi, a, .. } = fixture();
    let i = cx.index("i");
    let body = max(&i, &a);
    let e = sum(&i, 1, &hi, &body) + sum(&i, 5, &hi, body.pow(2));
    let want = looped(1, 7, |i| i.max(3.5)) + looped(5, 7, |i| i.max(3.5).powi(2));
    assert_eq!(e.evaluate(&point(0, 7, 3.5, 0.0)).unwrap(), want);
}

#[test]
fn invariants_leave_the_loop() {
    let Fixture { cx, hi, a, b, .. } = fixture();
    let i = cx.index("i");
    let e = sum(&i, 1, &hi, &a * &b * max(&i, &b).pow(2) + &a);
    assert!(e.to_string().contains("a * b * sum(i = 1..hi: max(b, i)^2)"), "{e}");
}

//! Dimensions: what is refused, what adapts, what survives.

use proptest::prelude::*;
use sglsim_expr::{
    Context, Dimension, Expr, ExprError, Limits, Symbol, Values, ceil, exp, ln, max, min_of,
    piecewise, sqrt, sum,
};

struct Fixture {
    cx: Context,
    seconds: Expr,
    bytes: Expr,
    flop: Expr,
    bandwidth: Expr,
    tokens: Expr,
}

fn fixture() -> Fixture {
    let cx = Context::new();
    let symbol =
        |name: &str, unit: &str| cx.symbol(Symbol::real(name).positive().unit(unit)).unwrap();
    Fixture {
        seconds: symbol("t", "s"),
        bytes: symbol("b", "B"),
        flop: symbol("f", "FLOP"),
        bandwidth: symbol("bw", "B/s"),
        tokens: symbol("n", "token"),
        cx: cx.clone(),
    }
}

#[track_caller]
fn refused(expr: &Expr, message: &str) {
    assert_eq!(expr.check().unwrap_err().to_string(), message);
}

#[test]
fn different_dimensions_do_not_meet() {
    let Fixture { cx, seconds: t, bytes: b, flop: f, bandwidth: bw, tokens: n } = fixture();
    refused(&(&t + &b), "`+` of `t` in s and `b` in B");
    refused(&(&t - &b / (&b * &t)), "`-` of `t` in s and `1 / t` in 1/s");
    refused(&max(&b, &f), "`max` of `b` in B and `f` in FLOP");
    refused(
        &min_of([&b / &bw, t.clone(), &b * &bw]),
        "`min` of `b / bw` in s and `b * bw` in B^2/s",
    );
    refused(&b.le(&n), "`<=` of `b` in B and `n` in 1");
    refused(&piecewise([(t.le(1), &t)], &bw), "`piecewise` of `t` in s and `bw` in B/s");
    let i = cx.index("i");
    refused(&(sum(&i, 1, 5, &i * &t) + &n), "`+` of `15 * t` in s and `n` in 1");
    // The first error is what is reported, whatever is built on it.
    refused(&((&t + &b) * 3 + &f), "`+` of `t` in s and `b` in B");
    // A factor may stand for bytes or FLOP, never for seconds.
    refused(&(2 * &b / &bw + 3 * &b), "`+` of `2 * b / bw` in s and `3 * b` in B");
    assert!((&b * 2 + &f * 3).check().is_ok());
}

#[test]
fn functions_need_pure_numbers() {
    let Fixture { seconds: t, bytes: b, tokens: n, .. } = fixture();
    refused(&exp(&t), "`exp` needs a pure number, `t` is in s");
    refused(&ln(&b * &b), "`ln` needs a pure number, `b^2` is in B^2");
    refused(&n.pow(&t), "`^` needs a pure number, `t` is in s");
    assert!(exp(-(&t / &t)).check().is_ok());
    assert!(t.pow(2).check().is_ok());
}

#[test]
fn numbers_and_counts_adapt() {
    let Fixture { cx, seconds: t, bytes: b, bandwidth: bw, tokens: n, .. } = fixture();
    for e in [&t + 1, max(&t, 2e-6), max(0, &b), &b / &bw + &t, &n + 1] {
        assert!(e.check().is_ok(), "{e:?}");
    }
    // 2 FLOP per weight and 2 bytes per weight.
    let (weights, peak) = (&n * &n, cx.symbol(Symbol::real("peak").unit("FLOP/s")).unwrap());
    let law = max(2 * &weights / peak, 2.0 * &weights / &bw) + &t;
    assert!(law.check().is_ok());
    // One byte per weight, too, although a factor of one leaves no trace.
    assert!((&n * 1.0 / &bw + &t).check().is_ok());
    assert!(t.le(0.5).and(&n.ge(1)).check().is_ok());
}

#[test]
fn dimensions_are_inferred() {
    let Fixture { seconds: t, bytes: b, bandwidth: bw, tokens: n, cx, .. } = fixture();
    let is = |e: &Expr, unit: &str| {
        assert_eq!(e.dimension().map(|d| d.to_string()).as_deref(), Some(unit), "{e}");
    };
    is(&(&b / &bw), "s");
    is(&sqrt(&t), "s^0.5");
    is(&(sqrt(&t) * sqrt(&t)), "s");
    is(&(1 / &t), "1/s");
    is(&ceil(&b / &bw), "s");
    is(&(&n * &n), "1");
    is(&(&bw / &b / &t), "1/s^2");
    is(&(-&b), "B");
    assert_eq!(cx.constant(3).dimension(), None);
}

#[test]
fn names_settle_what_numbers_stand_for() {
    let Fixture { seconds: t, bytes: b, flop: f, tokens: n, .. } = fixture();
    let work = (&n * 2).named("work", "FLOP", "");
    assert_eq!(work.dimension(), Some("FLOP".parse::<Dimension>().unwrap()));
    refused(&(&work + &b), "`+` of `2 * n` in FLOP and `b` in B");
    assert!((work + f).check().is_ok());
    refused(&(&t * &n).named("size", "B", ""), "`t * n` was declared in B, but is in s");
    let unknown = (&t * 2).named("time", "sec", "");
    assert!(matches!(unknown.check(), Err(ExprError::UnknownUnit { part, .. }) if part == "sec"));
    assert!((&t * &n).named("time", "", "").check().is_ok());
}

#[test]
fn unknown_units_are_named() {
    let cx = Context::new();
    let error = cx.symbol(Symbol::real("x").unit("tokens/s")).unwrap_err();
    assert_eq!(
        error.to_string(),
        "unit `tokens/s` has an unknown part `tokens`; did you mean `token`?"
    );
    for bad in ["ms", "B/", "s^x", "s^999999999999", "s^2147483647*s", "*", "GiB"] {
        let refused = cx.symbol(Symbol::real("x").unit(bad));
        assert!(matches!(refused, Err(ExprError::UnknownUnit { .. })), "{bad}");
    }
}

/// A number has no unit: what is built on a bound law is never refused for it.
#[test]
fn binding_and_simplifying_keep_dimensions() {
    let Fixture { cx, seconds: t, tokens: n, .. } = fixture();
    let rate = cx.symbol(Symbol::real("rate").positive().unit("1/s")).unwrap();
    for value in [1.0, 2.0] {
        let bound = (&t * &rate + &n).bind(&Values::from([("t", value)]));
        assert!((bound + &n).check().is_ok());
        let bound = (&t * &rate).bind(&Values::from([("t", value)]));
        assert!((bound + &n).check().is_ok());
    }
    let e = max(&t * &n + &t * 3, 0).simplify(&Limits::default()).expr;
    assert_eq!(e.dimension(), t.dimension());
    let read = Expr::from_json(&Context::new(), &(&t * &n).to_json().unwrap()).unwrap();
    assert!((read + 1).check().is_ok());
    let other = Context::new();
    let copied = other.constant(0) + &t * &n;
    assert_eq!(copied.dimension(), t.dimension());
}

proptest! {
    /// Products and powers of units are products and powers of their exponents.
    #[test]
    fn units_multiply(a in -3i32..4, b in -3i32..4, c in -3i32..4) {
        let text = format!("s^{a}*B^{b}/FLOP^{c}");
        let parsed: Dimension = text.parse().unwrap();
        prop_assert_eq!(parsed.to_string().parse::<Dimension>().unwrap(), parsed);
        let Fixture { seconds: t, bytes, flop, .. } = fixture();
        let e = t.pow(a) * bytes.pow(b) / flop.pow(c);
        prop_assert_eq!(e.dimension().unwrap_or(Dimension::PURE), parsed);
    }
}

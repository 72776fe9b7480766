//! Normal forms.

use sglsim_expr::{
    Context, Expr, Symbol, Values, all_of, ceil, ceil_div, exp, floor, ln, max, max_of, min,
    piecewise, pow, sqrt,
};

struct Fixture {
    cx: Context,
    x: Expr,
    y: Expr,
    n: Expr,
    m: Expr,
    p: Expr,
}

fn fixture() -> Fixture {
    let cx = Context::new();
    let symbol = |s| cx.symbol(s).unwrap();
    Fixture {
        x: symbol(Symbol::real("x")),
        y: symbol(Symbol::real("y")),
        n: symbol(Symbol::int("n").at_least(0.0)),
        m: symbol(Symbol::int("m")),
        p: symbol(Symbol::real("p").positive()),
        cx: cx.clone(),
    }
}

#[track_caller]
fn prints(expr: &Expr, text: &str) {
    assert_eq!(expr.to_string(), text);
}

#[test]
fn sums_collect_like_terms() {
    let Fixture { x, y, .. } = fixture();
    prints(&(&x + &y + &x), "2 * x + y");
    prints(&(&x - &x), "0");
    prints(&(&x + 1 - (&y + 3)), "x - y - 2");
    prints(&(&x * 2 * &y - &y * &x), "x * y");
    prints(&-(&x - &y), "-x + y");
    prints(&(0.1 * &x + 0.2 * &x), "0.30000000000000004 * x");
    assert_eq!(&x + &y, &y + &x);
}

#[test]
fn products_collect_equal_bases() {
    let Fixture { x, y, p, .. } = fixture();
    prints(&(&x * &y * &x), "x^2 * y");
    prints(&(&x * 6 / 4), "3 * x / 2");
    prints(&(&p / &p), "1");
    prints(&(sqrt(&p) * sqrt(&p)), "p");
    prints(&(1 / (1 / &p)), "p");
    prints(&((&x * &p) / (&y * &p)), "x / y");
    prints(&x.pow(2).pow(3), "x^6");
    prints(&(2 * (&x + &y)), "2 * (x + y)");
}

#[test]
fn rules_wait_for_their_condition() {
    let Fixture { x, p, .. } = fixture();
    // Undefined at zero, so not 1.
    prints(&(&x / &x), "x / x");
    prints(&(&x.pow(-1) * 0.0), "0 / x");
    prints(&(1 / &x - 1 / &x), "0 / x");
    // |x|, not x.
    prints(&x.pow(2).pow(0.5), "sqrt(x^2)");
    prints(&p.pow(2).pow(0.5), "p");
    prints(&(sqrt(&x) * sqrt(&x)), "(sqrt(x))^2");
}

#[test]
fn an_undefined_zero_is_not_divided_by() {
    let Fixture { x, .. } = fixture();
    let zero = 1 / &x - 1 / &x;
    prints(&(1 / &zero), "1 / (0 / x)");
    prints(&sqrt(&zero), "sqrt(0 / x)");
}

#[test]
fn constants_fold_exactly() {
    let Fixture { cx, x, .. } = fixture();
    prints(&(cx.constant(1) / 3 + cx.constant(1) / 6), "1/2");
    prints(&(cx.constant(2).pow(-3)), "1/8");
    prints(&(ceil(cx.constant(-7) / 2) + floor(cx.constant(-7) / 2)), "-7");
    prints(&(&x + 0.0), "x");
    prints(&(&x * 1.0), "x");
    prints(&(exp(0) + ln(1)), "1");
    // Beyond 128 bits a rational becomes a float.
    prints(&pow(10, 40), "1e40");
    // A float divisor stays a divisor, a rational becomes a coefficient.
    prints(&(&x / 0.3), "x / 0.3");
    prints(&(3 * &x / 0.3), "10.0 * x");
}

#[test]
fn lattices_flatten_and_absorb() {
    let Fixture { x, y, .. } = fixture();
    prints(&max(max(&x, 1), max(&y, 2.5)), "max(x, y, 2.5)");
    prints(&max(&x, &x), "x");
    prints(&max(&x, min(&x, &y)), "x");
    prints(&min(&x, max(&y, &x)), "x");
    prints(&max_of([3, 1, 2]), "3");
}

#[test]
fn rounding_sees_integers() {
    let Fixture { x, n, m, .. } = fixture();
    prints(&ceil(&n * &m), "n * m");
    prints(&ceil(&x + &n + 2), "n + ceil(x) + 2");
    prints(&floor(&n / 4 + 1), "floor(n / 4) + 1");
    prints(&ceil_div(&n * 6, 4), "ceil(3 * n / 2)");
    prints(&ceil(&x + 0.5), "ceil(x + 0.5)");
}

#[test]
fn conditions_are_decided() {
    let Fixture { cx, x, y, .. } = fixture();
    let p = x.le(&y);
    prints(&p.not(), "y < x");
    prints(&p.and(&p), "x <= y");
    prints(&p.and(&cx.truth(false)), "false");
    prints(&all_of([]), "true");
    prints(&x.le(&x), "true");
    prints(&piecewise([(cx.truth(false), &x), (p.clone(), &y)], &x), "{y if x <= y; x}");
    prints(&piecewise([(p.clone(), &x), (cx.truth(true), &y)], &x), "{x if x <= y; y}");
    prints(&piecewise([(p.clone(), &x)], &x), "x");
    let nested = piecewise([(p.clone(), &x)], piecewise([(p.clone(), &y), (y.le(0), &x)], 3));
    prints(&nested, "{x if x <= y; x if y <= 0; 3}");
}

#[test]
fn named_parts_stay_whole() {
    let Fixture { x, y, .. } = fixture();
    let part = (&x + &y).named("part", "1", "a part");
    prints(&(&part + &x), "x + (x + y)");
    assert_eq!(part.name().as_deref(), Some("part"));
    let bound = part.bind(&Values::from([("x", 2.0)]));
    assert_eq!(bound.name().as_deref(), Some("part"));
}

#[test]
fn operands_of_another_context_are_copied() {
    let (a, b) = (Context::new(), Context::new());
    let x = a.symbol(Symbol::real("x")).unwrap();
    let y = b.symbol(Symbol::real("y")).unwrap();
    let mixed = &x + (&y * 2).named("twice", "1", "");
    prints(&mixed, "x + 2 * y");
    assert_eq!(mixed.free_symbols().len(), 2);
    assert!(mixed.context().is(&a));
    assert_eq!(mixed, &x + a.symbol(Symbol::real("y")).unwrap() * 2);
}

#[test]
fn substitution_is_simultaneous() {
    let Fixture { x, y, .. } = fixture();
    let e = &x - 2 * &y;
    prints(&e.substitute(&[(&x, y.clone()), (&y, x.clone())]), "-2 * x + y");
}

#[test]
fn ranges_follow_the_domains() {
    let Fixture { n, p, x, .. } = fixture();
    assert_eq!((&n + 1).range().0, 1.0);
    assert!((&p * &p).range().0 >= 0.0);
    assert_eq!(min(&x, 3).range(), (f64::MIN, 3.0));
    assert!((1i32 / (&n + 1)).range().1 >= 1.0);
}

//! What goes wrong, one example for each error, and the message a user gets.

use std::collections::BTreeSet;

use sglsim_expr::{
    Context, Expr, ExprError, Module, Symbol, Values, add_of, ceil, exp, fixed_point, floor, ln,
    lookup, max, max_of, min_of_feasible, sum, table,
};

/// An error for each mistake, with what was done.
fn mistakes() -> Vec<(&'static str, ExprError)> {
    let cx = Context::new();
    let symbol = |symbol| cx.symbol(symbol).unwrap();
    let bytes = symbol(Symbol::real("bytes").non_negative().unit("B"));
    let latency = symbol(Symbol::real("latency").non_negative().unit("s"));
    let tp = symbol(Symbol::int("tp_size").at_least(1.0).at_most(8.0));
    let x = symbol(Symbol::real("x"));
    let (i, y) = (cx.index("i"), cx.unknown("y"));
    let check = |e: Expr| e.check().unwrap_err();
    let at = |e: &Expr, values: &[(&str, f64)]| {
        e.evaluate(&values.iter().copied().collect::<Values>()).unwrap_err()
    };
    let nested = || {
        let indices: Vec<Expr> = (0..70).map(|k| cx.index(&format!("i{k}"))).collect();
        let loops = indices.iter().fold(max_of(&indices), |body, i| sum(i, 1, &tp, body));
        loops.compile(&["tp_size"]).unwrap_err()
    };
    let open = fixed_point(&y, 5, 9, 1 + ln(&y + &tp));
    let long = sum(&i, 1, floor(&x), max(&i, &x).pow(2));
    let module = |variable: &Expr| Module::new("m", "f", &x + 1).variable(variable);
    let mut broken = (&x + 1).to_json().unwrap();
    broken["version"] = 7.into();
    vec![
        ("adds bytes and seconds", check(&bytes + &latency)),
        ("takes the exponential of bytes", check(exp(&bytes))),
        ("names a time as bytes", check((&latency * 2).named("moved", "B", ""))),
        ("declares an unknown unit", cx.symbol(Symbol::real("t").unit("ms")).unwrap_err()),
        ("adds NaN", check(&x + f64::NAN)),
        ("multiplies beyond all floats", check(&x * 1e300 * 1e300)),
        ("names a symbol `a b`", cx.symbol(Symbol::real("a b")).unwrap_err()),
        ("declares a symbol again", cx.symbol(Symbol::real("tp_size")).unwrap_err()),
        ("adds a condition", check(&x + tp.le(4))),
        ("sums up to a half", check(sum(&i, 1, &tp / 2, &i))),
        ("sums over a symbol", check(sum(&x, 1, &tp, &x))),
        ("solves for an index", check(fixed_point(&i, 0, 1, 1 / (1 + &x)))),
        ("looks up entry a half", check(table(&[1.0, 2.0], &tp / 2))),
        ("looks up between no points", check(lookup(&x, &[]))),
        ("assumes at least 2 and at most 1", check(x.assume(2.0, 1.0))),
        ("sums twice over one index", check(sum(&i, 1, &tp, &i * sum(&i, 1, &tp, max(&i, &x))))),
        ("uses an index outside of its sum", (&i + 1).compile(&[]).unwrap_err()),
        ("nests 70 sums", nested()),
        ("gives no value", at(&(&tp * &x), &[("tp_sise", 2.0), ("y", 1.0)])),
        (
            "gives a value for no symbol",
            module(&x).evaluate(&Values::from([("xx", 1.0)])).unwrap_err(),
        ),
        ("decides an expression", module(&(&x + 1)).to_json().unwrap_err()),
        ("gives a value outside of the domain", at(&tp, &[("tp_size", 9.0)])),
        ("divides by what may be zero, at zero", at(&(1 + 2 / (&x - 1)), &[("x", 1.0)])),
        (
            "takes no kernel",
            at(
                &min_of_feasible([("ring", &x + 1, x.le(1)), ("tree", &x * 2, x.le(0))]),
                &[("x", 3.0)],
            ),
        ),
        ("assumes wrongly", at(&(-&x).assume(1.0, f64::INFINITY), &[("x", 2.0)])),
        ("has no root", at(&open, &[("tp_size", 1.0)])),
        ("sums 10^15 terms", at(&long, &[("x", 1e15)])),
        ("reads a later version", Expr::from_json(&cx, &broken).unwrap_err()),
        ("reads a text", cx.parse("{tp_size if tp_size <= 4} + bytse").unwrap_err()),
        ("reads a latency among bytes", cx.parse("bytes + 2e-6 [s] * tp_size").unwrap_err()),
        ("reads a text of two problems", cx.parse("max(bytse, bytes + 2 * latency)").unwrap_err()),
    ]
}

#[test]
fn every_mistake_has_its_message() {
    let mut lines = String::new();
    for (what, error) in mistakes() {
        lines += &format!("{what}\n    {}\n", error.to_string().replace('\n', "\n    "));
    }
    insta::assert_snapshot!("mistakes", lines);
}

/// Every variant of the error is among the examples, or said here to be another module's.
#[test]
fn no_error_is_without_an_example() {
    let source = include_str!("../../src/error.rs");
    let variants: BTreeSet<&str> = source
        .lines()
        .skip_while(|line| !line.starts_with("pub enum ExprError"))
        .skip(1)
        .take_while(|line| !line.starts_with('}'))
        .filter_map(|line| line.strip_prefix("    ")?.split(['{', '(', ',']).next())
        .map(str::trim_end)
        .filter(|name| name.starts_with(|c: char| c.is_ascii_uppercase()))
        .collect();
    let shown: Vec<String> = mistakes().iter().map(|(_, error)| format!("{error:?}")).collect();
    let mut missing: BTreeSet<&str> = variants.clone();
    missing.retain(|variant| {
        !shown.iter().any(|text| text.split([' ', '(', '{']).next() == Some(*variant))
    });
    // What a solver does not know is in `solvers`; no export is without an operation now.
    let elsewhere = BTreeSet::from(["NoSolverForm", "Unsupported"]);
    assert_eq!(missing, elsewhere);
    assert!(variants.len() > 25);
}

/// What might be too much has an answer.
#[test]
fn large_numbers_and_long_sums_have_an_answer() {
    let cx = Context::new();
    let x = cx.symbol(Symbol::real("x").positive()).unwrap();
    // Beyond 128 bits a rational becomes a float.
    let tenth = cx.constant(1) / 1_000_000_007i64;
    let tiny = (0..12).fold(cx.constant(1), |product, _| product * &tenth);
    let value = tiny.as_constant().unwrap();
    assert!(value.as_ratio().is_none());
    let want = 1e-108 * (1.0f64 + 7e-9).powi(-12);
    assert!((value.to_f64() - want).abs() <= 1e-12 * want);
    let huge = (0..40).fold(cx.constant(1), |product, _| product * i64::MAX);
    assert!(matches!(huge.check(), Err(ExprError::NotFinite { .. })));
    // A million different terms, and a million rounds.
    let terms = (0..1_000_000u32).map(|k| ceil(&x * f64::from(k % 1000)) + k);
    let total = add_of(terms);
    let at = Values::from([("x", 1.0)]);
    assert_eq!(total.evaluate(&at).unwrap(), 1000.0 * 499_500.0 + 499_999_500_000.0);
    let i = cx.index("i");
    let rounds = sum(&i, 1, 1_000_000, max(&i, &x).pow(0.5));
    let value = rounds.evaluate(&at).unwrap();
    assert!((value / (2.0 / 3.0 * 1e9) - 1.0).abs() < 1e-5, "{value}");
}

//! Every error, with its data.

use sglsim_expr::{Context, ExprError, Sort, Symbol, Values, exp, ln, max, max_of, sqrt, sum};

#[test]
fn invalid_operands_are_reported_where_they_are_used() {
    let cx = Context::new();
    let x = cx.symbol(Symbol::real("x")).unwrap();
    let e = max(&x + f64::NAN, 3) * 2;
    let Err(ExprError::NotFinite { value, .. }) = e.check() else { panic!("{e}") };
    assert!(value.is_nan());
    let refused =
        |result: Result<(), ExprError>| matches!(result, Err(ExprError::NotFinite { .. }));
    assert!(refused(e.evaluate(&Values::new()).map(|_| ())));
    assert!(refused(e.compile(&[]).map(|_| ())));

    let e = &x + x.le(1);
    assert_eq!(
        e.check(),
        Err(ExprError::WrongSort {
            operation: "+",
            expected: "number",
            found: Sort::Bool,
            operand: "x <= 1".to_owned(),
        })
    );
    assert!(matches!(x.and(&x).check(), Err(ExprError::WrongSort { .. })));
    assert!(matches!((&x * 1e300 * 1e300).check(), Err(ExprError::NotFinite { .. })));
    assert!(cx.try_constant(f64::INFINITY).is_err());
}

#[test]
fn symbols_are_checked() {
    let cx = Context::new();
    cx.symbol(Symbol::int("tp_size").at_least(1.0).at_most(8.0)).unwrap();
    let again = cx.symbol(Symbol::real("tp_size"));
    assert!(matches!(again, Err(ExprError::ConflictingSymbol { .. })));
    for bad in [
        Symbol::real(""),
        Symbol::real("a b"),
        Symbol::real("1x"),
        Symbol::real("x").at_least(2.0).at_most(1.0),
    ] {
        assert!(matches!(cx.symbol(bad), Err(ExprError::InvalidSymbol { .. })));
    }
    // A conflict across contexts comes out when it is used.
    let other = Context::new().symbol(Symbol::real("tp_size")).unwrap();
    let mixed = cx.constant(1) + other;
    assert!(matches!(mixed.check(), Err(ExprError::ConflictingSymbol { .. })));
}

#[test]
fn values_are_checked() {
    let cx = Context::new();
    let tp = cx.symbol(Symbol::int("tp_size").at_least(1.0).at_most(8.0)).unwrap();
    let x = cx.symbol(Symbol::real("x")).unwrap();
    let e = &tp * &x;
    let error = e.evaluate(&Values::from([("tp_sise", 2.0), ("y", 1.0)])).unwrap_err();
    assert_eq!(
        error.to_string(),
        "no value for `tp_size`, `x`; bound are: `tp_sise`, `y`; did you mean `tp_sise`?"
    );
    for bad in [0.0, 9.0, 1.5, f64::NAN] {
        let at = Values::from([("tp_size", bad), ("x", 1.0)]);
        assert!(matches!(e.evaluate(&at), Err(ExprError::OutOfDomain { .. })));
        assert!(matches!(e.bind(&at).check(), Err(ExprError::OutOfDomain { .. })));
    }
    let error = e.evaluate(&Values::from([("tp_size", 9.0), ("x", 1.0)])).unwrap_err();
    assert_eq!(error.to_string(), "`tp_size` is 9, allowed is an integer in [1, 8]");
    assert!(
        matches!(e.compile(&["x"]), Err(ExprError::Unbound { missing, .. }) if missing == ["tp_size"])
    );
}

#[test]
fn undefined_values_name_the_operation() {
    let cx = Context::new();
    let x = cx.symbol(Symbol::real("x")).unwrap();
    let at = |x| Values::from([("x", x)]);
    let error = (1i32 + 2i32 / (&x - 1)).evaluate(&at(1.0)).unwrap_err();
    assert_eq!(error.to_string(), "`/` of 2, 0 gives inf");
    let error = (ln(&x) + 1).evaluate(&at(-1.0)).unwrap_err();
    assert_eq!(error.to_string(), "`ln` of -1 gives NaN");
    assert!(sqrt(&x).evaluate(&at(-1.0)).is_err());
    assert!(exp(&x).evaluate(&at(1e4)).is_err());
}

#[test]
fn sums_are_checked() {
    let cx = Context::new();
    let x = cx.symbol(Symbol::real("x")).unwrap();
    let n = cx.symbol(Symbol::int("n")).unwrap();
    let i = cx.index("i");
    assert!(matches!(sum(&i, 1, &x, &i).check(), Err(ExprError::SumLimit { .. })));
    assert!(matches!(sum(&x, 1, &n, &x).check(), Err(ExprError::NotAnIndex { .. })));
    assert!(matches!((&i + 1).compile(&[]), Err(ExprError::FreeIndex { .. })));
    let inner = sum(&i, 1, &n, max(&i, &x).pow(2));
    assert!(matches!(sum(&i, 1, &n, inner * &i).check(), Err(ExprError::IndexReused { .. })));
    let long =
        sum(&i, 1, &n, max(&i, &x).pow(2)).evaluate(&Values::from([("n", 1e15), ("x", 0.0)]));
    assert!(matches!(long, Err(ExprError::TooManyTerms { .. })));
}

#[test]
fn nesting_of_sums_is_limited() {
    let cx = Context::new();
    let n = cx.symbol(Symbol::int("n")).unwrap();
    let indices: Vec<_> = (0..70).map(|k| cx.index(&format!("i{k}"))).collect();
    let mut body = max_of(&indices);
    for i in &indices {
        body = sum(i, 1, &n, body);
    }
    assert!(matches!(body.compile(&["n"]), Err(ExprError::NestedSums { limit: 64, .. })));
}

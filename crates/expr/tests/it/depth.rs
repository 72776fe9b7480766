//! Depth is bounded by memory, not by the stack.

use sglsim_expr::{Context, Expr, Limits, Stop, Symbol, Values, ceil, max};

const DEPTH: usize = 1_000_000;

#[test]
fn a_million_nested_operations_work() {
    let cx = Context::new();
    let x = cx.symbol(Symbol::real("x")).unwrap();
    let mut e = x.clone();
    // Five operations deeper each time.
    for step in 0..DEPTH / 5 {
        e = ceil(max(&e * 0.5, &x) + 0.25) + &x * (step % 3) as u32;
    }
    assert!(e.size() > DEPTH / 2);
    assert!(e.to_string().len() < 20_000);
    let at = Values::from([("x", 1.0)]);
    let value = e.evaluate(&at).unwrap();
    assert!(value.is_finite());
    assert_eq!(e.bind(&at).as_constant().unwrap().to_f64(), value);
}

#[test]
fn deep_expressions_simplify_and_export() {
    let cx = Context::new();
    let x = cx.symbol(Symbol::real("x")).unwrap();
    let mut e = x.clone();
    for _ in 0..DEPTH / 50 {
        e = ceil(max(&e * 0.5, &x) + 0.25);
    }
    assert_eq!(e.simplify(&Limits::default()).stop, Stop::Nodes);
    assert!(e.to_sympy().unwrap().len() > DEPTH / 10);
    assert!(e.to_latex().unwrap().len() > DEPTH / 10);
    let read = Expr::from_json(&cx, &e.to_json().unwrap()).unwrap();
    assert_eq!(read, e);
}

#[test]
fn accumulators_do_not_copy_themselves() {
    let cx = Context::new();
    let symbols: Vec<_> =
        (0..3000).map(|k| cx.symbol(Symbol::real(format!("x{k}"))).unwrap()).collect();
    let mut total = symbols[0].clone();
    let mut most = symbols[0].clone();
    for _ in 0..20 {
        for x in &symbols {
            total = total + x;
            most = max(&most, x);
        }
    }
    let at: Values = (0..3000).map(|k| (format!("x{k}"), 1.0)).collect();
    assert_eq!(total.evaluate(&at).unwrap(), 60_001.0);
    assert_eq!(most.evaluate(&at).unwrap(), 1.0);
}

//! Depth is bounded by memory, not by the stack: every operation on a million levels.

use sglsim_expr::{
    Bounds, Context, Expr, Interval, Limits, Module, Monotonicity, Sense, Stop, Symbol, Values,
    ceil, max,
};

const DEPTH: usize = 1_000_000;

/// So many operations deep.
fn deep(depth: usize) -> Expr {
    let cx = Context::new();
    let x = cx.symbol(Symbol::real("x").at_least(0.0).at_most(9.0)).unwrap();
    let mut e = x.clone();
    // Five operations deeper each time.
    for step in 0..depth / 5 {
        e = ceil(max(&e * 0.5, &x) + 0.25) + &x * (step % 3) as u32;
    }
    e
}

#[test]
fn building_printing_and_reading() {
    let e = deep(DEPTH);
    assert!(e.size() > DEPTH / 2);
    assert!(e.to_string().len() < 20_000);
    let text = e.to_text().unwrap();
    assert!(text.len() > 5 * DEPTH);
    assert_eq!(e.context().parse(&text).unwrap(), e);
}

#[test]
fn evaluating() {
    let e = deep(DEPTH);
    let at = Values::from([("x", 1.0)]);
    let value = e.evaluate(&at).unwrap();
    assert!(value.is_finite());
    assert_eq!(e.bind(&at).as_constant().unwrap().to_f64(), value);
    let program = e.compile(&["x"]).unwrap();
    let mut column = [0.0; 2];
    program.batch().eval(&[&[1.0, 2.0]], &mut [&mut column]);
    assert_eq!(column[0], value);
    let mut slope = [0.0];
    assert_eq!(program.gradient().eval(&[1.0], &mut slope), value);
    let mut bounds = program.intervals();
    assert!(bounds.eval1(&[Interval::new(0.5, 1.5)]).contains(value));
    assert!(bounds.contract(&mut [Interval::new(0.5, 1.5)], &[Interval::point(value)]));
}

#[test]
fn simplifying_and_analysing() {
    let e = deep(DEPTH);
    assert_eq!(e.simplify(&Limits::default()).stop, Stop::Nodes);
    let small = Bounds::from([("x", (0.5, 1.0))]);
    assert_eq!(e.monotonicity(&small).unwrap()[0].1, Monotonicity::Increasing);
    assert!(e.specialise(&small, &Limits::default()).is_ok());
    assert!(e.active_arms(&Values::from([("x", 1.0)])).unwrap().is_empty());
}

#[test]
fn exporting() {
    let e = deep(DEPTH / 5);
    let x = e.context().symbol(Symbol::real("x").at_least(0.0).at_most(9.0)).unwrap();
    let module = Module::new("deep", "depth", e.clone()).variable(&x);
    let module = module.values(&Values::from([("x", 1.0)]));
    let long = |text: String| assert!(text.len() > DEPTH / 5, "{}", text.len());
    long(module.to_sympy().unwrap());
    long(module.to_python().unwrap());
    long(module.to_numpy().unwrap());
    long(module.to_casadi().unwrap());
    long(module.to_c().unwrap());
    long(module.to_latex().unwrap());
    long(module.to_mathml().unwrap());
    long(module.to_nl(Sense::Maximise).unwrap().nl);
    assert_eq!(Expr::from_json(e.context(), &e.to_json().unwrap()).unwrap(), e);
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

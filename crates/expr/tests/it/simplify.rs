//! Simplification: what it finds, that it keeps values and names, that it is bounded.

use proptest::prelude::*;
use sglsim_expr::{
    Context, Expr, Limits, Stop, Symbol, Values, ceil, ceil_div, max, min, piecewise,
};

use crate::{random, server};

struct Fixture {
    x: Expr,
    y: Expr,
    n: Expr,
    p: Expr,
}

fn fixture() -> Fixture {
    let cx = Context::new();
    let symbol = |s| cx.symbol(s).unwrap();
    Fixture {
        x: symbol(Symbol::real("x")),
        y: symbol(Symbol::real("y")),
        n: symbol(Symbol::int("n").at_least(1.0).at_most(64.0)),
        p: symbol(Symbol::real("p").positive()),
    }
}

#[track_caller]
fn becomes(expr: &Expr, text: &str) {
    let simplified = expr.simplify(&Limits::default());
    assert_eq!(simplified.expr.to_string(), text);
    assert!(simplified.cost_after <= simplified.cost_before);
}

#[test]
fn domains_decide() {
    let Fixture { x, n, p, .. } = fixture();
    becomes(&max(&n, 0), "n");
    becomes(&min(max(&x, 70), &n), "n");
    becomes(&piecewise([(n.ge(1), &x)], &p), "x");
    becomes(&piecewise([(n.gt(64), &x), ((-&p).ge(0), &n)], &p), "p");
    becomes(&ceil_div(&n, 64), "1");
    becomes(&max(&x, &n), "max(x, n)");
}

#[test]
fn common_parts_are_factored() {
    let Fixture { x, y, p, .. } = fixture();
    becomes(&(&x * &y + &x * &p), "x * (y + p)");
    becomes(&max(&p * &x, &p * &y), "p * max(x, y)");
    // The sign of x is unknown.
    becomes(&max(&x * &p, &x * &y), "max(x * y, x * p)");
    becomes(&max(&x + &y, &x + &p), "x + max(y, p)");
    let guard = x.le(&y);
    let both = piecewise([(guard.clone(), &x)], &y) + piecewise([(guard, &p)], &x);
    becomes(&both, "x + {p if x <= y; y}");
}

#[test]
fn rounding_is_left_alone() {
    let Fixture { x, y, p, .. } = fixture();
    let e = ceil(&x * &y + &x * &p);
    assert_eq!(e.simplify(&Limits::default()).expr, e);
}

#[test]
fn names_survive() {
    let Fixture { x, y, p, .. } = fixture();
    let part = (&x * &y + &x * &p).named("part", "1", "a part");
    let simplified = max(&part * &p, &part * 2 * &p).simplify(&Limits::default()).expr;
    let latex = simplified.to_latex().unwrap();
    assert!(latex.contains(r"\mathrm{part} &= x \, \left(y + p\right)"), "{latex}");
}

#[test]
fn limits_are_kept_and_results_repeat() {
    let objective = server::build().module.objective;
    let tight = objective.simplify(&Limits { nodes: 10, iterations: 30 });
    assert_eq!(tight.stop, Stop::Nodes);
    let one = objective.simplify(&Limits { nodes: 10_000, iterations: 1 });
    assert!(matches!(one.stop, Stop::Iterations | Stop::Rejected));
    let [first, again] =
        [0; 2].map(|_| server::build().module.objective.simplify(&Limits::default()));
    assert_eq!(first.expr.to_string(), again.expr.to_string());
    assert_eq!(first.cost_after, again.cost_after);
    println!("server: cost {} -> {}, {:?}", first.cost_before, first.cost_after, first.stop);
}

#[test]
fn an_invalid_expression_is_returned() {
    let Fixture { x, .. } = fixture();
    let e = x + f64::NAN;
    assert_eq!(e.simplify(&Limits::default()).stop, Stop::Invalid);
}

#[test]
fn a_bound_law_gets_cheaper() {
    let server = server::build();
    let frozen = Values::from([("tp", 1.0), ("ep", 8.0), ("dp", 2.0), ("np", 1.0), ("nd", 1.0)]);
    let law = server.module.objective.bind(&frozen);
    let simplified = law.simplify(&Limits::default());
    assert!(simplified.cost_after <= simplified.cost_before);
    let point = [1.0, 1.0, 512.0, 65_536.0, 1.0, 2.0, 8.0];
    let got = simplified.expr.evaluate(&server::values(&point)).unwrap();
    let want = server::reference(&point).throughput;
    assert!((got - want).abs() <= 1e-12 * want);
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(32))]

    #[test]
    fn random_expressions_keep_their_values(
        script in random::script(24),
        points in prop::collection::vec(random::point(), 8),
    ) {
        let expr = random::build(&random::Symbols::new(), &script);
        let simplified = expr.simplify(&Limits { nodes: 2000, iterations: 8 });
        prop_assert!(simplified.cost_after <= simplified.cost_before);
        for point in points {
            if let Ok(want) = expr.evaluate(&point) {
                let got = simplified.expr.evaluate(&point).unwrap();
                let close = (got - want).abs() <= 1e-9 * want.abs().max(1e-6);
                prop_assert!(close, "{}\n{}\n{} {}", expr, simplified.expr, want, got);
            }
        }
    }
}

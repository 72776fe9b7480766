//! The other evaluators: batch and gradient, against the scalar tape and against SymPy.

use proptest::prelude::*;
use sglsim_expr::{
    Context, Expr, Interval, Program, Symbol, Values, ceil, exp, fixed_point, ln, max, min,
    piecewise, pow, sqrt, sum, table,
};

use crate::{random, server};

fn inputs(point: &Values) -> [f64; 5] {
    random::NAMES.map(|name| point.get(name).unwrap())
}

fn same(a: f64, b: f64) -> bool {
    a.to_bits() == b.to_bits() || a.is_nan() && b.is_nan()
}

proptest! {
    /// Bit for bit, for whole and partial batches, with loops of different length in each lane.
    #[test]
    fn a_batch_is_many_evaluations(
        script in random::script(24),
        points in prop::collection::vec(random::point(), 1..150),
    ) {
        let expr = random::build(&random::Symbols::new(), &script);
        let program = expr.compile(&random::NAMES).unwrap();
        let columns: Vec<Vec<f64>> = random::NAMES
            .iter()
            .map(|name| points.iter().map(|point| point.get(name).unwrap()).collect())
            .collect();
        let columns: Vec<&[f64]> = columns.iter().map(Vec::as_slice).collect();
        let mut got = vec![0.0; points.len()];
        program.batch().eval(&columns, &mut [&mut got]);
        let mut scalar = program.evaluator();
        for (point, got) in points.iter().zip(got) {
            let want = scalar.eval1(&inputs(point));
            prop_assert!(same(got, want), "{expr} at {point:?}: {got} instead of {want}");
        }
    }

    /// Bit for bit, whatever changes from one point to the next.
    #[test]
    fn what_did_not_change_is_remembered(
        script in random::script(24),
        first in random::point(),
        changes in prop::collection::vec((random::point(), 0u32..32), 1..12),
    ) {
        let expr = random::build(&random::Symbols::new(), &script);
        let program = expr.compile(&random::NAMES).unwrap();
        let (mut scalar, mut incremental) = (program.evaluator(), program.incremental());
        let mut at = inputs(&first);
        let got = incremental.eval1(&at);
        prop_assert!(same(got, scalar.eval1(&at)), "{expr} at {at:?}: {got}");
        for (point, which) in changes {
            for (input, value) in inputs(&point).into_iter().enumerate() {
                if which >> input & 1 == 1 {
                    at[input] = value;
                }
            }
            let (got, want) = (incremental.eval1(&at), scalar.eval1(&at));
            prop_assert!(same(got, want), "{expr} at {at:?}: {got} instead of {want}");
        }
    }

    /// Where the function is smooth around a point, the gradient is its central difference.
    #[test]
    fn the_gradient_is_the_central_difference(script in random::script(20), point in random::point()) {
        let expr = random::build(&random::Symbols::new(), &script);
        let program = expr.compile(&random::NAMES).unwrap();
        let (mut scalar, mut gradient) = (program.evaluator(), program.gradient());
        let at = inputs(&point);
        let mut by = [0.0; 5];
        let value = gradient.eval(&at, &mut by);
        prop_assert!(same(value, scalar.eval1(&at)));
        prop_assume!(value.is_finite() && value.abs() < 1e6);
        // Moved off the integers, a limit of a sum is none any more.
        for (input, derivative) in by.into_iter().enumerate().take(3) {
            let h = 1e-5;
            let mut shifted = |by: f64| {
                let mut moved = at;
                moved[input] += by;
                scalar.eval1(&moved)
            };
            let [far_left, left, right, far_right] = [-2.0 * h, -h, h, 2.0 * h].map(&mut shifted);
            let (near, far) = ((right - left) / (2.0 * h), (far_right - far_left) / (4.0 * h));
            let (backward, forward) = ((value - left) / h, (right - value) / h);
            let scale = near.abs().max(value.abs()).max(1.0);
            let regular = (near - far).abs() < 1e-6 * scale && (backward - forward).abs() < 1e-2 * scale;
            // At 0 the slope of a root is infinite, and NaN times what does not change.
            let root = derivative.is_nan() && expr.to_string().contains("sqrt(");
            if regular && !root {
                prop_assert!(
                    (derivative - near).abs() <= 1e-3 * scale,
                    "{expr} at {point:?} by {}: {derivative} instead of {near}", random::NAMES[input]
                );
            }
        }
    }
}

/// Sums share a limit of terms, also those whose limits did not change.
#[test]
fn remembered_sums_count_against_the_limit_of_terms() {
    let cx = Context::new();
    let [x, y] = ["x", "y"].map(|name| cx.symbol(Symbol::int(name).non_negative()).unwrap());
    let (i, j) = (cx.index("i"), cx.index("j"));
    let loops = sum(&i, 1, &x, sqrt(&i)) + sum(&j, 1, &y, exp(sqrt(&j)));
    let program = loops.compile(&["x", "y"]).unwrap();
    let (mut scalar, mut incremental) = (program.evaluator(), program.incremental());
    let most = f64::from(1 << 26);
    for at in
        [[10.0, 3.0], [10.0, most], [10.0, most - 5.0], [10.0, 2.0], [most + 1.0, 2.0], [3.0, 2.0]]
    {
        assert!(same(incremental.eval1(&at), scalar.eval1(&at)), "{at:?}");
    }
}

fn xy() -> (Expr, Expr) {
    let cx = Context::new();
    (cx.symbol(Symbol::real("x")).unwrap(), cx.symbol(Symbol::real("y")).unwrap())
}

#[track_caller]
fn derivatives(expr: &Expr, x: f64, y: f64) -> [f64; 2] {
    let mut by = [0.0; 2];
    expr.compile(&["x", "y"]).unwrap().gradient().eval(&[x, y], &mut by);
    by
}

#[test]
fn derivatives_at_ties_steps_and_edges() {
    let (x, y) = xy();
    // The first arm at a tie: one of the two, not the half of both.
    assert_eq!(derivatives(&max(&x, &y), 2.0, 2.0), [1.0, 0.0]);
    assert_eq!(derivatives(&min(&x, &y), 2.0, 2.0), [1.0, 0.0]);
    assert_eq!(derivatives(&(ceil(&x) * &y), 1.5, 3.0), [0.0, 2.0]);
    // An arm that is not chosen has no influence, though its derivative is infinite.
    let e = piecewise([(x.le(0), 3 * &y)], sqrt(&x) + ln(&x));
    assert_eq!(derivatives(&e, 0.0, 1.0), [0.0, 3.0]);
    assert_eq!(derivatives(&pow(&x, 2.5), 0.0, 0.0), [0.0, 0.0]);
    assert_eq!(derivatives(&x.pow(3), 0.0, 0.0), [0.0, 0.0]);
    assert_eq!(derivatives(&x.pow(-2), 2.0, 0.0), [-0.25, 0.0]);
}

#[test]
fn loops_have_derivatives() {
    let cx = Context::new();
    let (x, y) = (cx.symbol(Symbol::real("x")).unwrap(), cx.symbol(Symbol::real("y")).unwrap());
    let (i, j) = (cx.index("i"), cx.index("j"));
    let inner = sum(&j, 1, &i, max(&j * &j * &x, &y));
    let e = sum(&i, 1, 4, inner * &x);
    // x = 1, y = 2.5: the term j = 1 is y, the others x · j²; rows have 1, 2, 3, 4 terms.
    let (constant, slope) = (2.5 * 4.0, 12.0 + 18.0 + 16.0);
    assert_eq!(e.evaluate(&Values::from([("x", 1.0), ("y", 2.5)])).unwrap(), constant + slope);
    assert_eq!(derivatives(&e, 1.0, 2.5), [constant + 2.0 * slope, 4.0]);
    let gradient = |e: &Expr| {
        let mut gradient = e.compile(&["x", "y"]).unwrap().gradient();
        gradient.eval(&[1.5, 2.5], &mut [0.0; 2]);
        gradient.steps()
    };
    assert_eq!(gradient(&e), [false, false]);
    assert_eq!(gradient(&sum(&i, 1, ceil(&y), max(&i * &i, &x))), [false, true]);
    assert_eq!(gradient(&sum(&i, 1, 3, max(&i, ceil(&x) * &y))), [true, false]);
}

#[test]
fn outputs_have_their_own_gradient() {
    let (x, y) = xy();
    let program = Program::compile(&[&(&x * &y), &exp(&x)], &["x", "y"]).unwrap();
    let mut gradient = program.gradient();
    let mut by = [0.0; 2];
    assert_eq!(gradient.eval(&[0.0, 3.0], &mut by), 0.0);
    assert_eq!(by, [3.0, 0.0]);
    assert_eq!(gradient.eval_output(1, &[0.0, 3.0], &mut by), 1.0);
    assert_eq!(by, [1.0, 0.0]);
}

#[test]
fn a_server_has_elasticities() {
    let module = server::build().module;
    let at = server::values(&server::POINTS[0]);
    let sensitivities = module.sensitivities(&at).unwrap();
    let of = |name: &str| sensitivities.iter().find(|s| s.name == name).unwrap();
    // The two decode workers limit this configuration: one less is half of it.
    let value = module.evaluate(&at).unwrap();
    assert!((of("nd").elasticity.unwrap() - 1.0).abs() < 1e-12);
    assert!((of("nd").down.unwrap() + value / 2.0).abs() < 1e-9 * value);
    assert_eq!(of("np").elasticity, Some(0.0));
    assert!(of("batch_tokens").steps && !of("hbm").steps);
    assert!(of("tp").down.is_none(), "0 is outside the domain");
    // A parameter: the change by one percent is predicted by the elasticity.
    let hbm = of("hbm");
    let more = at.clone().with("hbm", hbm.value * 1.001);
    let change = module.evaluate(&more).unwrap() / value - 1.0;
    assert!((change / 0.001 - hbm.elasticity.unwrap()).abs() < 1e-2, "{change} {hbm:?}");
}

#[test]
fn fixed_points_and_tables_in_every_evaluator() {
    let cx = Context::new();
    let p = cx.symbol(Symbol::real("p").positive()).unwrap();
    let n = cx.symbol(Symbol::int("n").at_least(0.0).at_most(3.0)).unwrap();
    let entry = table(&[1.5, 2.5, -1.0, 8.0], &n);
    // x = p / x + entry / 4: half of entry / 4, and the root of its square and p.
    let x = cx.unknown("x");
    let e = fixed_point(&x, 1e-3, 1e3, &p / &x + &entry / 4) * &n + &p;
    let program = e.compile(&["p", "n"]).unwrap();
    let closed = |p: f64, n: usize| {
        let half = [1.5, 2.5, -1.0, 8.0][n] / 8.0;
        (half + f64::sqrt(half * half + p)) * n as f64 + p
    };
    let columns: [Vec<f64>; 2] = [
        (0..70).map(|k| 0.5 + f64::from(k)).collect(),
        (0..70).map(|k| f64::from(k % 4)).collect(),
    ];
    let mut batch = vec![0.0; 70];
    program.batch().eval(&[&columns[0], &columns[1]], &mut [&mut batch]);
    let (mut scalar, mut gradient, mut bounds) =
        (program.evaluator(), program.gradient(), program.intervals());
    for (at, got) in batch.into_iter().enumerate() {
        let (p, n) = (columns[0][at], at % 4);
        let want = scalar.eval1(&[p, n as f64]);
        assert_eq!(got, want);
        assert!((want - closed(p, n)).abs() < 1e-9 * want);
        let mut by = [0.0; 2];
        gradient.eval(&[p, n as f64], &mut by);
        let slope = (closed(p * (1.0 + 1e-6), n) - closed(p * (1.0 - 1e-6), n)) / (2e-6 * p);
        assert!((by[0] - slope).abs() < 1e-6 * slope, "{by:?} instead of {slope}");
        assert_eq!(gradient.steps(), [false, n != 0]);
        let bound = bounds.eval1(&[Interval::new(p, p + 1.0), Interval::point(n as f64)]);
        assert!(bound.lo <= want && closed(p + 1.0, n) <= bound.hi + 1e-9, "{bound:?}");
        assert!(bound.hi - bound.lo < 1e-4 + 2.0 * (closed(p + 1.0, n) - want));
    }
}

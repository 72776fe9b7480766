//! Intervals contain every value of their box, and contraction loses no point.

use proptest::prelude::*;
use sglsim_expr::{
    Context, Expr, Interval, Program, Symbol, ceil_div, exp, fixed_point, ln, max, min,
    min_of_feasible, piecewise, sqrt, sum, table,
};

use crate::{random, server};

/// A box, and points inside it (integers where the input is one).
fn boxes() -> impl Strategy<Value = ([Interval; 5], Vec<[f64; 5]>)> {
    let side = || (0.0..1.0f64, prop_oneof![Just(0.0), 0.0..0.1f64, 0.0..1.0f64]);
    (prop::array::uniform5(side()), prop::collection::vec(prop::array::uniform5(0.0..=1.0f64), 40))
        .prop_map(|(sides, points)| {
            let domains = [(-4.0, 4.0), (0.01, 5.0), (0.0, 3.0), (1.0, 40.0), (-9.0, 9.0)];
            let mut at = 0;
            let boxes = domains.map(|(lo, hi)| {
                let (start, width) = sides[at];
                at += 1;
                let low: f64 = lo + start * (hi - lo);
                let high = f64::min(low + width * (hi - lo), hi);
                // The last two are integers.
                if at > 3 {
                    Interval::new(low.floor(), high.floor())
                } else {
                    Interval::new(low, high)
                }
            });
            let inside = |point: [f64; 5]| {
                std::array::from_fn(|at| {
                    let Interval { lo, hi } = boxes[at];
                    let value = (lo + point[at] * (hi - lo)).clamp(lo, hi);
                    if at >= 3 { value.round() } else { value }
                })
            };
            (boxes, points.into_iter().map(inside).collect())
        })
}

proptest! {
    /// 40 points in each box; run with `PROPTEST_CASES` for more boxes.
    #[test]
    fn intervals_contain_every_value(script in random::script(24), (boxes, points) in boxes()) {
        let expr = random::build(&random::Symbols::new(), &script);
        let program = expr.compile(&random::NAMES).unwrap();
        let (mut scalar, mut intervals) = (program.evaluator(), program.intervals());
        let bound = intervals.eval1(&boxes);
        for point in points {
            let value = scalar.eval1(&point);
            prop_assert!(
                !value.is_finite() || bound.contains(value),
                "{expr} over {boxes:?}: {bound:?} without {value} at {point:?}"
            );
            let at = intervals.eval1(&point.map(Interval::point));
            prop_assert!(!value.is_finite() || at.contains(value), "{expr} at {point:?}: {at:?} without {value}");
        }
    }

    /// No point that reaches the target is lost, and a box without one is not proof of anything.
    #[test]
    fn contraction_loses_no_point(
        script in random::script(20),
        (boxes, points) in boxes(),
        (from, width) in (0.0..1.0f64, 0.0..0.5f64),
        guard in any::<bool>(),
    ) {
        let expr = random::build(&random::Symbols::new(), &script);
        let program = expr.compile(&random::NAMES).unwrap();
        let mut scalar = program.evaluator();
        let values: Vec<f64> = points.iter().map(|point| scalar.eval1(point)).collect();
        // A target that some of the values are in.
        let mut sorted: Vec<f64> = values.iter().copied().filter(|v| v.is_finite()).collect();
        sorted.sort_by(f64::total_cmp);
        prop_assume!(!sorted.is_empty());
        let pick = |share: f64| sorted[((sorted.len() - 1) as f64 * share.min(1.0)) as usize];
        let target = Interval::new(pick(from), pick(from + width));
        let mut left = boxes;
        let kept = if guard {
            // The same as a condition.
            let holds = expr.ge(target.lo).and(&expr.le(target.hi));
            let program = Program::compile(&[&holds], &random::NAMES).unwrap();
            let kept = program.intervals().contract(&mut left, &[Interval::point(1.0)]);
            let mut condition = program.evaluator();
            for (point, value) in points.iter().zip(&values) {
                let holds = condition.eval1(point) == 1.0;
                prop_assert_eq!(holds, target.contains(*value));
            }
            kept
        } else {
            program.intervals().contract(&mut left, &[target])
        };
        for (point, value) in points.iter().zip(&values) {
            if value.is_finite() && target.contains(*value) {
                prop_assert!(kept, "{expr} = {value} at {point:?}: refused");
                for (interval, x) in left.iter().zip(point) {
                    prop_assert!(interval.contains(*x), "{expr} in {target:?}: {left:?} without {point:?}");
                }
            }
        }
    }
}

fn xy() -> (Expr, Expr) {
    let cx = Context::new();
    (cx.symbol(Symbol::real("x")).unwrap(), cx.symbol(Symbol::real("y")).unwrap())
}

#[track_caller]
fn bound(expr: &Expr, x: (f64, f64), y: (f64, f64)) -> Interval {
    let boxes = [Interval::new(x.0, x.1), Interval::new(y.0, y.1)];
    expr.compile(&["x", "y"]).unwrap().intervals().eval1(&boxes)
}

#[test]
fn undefined_parts_do_not_hide_values() {
    let (x, y) = xy();
    // At x = −1 the root is NaN and the maximum is 3.
    assert!(bound(&max(sqrt(&x) + 5, 3), (-1.0, 1.0), (0.0, 0.0)).contains(3.0));
    // 1 / (1 / x) is 0 at x = 0.
    let e = &y / (1 / max(&x, 0) + 1);
    assert!(bound(&e, (-1.0, 1.0), (2.0, 2.0)).contains(0.0));
    // A comparison with NaN is false.
    let e = piecewise([(ln(&x).le(10), 1)], 2);
    assert_eq!(bound(&e, (-1.0, 1.0), (0.0, 0.0)), Interval::new(1.0, 2.0));
    assert_eq!(bound(&e, (0.5, 1.0), (0.0, 0.0)), Interval::point(1.0));
    assert_eq!(bound(&exp(-1 / &x), (0.0, 1.0), (0.0, 0.0)).lo, 0.0);
}

#[test]
fn integers_are_exact() {
    let cx = Context::new();
    let n = cx.symbol(Symbol::int("n").at_least(0.0)).unwrap();
    let m = cx.symbol(Symbol::int("m").at_least(1.0)).unwrap();
    let e = ceil_div(&n, &m) * 7 - &n;
    let mut bounds = e.compile(&["n", "m"]).unwrap().intervals();
    // ceil(4300 / 43) is 100, although 4300 / 43 is a rounded quotient.
    let point = [4300.0, 43.0].map(Interval::point);
    assert_eq!(bounds.eval1(&point), Interval::point(700.0 - 4300.0));
}

#[test]
fn sums_of_uncertain_length() {
    let cx = Context::new();
    let n = cx.symbol(Symbol::int("n")).unwrap();
    let x = cx.symbol(Symbol::real("x")).unwrap();
    let i = cx.index("i");
    let e = sum(&i, 1, &n, max(&i * &i, &x));
    let mut bounds = e.compile(&["n", "x"]).unwrap().intervals();
    let mut over =
        |n: (f64, f64), x: f64| bounds.eval1(&[Interval::new(n.0, n.1), Interval::point(x)]);
    let close = |a: Interval, lo: f64, hi: f64| {
        assert!(a.lo <= lo && hi <= a.hi && a.lo > lo - 1e-9 && a.hi < hi + 1e-9, "{a:?}");
    };
    close(over((3.0, 5.0), 2.5), 15.5, 56.5);
    close(over((-2.0, 2.0), 2.5), 0.0, 6.5);
    assert_eq!(over((-2.0, -1.0), 2.5), Interval::point(0.0));
    // Too many terms to visit: still a bound.
    let many = over((1e5, 1e6), 2.0);
    assert!(many.lo <= 3.3e14 && many.hi >= 3.4e17, "{many:?}");
}

#[test]
fn a_server_is_bounded_and_contracted() {
    let module = server::build().module;
    let names: Vec<String> =
        module.objective.free_symbols().into_iter().map(|symbol| symbol.name).collect();
    let names: Vec<&str> = names.iter().map(String::as_str).collect();
    let outputs: Vec<&Expr> = std::iter::once(&module.objective)
        .chain(module.constraints.iter().map(|c| &c.holds))
        .collect();
    let program = Program::compile(&outputs, &names).unwrap();
    let mut bounds = program.intervals();
    for point in &server::POINTS {
        let at = server::values(point);
        let boxes: Vec<Interval> =
            names.iter().map(|name| Interval::point(at.get(name).unwrap())).collect();
        let mut out = vec![Interval::ALL; outputs.len()];
        bounds.eval(&boxes, &mut out);
        let value = module.evaluate(&at).unwrap();
        assert!(out[0].contains(value));
        // Two thousand roundings, each outward.
        assert!(out[0].hi - out[0].lo <= 1e-12 * value, "{:?} around {value}", out[0]);
    }
    // All decisions open: more than 500 per second and all constraints met leaves few of them.
    let at = server::values(&server::POINTS[0]);
    let mut boxes: Vec<Interval> = names
        .iter()
        .map(|name| match server::KNOBS.iter().position(|knob| knob == name) {
            Some(knob) => Interval::new(1.0, [64.0, 64.0, 8192.0, 1e6, 16.0, 32.0, 64.0][knob]),
            None => Interval::point(at.get(name).unwrap()),
        })
        .collect();
    let mut targets = vec![Interval::point(1.0); outputs.len()];
    targets[0] = Interval::new(500.0, f64::INFINITY);
    assert!(bounds.contract(&mut boxes, &targets));
    let batch_tokens = boxes[names.iter().position(|name| *name == "batch_tokens").unwrap()];
    assert_eq!(batch_tokens.lo, 3700.0, "a batch of one request needs its tokens");
    let [fits, bound] = [server::POINTS[0], server::POINTS[3]].map(|point| {
        let at = server::values(&point);
        module.evaluate(&at).unwrap() >= 500.0
            && module.violated(&at).unwrap().is_empty()
            && names.iter().zip(&boxes).all(|(name, side)| side.contains(at.get(name).unwrap()))
    });
    assert!(fits || bound, "a feasible point is still inside");
    // And what no configuration reaches is refused.
    targets[0] = Interval::new(1e12, f64::INFINITY);
    assert!(!bounds.contract(&mut boxes, &targets));
    let (x, y) = xy();
    let never = min(&x, &y).ge(2).and(&max(&x, &y).le(1));
    let mut sides = [Interval::new(0.0, 9.0); 2];
    let mut bounds = never.compile(&["x", "y"]).unwrap().intervals();
    assert!(!bounds.contract(&mut sides, &[Interval::point(1.0)]));
}

#[test]
fn contraction_goes_through_loops_and_tables() {
    let cx = Context::new();
    let n = cx.symbol(Symbol::int("n").at_least(0.0)).unwrap();
    let x = cx.symbol(Symbol::real("x").at_least(0.0)).unwrap();
    let i = cx.index("i");
    let contracted = |e: &Expr, sides: [(f64, f64); 2], target: (f64, f64)| {
        let mut bounds = e.compile(&["n", "x"]).unwrap().intervals();
        let mut sides = sides.map(|(lo, hi)| Interval::new(lo, hi));
        let target = [Interval::new(target.0, target.1)];
        let kept = bounds.contract(&mut sides, &target) && bounds.contract(&mut sides, &target);
        kept.then_some(sides)
    };
    // max(1, x) + max(4, x) + max(9, x) <= 20 leaves the last at most 15 ...
    let squares = sum(&i, 1, &n, max(&i * &i, &x));
    let [_, x_side] = contracted(&squares, [(3.0, 3.0), (0.0, 50.0)], (0.0, 20.0)).unwrap();
    assert!(20.0 / 3.0 <= x_side.hi && x_side.hi <= 15.0 + 1e-9, "{x_side:?}");
    // ... and says how many terms there are.
    let [n_side, _] = contracted(&squares, [(0.0, 100.0), (0.0, 2.0)], (40.0, 60.0)).unwrap();
    assert_eq!(n_side, Interval::point(5.0), "30 to 31 for four terms, 91 for six");
    assert_eq!(contracted(&squares, [(0.0, 4.0), (0.0, 2.0)], (40.0, 60.0)), None);
    // A term without a feasible kernel bounds how many there are.
    let kernel = min_of_feasible([("only", &x + &i, x.gt(16 * &i))]);
    let some = sum(&i, 1, &n, kernel);
    for target in [(0.0, 9.0), (0.0, f64::INFINITY)] {
        let [n_side, _] = contracted(&some, [(0.0, 3.0), (0.0, 5.0)], target).unwrap();
        assert_eq!(n_side, Interval::point(0.0));
    }
    // u = u / 2 + x / 4 is x / 2.
    let u = cx.unknown("u");
    let root = fixed_point(&u, -100, 100, max(&u / 2 + &x / 4, -50));
    let [_, x_side] = contracted(&root, [(0.0, 0.0), (0.0, 50.0)], (1.0, 3.0)).unwrap();
    assert!(x_side.lo > 1.999 && x_side.lo <= 2.0 && x_side.hi >= 6.0 && x_side.hi < 6.001);
    // Entries 1, 2 and 4.
    let entries = table(&[9.0, 1.0, 3.0, 8.0, 2.0, 7.0], &n);
    let [n_side, _] = contracted(&entries, [(0.0, 5.0), (0.0, 0.0)], (0.0, 4.0)).unwrap();
    assert_eq!(n_side, Interval::new(1.0, 4.0));
}

#[test]
fn choices_of_kernels_are_bounded_by_what_is_feasible() {
    let (x, y) = xy();
    let e = 2 * min_of_feasible([("a", &x + 1, x.le(2)), ("b", &y * 3, x.gt(1))]);
    // Only the first, either, only the second.
    let close = |bound: Interval, lo: f64, hi: f64| {
        assert!(bound.lo <= lo && bound.lo > lo - 1e-9, "{bound:?}");
        assert!(bound.hi >= hi && bound.hi < hi + 1e-9, "{bound:?}");
    };
    close(bound(&e, (0.0, 1.0), (5.0, 6.0)), 2.0, 4.0);
    // The first can always be had: the second only ever helps.
    close(bound(&e, (0.0, 1.5), (5.0, 6.0)), 2.0, 5.0);
    close(bound(&e, (1.5, 4.0), (5.0, 6.0)), 5.0, 36.0);
    close(bound(&e, (3.0, 4.0), (5.0, 6.0)), 30.0, 36.0);
    // What none of them can do has no value and needs no bound.
    let none = min_of_feasible([("a", &x + 1, x.le(2)), ("b", &y * 3, x.gt(5))]);
    let nothing = bound(&none, (3.0, 4.0), (5.0, 6.0));
    assert!(nothing.lo > nothing.hi, "{nothing:?}");
    let mut sides = [Interval::new(1.0, 9.0), Interval::new(5.0, 6.0)];
    let mut bounds = none.compile(&["x", "y"]).unwrap().intervals();
    assert!(bounds.contract(&mut sides, &[Interval::new(0.0, 10.0)]));
    assert!(sides[0].hi < 2.001, "only the first kernel is that fast: {sides:?}");
}

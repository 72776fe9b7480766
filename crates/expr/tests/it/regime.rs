//! Which arm decides, by hand and by perturbation.

use proptest::prelude::*;
use sglsim_expr::{
    Context, Decision, Expr, Symbol, Values, fixed_point, max, max_of, min, min_of,
    min_of_feasible, piecewise, sum,
};

fn arms() -> (Context, Vec<Expr>) {
    let cx = Context::new();
    let arm = |k: usize| {
        let x = cx.symbol(Symbol::real(format!("x{k}"))).unwrap();
        (x * 1.5).named(format!("arm{k}"), "", "")
    };
    let arms = (0..4).map(arm).collect();
    (cx, arms)
}

proptest! {
    /// The arm that is named has the value; moving it beyond the margin hands over to the next.
    #[test]
    fn the_margin_is_the_distance_to_the_next(x in prop::collection::vec(-5.0..5.0f64, 4), least: bool) {
        let (_, arms) = arms();
        let e = if least { min_of(&arms) } else { max_of(&arms) }.named("extremum", "", "");
        let at = |x: &[f64]| -> Values {
            x.iter().enumerate().map(|(k, x)| (format!("x{k}"), *x)).collect()
        };
        let found = e.active_arms(&at(&x)).unwrap();
        prop_assert_eq!(found.len(), 1);
        let active = &found[0];
        prop_assert_eq!(active.value, e.evaluate(&at(&x)).unwrap());
        prop_assert_eq!(active.decision, if least { Decision::Min } else { Decision::Max });
        let next = active.next.clone().unwrap();
        let which: usize = active.arm.trim_start_matches("arm").parse().unwrap();
        let toward = if least { 1.0 } else { -1.0 };
        for (share, arm) in [(0.99, &active.arm), (1.01, &next.arm)] {
            let mut moved = x.clone();
            moved[which] += toward * (next.margin / 1.5 * share);
            prop_assume!(next.margin > 1e-9);
            prop_assert_eq!(&e.active_arms(&at(&moved)).unwrap()[0].arm, arm);
        }
    }
}

#[test]
fn only_what_counts_is_told() {
    let (cx, a) = arms();
    let at = |x: [f64; 4]| -> Values { (0..4).map(|k| (format!("x{k}"), x[k])).collect() };
    let inner = min(&a[0], &a[1]).named("inner", "", "");
    let kernels = min_of_feasible([
        ("fast", a[2].clone(), a[3].gt(0)),
        ("safe", inner, cx.truth(true)),
        ("never", &a[2] - 100, a[3].gt(50)),
    ]);
    let e = piecewise([(a[3].le(9), kernels.named("kernel", "", ""))], &a[0] * 2) + 1;
    let words = |x| -> Vec<String> {
        e.active_arms(&at(x)).unwrap().iter().map(ToString::to_string).collect()
    };
    let found = words([2.0, 4.0, 8.0, 4.0]);
    assert_eq!(
        found[1..],
        [
            "kernel: min_of safe (3), 300.0 % before fast (12)",
            "inner: min arm0 (3), 100.0 % before arm1 (6)",
        ]
    );
    assert!(found[0].contains("piecewise kernel if "), "{found:?}");
    assert!(found[0].contains("(3), 3 away from a change of "), "{found:?}");
    // The other arm counts: nothing inside this one is told. Without a second arm, none follows.
    assert_eq!(words([2.0, 4.0, 8.0, 8.0]).len(), 1);
    assert_eq!(words([2.0, 4.0, 8.0, -1.0])[1], "kernel: min_of safe (3)");
    assert!(e.active_arms(&Values::new()).is_err());
    // Unnamed bounds are not told, in a sum or outside.
    let n = cx.symbol(Symbol::int("n")).unwrap();
    let i = cx.index("i");
    let total = sum(&i, 1, &n, min(&i * &i, &n));
    assert_eq!(total.active_arms(&Values::from([("n", 5.0)])).unwrap(), []);
}

#[test]
fn sums_and_fixed_points_are_looked_into() {
    let cx = Context::new();
    let n = cx.symbol(Symbol::int("n").at_least(0.0).at_most(99.0)).unwrap();
    let i = cx.index("i");
    let kernel =
        min_of_feasible([("square", i.pow(2), cx.truth(true)), ("flat", 10 + &n, n.ge(2))]);
    let total = sum(&i, 1, &n, kernel.named("kernel", "", "")).named("total", "", "");
    let words = |e: &Expr, at: Values| -> Vec<String> {
        e.active_arms(&at).unwrap().iter().map(ToString::to_string).collect()
    };
    assert_eq!(
        words(&(&total + 1), Values::from([("n", 5.0)])),
        [
            "kernel: min_of square (1), 1400.0 % before flat (15), in 3 of 5 terms of total",
            "kernel: min_of flat (15), 6.7 % before square (16), in 2 of 5 terms of total",
        ]
    );
    assert_eq!(
        words(&total, Values::from([("n", 1.0)])),
        ["kernel: min_of square (1), in the one term of total"]
    );
    assert_eq!(words(&total, Values::from([("n", 0.0)])), Vec::<String>::new());
    assert_eq!(words(&total, Values::from([("n", 65.0)])), Vec::<String>::new());
    let y = cx.unknown("y");
    let slow = (-&y + 20).named("slow", "", "");
    let root = fixed_point(&y, 0, 100, max(slow, 4).named("pace", "", ""));
    assert_eq!(words(&root, Values::new()), ["pace: max slow (10), 60.0 % before 4 (4)"]);
}

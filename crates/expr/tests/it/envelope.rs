//! Sums over extrema of lines have a closed form, equal to the loop.

use proptest::prelude::*;
use sglsim_expr::{
    Context, Expr, Symbol, Values, max, max_of, min, min_of, min_of_feasible, piecewise, sum,
};

use crate::server;

struct Lines {
    cx: Context,
    lo: Expr,
    hi: Expr,
    a: Vec<Expr>,
    b: Vec<Expr>,
    m: Expr,
}

fn lines() -> Lines {
    let cx = Context::new();
    let symbol = |s| cx.symbol(s).unwrap();
    let reals = |letter| (0..4).map(|k| symbol(Symbol::real(format!("{letter}{k}")))).collect();
    Lines {
        lo: symbol(Symbol::int("lo")),
        hi: symbol(Symbol::int("hi")),
        a: reals("a"),
        b: reals("b"),
        m: symbol(Symbol::int("m")),
        cx: cx.clone(),
    }
}

#[derive(Clone, Debug)]
struct Point {
    lo: i32,
    hi: i32,
    m: i32,
    a: Vec<f64>,
    b: Vec<f64>,
}

/// Small integers make ties and parallels, halves make crossings between integers.
fn point() -> impl Strategy<Value = Point> {
    let small = prop_oneof![
        (-4..5i32).prop_map(f64::from),
        (-9..10i32).prop_map(|k| f64::from(k) / 2.0),
        -5.0..5.0f64,
        (-40..41i32).prop_map(|k| f64::from(k) * 0.1),
    ];
    let four = prop::collection::vec(small, 4);
    (-20..20i32, -3..60i32, -10..40i32, four.clone(), four)
        .prop_map(|(lo, length, m, a, b)| Point { lo, hi: lo + length, m, a, b })
}

impl Point {
    fn values(&self) -> Values {
        let mut values = Values::from([
            ("lo", f64::from(self.lo)),
            ("hi", f64::from(self.hi)),
            ("m", f64::from(self.m)),
        ]);
        values.extend(self.a.iter().enumerate().map(|(k, a)| (format!("a{k}"), *a)));
        values.extend(self.b.iter().enumerate().map(|(k, b)| (format!("b{k}"), *b)));
        values
    }

    fn line(&self, k: usize, j: f64) -> f64 {
        self.a[k] + self.b[k] * j
    }

    #[track_caller]
    fn check(&self, closed: &Expr, body: impl Fn(f64) -> f64) {
        assert!(!closed.to_string().contains("sum("), "{closed}");
        let terms: Vec<f64> = (self.lo..=self.hi).map(|j| body(f64::from(j))).collect();
        let want: f64 = terms.iter().sum();
        let scale: f64 = terms.iter().map(|t| t.abs()).sum::<f64>().max(1.0);
        let got = closed.evaluate(&self.values()).unwrap();
        assert!((got - want).abs() <= 1e-11 * scale, "{got} instead of {want} at {self:?}");
        let bound = closed.bind(&self.values());
        let got = bound.evaluate(&Values::new()).unwrap();
        assert!((got - want).abs() <= 1e-11 * scale, "bound: {got} instead of {want} at {self:?}");
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(600))]

    #[test]
    fn extrema_of_lines(p in point(), count in 1..5usize) {
        let Lines { cx, lo, hi, a, b, .. } = lines();
        let j = cx.index("j");
        let all: Vec<Expr> = (0..count).map(|k| &a[k] + &b[k] * &j).collect();
        let least = |x| (0..count).map(|k| p.line(k, x)).fold(f64::INFINITY, f64::min);
        let most = |x| (0..count).map(|k| p.line(k, x)).fold(f64::NEG_INFINITY, f64::max);
        p.check(&sum(&j, &lo, &hi, min_of(&all)), least);
        p.check(&sum(&j, &lo, &hi, max_of(&all)), most);
        p.check(&sum(&j, &lo, &hi, 3 * &j - 2 * max_of(&all) + &a[0]), |x| 3.0 * x - 2.0 * most(x) + p.a[0]);
        let nested = max(&b[3], 2 - min_of(&all) / 4);
        p.check(&sum(&j, &lo, &hi, nested), |x| p.b[3].max(2.0 - least(x) / 4.0));
    }

    #[test]
    fn guards_without_the_index(p in point()) {
        let Lines { cx, lo, hi, a, b, m } = lines();
        let j = cx.index("j");
        let line = |k: usize| &a[k] + &b[k] * &j;
        let (n, q) = (f64::from(p.m), |k: usize| p.line(k, 0.0));
        let second = piecewise([(m.le(5), line(1)), (a[0].gt(&b[0]), line(2))], line(3));
        let plain = |x| if n <= 5.0 { p.line(1, x) } else if q(0) > p.b[0] { p.line(2, x) } else { p.line(3, x) };
        p.check(&sum(&j, &lo, &hi, min(line(0), &second)), |x| p.line(0, x).min(plain(x)));
        p.check(&sum(&j, &lo, &hi, max(line(0), &second)), |x| p.line(0, x).max(plain(x)));
        let choice = min_of_feasible([
            ("first", line(0), cx.truth(true)),
            ("second", line(1), m.gt(3)),
            ("third", max(&b[0], &b[1]), m.lt(9).and(&a[0].le(1))),
        ]);
        let least = |x| {
            let mut least = p.line(0, x);
            if n > 3.0 { least = least.min(p.line(1, x)); }
            if n < 9.0 && p.a[0] <= 1.0 { least = least.min(p.b[0].max(p.b[1])); }
            least
        };
        p.check(&sum(&j, &lo, &hi, &choice), least);
        p.check(&sum(&j, &lo, &hi, choice * 2 + &j), |x| 2.0 * least(x) + x);
    }

    #[test]
    fn guards_on_the_index_are_limits(p in point(), step in 1..4i32) {
        let Lines { cx, lo, hi, a, b, m } = lines();
        let j = cx.index("j");
        let line = |k: usize| &a[k] + &b[k] * &j;
        let (n, s) = (f64::from(p.m), f64::from(step));
        for strict in [false, true] {
            let (left, right) = (&j * step, &m - &j);
            let guard = if strict { left.lt(&right) } else { left.le(&right) };
            let holds = |x: f64| if strict { s * x < n - x } else { s * x <= n - x };
            let e = piecewise([(guard.clone(), line(0))], line(1));
            p.check(&sum(&j, &lo, &hi, e), |x| p.line(usize::from(!holds(x)), x));
            let e = min(line(0), piecewise([(guard.not(), line(1))], &a[2]));
            p.check(&sum(&j, &lo, &hi, e), |x| {
                p.line(0, x).min(if holds(x) { p.a[2] } else { p.line(1, x) })
            });
        }
    }

    /// A roofline over a growing context is one line: the larger slope.
    #[test]
    fn rooflines_of_a_common_factor(p in point()) {
        let Lines { cx, hi, a, b, .. } = lines();
        let start = cx.symbol(Symbol::int("start").at_least(0.0)).unwrap();
        let j = cx.index("j");
        let context = &start + &j;
        let roof = |k: usize| max(&context * &a[k], &context * &b[k]) + &a[k];
        let e = sum(&j, 0, &hi, min_of([roof(0), roof(1), roof(2)]))
            .bind(&Values::from([("start", 7.0)]));
        let p = Point { lo: 0, ..p };
        let roof = |k: usize, x: f64| (7.0 + x) * p.a[k].max(p.b[k]) + p.a[k];
        p.check(&e, |x| roof(0, x).min(roof(1, x)).min(roof(2, x)));
    }
}

#[test]
fn the_decode_time_of_a_server_has_no_loop() {
    let server = server::build();
    let decode = &server.decode;
    assert!(!decode.to_string().contains("sum("), "{decode}");
    for point in &server::POINTS {
        let got = decode.evaluate(&server::values(point)).unwrap();
        let want = server::reference(point).decode;
        assert!((got - want).abs() <= 1e-12 * want, "{got} instead of {want}");
    }
}

#[test]
fn what_is_no_line_stays_a_loop() {
    let Lines { cx, lo, hi, a, b, .. } = lines();
    let j = cx.index("j");
    for body in [max(&j * &j, &a[0]), min(&j, max(&a[0] + &j * &b[0], &b[1])), max(&j, 2).pow(2)] {
        assert!(sum(&j, &lo, &hi, body).to_string().contains("sum("));
    }
    // Nothing feasible must not look like an empty sum.
    let choice = min_of_feasible([("only", &j * 2, a[0].gt(0))]);
    let e = sum(&j, 1, 50, choice);
    assert_eq!(e.evaluate(&Values::from([("a0", 1.0)])).unwrap(), 2550.0);
    assert!(e.evaluate(&Values::from([("a0", 0.0)])).is_err());
}

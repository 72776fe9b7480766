//! The text form: what is written is read back, and what is wrong is said with its place.

use proptest::prelude::*;
use sglsim_expr::{
    Context, Expr, ExprError, Module, Symbol, Values, ceil, fixed_point, max, min_of_feasible, sum,
    table,
};

use crate::{random, server};

#[track_caller]
fn reads_back(expr: &Expr) -> String {
    let text = expr.to_text().unwrap();
    let read = expr.context().parse(&text);
    assert_eq!(read.as_ref(), Ok(expr), "{text}");
    text
}

#[track_caller]
fn problems(cx: &Context, text: &str) -> String {
    match cx.parse(text) {
        Err(ExprError::Text(problems)) => problems.to_string(),
        other => panic!("{other:?}"),
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(192))]

    #[test]
    fn what_is_written_is_read_back(script in random::script(40), point in random::point()) {
        let expr = random::build(&random::Symbols::new(), &script);
        prop_assume!(expr.check().is_ok());
        let text = expr.to_text().unwrap();
        prop_assert_eq!(expr.context().parse(&text).unwrap(), expr.clone(), "{}", text);
        // In another context terms may come in another order, and round differently.
        let read = Context::new().parse(&text).unwrap();
        let again = read.to_text().unwrap();
        prop_assert_eq!(read.context().parse(&again).unwrap(), read.clone());
        if again == text && let Ok(want) = expr.evaluate(&point) {
            prop_assert_eq!(want.to_bits(), read.evaluate(&point).unwrap().to_bits());
        }
    }

    /// Any text is read or refused.
    #[test]
    fn nothing_panics(text in "[a-c0-9.'`\"+*/^(){}\\[\\];:,<>=\\- \n#]{0,60}|\\PC{0,20}") {
        let cx = Context::new();
        let _ = cx.symbol(Symbol::real("a")).unwrap();
        let _ = cx.parse(&text).map_err(|error| error.to_string());
        let _ = Module::parse(&cx, &text).map_err(|error| error.to_string());
    }
}

#[test]
fn every_operation_is_read_back() {
    let cx = Context::new();
    let x = cx.symbol(Symbol::real("x").unit("s").doc("a \"time\"\nin \\ words")).unwrap();
    let n = cx.symbol(Symbol::int("n").at_least(1.0).at_most(9.0)).unwrap();
    let odd = cx.symbol(Symbol::real("tp-size").positive()).unwrap();
    let on = cx.symbol(Symbol::boolean("in")).unwrap();
    let (i, i2) = (cx.index("i"), cx.index("i"));
    reads_back(&(&x / 0.3 + &x / 0.3 + -&x / 0.7));
    reads_back(&((&odd * 1.0 * &n).pow(0.25) * odd.pow(-3) + odd.pow(0.3) * 2.0 / 3));
    reads_back(&max(&odd - 7.0, -1.0));
    reads_back(&max(&odd - 7.0, -1));
    reads_back(&(&n * 2 / 3 - 1 / &odd + 7 / (&n * &odd) + 1e300 + 0.1));
    reads_back(&(sglsim_expr::pow(2, -&n) + sglsim_expr::exp(-&odd) * sglsim_expr::ln(&odd)));
    reads_back(&sglsim_expr::piecewise(
        [(on.clone(), x.clone()), (on.not().and(&n.ge(3)), &x * 2)],
        0,
    ));
    reads_back(&sum(&i, 1, &n, table(&[1.0, -2.5, 1e-9], &i - 1) * max(&i, &odd)));
    let inner = sum(&i2, 0, &i, max(&i2 * &i, &odd) * &i2);
    let text = reads_back(&sum(&i, 1, &n, inner));
    assert!(text.contains("sum(i'2 = "), "{text}");
    let y = cx.unknown("y");
    reads_back(&fixed_point(&y, 0, 100, 5 / (&y + &n)).assume(0.5, f64::INFINITY));
    reads_back(&(&odd + &n).assume_integer().assume(-2.0, 7.5));
    reads_back(&min_of_feasible([("ring", &x * 2, cx.truth(true)), ("one shot", &x + 1, on)]));
    reads_back(&(n.equals(3).or(&n.lt(2))).not());
    // A symbol that is called like the index of a sum around it.
    let named_i = cx.symbol(Symbol::real("i")).unwrap();
    reads_back(&sum(&i, 1, &n, max(&i, &named_i)));
}

#[test]
fn names_are_kept_apart() {
    let cx = Context::new();
    let x = cx.symbol(Symbol::real("x").unit("s")).unwrap();
    let a = (&x + 1).named("part", "s", "the first");
    let b = (&x + 2).named("part", "s", "the second");
    let e = max(&a * 2, &b).named("x", "s", "");
    let text = reads_back(&(&e + &a));
    assert_eq!(
        text,
        "\
parameter x: real [s]
part part [s] = x + 1  \"the first\"
part part'2 [s] = x + 2  \"the second\"
part x'2 [s] = max(part'2, 2 * part)
part + x'2
"
    );
    let other = Context::new();
    let read = other.parse(&text).unwrap();
    assert_eq!(other.parse(&read.to_text().unwrap()).unwrap(), read);
    assert!(read.to_latex().unwrap().contains("part"));
}

#[test]
fn a_module_is_read_back() {
    let module = server::build().module;
    let text = module.to_text().unwrap();
    insta::assert_snapshot!("module_text", text);
    assert_eq!(Module::parse(module.objective.context(), &text).unwrap(), module);
    let read = Module::parse(&Context::new(), &text).unwrap();
    for point in &server::POINTS {
        let (want, got) =
            (module.evaluate(&server::values(point)), read.evaluate(&server::values(point)));
        let (want, got) = (want.unwrap(), got.unwrap());
        assert!((got - want).abs() <= 1e-12 * want, "{got} instead of {want}");
    }
    assert_eq!(read.values, module.values);
    assert_eq!(read.constraints.len(), module.constraints.len());
}

#[test]
fn numbers_for_symbols_with_units_are_read_back() {
    let cx = Context::new();
    let rate = cx.symbol(Symbol::real("rate").positive().unit("1/s")).unwrap();
    let t = cx.symbol(Symbol::real("t").unit("s")).unwrap();
    let n = cx.symbol(Symbol::int("n")).unwrap();
    let bound =
        (max(&rate * &t, &n) + ceil(&rate * &t + &n / 3)).bind(&Values::from([("rate", 5.0)]));
    let text = reads_back(&bound);
    let read = Context::new().parse(&text);
    assert!(read.is_ok(), "{text}\n{}", read.unwrap_err());
}

#[test]
fn all_problems_are_told_at_once() {
    let text = r#"
module server  "Problems in one text"
variable tp: int in [1, 64] = 128
variable chunk: int >= 1 [tokn]
parameter bandwidth: real > 0 [B/s]
parameter bytes: real [B]
parameter latency: real [s] = "fast"
table history = [1, 2, 3]
part moved [B] = bytes / bandwidth  "time to move"
let wrong = bytes + 2 * latency + bandwidht
let both = max(bytes, moved, bytes / bandwidth)
let rounded = cil(bytes / 2)
let open = max(tp, (chunk + 1)
let chained = 1 <= tp <= 8
let guarded = {bytes if tp <= 8; 2 * bytes if tp <= 16}
let terms = sum(i = 1..tp / 2: i)
let entry = history[tp / 2] + history
let powered = pow(tp)
let huge = 99999999999999999999999999999999999999999
let sort = (tp <= 4) + exp(bytes)
let wrong = 1 $ 2
objective throughput = min(wrong, open) + i
constraint gpus: tp + 1
"#;
    let Err(ExprError::Text(found)) = Module::parse(&Context::new(), text) else { panic!() };
    insta::assert_snapshot!("problems", found.to_string());
    assert!(found.as_slice().len() > 18);
}

#[test]
fn depth_is_an_error_and_not_an_overflow() {
    let cx = Context::new();
    let deep = "(".repeat(1_000_000);
    insta::assert_snapshot!(problems(&cx, &format!("1 + {deep}")), @r"
    1:105: nested more than 100 deep; name a part with `let`
    1 | ((((((((((((((((((((((((((((((((((((((((((((((((((((((((((((((((((((((((((((((((((((((((((
      |                               ^
    ");
    for nest in ["not ", "-", "2^", "max(", "{", "min_of{a: ", "sum(i = 1..2: ", "1 / -"] {
        let text = nest.repeat(200_000);
        assert!(cx.parse(&text).is_err());
    }
    let long = vec!["1"; 200_000].join(" + ");
    assert_eq!(cx.parse(&long).unwrap(), cx.constant(200_000));
}

#[test]
fn a_deep_expression_is_read_back() {
    let cx = Context::new();
    let x = cx.symbol(Symbol::real("x")).unwrap();
    let mut e = x.clone();
    for _ in 0..20_000 {
        e = ceil(max(&e * 0.5, &x) + 0.25);
    }
    assert_eq!(cx.parse(&e.to_text().unwrap()), Ok(e));
}

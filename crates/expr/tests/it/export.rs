//! JSON and LaTeX documents.

use proptest::prelude::*;
use serde_json::json;
use sglsim_expr::{Context, Expr, ExprError, Module, Symbol, ceil, max, piecewise, sqrt, sum};

use crate::{random, server};

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn json_reads_back_to_the_same_values(script in random::script(24), point in random::point()) {
        let expr = random::build(&random::Symbols::new(), &script);
        prop_assume!(expr.check().is_ok());
        let document = expr.to_json().unwrap();
        let read = Expr::from_json(&Context::new(), &document).unwrap();
        prop_assert!(document == read.to_json().unwrap(), "{} read as {}", document, read.to_json().unwrap());
        match (expr.evaluate(&point), read.evaluate(&point)) {
            (Ok(a), Ok(b)) => prop_assert_eq!(a.to_bits(), b.to_bits()),
            (a, b) => prop_assert_eq!(a.is_err(), b.is_err()),
        }
    }
}

#[test]
fn modules_read_back() {
    let module = server::build().module;
    let text = module.to_json().unwrap().to_string();
    let read = Module::from_json(&Context::new(), &serde_json::from_str(&text).unwrap()).unwrap();
    assert_eq!(read.to_json().unwrap().to_string(), text);
    assert!(read.to_sympy().unwrap() == module.to_sympy().unwrap());
    let at = server::values(&server::POINTS[2]);
    assert_eq!(read.evaluate(&at).unwrap(), module.evaluate(&at).unwrap());
}

#[test]
fn broken_documents_are_refused() {
    let cx = Context::new();
    let x = cx.symbol(Symbol::real("x")).unwrap();
    let good = max(&x, 1).to_json().unwrap();
    let broken = |edit: &dyn Fn(&mut serde_json::Value)| {
        let mut document = good.clone();
        edit(&mut document);
        match Expr::from_json(&Context::new(), &document) {
            Err(ExprError::Format { path, .. }) => path,
            other => panic!("{other:?}"),
        }
    };
    assert_eq!(broken(&|d| d["format"] = json!("other")), "format");
    assert_eq!(broken(&|d| d["version"] = json!(2)), "version");
    assert_eq!(broken(&|d| d["nodes"][0] = json!({"max": [0, 1]})), "nodes[0]");
    assert_eq!(broken(&|d| d["nodes"][0] = json!({"max": []})), "nodes[0]");
    assert_eq!(broken(&|d| d["nodes"][0] = json!({"symbol": 7})), "nodes[0]");
    assert_eq!(broken(&|d| d["nodes"][0] = json!({"number": "1/0"})), "document");
    assert_eq!(broken(&|d| d["root"] = json!(99)), "root");
    assert_eq!(broken(&|d| d["extra"] = json!(1)), "document");
    assert_eq!(broken(&|d| d["nodes"][0] = json!({"not": 0})), "nodes[0]");
}

#[test]
fn latex_writes_named_parts_as_equations() {
    let cx = Context::new();
    let n = cx.symbol(Symbol::int("n_in").at_least(1.0)).unwrap();
    let c = cx.symbol(Symbol::int("c").at_least(1.0)).unwrap();
    let i = cx.index("i");
    let chunks = ceil(&n / &c).named("chunks", "1", "");
    let e = sum(&i, 1, &chunks, max(&i * &i, &c)) - piecewise([(n.le(3), sqrt(&n) / 2)], -(&c + 1));
    insta::assert_snapshot!(e.to_latex().unwrap());
}

#[test]
fn documents_keep_their_shape() {
    let cx = Context::new();
    let n = cx.symbol(Symbol::int("n").at_least(1.0).unit("token").doc("length")).unwrap();
    let x = cx.symbol(Symbol::real("x").positive().unit("s")).unwrap();
    let i = cx.index("i");
    let part = sum(&i, 1, &n, max(&i * &i * &x, 2)).named("part", "s", "a loop");
    let e = piecewise([(part.le(10), ceil(&part / 3) * &x)], 0.1);
    insta::assert_snapshot!(
        "expression_json",
        serde_json::to_string_pretty(&e.to_json().unwrap()).unwrap()
    );
    let module = Module::new("shape", "y", e)
        .doc("A shape.")
        .variable(&n)
        .values(&[("n", 4.0), ("x", 0.5)].into_iter().collect());
    insta::assert_snapshot!("module_sympy", module.to_sympy().unwrap());
}

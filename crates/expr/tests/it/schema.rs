//! The JSON Schema of documents, checked by Python's `jsonschema`.

use proptest::strategy::{Strategy, ValueTree};
use proptest::test_runner::TestRunner;
use serde_json::{Value, json};
use sglsim_expr::{Context, Expr, JSON_SCHEMA, Module};

use crate::sympy::{python, special};
use crate::{random, server};

/// Whether each document is valid.
const PROGRAM: &str = r#"
import json, sys
try:
    import jsonschema
except ImportError:
    print("null")
    sys.exit()
case = json.load(open(sys.argv[1]))
jsonschema.Draft202012Validator.check_schema(case["schema"])
validator = jsonschema.Draft202012Validator(case["schema"])
print(json.dumps([validator.is_valid(document) for document in case["documents"]]))
"#;

fn valid(documents: &[Value]) -> Option<Vec<bool>> {
    let schema: Value = serde_json::from_str(JSON_SCHEMA).unwrap();
    let answer = python(PROGRAM, &json!({"schema": schema, "documents": documents}))?;
    if answer.is_null() {
        println!("skipped: no jsonschema in SGLSIM_PYTHON");
        return None;
    }
    Some(serde_json::from_value(answer).unwrap())
}

#[test]
fn documents_are_valid_and_read_back() {
    let mut runner = TestRunner::deterministic();
    let mut exprs = special().0;
    while exprs.len() < 60 {
        let script = random::script(16).new_tree(&mut runner).unwrap().current();
        let expr = random::build(&random::Symbols::new(), &script);
        if expr.check().is_ok() {
            exprs.push(expr);
        }
    }
    let mut documents: Vec<Value> = exprs.iter().map(|e| e.to_json().unwrap()).collect();
    for document in &documents {
        let read = Expr::from_json(&Context::new(), document).unwrap();
        assert_eq!(read.to_json().unwrap(), *document);
    }
    let module = server::build().module.to_json().unwrap();
    let read = Module::from_json(&Context::new(), &module).unwrap();
    assert_eq!(read.to_json().unwrap(), module);
    documents.push(module);
    let Some(valid) = valid(&documents) else { return };
    for (valid, document) in valid.into_iter().zip(&documents) {
        assert!(valid, "{document}");
    }
}

#[test]
fn what_is_refused_is_not_valid_either() {
    let good = special().0[3].to_json().unwrap();
    let edits: [fn(&mut Value); 6] = [
        |d| d["version"] = json!(2),
        |d| d["nodes"][0] = json!({"maximum": [0]}),
        |d| d["nodes"][0] = json!({"max": []}),
        |d| d["nodes"][0] = json!({"number": "1/0"}),
        |d| d["extra"] = json!(1),
        |d| d["root"] = json!(-1),
    ];
    let edited = |edit: &fn(&mut Value)| {
        let mut document = good.clone();
        edit(&mut document);
        assert!(Expr::from_json(&Context::new(), &document).is_err(), "{document}");
        document
    };
    let documents: Vec<Value> = edits.iter().map(edited).collect();
    let Some(valid) = valid(&documents) else { return };
    assert_eq!(valid, [false; 6]);
}

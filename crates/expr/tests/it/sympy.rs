//! The SymPy export, run by SymPy: needs an interpreter in `SGLSIM_PYTHON`.

use std::fs;
use std::path::PathBuf;
use std::process::Command;
use std::sync::atomic::{AtomicUsize, Ordering};

use proptest::strategy::{Strategy, ValueTree};
use proptest::test_runner::TestRunner;
use serde_json::{Value, json};
use sglsim_expr::{
    Constraint, Context, Expr, Module, Symbol, Values, abs, ceil, exp, fixed_point, ln, lookup,
    max, min, min_of_feasible, modulo, piecewise, pow, sqrt, sum, table,
};

use crate::{random, server};

/// Runs a Python program on a JSON document and returns what it printed, or `None` without SymPy.
pub(crate) fn python(program: &str, input: &Value) -> Option<Value> {
    let Some(interpreter) = std::env::var_os("SGLSIM_PYTHON") else {
        println!("skipped: SGLSIM_PYTHON is not set");
        return None;
    };
    static CALLS: AtomicUsize = AtomicUsize::new(0);
    let call = CALLS.fetch_add(1, Ordering::Relaxed);
    let name = format!("input-{}-{call}.json", std::process::id());
    let path = PathBuf::from(env!("CARGO_TARGET_TMPDIR")).join(name);
    fs::write(&path, input.to_string()).unwrap();
    let out = Command::new(interpreter).arg("-c").arg(program).arg(&path).output().unwrap();
    fs::remove_file(&path).unwrap();
    assert!(out.status.success(), "{}", String::from_utf8_lossy(&out.stderr));
    Some(serde_json::from_slice(&out.stdout).unwrap())
}

/// Loads modules and evaluates each at its points.
const EVALUATE: &str = r#"
import json, math, sys, time, sympy
cases = json.load(open(sys.argv[1]))
out = []
for case in cases:
    module = {}
    start = time.process_time()
    exec(compile(case["source"], "module", "exec"), module)
    seconds = time.process_time() - start
    values, violated = [], []
    for point in case["points"]:
        point = {k: int(v) if float(v).is_integer() else v for k, v in point.items()}
        try:
            value = module["evaluate"](point)
            values.append(None if math.isnan(value) else value)
        except ArithmeticError:
            values.append(None)
        violated.append(module["violated"](point) if module["constraints"] else [])
    out.append({"values": values, "violated": violated, "seconds": seconds})
print(json.dumps(out))
"#;

fn close(got: f64, want: f64) -> bool {
    (got - want).abs() <= 1e-12 * want.abs().max(1.0)
}

#[test]
fn random_expressions_agree_with_sympy() {
    let mut runner = TestRunner::deterministic();
    let mut cases = Vec::new();
    let mut wanted = Vec::new();
    while cases.len() < 80 {
        let script = random::script(24).new_tree(&mut runner).unwrap().current();
        let symbols = random::Symbols::new();
        let expr = random::build(&symbols, &script);
        let mut points = Vec::new();
        let mut values = Vec::new();
        for _ in 0..8 {
            let point = random::point().new_tree(&mut runner).unwrap().current();
            if let Ok(value) = expr.evaluate(&point)
                // What cancels to nothing has no digits to compare.
                && (1e-9..1e12).contains(&value.abs())
            {
                let used = expr.free_symbols();
                let used = used.iter().map(|s| (s.name.clone(), point.get(&s.name).unwrap()));
                points.push(json!(used.collect::<Values>()));
                values.push(value);
            }
        }
        if !points.is_empty() {
            cases.push(json!({"source": expr.to_sympy().unwrap(), "points": points}));
            wanted.push((expr, values));
        }
    }
    let Some(answers) = python(EVALUATE, &json!(cases)) else { return };
    let total = wanted.iter().map(|(_, values)| values.len()).sum::<usize>();
    let mut compared = 0;
    for ((expr, values), answer) in wanted.iter().zip(answers.as_array().unwrap()) {
        for (want, got) in values.iter().zip(answer["values"].as_array().unwrap()) {
            // Python raises where a named part is undefined, even if it is not chosen.
            let Some(got) = got.as_f64() else { continue };
            assert!(close(got, *want), "{expr}\n{got} instead of {want}");
            compared += 1;
        }
    }
    println!("compared {compared} of {total} values");
    assert!(compared > 300 && total - compared <= total / 50);
}

#[test]
fn a_server_agrees_with_sympy() {
    let server = server::build();
    let module = &server.module;
    let source = module.to_sympy().unwrap();
    let points: Vec<Value> = server::POINTS.iter().map(|p| json!(server::values(p))).collect();
    let Some(answer) = python(EVALUATE, &json!([{"source": source, "points": points}])) else {
        return;
    };
    let answer = &answer[0];
    for (at, point) in server::POINTS.iter().enumerate() {
        let want = server::reference(point);
        let got = answer["values"][at].as_f64().unwrap();
        assert!(close(got, want.throughput), "{point:?}: {got} instead of {}", want.throughput);
        let violated = module.violated(&server::values(point)).unwrap();
        assert_eq!(answer["violated"][at], json!(violated));
    }
    let seconds = answer["seconds"].as_f64().unwrap();
    println!("{} nodes: import {seconds} s", module.objective.size());
    assert!(seconds < 2.0, "import took {seconds} s");
}

#[test]
fn gradients_agree_with_sympy() {
    let cx = Context::new();
    let [x, y, z] = ["x", "y", "z"].map(|n| cx.symbol(Symbol::real(n).positive()).unwrap());
    let i = cx.index("i");
    let part = (&x * &y + 1).named("part", "1", "");
    let smooth = [
        &part / (&z + &part.pow(2)),
        sqrt(&part) * exp(-&z / 3) - ln(&x + &y * 2),
        pow(&part, &z) + pow(2, &x) * pow(&y, 1.7),
        sum(&i, 1, 5, &i * &x / (&y + &z * 3).pow(3)) + &x.pow(-2),
        7 * &x / 3 - 0.1 * &y * &z / (&x + 5) / (&y + 0.3),
    ];
    let at = [1.25, 0.75, 2.5];
    let names = ["x", "y", "z"];
    let program = r#"
import json, sys, sympy
at = [sympy.Rational(v) for v in (1.25, 0.75, 2.5)]
out = []
for source in json.load(open(sys.argv[1])):
    module = {}
    exec(source, module)
    e = module["objective"].subs(module["defs"][::-1])
    symbols = [module["variables"].get(n, sympy.Symbol(n)) for n in "xyz"]
    out.append([float(e.diff(s).subs(list(zip(symbols, at))).evalf(30)) for s in symbols])
print(json.dumps(out))
"#;
    let sources: Vec<String> = smooth.iter().map(|e| e.to_sympy().unwrap()).collect();
    let Some(answer) = python(program, &json!(sources)) else { return };
    for (e, want) in smooth.iter().zip(answer.as_array().unwrap()) {
        let mut got = [0.0; 3];
        e.compile(&names).unwrap().gradient().eval(&at, &mut got);
        for (got, want) in got.iter().zip(want.as_array().unwrap()) {
            assert!(close(*got, want.as_f64().unwrap()), "{e}: {got} instead of {want}");
        }
    }
}

/// Expressions with a choice, a table or a fixed point in `n` and `x`, and points for them.
pub(crate) fn special() -> (Vec<Expr>, Vec<Values>) {
    let cx = Context::new();
    let n = cx.symbol(Symbol::int("n").at_least(-9.0).at_most(40.0)).unwrap();
    let x = cx.symbol(Symbol::real("x")).unwrap();
    let (i, u, v) = (cx.index("i"), cx.unknown("u"), cx.unknown("v"));
    let small = table(&[3.0, 0.25, -1.5, 7.0, 2.0], max(0, min(&n, 4)));
    let kernels = [("a", &x * &x + 1, n.ge(3)), ("b", &n * 2 + &x, n.lt(12).and(&x.gt(-2)))];
    let choice = min_of_feasible(kernels.clone());
    let inner = min_of_feasible([("c", &i * &x, i.le(2)), ("d", &i + 1, cx.truth(true))]);
    let cases = vec![
        choice.clone(),
        choice.named("choice", "1", "").pow(2) - &x,
        min_of_feasible(kernels.into_iter().chain([("z", small.clone(), cx.truth(true))])),
        &small * &x,
        fixed_point(&u, -1e4, 1e4, max(&x, &n - &u / 3)) + &x,
        fixed_point(&u, -1e4, 1e4, fixed_point(&v, -1e5, 1e5, min(&v / 2, &x - &v)) + &x - &u),
        sum(&i, 1, &n, inner * table(&[1.0, 2.0, 4.0], max(0, min(2, &i - 1)))),
        sum(&i, 1, &n, fixed_point(&u, -1e4, 1e4, max(&i, &x) - &u * &i)),
        (&x + &n).assume(-1e9, 1e9) * modulo(&n, 7) + abs(&x),
        lookup(&x, &[(-1.0, 2.0), (0.5, 3.0), (4.0, -2.0)]) + &n,
    ];
    let points: Vec<Values> = (-9..=40)
        .map(|n| Values::from([("n", f64::from(n)), ("x", f64::from(n * 13 % 17) / 3.0 - 2.6)]))
        .collect();
    (cases, points)
}

#[test]
fn choices_tables_and_fixed_points_agree_with_sympy() {
    let (cases, points) = special();
    let documents: Vec<Value> = cases
        .iter()
        .map(|e| {
            let used = e.free_symbols();
            let at = |p: &Values| -> Values {
                used.iter().map(|s| (s.name.clone(), p.get(&s.name).unwrap())).collect()
            };
            let points: Vec<Value> = points.iter().map(|p| json!(at(p))).collect();
            json!({"source": e.to_sympy().unwrap(), "points": points})
        })
        .collect();
    for source in &documents {
        assert!(!source["source"].as_str().unwrap().contains("oo,"));
    }
    let Some(answers) = python(EVALUATE, &json!(documents)) else { return };
    let mut compared = 0;
    for (e, answer) in cases.iter().zip(answers.as_array().unwrap()) {
        for (at, got) in points.iter().zip(answer["values"].as_array().unwrap()) {
            match (e.evaluate(at), got.as_f64()) {
                (Ok(want), Some(got)) => {
                    assert!(close(got, want), "{e}\n{got} instead of {want} at {at:?}");
                    compared += 1;
                }
                (Ok(want), None) => panic!("{e}: no value instead of {want} at {at:?}"),
                (Err(_), got) => assert!(got.is_none(), "{e}: {got:?} at {at:?}"),
            }
        }
    }
    println!("compared {compared} values");
    assert!(compared > 400);
}

#[test]
fn awkward_names_and_numbers_survive() {
    let cx = Context::new();
    let names = [
        "lambda", "N", "E", "I", "S", "O", "Q", "beta", "gamma", "max", "values", "pi", "a.b",
        "a-b",
    ];
    let symbols: Vec<_> = names
        .iter()
        .map(|name| {
            cx.symbol(Symbol::int(*name).at_least(1.0).doc("a \"quoted\"\nline \\")).unwrap()
        })
        .collect();
    let total: Expr = symbols.iter().map(|s| max(s, 2) * s).sum();
    let total = total.named("lambda", "1", "");
    // A division under a ceiling, and floats that need 17 digits.
    let e = ceil(&symbols[0] / 4300) + 0.1 * total + cx.constant(0.2 + 0.1);
    let module = Module::new("awkward \"name\"", "objective", e)
        .variable(&symbols[0])
        .values(&names.iter().map(|name| (*name, 3.0)).collect());
    let points: Vec<Value> =
        [1, 4300, 43 * 4300, 4301].iter().map(|v| json!({"lambda": v})).collect();
    let input = json!([{"source": module.to_sympy().unwrap(), "points": points}]);
    let Some(answer) = python(EVALUATE, &input) else { return };
    for (point, got) in points.iter().zip(answer[0]["values"].as_array().unwrap()) {
        let at = Values::from([("lambda", point["lambda"].as_f64().unwrap())]);
        assert_eq!(got.as_f64().unwrap(), module.evaluate(&at).unwrap());
    }
}

#[test]
fn the_module_has_the_promised_shape() {
    let cx = Context::new();
    let n = cx.symbol(Symbol::int("n").at_least(1.0).unit("token").doc("length")).unwrap();
    let x = cx.symbol(Symbol::real("x").positive().unit("s")).unwrap();
    let i = cx.index("i");
    let part = sum(&i, 1, &n, max(&i * &i * &x, 2)).named("loop", "s", "a loop");
    let e = piecewise([(part.le(20), &part * &x)], 3);
    let module = Module::new("shape", "y", e)
        .variable(&n)
        .constraint(Constraint::new("short", n.le(5), "not long"))
        .values(&Values::from([("n", 4.0), ("x", 0.5)]));
    let program = r#"
import json, sys, sympy
module = {}
exec(json.load(open(sys.argv[1])), module)
out = {
    "variables": {k: str(v) for k, v in module["variables"].items()},
    "parameters": list(module["parameters"]),
    "defs": [str(symbol) for symbol, _ in module["defs"]],
    "objective": str(module["objective"]),
    "constraints": [str(c) for c in module["constraints"]],
    "guarded": type(module["guarded"]).__name__,
    "values": module["values"],
    "units": module["units"],
    "value": module["evaluate"](),
    "violated": module["violated"]({"n": 6}),
    "free": sorted(map(str, module["objective"].subs(module["defs"][::-1]).free_symbols)),
}
try:
    module["evaluate"]({"nn": 2})
except KeyError as error:
    out["error"] = error.args[0]
print(json.dumps(out))
"#;
    let Some(answer) = python(program, &json!(module.to_sympy().unwrap())) else { return };
    assert_eq!(
        answer,
        json!({
            "variables": {"n": "n"},
            "parameters": ["x"],
            "defs": ["loop"],
            "objective": "Piecewise((loop*x, loop <= 20), (3, True))",
            "constraints": ["n <= 5"],
            "guarded": "Piecewise",
            "values": {"n": 4, "x": 0.5},
            "units": {"n": "token", "x": "s", "loop": "s"},
            "value": 8.25,
            "violated": ["short"],
            "free": ["n", "x"],
            "error": "'nn' is not a symbol of this module; did you mean 'n'?",
        })
    );
}

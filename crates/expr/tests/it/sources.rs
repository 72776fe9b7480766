//! Exports to source code, each run by what it is written for: Python, NumPy, a C compiler.

use std::fmt::Write;
use std::fs;
use std::path::PathBuf;
use std::process::Command;

use proptest::strategy::{Strategy, ValueTree};
use proptest::test_runner::TestRunner;
use serde_json::{Value, json};
use sglsim_expr::{
    Constraint, Context, ExprError, Module, Symbol, Values, ceil, max, piecewise, sum,
};

use crate::sympy::python;
use crate::{random, server, sympy};

/// Modules around random expressions, with points at which they are defined and their values.
fn cases() -> Vec<(Module, Vec<(Values, f64)>)> {
    let mut runner = TestRunner::deterministic();
    let mut cases = Vec::new();
    while cases.len() < 60 {
        let script = random::script(24).new_tree(&mut runner).unwrap().current();
        let expr = random::build(&random::Symbols::new(), &script);
        let mut points = Vec::new();
        for _ in 0..10 {
            let point = random::point().new_tree(&mut runner).unwrap().current();
            if let Ok(value) = expr.evaluate(&point) {
                let used = expr.free_symbols();
                let used = used.iter().map(|s| (s.name.clone(), point.get(&s.name).unwrap()));
                points.push((used.collect(), value));
            }
        }
        if !points.is_empty() {
            let name = format!("case_{}", cases.len());
            cases.push((Module::new(name, "value", expr), points));
        }
    }
    let server = server::build().module;
    let points = server::POINTS.iter().map(server::values);
    let points = points.map(|at| (at.clone(), server.evaluate(&at).unwrap())).collect();
    cases.push((server, points));
    let (special, points) = sympy::special();
    for (at, expr) in special.iter().enumerate() {
        let defined = points.iter().filter_map(|point| {
            let used = expr.free_symbols();
            let used = used.iter().map(|s| (s.name.clone(), point.get(&s.name).unwrap()));
            let point: Values = used.collect();
            let value = expr.evaluate(&point).ok()?;
            Some((point, value))
        });
        let module = Module::new(format!("special_{at}"), "value", expr.clone());
        cases.push((module, defined.collect()));
    }
    cases
}

fn close(got: f64, want: f64) -> bool {
    (got - want).abs() <= 1e-12 * want.abs().max(1.0)
}

fn documents(
    cases: &[(Module, Vec<(Values, f64)>)],
    write: fn(&Module) -> Result<String, ExprError>,
) -> Value {
    let document = |(module, points): &(Module, Vec<(Values, f64)>)| {
        let points: Vec<&Values> = points.iter().map(|(point, _)| point).collect();
        json!({"source": write(module).unwrap(), "points": points})
    };
    json!(cases.iter().map(document).collect::<Vec<_>>())
}

#[track_caller]
fn compare(cases: &[(Module, Vec<(Values, f64)>)], answers: &Value, most_missing: usize) {
    let mut missing = 0;
    for ((module, points), answer) in cases.iter().zip(answers.as_array().unwrap()) {
        for ((point, want), got) in points.iter().zip(answer.as_array().unwrap()) {
            let Some(got) = got.as_f64() else {
                missing += 1;
                continue;
            };
            assert!(
                close(got, *want),
                "{} at {point:?}: {got} instead of {want}",
                module.objective
            );
        }
    }
    assert!(missing <= most_missing, "{missing} values are missing");
}

#[test]
fn plain_python_agrees() {
    let cases = cases();
    let program = r#"
import json, sys
out = []
for case in json.load(open(sys.argv[1])):
    module = {}
    exec(compile(case["source"], "module", "exec"), module)
    out.append([module["evaluate"](point) for point in case["points"]])
print(json.dumps(out))
"#;
    let Some(answers) = python(program, &documents(&cases, Module::to_python)) else { return };
    compare(&cases, &answers, 0);
}

#[test]
fn numpy_agrees_on_arrays() {
    let cases = cases();
    let program = r#"
import json, sys
try:
    import numpy
except ImportError:
    print("null")
    sys.exit()
out = []
for case in json.load(open(sys.argv[1])):
    module = {}
    exec(compile(case["source"], "module", "exec"), module)
    names = case["points"][0].keys()
    columns = {name: numpy.array([point[name] for point in case["points"]]) for name in names}
    values = numpy.broadcast_to(module["evaluate"](columns), len(case["points"]))
    out.append([float(v) if numpy.isfinite(v) else None for v in values])
print(json.dumps(out))
"#;
    let Some(answers) = python(program, &documents(&cases, Module::to_numpy)) else { return };
    if answers.is_null() {
        println!("skipped: no numpy in SGLSIM_PYTHON");
        return;
    }
    // A maximum with an undefined operand is undefined in NumPy.
    compare(&cases, &answers, 6);
}

#[test]
fn scripts_have_the_promised_functions() {
    let cx = Context::new();
    let n = cx.symbol(Symbol::int("lambda").at_least(1.0).unit("token").doc("length")).unwrap();
    let x = cx.symbol(Symbol::real("x").positive().unit("s")).unwrap();
    let part = (ceil(&n / 3) * &x).named("part", "s", "a \"part\"\nof it");
    let module = Module::new("shape", "y", piecewise([(part.le(10), &part * 2)], 3))
        .variable(&n)
        .constraint(Constraint::new("short", n.le(5).and(&part.lt(4)), "not long"))
        .constraint(Constraint::new("either", n.ge(2).or(&x.ge(2)), ""))
        .values(&Values::from([("lambda", 4.0), ("x", 0.5)]));
    let program = r#"
import json, sys
python, numpy_ = json.load(open(sys.argv[1]))
module = {}
exec(python, module)
out = {
    "variables": module["variables"],
    "value": module["evaluate"](),
    "parts": module["parts"]({"lambda": 7}),
    "violated": module["violated"]({"lambda": 7}),
    "feasible": module["feasible"](),
    "slacks": module["slacks"]({"lambda": 7}),
    "units": module["units"],
}
try:
    module["evaluate"]({"lambd": 2})
except KeyError as error:
    out["error"] = error.args[0]
try:
    import numpy
    module = {}
    exec(numpy_, module)
    out["feasible_arrays"] = module["feasible"]({"lambda": numpy.array([1, 4, 7])}).tolist()
except ImportError:
    out["feasible_arrays"] = [False, True, False]
print(json.dumps(out))
"#;
    let sources = json!([module.to_python().unwrap(), module.to_numpy().unwrap()]);
    let Some(answer) = python(program, &sources) else { return };
    assert_eq!(
        answer,
        json!({
            "variables": ["lambda"],
            "value": 2.0,
            "parts": {"part": 1.5},
            "violated": ["short"],
            "feasible": true,
            "slacks": {"short[1]": -2.0, "short[2]": 2.5, "either": 1.0},
            "units": {"lambda": "token", "x": "s", "part": "s"},
            "error": "'lambd' is not a symbol of this module; did you mean 'lambda'?",
            "feasible_arrays": [false, true, false],
        })
    );
}

/// Compiles C files to one program and runs it, or says why not.
fn run_c(sources: &[String]) -> Option<String> {
    if Command::new("cc").arg("--version").output().is_err() {
        println!("skipped: there is no C compiler `cc`");
        return None;
    }
    let folder = PathBuf::from(env!("CARGO_TARGET_TMPDIR")).join("c");
    fs::create_dir_all(&folder).unwrap();
    let files = (0..sources.len()).map(|at| folder.join(format!("export_{at}.c")));
    let files: Vec<PathBuf> = files.collect();
    for (file, source) in files.iter().zip(sources) {
        fs::write(file, source).unwrap();
    }
    let program = folder.join("export");
    let flags = ["-std=c99", "-Wall", "-Wextra", "-Werror", "-ffp-contract=off", "-Wno-unused"];
    let built =
        Command::new("cc").args(flags).arg("-o").arg(&program).args(&files).arg("-lm").output();
    let built = built.unwrap();
    assert!(built.status.success(), "{}", String::from_utf8_lossy(&built.stderr));
    let out = Command::new(&program).output().unwrap();
    assert!(out.status.success());
    Some(String::from_utf8(out.stdout).unwrap())
}

#[test]
fn c_agrees() {
    let cases = cases();
    let mut main = String::new();
    let mut files = Vec::new();
    for (module, points) in &cases {
        let name = &module.name;
        let mut file = format!("{}\n#include <stdio.h>\n", module.to_c().unwrap());
        writeln!(file, "void print_{name}(void)\n{{").unwrap();
        for (point, _) in points {
            writeln!(file, "    {{ struct {name}_inputs in = {name}_values;").unwrap();
            for (symbol, value) in point.iter() {
                writeln!(file, "      in.{symbol} = {value:?};").unwrap();
            }
            writeln!(file, "      printf(\"%.17g %d\\n\", {name}(&in), {name}_violated(&in)); }}")
                .unwrap();
        }
        files.push(file + "}\n");
        writeln!(main, "    {{ void print_{name}(void); print_{name}(); }}").unwrap();
    }
    files.push(format!("int main(void)\n{{\n{main}    return 0;\n}}\n"));
    let Some(out) = run_c(&files) else { return };
    let mut lines = out.lines();
    for (module, points) in &cases {
        for (point, want) in points {
            let (value, violated) = lines.next().unwrap().split_once(' ').unwrap();
            let got: f64 = value.parse().unwrap();
            assert!(
                close(got, *want),
                "{} at {point:?}: {got} instead of {want}",
                module.objective
            );
            let names = if module.constraints.is_empty() {
                Vec::new()
            } else {
                module.violated(point).unwrap()
            };
            let first = module
                .constraints
                .iter()
                .position(|c| Some(c.name.as_str()) == names.first().copied());
            assert_eq!(violated, first.map_or(0, |at| at + 1).to_string());
        }
    }
    assert_eq!(lines.next(), None);
}

#[test]
fn loops_and_shared_parts_have_lines() {
    let cx = Context::new();
    let n = cx.symbol(Symbol::int("n").at_least(0.0)).unwrap();
    let x = cx.symbol(Symbol::real("x").positive()).unwrap();
    let i = cx.index("i");
    let e = sum(&i, 1, &n, max(&i * &i, &x)).named("total", "1", "") / (1 + &x);
    let module = Module::new("loop", "mean", e);
    let source = module.to_python().unwrap();
    let function =
        source.split("def model").nth(1).unwrap().split("objective_name").next().unwrap();
    assert_eq!(
        function.trim(),
        r#"(n, x):
    """Objective, constraints, slacks and parts."""
    total = _start(1.0, n)
    for i1 in _terms(1.0, n):
        i1 = 1.0 + i1
        total += max(i1 * i1, x)
    return _div(total, 1.0 + x), {}, {}, {"total": total}"#
    );
}

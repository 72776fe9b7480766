//! The CasADi export, run and differentiated by CasADi.

use serde_json::{Value, json};
use sglsim_expr::{Module, Values};

use crate::server;
use crate::sympy::{python, special};

/// Values and gradients of `build()`; null without CasADi.
const PROGRAM: &str = r#"
import json, math, sys
try:
    import casadi
except ImportError:
    print("null")
    sys.exit()
out = []
for case in json.load(open(sys.argv[1])):
    module = {}
    exec(compile(case["source"], "module", "exec"), module)
    names = [*module["variables"], *module["parameters"]]
    symbols = [casadi.SX.sym(name) for name in names]
    y, _ = module["build"]()(*symbols) if names else module["build"]()()
    f = casadi.Function("f", symbols, [y, *(casadi.gradient(y, s) for s in symbols)])
    number = lambda x: float(x) if math.isfinite(x) else None
    out.append([[number(v) for v in f.call([at[name] for name in names])] for at in case["points"]])
print(json.dumps(out))
"#;

#[test]
fn casadi_agrees_in_value_and_derivative() {
    let (exprs, points) = special();
    let mut cases: Vec<(Module, Vec<Values>)> = Vec::new();
    for (at, expr) in exprs.into_iter().enumerate() {
        let module = Module::new(format!("case_{at}"), "y", expr);
        let used = module.objective.free_symbols();
        let here = |p: &Values| -> Values {
            used.iter().map(|s| (s.name.clone(), p.get(&s.name).unwrap())).collect()
        };
        let points = points.iter().step_by(5).map(here).collect();
        cases.push((module, points));
    }
    cases.push((server::build().module, server::POINTS.iter().map(server::values).collect()));
    let documents: Vec<Value> = cases
        .iter()
        .map(|(module, points)| json!({"source": module.to_casadi().unwrap(), "points": points}))
        .collect();
    let Some(answers) = python(PROGRAM, &json!(documents)) else { return };
    if answers.is_null() {
        println!("skipped: no casadi in SGLSIM_PYTHON");
        return;
    }
    let close = |got: f64, want: f64| (got - want).abs() <= 1e-10 * want.abs().max(1.0);
    let (mut values, mut slopes) = (0, 0);
    for ((module, points), answer) in cases.iter().zip(answers.as_array().unwrap()) {
        for (point, got) in points.iter().zip(answer.as_array().unwrap()) {
            let Ok(want) = module.evaluate(point) else { continue };
            let value = got[0].as_f64().unwrap();
            assert!(close(value, want), "{}: {value}, not {want}", module.objective);
            values += 1;
            // No variables: the inputs are the parameters in order of declaration.
            let used: Vec<String> =
                module.objective.free_symbols().into_iter().map(|s| s.name).collect();
            let declared = module.objective.context().symbols();
            let order: Vec<&str> = declared
                .iter()
                .map(|s| s.name.as_str())
                .filter(|name| point.get(name).is_some())
                .collect();
            let inputs: Vec<f64> = order.iter().map(|name| point.get(name).unwrap()).collect();
            let mut slope = vec![0.0; order.len()];
            module.objective.compile(&order).unwrap().gradient().eval(&inputs, &mut slope);
            for (at, name) in
                order.iter().enumerate().filter(|(_, name)| used.iter().any(|u| u == *name))
            {
                let Some(got) = got[at + 1].as_f64() else { continue };
                assert!(
                    close(got, slope[at]),
                    "d/d{name} {}: {got}, not {} at {point:?}",
                    module.objective,
                    slope[at]
                );
                slopes += 1;
            }
        }
    }
    println!("compared {values} values and {slopes} derivatives with CasADi");
    assert!(values > 60 && slopes > 100);
}

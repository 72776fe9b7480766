//! The NumPy export under JAX, jitted and differentiated.

use serde_json::{Value, json};
use sglsim_expr::{Context, Module, Symbol, Values, max, sum};

use crate::server;
use crate::sympy::{python, special};

/// Values by `jit`, derivatives by `grad` inside `jit`; null without JAX.
const PROGRAM: &str = r#"
import json, sys
try:
    import jax
except ImportError:
    print("null")
    sys.exit()
jax.config.update("jax_enable_x64", True)
import jax.numpy
out = []
for case in json.load(open(sys.argv[1])):
    module = {}
    exec(compile(case["source"], "module", "exec"), module)
    f = lambda at: module["evaluate"](at, xp=jax.numpy)
    value, slope = jax.jit(f), jax.jit(jax.grad(f))
    number = lambda x: float(x) if jax.numpy.isfinite(x) else None
    out.append([[number(value(at)), {k: number(x) for k, x in slope(at).items()}]
                for at in case["points"]])
print(json.dumps(out))
"#;

fn close(got: f64, want: f64) -> bool {
    (got - want).abs() <= 1e-11 * want.abs().max(1.0)
}

#[test]
fn jax_agrees_in_value_and_derivative() {
    let (exprs, points) = special();
    let module = |(at, expr): (usize, _)| (Module::new(format!("case_{at}"), "y", expr), &points);
    let mut cases: Vec<(Module, Vec<Values>)> = exprs
        .into_iter()
        .enumerate()
        .map(module)
        .map(|(module, points)| {
            let used = module.objective.free_symbols();
            // Between the integers, where steps and guards are far.
            let at = |p: &Values| -> Values {
                used.iter().map(|s| (s.name.clone(), p.get(&s.name).unwrap())).collect()
            };
            (module, points.iter().step_by(7).map(at).collect())
        })
        .collect();
    cases.push((server::build().module, server::POINTS[..3].iter().map(server::values).collect()));
    let document = |(module, points): &(Module, Vec<Values>)| json!({"source": module.to_numpy().unwrap(), "points": points});
    let documents: Vec<Value> = cases.iter().map(document).collect();
    let Some(answers) = python(PROGRAM, &json!(documents)) else { return };
    if answers.is_null() {
        println!("skipped: no jax in SGLSIM_PYTHON");
        return;
    }
    let (mut values, mut slopes) = (0, 0);
    for ((module, points), answer) in cases.iter().zip(answers.as_array().unwrap()) {
        for (point, got) in points.iter().zip(answer.as_array().unwrap()) {
            let names: Vec<&str> = point.names().collect();
            let inputs: Vec<f64> = point.iter().map(|(_, value)| value).collect();
            let Ok(want) = module.evaluate(point) else {
                assert!(got[0].is_null(), "{}: {got} at {point:?}", module.objective);
                continue;
            };
            let value = got[0].as_f64().unwrap();
            assert!(close(value, want), "{}: {value}, not {want}", module.objective);
            values += 1;
            let mut slope = vec![0.0; names.len()];
            module.objective.compile(&names).unwrap().gradient().eval(&inputs, &mut slope);
            for (name, want) in names.iter().zip(slope) {
                // An arm that is not chosen and undefined makes NaN of it.
                let Some(got) = got[1][name].as_f64() else { continue };
                assert!(
                    close(got, want),
                    "d/d{name} {}: {got}, not {want} at {point:?}",
                    module.objective
                );
                slopes += 1;
            }
        }
    }
    println!("compared {values} values and {slopes} derivatives with JAX");
    assert!(values > 50 && slopes > 80);
}

#[test]
fn a_sum_of_unknown_length_can_be_jitted() {
    let cx = Context::new();
    let n = cx.symbol(Symbol::int("n").at_least(0.0)).unwrap();
    let x = cx.symbol(Symbol::real("x").positive()).unwrap();
    let i = cx.index("i");
    let module = Module::new("sum", "y", sum(&i, 1, &n, max(&i * &i, &x)));
    let program = r#"
import json, sys
try:
    import jax
except ImportError:
    print("null")
    sys.exit()
jax.config.update("jax_enable_x64", True)
import jax.numpy
module = {}
exec(json.load(open(sys.argv[1])), module)
f = lambda n, x: module["evaluate"]({"n": n, "x": x}, xp=jax.numpy)
value, slope = jax.jit(lambda x: jax.jvp(lambda x: f(9, x), (x,), (1.0,)))(30.0)
print(json.dumps([float(jax.jit(f)(9, 30.0)), float(value), float(slope)]))
"#;
    let Some(answer) = python(program, &json!(module.to_numpy().unwrap())) else { return };
    if answer.is_null() {
        println!("skipped: no jax in SGLSIM_PYTHON");
        return;
    }
    // 5 terms of 30, then 36 + 49 + 64 + 81.
    assert_eq!(answer, json!([380.0, 380.0, 5.0]));
}

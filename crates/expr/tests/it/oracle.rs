//! Values of random expressions to 50 digits, by mpmath: needs an interpreter in `SGLSIM_PYTHON`.

use proptest::strategy::{Strategy, ValueTree};
use proptest::test_runner::TestRunner;
use serde_json::json;
use sglsim_expr::{Interval, Values};

use crate::{random, sympy::python};

/// The values as the nearest floats; null where undefined, or where a loop runs in floats.
const PRECISE: &str = r#"
import json, sys, sympy, mpmath
mpmath.mp.dps = 50
out = []
for case in json.load(open(sys.argv[1])):
    module = {}
    exec(compile(case["source"], "module", "exec"), module)
    if module["loops"]:
        out.append([None] * len(case["points"]))
        continue
    known = {**module["variables"], **module["parameters"]}
    f = sympy.lambdify([*known.values()], [module["objective"]], modules="mpmath",
                       cse=lambda outputs, **_: (module["defs"], outputs))
    values = []
    for point in case["points"]:
        given = [mpmath.mpf(point[name]) for name in known]
        try:
            value = f(*given)[0]
            values.append(float(value) if mpmath.isfinite(value) else None)
        except (ArithmeticError, TypeError):
            # A part that is not chosen is undefined or complex.
            values.append(None)
    out.append(values)
print(json.dumps(out))
"#;

#[test]
fn bounds_contain_the_precise_value() {
    let mut runner = TestRunner::deterministic();
    let (mut cases, mut bounds) = (Vec::new(), Vec::new());
    while cases.len() < 120 {
        let script = random::script(24).new_tree(&mut runner).unwrap().current();
        let expr = random::build(&random::Symbols::new(), &script);
        let program = expr.compile(&random::NAMES).unwrap();
        let (mut scalar, mut intervals) = (program.evaluator(), program.intervals());
        let used = expr.free_symbols();
        let (mut points, mut of_points) = (Vec::new(), Vec::new());
        for _ in 0..12 {
            let point = random::inputs().new_tree(&mut runner).unwrap().current();
            if scalar.evaluate(&point).is_err() {
                continue;
            }
            let all: Values = random::NAMES.into_iter().zip(point).collect();
            let own = used.iter().map(|s| (s.name.clone(), all.get(&s.name).unwrap()));
            points.push(json!(own.collect::<Values>()));
            of_points.push(intervals.eval1(&point.map(Interval::point)));
        }
        if !points.is_empty() {
            cases.push(json!({"source": expr.to_sympy().unwrap(), "points": points}));
            bounds.push((expr, of_points));
        }
    }
    let Some(answer) = python(PRECISE, &json!(cases)) else { return };
    let (mut compared, mut narrow) = (0, 0);
    for ((expr, bounds), values) in bounds.iter().zip(answer.as_array().unwrap()) {
        for (bound, value) in bounds.iter().zip(values.as_array().unwrap()) {
            let Some(value) = value.as_f64() else { continue };
            // The float nearest to a value inside is at most one step outside.
            let inside = bound.lo.next_down() <= value && value <= bound.hi.next_up();
            assert!(inside, "{expr}\n{value} outside of {bound:?}");
            compared += 1;
            narrow += u32::from(bound.hi - bound.lo <= 1e-12 * value.abs().max(1e-3));
        }
    }
    println!("{compared} values, {narrow} of them bounded to 12 digits");
    assert!(compared > 600 && narrow > compared / 2);
}

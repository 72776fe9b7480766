//! The exports to solvers: what SCIP and HiGHS find is what enumeration by the tape finds.

use proptest::strategy::{Strategy, ValueTree};
use proptest::test_runner::TestRunner;
use serde_json::{Value, json};
use sglsim_expr::{
    Constraint, Context, Expr, ExprError, Module, Sense, Symbol, Values, abs, ceil, ceil_div, exp,
    fixed_point, floor, max, min, min_of, min_of_feasible, modulo, piecewise, pow, sqrt, sum,
    table,
};

use crate::random;
use crate::sympy::python;

/// Solves `.nl` files by SCIP and, if asked, Pyomo modules by HiGHS; null without either.
const SOLVE: &str = r#"
import json, os, sys, tempfile
try:
    import pyomo.environ as pyo
    import pyscipopt
    import highspy
except ImportError as error:
    print(json.dumps(str(error)))
    sys.exit()

def scip(case):
    with tempfile.TemporaryDirectory() as folder:
        for ending in ("nl", "col", "row"):
            with open(os.path.join(folder, f"model.{ending}"), "w") as file:
                file.write(case[ending])
        model = pyscipopt.Model()
        model.hideOutput()
        # At 1e-9 SCIP 10 calls half the optimum of seven decisions optimal.
        model.setParam("numerics/feastol", 1e-8)
        model.setParam("limits/gap", 0.0)
        model.setParam("timing/clocktype", 1)
        model.setParam("limits/time", 20)
        model.readProblem(os.path.join(folder, "model.nl"))
        model.optimize()
        found = {}
        if model.getNSols():
            found = {v.name: model.getVal(v) for v in model.getVars()}
        return {"status": model.getStatus(), "value": model.getObjVal() if found else None,
                "found": found, "bound": model.getDualbound()}

def highs(case):
    module = {}
    exec(case["pyomo"], module)
    model = module["build"]()
    solver = pyo.SolverFactory("appsi_highs")
    solver.options["mip_feasibility_tolerance"] = 1e-9
    solver.options["mip_rel_gap"] = 0.0
    status = str(solver.solve(model).solver.termination_condition)
    return {"status": status, "value": pyo.value(model.objective),
            "found": {name: model.x[name].value for name in module["variables"]}}

answers = []
for case in json.load(open(sys.argv[1])):
    if "pyomo" in case:
        answers.append([scip(case), highs(case)])
    else:
        answers.append([scip(case)])
print(json.dumps(answers))
"#;

fn solve(cases: &[(&Module, Sense)], highs: bool) -> Option<Vec<Value>> {
    let document = |(module, sense): &(&Module, Sense)| {
        let files = module.to_nl(*sense).unwrap_or_else(|e| panic!("{e} in {}", module.objective));
        let mut case = json!({"nl": files.nl, "col": files.col, "row": files.row});
        if highs {
            case["pyomo"] = json!(module.to_pyomo(*sense).unwrap());
        }
        case
    };
    let answers = python(SOLVE, &cases.iter().map(document).collect::<Value>())?;
    let Some(answers) = answers.as_array() else {
        println!("skipped: {answers}");
        return None;
    };
    Some(answers.clone())
}

/// The best feasible value over all points, and how many are feasible; all that is not a finite
/// number is neither.
fn enumerate(module: &Module, points: &[Values], sense: Sense) -> (Option<f64>, usize) {
    let names: Vec<&str> = points[0].names().collect();
    let program = module.compile(&names).unwrap();
    let (mut evaluator, mut found) = (program.evaluator(), vec![0.0; program.outputs()]);
    let mut values = Vec::new();
    for point in points {
        let inputs: Vec<f64> = point.iter().map(|(_, value)| value).collect();
        evaluator.eval(&inputs, &mut found);
        if found[0].is_finite() && found[1..].iter().all(|holds| *holds == 1.0) {
            values.push(found[0]);
        }
    }
    let best = match sense {
        Sense::Maximise => values.iter().copied().reduce(f64::max),
        Sense::Minimise => values.iter().copied().reduce(f64::min),
    };
    (best, values.len())
}

/// All points of a grid.
fn grid(ranges: &[(&str, i32, i32)]) -> Vec<Values> {
    let mut points = vec![Values::new()];
    for (name, first, last) in ranges {
        points = points
            .iter()
            .flat_map(|p| (*first..=*last).map(|v| p.clone().with(*name, f64::from(v))))
            .collect();
    }
    points
}

/// A solver's answer is the best one, and the tape gives its configuration the same value.
#[track_caller]
fn is_best(module: &Module, answer: &Value, best: f64) {
    assert_eq!(answer["status"], "optimal", "{} {answer}", module.objective);
    let claimed = answer["value"].as_f64().unwrap();
    let mut found = Values::new();
    for symbol in &module.variables {
        let symbol = symbol.as_symbol().unwrap();
        let value = answer["found"][&symbol.name].as_f64().unwrap_or(0.0);
        found.insert(symbol.name, value.round());
    }
    let value = module.evaluate(&found).unwrap();
    let near = |a: f64, b: f64| (a - b).abs() <= 1e-6 * b.abs().max(1.0);
    assert!(near(value, best), "{value} at {found:?} instead of {best} for {}", module.objective);
    assert!(near(claimed, best), "claimed {claimed} instead of {best} for {}", module.objective);
    assert!(module.violated(&found).unwrap().is_empty(), "{found:?} for {}", module.objective);
}

const PLAN: [(&str, i32, i32); 4] =
    [("np", 1, 8), ("nd", 1, 8), ("blocks", 1, 12), ("batch", 1, 64)];

/// A small disaggregated server: rooflines, kernels with guards, chunks, a power, pools.
fn plan() -> Module {
    let cx = Context::new();
    let knobs: Vec<Expr> = PLAN
        .iter()
        .map(|(name, lo, hi)| {
            let symbol = Symbol::int(*name).at_least(f64::from(*lo)).at_most(f64::from(*hi));
            cx.symbol(symbol).unwrap()
        })
        .collect();
    let [np, nd, blocks, batch] = knobs.as_slice() else { unreachable!() };
    let hbm = cx.symbol(Symbol::real("hbm").positive()).unwrap();
    let i = cx.index("i");
    let chunk = 256 * blocks;
    let chunks = ceil_div(3000, &chunk).named("chunks", "1", "prefill chunks");
    let step = |tokens: &Expr| {
        let small = min_of_feasible([
            ("general", tokens * 2e-5 + 0.004, cx.truth(true)),
            ("tuned", tokens * 1.5e-5 + 0.003, tokens.ge(1024)),
        ]);
        max(small, 1.4e10 / &hbm)
    };
    let cx_chunk = min(&chunk, 3000);
    let prefill = sum(&i, 1, &chunks, step(&cx_chunk) + &i * 1e-4).named("prefill", "1", "");
    let experts = 64 * (1 - pow(0.97, batch));
    let decode = (max((2e10 + experts * 3e8) / &hbm, batch * 1e-4)
        + piecewise([(nd.le(1), 0)], 0.001))
    .named("decode", "1", "time of a step");
    let rates = [np / &prefill, nd * batch / &decode / 400, min(np, nd) * 12];
    Module::new("plan", "rate", min_of(&rates) / (np + nd) + 0.01 * floor(batch / 10))
        .variable(np)
        .variable(nd)
        .variable(blocks)
        .variable(batch)
        .constraint(Constraint::new("gpus", (np + nd).le(10), ""))
        .constraint(Constraint::new("ttft", prefill.le(0.12), ""))
        .constraint(Constraint::new("tpot", decode.le(0.011).or(&np.equals(3)), ""))
        .values(&Values::from([("hbm", 3.35e12)]))
}

#[test]
fn scip_plans_as_enumeration_does() {
    let module = plan();
    let (best, feasible) = enumerate(&module, &grid(&PLAN), Sense::Maximise);
    let Some(answers) = solve(&[(&module, Sense::Maximise)], false) else { return };
    println!("{feasible} of {} points are feasible, best {best:?}", grid(&PLAN).len());
    is_best(&module, &answers[0][0], best.unwrap());
}

/// The planner's decisions as steps on its grid; tp, dp and ep by their place in a list.
const DECISIONS: [(&str, i32, i32); 7] = [
    ("np", 4, 8),
    ("nd", 1, 3),
    ("chunk_blocks", 24, 32),
    ("batch_blocks", 124, 136),
    ("tp_at", 0, 1),
    ("dp_at", 0, 1),
    ("ep_at", 0, 2),
];

/// A deployment with all its seven decisions around the best of all, by the closed form of the sum
/// over its decode steps.
#[test]
fn scip_proves_seven_decisions() {
    let declared =
        DECISIONS.map(|(name, lo, hi)| format!("variable {name}: int in [{lo}, {hi}]\n"));
    let grid_of = "let chunk = 128 * chunk_blocks\nlet batch_tokens = 4096 * batch_blocks\n\
         table tp_sizes = [1, 2]\ntable dp_sizes = [16, 32]\ntable ep_sizes = [16, 32, 64]\n\
         let tp = tp_sizes[tp_at]\nlet dp = dp_sizes[dp_at]\nlet ep = ep_sizes[ep_at]\n";
    let text = include_str!("planner.sglsim");
    let lines = text.lines().filter(|line| !line.starts_with("variable"));
    let mut lines: Vec<&str> = lines.collect();
    let (declared, at) = (declared.concat(), 2);
    lines.splice(at..at, [declared.as_str(), grid_of]);
    let module =
        Module::parse(&Context::new(), &lines.join("\n")).unwrap_or_else(|e| panic!("{e}"));
    let points = grid(&DECISIONS);
    let (best, feasible) = enumerate(&module, &points, Sense::Maximise);
    println!("{feasible} of {} points are feasible, best {best:?}", points.len());
    // The best of 1.4·10¹⁰ configurations, by branch and bound and by another brute force.
    assert!((best.unwrap() / 174_592.856_811_211_6 - 1.0).abs() < 1e-12);
    let Some(answers) = solve(&[(&module, Sense::Maximise)], false) else { return };
    is_best(&module, &answers[0][0], best.unwrap());
}

#[test]
fn a_linear_plan_is_solved_by_highs_and_scip() {
    let cx = Context::new();
    let int = |name: &str, hi: f64| cx.symbol(Symbol::int(name).at_least(0.0).at_most(hi)).unwrap();
    let (a, b, c) = (int("a", 12.0), int("b", 12.0), int("c", 9.0));
    let reserve =
        piecewise([(a.ge(5).and(&b.lt(4)), &c * 2), (c.equals(3), cx.constant(7))], &a - 1);
    let cost = &a * 3
        + &b * 2
        + ceil((&a + &b) / 4) * 1.5
        + abs(&a - &b)
        + table(&[4.0, 1.0, 0.5, 3.0, 6.0, 2.0, 2.5, 1.5, 9.0, 0.0], &c);
    let gain = min(&a * 7 + &c, &b * 9 + 4) + min(&reserve, 11);
    let module = Module::new("linear", "profit", gain - cost)
        .variable(&a)
        .variable(&b)
        .variable(&c)
        .constraint(Constraint::new("room", (&a + &b + &c).le(15), ""))
        .constraint(Constraint::new("mod", modulo(&a + &c, 3).le(1), ""));
    let points = grid(&[("a", 0, 12), ("b", 0, 12), ("c", 0, 9)]);
    let senses = [Sense::Maximise, Sense::Minimise];
    let Some(answers) = solve(&senses.map(|sense| (&module, sense)), true) else { return };
    for (sense, answer) in senses.iter().zip(&answers) {
        let (best, _) = enumerate(&module, &points, *sense);
        is_best(&module, &answer[0], best.unwrap());
        is_best(&module, &answer[1], best.unwrap());
    }
}

/// The closed form of a sum over kernels divides by the difference of two slopes, which may be zero.
#[test]
fn closed_sums_of_kernels_are_solved_as_enumeration_does() {
    const RANGES: [(&str, i32, i32); 3] = [("n", 1, 6), ("k", 1, 6), ("m", 0, 3)];
    let cx = Context::new();
    let knobs: Vec<Expr> = RANGES
        .iter()
        .map(|(name, lo, hi)| {
            let symbol = Symbol::int(*name).at_least(f64::from(*lo)).at_most(f64::from(*hi));
            cx.symbol(symbol).unwrap()
        })
        .collect();
    let [n, k, m] = knobs.as_slice() else { unreachable!() };
    let j = cx.index("j");
    let kernels = min_of_feasible([
        ("general", max(&j * n / 6, &j * k / 4) + 3, cx.truth(true)),
        ("tuned", &j * (n + k) / 8 + 5, cx.truth(true)),
        ("small", &j * m + 9, k.le(3)),
    ]);
    let time = sum(&j, 1, 24, kernels).named("time", "", "of all steps");
    assert!(!time.to_string().contains("sum("), "no loop is left");
    let module = Module::new("kernels", "cost", &time + 200 / n + 150 / k - 40 * m);
    let module = knobs.iter().fold(module, Module::variable);
    let points = grid(&RANGES);
    let senses = [Sense::Minimise, Sense::Maximise];
    let Some(answers) = solve(&senses.map(|sense| (&module, sense)), false) else { return };
    for (sense, answer) in senses.iter().zip(&answers) {
        let (best, _) = enumerate(&module, &points, *sense);
        is_best(&module, &answer[0], best.unwrap());
    }
}

/// So do those in arms and kernels that are not taken; where nothing is chosen they are rows.
#[test]
fn assumptions_in_arms_that_are_not_taken_exclude_nothing() {
    let cx = Context::new();
    let int = |name: &str| cx.symbol(Symbol::int(name).non_negative().at_most(10.0)).unwrap();
    let (x, y) = (int("x"), int("y"));
    // Both are broken at x = 0, which is best.
    let arm = piecewise([(x.le(3), 20 - &x)], (&x - 2).assume(2.0, 50.0) * 2);
    let kernels = min_of_feasible([
        ("general", &y + 5, cx.truth(true)),
        ("tuned", (&x - 1).assume(0.0, 50.0) + 1, x.ge(1)),
    ]);
    let module = Module::new("arms", "gain", arm + kernels + (&y * 3).assume(0.0, 12.0))
        .variable(&x)
        .variable(&y);
    let points = grid(&[("x", 0, 10), ("y", 0, 4)]);
    let (best, _) = enumerate(&module, &points, Sense::Maximise);
    assert_eq!(best, Some(41.0));
    let Some(answers) = solve(&[(&module, Sense::Maximise)], false) else { return };
    is_best(&module, &answers[0][0], 41.0);
}

/// What is assumed in a term holds only where the sum has it.
#[test]
fn assumptions_in_terms_that_are_not_there_exclude_nothing() {
    let cx = Context::new();
    let chunk = cx.symbol(Symbol::int("chunk").at_least(3.0).at_most(10.0)).unwrap();
    let i = cx.index("i");
    let rows = min(&chunk, 10 - (&i - 1) * &chunk).assume(1.0, f64::INFINITY);
    let time = sum(&i, 1, ceil_div(10, &chunk), ceil(rows / 4) * 2 + 1);
    let module = Module::new("chunks", "time", time + &chunk / 10).variable(&chunk);
    let points = grid(&[("chunk", 3, 10)]);
    let senses = [Sense::Minimise, Sense::Maximise];
    let Some(answers) = solve(&senses.map(|sense| (&module, sense)), false) else { return };
    for (sense, answer) in senses.iter().zip(&answers) {
        let (best, _) = enumerate(&module, &points, *sense);
        is_best(&module, &answer[0], best.unwrap());
    }
}

/// Runs a script on small integers; every operation is defined and bounded.
fn small(script: &[(u8, u8, u8)]) -> Module {
    let cx = Context::new();
    let symbols: Vec<Expr> = SMALL
        .iter()
        .map(|(name, lo, hi)| {
            cx.symbol(Symbol::int(*name).at_least(f64::from(*lo)).at_most(f64::from(*hi))).unwrap()
        })
        .collect();
    let mut stack = symbols.clone();
    for (operation, left, right) in script {
        let pick = |at: u8| stack[stack.len() - 1 - usize::from(at) % stack.len()].clone();
        let (a, b, c) =
            (pick(*left), pick(*right), pick(left.wrapping_mul(31).wrapping_add(*right)));
        let k = i32::from(right % 7) - 3;
        let (i, u) = (cx.index("i"), cx.unknown("u"));
        let clip = |e: &Expr| max(-9, min(e, 9));
        stack.push(match operation % 18 {
            0 | 1 => a + b,
            2 => a - b,
            3 => clip(&a) * clip(&b),
            4 => max(a, b),
            5 => min(a, b),
            6 => ceil(a / 3),
            7 => floor(a / 2 + &b),
            8 => piecewise([(a.le(&b), c)], a),
            9 => piecewise([(a.lt(k).or(&b.gt(&c)), b), (c.le(k).not(), a)], c),
            10 => min_of_feasible([
                ("a", a.clone(), b.le(&c)),
                ("b", b, cx.truth(true)),
                ("c", c, a.gt(k)),
            ]),
            11 => table(&[2.0, -1.0, 0.5, 4.0], max(0, min(&a, 3))),
            12 => modulo(a, k.abs() + 2),
            13 => sum(&i, 1, min(&symbols[0], 3), max(clip(&a), &i * clip(&b))),
            14 => ceil_div(clip(&a) + 10, &symbols[0]),
            15 => sqrt(max(clip(&a), 0)) + exp(clip(&b) / 9),
            16 => fixed_point(&u, -100, 100, (clip(&a) - &u) / 2),
            _ => piecewise([(a.equals(&b), k)], max(&a, &c) * 2),
        });
    }
    let top = stack.pop().unwrap();
    let constraint = Constraint::new("apart", symbols[1].equals(&symbols[2]).not(), "");
    let module =
        symbols.iter().fold(Module::new("small", "y", top), |module, s| module.variable(s));
    module.constraint(constraint)
}

const SMALL: [(&str, i32, i32); 3] = [("n", 1, 4), ("k", -3, 3), ("m", 0, 5)];

#[test]
fn random_programs_are_solved_as_enumeration_does() {
    let mut runner = TestRunner::deterministic();
    let points = grid(&SMALL);
    let mut cases = Vec::new();
    while cases.len() < 40 {
        let module = small(&random::script(8).new_tree(&mut runner).unwrap().current());
        let sense = if cases.len() % 2 == 0 { Sense::Maximise } else { Sense::Minimise };
        // All points but those where k = m.
        if module.objective.as_constant().is_none() && enumerate(&module, &points, sense).1 == 152 {
            cases.push((module, sense));
        }
    }
    let asked: Vec<(&Module, Sense)> =
        cases.iter().map(|(module, sense)| (module, *sense)).collect();
    let Some(answers) = solve(&asked, false) else { return };
    for ((module, sense), answer) in cases.iter().zip(&answers) {
        let (best, _) = enumerate(module, &points, *sense);
        is_best(module, &answer[0], best.unwrap());
    }
}

#[test]
fn what_no_solver_knows_is_refused() {
    let cx = Context::new();
    let x = cx.symbol(Symbol::real("x")).unwrap();
    let n = cx.symbol(Symbol::int("n").at_least(0.0)).unwrap();
    let i = cx.index("i");
    let refused = |objective: Expr| {
        let module = Module::new("t", "y", objective).variable(&x).variable(&n);
        module.to_nl(Sense::Maximise).unwrap_err().to_string()
    };
    let errors = [
        refused(max(&x, 2)),
        refused(piecewise([(x.le(&n), 3)], &n)),
        refused(sum(&i, 1, &n, max(&i * &i, &n))),
    ];
    insta::assert_snapshot!(errors.join("\n"));
    let open = Module::new("t", "y", &x + &n).variable(&n);
    assert!(matches!(open.to_pyomo(Sense::Minimise), Err(ExprError::Unbound { .. })));
}

#[test]
fn programs_keep_their_shape() {
    let cx = Context::new();
    let tp = cx.symbol(Symbol::int("tp").at_least(1.0).at_most(8.0).doc("ranks")).unwrap();
    let x = cx.symbol(Symbol::real("x").at_least(0.0).at_most(2.0)).unwrap();
    let step = max(12 / &tp, &x * 3).named("step", "1", "time of a step");
    let module = Module::new("shape", "y", &step + piecewise([(tp.le(2), 0)], &x))
        .variable(&tp)
        .variable(&x)
        .constraint(Constraint::new("sum", (&tp + &x).le(9), ""));
    insta::assert_snapshot!("nl", module.to_nl(Sense::Minimise).unwrap().nl);
    insta::assert_snapshot!("pyomo", module.to_pyomo(Sense::Maximise).unwrap());
}

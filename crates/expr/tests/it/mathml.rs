//! The MathML export, parsed as XML and evaluated element by element in Python.

use proptest::strategy::{Strategy, ValueTree};
use proptest::test_runner::TestRunner;
use serde_json::{Value, json};
use sglsim_expr::{Context, Expr, Symbol, Values, max, sqrt, sum};

use crate::random;
use crate::sympy::{python, special};

/// Evaluates content MathML, with the functions of the standard library only.
const PROGRAM: &str = r#"
import json, math, sys
import xml.etree.ElementTree as xml
NS = "{http://www.w3.org/1998/Math/MathML}"
tag = lambda node: node.tag.removeprefix(NS)

def cn(node):
    kind, (first, *rest) = node.get("type"), [node.text, *(sep.tail for sep in node)]
    if kind == "rational":
        return int(first) / int(rest[0])
    return float(f"{first}e{rest[0]}") if kind == "e-notation" else float(first)

OPERATORS = {
    "plus": lambda *a: math.fsum(a), "times": lambda *a: math.prod(a),
    "divide": lambda a, b: a / b, "power": lambda a, b: a**b, "root": math.sqrt,
    "exp": math.exp, "ln": math.log, "max": max, "min": min, "ceiling": math.ceil,
    "floor": math.floor, "leq": lambda a, b: a <= b, "lt": lambda a, b: a < b,
    "eq": lambda a, b: a == b, "and": lambda *a: all(a), "or": lambda *a: any(a),
    "not": lambda a: not a, "selector": lambda v, i: v[int(i) - 1],
}

def total(operator):
    def call(*operands):
        try:
            return operator(*operands)
        except (ArithmeticError, ValueError, TypeError, IndexError):
            return math.nan
    return call

def root(f, a, b):
    if not (a - f(a) <= 0 <= b - f(b)):
        return math.nan
    for _ in range(50):
        middle = (a + b) / 2
        a, b = (middle, b) if middle < f(middle) else (a, middle)
    return b

def value(node, at):
    kind, children = tag(node), list(node)
    if kind == "cn": return cn(node)
    if kind == "ci": return at[node.text]
    if kind == "infinity": return math.inf
    if kind in ("true", "false"): return kind == "true"
    if kind == "vector": return [value(child, at) for child in children]
    if kind == "piecewise":
        for piece in children:
            if tag(piece) == "otherwise" or value(piece[1], at):
                return value(piece[0], at)
    operator, *operands = children
    if tag(operator) == "sum":
        index, lo, hi, body = operands
        lo, hi = int(value(lo[0], at)), int(value(hi[0], at))
        return sum(value(body, at | {index[0].text: i}) for i in range(lo, hi + 1))
    if tag(operator) == "csymbol":
        index, interval, body = operands
        lo, hi = (value(end, at) for end in interval)
        return root(lambda x: value(body, at | {index[0].text: x}), lo, hi)
    if tag(operator) == "ci":
        names, body = at[operator.text]
        call = operator.text, *(value(child, at) for child in operands)
        if call not in found:
            found[call] = value(body, at | dict(zip(names, call[1:])))
        return found[call]
    return total(OPERATORS[tag(operator)])(*(value(child, at) for child in operands))

out = []
for case in json.load(open(sys.argv[1])):
    document = xml.fromstring(case["source"])
    equations = list(document[0])
    answers = []
    for point in case["points"]:
        at, found = dict(point), {}
        for equation in equations:
            _, name, right = equation
            if tag(name) == "apply":
                at[name[0].text] = ([index.text for index in name[1:]], right)
            else:
                at[name.text] = value(right, at)
        y = at["expression"] if "expression" in at else at[equations[-1][1].text]
        answers.append(y if math.isfinite(y) else None)
    tags = [tag(node) for node in document.iter()]
    out.append({"values": answers, "tags": {t: tags.count(t) for t in sorted(set(tags))}})
print(json.dumps(out))
"#;

#[test]
fn content_mathml_evaluates_to_the_same_values() {
    let mut runner = TestRunner::deterministic();
    let (exprs, points) = special();
    let mut cases: Vec<(Expr, Vec<Values>)> =
        exprs.into_iter().map(|expr| (expr, points.clone())).collect();
    while cases.len() < 60 {
        let script = random::script(16).new_tree(&mut runner).unwrap().current();
        let expr = random::build(&random::Symbols::new(), &script);
        let points = (0..6).map(|_| random::point().new_tree(&mut runner).unwrap().current());
        cases.push((expr, points.collect()));
    }
    let documents: Vec<Value> = cases
        .iter()
        .map(|(expr, points)| json!({"source": expr.to_mathml().unwrap(), "points": points}))
        .collect();
    let Some(answers) = python(PROGRAM, &json!(documents)) else { return };
    let mut compared = 0;
    for ((expr, points), answer) in cases.iter().zip(answers.as_array().unwrap()) {
        for (point, got) in points.iter().zip(answer["values"].as_array().unwrap()) {
            let used: Values = expr
                .free_symbols()
                .iter()
                .map(|s| (s.name.clone(), point.get(&s.name).unwrap()))
                .collect();
            let Ok(want) = expr.evaluate(&used) else { continue };
            // A named part that is undefined is so in Python even where it is not chosen.
            let Some(got) = got.as_f64() else { continue };
            let close = (got - want).abs() <= 1e-9 * want.abs().max(1.0);
            assert!(close, "{expr}: {got} instead of {want} at {point:?}");
            compared += 1;
        }
    }
    println!("compared {compared} values of MathML");
    assert!(compared > 600);
}

#[test]
fn elements_are_those_of_the_formula() {
    let (exprs, _) = special();
    let documents = json!([{"source": exprs[9].to_mathml().unwrap(), "points": []}]);
    let Some(answer) = python(PROGRAM, &documents) else { return };
    insta::assert_snapshot!(answer[0]["tags"].to_string());
}

/// As a tree, the body of this sum has 2^40 leaves.
#[test]
fn what_is_shared_within_a_sum_is_written_once() {
    let cx = Context::new();
    let n = cx.symbol(Symbol::int("i").at_least(1.0)).unwrap();
    let i = cx.index("i");
    let body = (0..40).fold(max(&i, 2) * &n, |part, _| sqrt(&part + &i) + &part / (&part + 1));
    let total = sum(&i, 1, &n, body);
    let (latex, mathml) = (total.to_latex().unwrap(), total.to_mathml().unwrap());
    assert!(latex.len() < 20_000 && mathml.len() < 40_000, "{} {}", latex.len(), mathml.len());
    assert!(latex.contains("(\\mathrm{i\\_}) &= "), "{latex}");
    let points = json!([{"source": mathml, "points": [{"i": 3.0}]}]);
    let Some(answer) = python(PROGRAM, &points) else { return };
    let (got, want) =
        (&answer[0]["values"][0], total.evaluate(&Values::from([("i", 3.0)])).unwrap());
    assert!((got.as_f64().unwrap() - want).abs() < 1e-9 * want, "{got} instead of {want}");
}

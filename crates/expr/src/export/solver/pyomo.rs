//! Pyomo: a Python module that builds the model.

use std::fmt::Write;

use super::model::{Atom, Kind, Linear, Model};
use crate::export::sympy::{dict, quoted};

const TEMPLATE: &str = include_str!("../pyomo.py.in");

pub(super) fn write(model: &Model) -> String {
    let number = |value: Option<f64>| match value.filter(|value| value.is_finite()) {
        Some(value) => value.to_string(),
        None => "None".to_owned(),
    };
    let mut variables = String::new();
    for variable in &model.variables {
        let kind = match variable.kind {
            Kind::Real => "Reals",
            Kind::Integer => "Integers",
            Kind::Binary => "Binary",
        };
        let (lo, hi) = (number(Some(variable.lo)), number(Some(variable.hi)));
        let (name, start) = (quoted(&variable.name), number(variable.start));
        writeln!(variables, "    {name}: (pyo.{kind}, {lo}, {hi}, {start}),")
            .expect("writing to a string");
    }
    let mut rows = String::new();
    for row in &model.rows {
        let body = text(model, &row.body, false);
        let holds = match (row.lo.is_finite(), row.hi.is_finite()) {
            (true, true) if row.lo == row.hi => format!("{body} == {}", row.lo),
            (true, true) => format!("({}, {body}, {})", row.lo, row.hi),
            (true, false) => format!("{body} >= {}", row.lo),
            (false, true) => format!("{body} <= {}", row.hi),
            (false, false) => continue,
        };
        writeln!(rows, "    c[{}] = {holds}", quoted(&row.name)).expect("writing to a string");
    }
    let docs: Vec<(String, String)> = model
        .variables
        .iter()
        .filter(|variable| !variable.doc.is_empty())
        .map(|variable| (variable.name.clone(), quoted(&variable.doc)))
        .collect();
    let doc = match model.doc.as_str() {
        "" => model.name.clone(),
        doc => format!("{}: {doc}", model.name),
    };
    TEMPLATE
        .replace("{doc}", &quoted(&doc))
        .replace("{name}", &quoted(&model.name))
        .replace("{objective_name}", &quoted(&model.objective_name))
        .replace("{descriptions}", &dict(&docs))
        .replace("{variables}", &variables)
        .replace("{objective}", &text(model, &model.objective, false))
        .replace("{sense}", if model.maximise { "maximize" } else { "minimize" })
        .replace("{rows}", &rows)
}

/// A sum, in parentheses if it is to be a factor.
fn text(model: &Model, body: &Linear, factor: bool) -> String {
    let mut parts: Vec<String> = Vec::with_capacity(body.terms.len() + 1);
    for (c, atom) in &body.terms {
        let atom = atom_text(model, atom);
        parts.push(if *c == 1.0 { atom } else { format!("({c}) * {atom}") });
    }
    if body.constant != 0.0 || parts.is_empty() {
        parts.push(format!("({})", body.constant));
    }
    let sum = parts.join(" + ");
    let single =
        body.constant == 0.0 && matches!(body.terms.as_slice(), [(1.0, Atom::Variable(_))]);
    if factor && !single { format!("({sum})") } else { sum }
}

fn atom_text(model: &Model, atom: &Atom) -> String {
    match atom {
        Atom::Variable(at) => format!("x[{}]", quoted(&model.variables[*at].name)),
        Atom::Exp(inner) => format!("pyo.exp({})", text(model, inner, false)),
        Atom::Ln(inner) => format!("pyo.log({})", text(model, inner, false)),
        Atom::Product(factors) => {
            let power = |(base, e): &(Linear, f64)| {
                let (base, e) = (text(model, base, true), e.abs());
                if e == 1.0 { base } else { format!("{base} ** {e}") }
            };
            let side = |above: bool| {
                let here = factors.iter().filter(|(_, e)| (*e > 0.0) == above);
                here.map(power).collect::<Vec<_>>().join(" * ")
            };
            match (side(true), side(false)) {
                (above, below) if below.is_empty() => format!("({above})"),
                (above, below) if above.is_empty() => format!("(1 / ({below}))"),
                (above, below) => format!("({above} / ({below}))"),
            }
        }
    }
}

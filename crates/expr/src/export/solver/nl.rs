//! AMPL's `.nl`, as text (D. M. Gay, "Writing .nl Files", Sandia 2005).

use std::fmt::Write;

use super::model::{Atom, Kind, Linear, Model};

/// A model in AMPL's format: the model itself and the names that belong to it.
///
/// Save them side by side as `name.nl`, `name.col` and `name.row`; solvers read the names from there.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct AmplModel {
    /// Content of the `.nl` file.
    pub nl: String,
    /// Content of the `.col` file: names of the variables, one a line.
    pub col: String,
    /// Content of the `.row` file: names of the constraints and, last, of the objective.
    pub row: String,
}

/// Where variables and rows stand in the file: what is nonlinear comes first.
struct Order {
    /// Variables by place.
    variables: Vec<usize>,
    /// Place of each variable.
    place: Vec<usize>,
    rows: Vec<usize>,
    nonlinear_rows: usize,
    nonlinear_variables: usize,
    nonlinear_integers: usize,
}

impl Order {
    fn of(model: &Model) -> Order {
        let mut nonlinear = vec![false; model.variables.len()];
        for row in &model.rows {
            row.body.nonlinear_variables(&mut |at| nonlinear[at] = true);
        }
        let kind = |at: &usize| match model.variables[*at].kind {
            Kind::Real => 0,
            // Among the nonlinear ones a binary is an integer.
            Kind::Binary if !nonlinear[*at] => 1,
            Kind::Binary | Kind::Integer => 2,
        };
        let mut variables: Vec<usize> = (0..model.variables.len()).collect();
        variables.sort_by_key(|at| (!nonlinear[*at], kind(at)));
        let mut place = vec![0; variables.len()];
        variables.iter().enumerate().for_each(|(to, at)| place[*at] = to);
        let mut rows: Vec<usize> = (0..model.rows.len()).collect();
        rows.sort_by_key(|at| model.rows[*at].body.is_linear());
        let integer = |at: &&usize| nonlinear[**at] && model.variables[**at].kind != Kind::Real;
        Order {
            nonlinear_rows: rows.iter().filter(|at| !model.rows[**at].body.is_linear()).count(),
            nonlinear_variables: nonlinear.iter().filter(|at| **at).count(),
            nonlinear_integers: variables.iter().filter(integer).count(),
            variables,
            place,
            rows,
        }
    }
}

/// Whether every variable, by its place, occurs in a row, and with which linear coefficient.
fn coefficients(body: &Linear, order: &Order) -> Vec<(usize, f64)> {
    let mut found: Vec<(usize, f64)> = Vec::new();
    for (c, atom) in &body.terms {
        if let Atom::Variable(at) = atom {
            found.push((order.place[*at], *c));
        }
    }
    body.nonlinear_variables(&mut |at| found.push((order.place[at], 0.0)));
    found.sort_by_key(|(at, _)| *at);
    let mut merged: Vec<(usize, f64)> = Vec::with_capacity(found.len());
    for (at, c) in found {
        match merged.last_mut() {
            Some((last, sum)) if *last == at => *sum += c,
            _ => merged.push((at, c)),
        }
    }
    merged
}

pub(super) fn write(model: &Model) -> AmplModel {
    let order = Order::of(model);
    let jacobian: Vec<Vec<(usize, f64)>> =
        order.rows.iter().map(|at| coefficients(&model.rows[*at].body, &order)).collect();
    let gradient = coefficients(&model.objective, &order);
    let mut out = header(model, &order, &jacobian, gradient.len());
    for (to, at) in order.rows.iter().enumerate() {
        line(&mut out, format!("C{to}"));
        nonlinear(&mut out, &model.rows[*at].body, &order);
    }
    line(&mut out, format!("O0 {}", u8::from(model.maximise)));
    line(&mut out, format!("n{}", model.objective.constant));
    let starts: Vec<String> = order
        .variables
        .iter()
        .enumerate()
        .filter_map(|(to, at)| Some(format!("{to} {}", model.variables[*at].start?)))
        .collect();
    line(&mut out, format!("x{}", starts.len()));
    starts.into_iter().for_each(|start| line(&mut out, start));
    line(&mut out, "r");
    for at in &order.rows {
        let row = &model.rows[*at];
        line(&mut out, range(row.lo, row.hi));
    }
    line(&mut out, "b");
    for at in &order.variables {
        line(&mut out, range(model.variables[*at].lo, model.variables[*at].hi));
    }
    columns(&mut out, &jacobian, order.variables.len());
    for (to, row) in jacobian.iter().enumerate().filter(|(_, row)| !row.is_empty()) {
        line(&mut out, format!("J{to} {}", row.len()));
        row.iter().for_each(|(at, c)| line(&mut out, format!("{at} {c}")));
    }
    if !gradient.is_empty() {
        line(&mut out, format!("G0 {}", gradient.len()));
        gradient.iter().for_each(|(at, c)| line(&mut out, format!("{at} {c}")));
    }
    let listed = |names: Vec<&str>| names.iter().map(|name| format!("{name}\n")).collect();
    let mut rows: Vec<&str> = order.rows.iter().map(|at| model.rows[*at].name.as_str()).collect();
    rows.push("objective");
    let columns = order.variables.iter().map(|at| model.variables[*at].name.as_str()).collect();
    AmplModel { nl: out, col: listed(columns), row: listed(rows) }
}

fn header(model: &Model, order: &Order, jacobian: &[Vec<(usize, f64)>], gradient: usize) -> String {
    let rows = || order.rows.iter().map(|at| &model.rows[*at]);
    let equations = rows().filter(|row| row.lo == row.hi).count();
    let finite = |end: f64| end.is_finite();
    let ranges = rows().filter(|r| r.lo < r.hi && finite(r.lo) && finite(r.hi)).count();
    let linear = &order.variables[order.nonlinear_variables..];
    let count = |kind: Kind| linear.iter().filter(|at| model.variables[**at].kind == kind).count();
    let entries: usize = jacobian.iter().map(Vec::len).sum();
    let longest = |names: &mut dyn Iterator<Item = &str>| names.map(str::len).max().unwrap_or(0);
    let row_name = longest(&mut rows().map(|row| row.name.as_str())).max("objective".len());
    let column_name = longest(&mut model.variables.iter().map(|v| v.name.as_str()));
    let name = model.name.replace('\n', " ");
    let lines = [
        format!("g3 1 1 0\t# problem {name}"),
        format!(
            " {} {} 1 {ranges} {equations}\t# vars, constraints, objectives, ranges, eqns",
            order.variables.len(),
            order.rows.len()
        ),
        format!(" {} 0\t# nonlinear constraints, objectives", order.nonlinear_rows),
        " 0 0\t# network constraints: nonlinear, linear".to_owned(),
        format!(
            " {} 0 0\t# nonlinear vars in constraints, objectives, both",
            order.nonlinear_variables
        ),
        " 0 0 0 1\t# linear network variables; functions; arith, flags".to_owned(),
        format!(
            " {} {} 0 {} 0\t# discrete variables: binary, integer, nonlinear (b,c,o)",
            count(Kind::Binary),
            count(Kind::Integer),
            order.nonlinear_integers
        ),
        format!(" {entries} {gradient}\t# nonzeros in Jacobian, gradients"),
        format!(" {row_name} {column_name}\t# max name lengths: constraints, variables"),
        " 0 0 0 0 0\t# common exprs: b,c,o,c1,o1".to_owned(),
    ];
    lines.join("\n") + "\n"
}

/// How many entries the columns up to each, but the last, have.
fn columns(out: &mut String, jacobian: &[Vec<(usize, f64)>], variables: usize) {
    let mut count = vec![0usize; variables];
    jacobian.iter().flatten().for_each(|(at, _)| count[*at] += 1);
    line(out, format!("k{}", variables.saturating_sub(1)));
    let mut total = 0;
    for entries in count.iter().take(variables.saturating_sub(1)) {
        total += entries;
        line(out, total.to_string());
    }
}

fn range(lo: f64, hi: f64) -> String {
    match (lo.is_finite(), hi.is_finite()) {
        (true, true) if lo == hi => format!("4 {lo}"),
        (true, true) => format!("0 {lo} {hi}"),
        (false, true) => format!("1 {hi}"),
        (true, false) => format!("2 {lo}"),
        (false, false) => "3".to_owned(),
    }
}

/// The nonlinear part of a row.
fn nonlinear(out: &mut String, body: &Linear, order: &Order) {
    let atoms: Vec<&(f64, Atom)> =
        body.terms.iter().filter(|(_, atom)| !matches!(atom, Atom::Variable(_))).collect();
    sum(out, &atoms, 0.0, order);
}

fn linear(out: &mut String, body: &Linear, order: &Order) {
    sum(out, &body.terms.iter().collect::<Vec<_>>(), body.constant, order);
}

fn sum(out: &mut String, terms: &[&(f64, Atom)], constant: f64, order: &Order) {
    let count = terms.len() + usize::from(constant != 0.0);
    match count {
        0 => return line(out, "n0"),
        1 => {}
        2 => line(out, "o0"),
        _ => {
            line(out, "o54");
            line(out, count.to_string());
        }
    }
    if constant != 0.0 {
        line(out, format!("n{constant}"));
    }
    for (c, atom) in terms {
        if *c != 1.0 {
            line(out, "o2");
            line(out, format!("n{c}"));
        }
        write_atom(out, atom, order);
    }
}

fn write_atom(out: &mut String, atom: &Atom, order: &Order) {
    match atom {
        Atom::Variable(at) => line(out, format!("v{}", order.place[*at])),
        Atom::Exp(inner) => {
            line(out, "o44");
            linear(out, inner, order);
        }
        Atom::Ln(inner) => {
            line(out, "o43");
            linear(out, inner, order);
        }
        Atom::Product(factors) => {
            let (above, below): (Vec<_>, Vec<_>) = factors.iter().partition(|(_, e)| *e > 0.0);
            if !below.is_empty() {
                line(out, "o3");
            }
            product(out, &above, order);
            if !below.is_empty() {
                product(out, &below, order);
            }
        }
    }
}

fn product(out: &mut String, factors: &[&(Linear, f64)], order: &Order) {
    if factors.is_empty() {
        line(out, "n1");
    }
    for (at, (base, e)) in factors.iter().enumerate() {
        if at + 1 < factors.len() {
            line(out, "o2");
        }
        match e.abs() {
            1.0 => linear(out, base, order),
            0.5 => {
                line(out, "o39");
                linear(out, base, order);
            }
            e => {
                line(out, "o5");
                linear(out, base, order);
                line(out, format!("n{e}"));
            }
        }
    }
}

fn line(out: &mut String, text: impl AsRef<str>) {
    writeln!(out, "{}", text.as_ref()).expect("writing to a string");
}

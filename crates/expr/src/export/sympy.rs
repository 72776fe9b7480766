//! A Python module with the formula in SymPy.
//!
//! What it avoids, each seen to hang, raise or lie in SymPy 1.14: one big substituted expression,
//! evaluation while building, `Piecewise` in a condition or in a `Sum`, `oo`, a `Piecewise` without
//! a fallback, a chained or structural comparison, a reciprocal under `ceiling`.

use std::collections::BTreeMap;
use std::fmt::Write;

use sglsim_units::HashMap;

use crate::arena::Arena;
use crate::export::listing::{Names, Uses, is_atom};
use crate::export::python::{HELPERS, SPECIAL};
use crate::facts::{Facts, FreeSet};
use crate::module::Roots;
use crate::node::{Choice, Id, Node};
use crate::number::Number;
use crate::{Module, Sort, Symbol};

/// Parentheses that one line may nest before a part gets a name of its own.
const MAX_NESTING: usize = 20;

/// Characters that one line may have before a part gets a name of its own.
const MAX_LINE: usize = 1000;

/// Words a symbol may not be called: SymPy prints them as code in `lambdify`.
pub(super) const PYTHON: &[&str] = &[
    "False", "None", "True", "and", "as", "assert", "async", "await", "break", "class", "continue",
    "def", "del", "elif", "else", "except", "finally", "for", "from", "global", "if", "import",
    "in", "is", "lambda", "nonlocal", "not", "or", "pass", "raise", "return", "try", "while",
    "with", "yield", "abs", "ceil", "exp", "float", "floor", "int", "log", "math", "max", "min",
    "pow", "range", "round", "sqrt", "sum", "nan", "inf", "pi", "e",
];

/// Names of the module itself.
const MODULE: &[&str] = &[
    "sympy",
    "difflib",
    "functools",
    "Add",
    "Mul",
    "Pow",
    "Max",
    "Min",
    "Integer",
    "Symbol",
    "Piecewise",
    "ceiling",
    "F",
    "Le",
    "Lt",
    "Eq",
    "And",
    "Or",
    "Not",
    "implemented_function",
    "lambdify",
    "true",
    "false",
    "variables",
    "parameters",
    "symbols",
    "defs",
    "objective",
    "constraints",
    "guarded",
    "values",
    "units",
    "descriptions",
    "evaluate",
    "violated",
    "let",
    "loops",
    "constraint_list",
    "objective_name",
    "known",
    "compiled",
    "bound",
];

struct Writer<'a> {
    arena: &'a Arena,
    uses: Uses,
    /// Names of Python variables.
    variables: Names,
    /// Names of SymPy symbols.
    symbols: Names,
    /// How each node is written where it is used.
    parts: HashMap<Id, String>,
    /// Definitions of loop functions.
    functions: String,
    /// Definitions of symbols and named parts.
    body: String,
    /// Names of the loop functions.
    loops: Vec<String>,
    /// Tables that loop functions read.
    tables: BTreeMap<u32, String>,
    unnamed: usize,
    units: Vec<(String, String)>,
    docs: Vec<(String, String)>,
}

impl Arena {
    pub(crate) fn sympy(&self, module: &Module, roots: &Roots) -> String {
        let mut writer = Writer {
            arena: self,
            uses: Uses::of(self, &roots.all()),
            variables: Names::reserving(&[PYTHON, MODULE].concat()),
            symbols: Names::reserving(PYTHON),
            parts: HashMap::default(),
            functions: String::new(),
            body: String::new(),
            loops: Vec::new(),
            tables: BTreeMap::new(),
            unnamed: 0,
            units: Vec::new(),
            docs: Vec::new(),
        };
        let declared = self.symbols_of(roots);
        let (variables, parameters): (Vec<_>, Vec<_>) =
            declared.into_iter().partition(|(id, _)| roots.variables.contains(id));
        let variables = writer.symbols(&variables);
        let parameters = writer.symbols(&parameters);
        writer.body.push_str("\nwith sympy.evaluate(False):\n");
        for id in self.reachable(&roots.all()) {
            if self.facts(id).free == FreeSet::EMPTY && !writer.parts.contains_key(&id) {
                writer.part(id);
            }
        }
        let objective = writer.parts[&roots.objective].clone();
        let mut constraints = String::new();
        for (constraint, id) in module.constraints.iter().zip(&roots.constraints) {
            let holds = &writer.parts[id];
            let name = quoted(&constraint.name);
            writeln!(constraints, "        ({name}, {holds}),").expect("writing to a string");
            writer.docs.push((constraint.name.clone(), constraint.doc.clone()));
        }
        writer.docs.push((module.objective_name.clone(), module.doc.clone()));
        let values: Vec<(String, String)> = module
            .values
            .iter()
            .map(|(name, value)| (name.to_owned(), python_number(value)))
            .collect();
        let quote = |pairs: &[(String, String)]| {
            pairs
                .iter()
                .filter(|(_, text)| !text.is_empty())
                .map(|(name, text)| (name.clone(), quoted(text)))
                .collect::<Vec<_>>()
        };
        let mut helpers = String::new();
        if !writer.loops.is_empty() {
            helpers.push_str(HELPERS);
        }
        let used = |(name, _): &&(&str, &str)| writer.functions.contains(name);
        helpers.extend(SPECIAL.iter().filter(used).map(|(_, source)| *source));
        helpers.extend(writer.tables.into_values());
        let loops: Vec<(String, String)> =
            writer.loops.iter().map(|name| (name.clone(), format!("_{name}"))).collect();
        let doc = match module.doc.as_str() {
            "" => module.name.clone(),
            doc => format!("{}: {doc}", module.name),
        };
        format!(
            include_str!("module.py.in"),
            doc = quoted(&doc),
            name = quoted(&module.objective_name),
            loops = dict(&loops),
            helpers = helpers,
            functions = writer.functions,
            body = writer.body,
            objective = objective,
            constraints = constraints,
            variables = dict(&variables),
            parameters = dict(&parameters),
            values = dict(&values),
            units = dict(&quote(&writer.units)),
            descriptions = dict(&quote(&writer.docs)),
        )
    }
}

impl Writer<'_> {
    /// Declares symbols and returns pairs of their own name and their Python variable.
    fn symbols(&mut self, symbols: &[(Id, Symbol)]) -> Vec<(String, String)> {
        let mut pairs = Vec::new();
        for (id, symbol) in symbols {
            let name = self.symbols.claim(&symbol.name);
            let variable = self.variables.claim(&name);
            let assumptions = match symbol.sort {
                Sort::Bool => String::new(),
                _ => assumptions(self.arena.facts(*id)),
            };
            let name = quoted(&name);
            writeln!(self.body, "{variable} = Symbol({name}{assumptions})")
                .expect("writing to a string");
            pairs.push((symbol.name.clone(), variable.clone()));
            self.units.push((symbol.name.clone(), symbol.unit.clone()));
            self.docs.push((symbol.name.clone(), symbol.doc.clone()));
            self.parts.insert(*id, variable);
        }
        pairs
    }

    /// Writes a part out, or defines it if it deserves a name.
    fn part(&mut self, id: Id) {
        let arena = self.arena;
        let node = arena.shape(id);
        let text = self.constructor(id, &node);
        let facts = *arena.facts(id);
        // What may be undefined is written where it is used, inside the arm that makes it safe;
        // but a Piecewise never inside a condition.
        let useful = self.uses.compared(id) || self.uses.shared(id);
        let hazard = self.uses.compared(id) && text.contains("Piecewise(");
        let large = text.len() > MAX_LINE || nesting(&text) > MAX_NESTING;
        let label = arena.label(id).cloned();
        let defined = label.is_some() || large || hazard || useful && facts.finite;
        if is_atom(&node) || !defined {
            self.parts.insert(id, text);
            return;
        }
        let wanted = match &label {
            Some(label) => label.name.clone(),
            None => {
                self.unnamed += 1;
                format!("t{}", self.unnamed)
            }
        };
        let name = self.symbols.claim(&wanted);
        let variable = self.variables.claim(&name);
        let assumed = if facts.boolean { String::new() } else { assumptions(&facts) };
        writeln!(self.body, "    {variable} = let({}, {text}{assumed})", quoted(&name))
            .expect("writing to a string");
        if let Some(label) = label {
            self.units.push((name.clone(), label.unit));
            self.docs.push((name, label.doc));
        }
        self.parts.insert(id, variable);
    }

    fn constructor(&mut self, id: Id, node: &Node<Number>) -> String {
        match node {
            Node::Number(n) => number(*n),
            Node::Bool(value) => if *value { "true" } else { "false" }.to_owned(),
            Node::Add { constant, terms } => {
                let mut parts: Vec<String> = terms
                    .iter()
                    .map(|(term, c)| self.product(*c, &[(*term, Number::ONE)]))
                    .collect();
                if !constant.is_zero() {
                    parts.push(number(*constant));
                }
                call("Add", &parts)
            }
            Node::Mul { coefficient, factors } => self.product(*coefficient, factors),
            Node::Pow(a, b) => call("Pow", &self.texts(&[*a, *b])),
            Node::Exp(a) => call("sympy.exp", &self.texts(&[*a])),
            Node::Ln(a) => call("sympy.log", &self.texts(&[*a])),
            Node::Max(list) => call("Max", &self.texts(list)),
            Node::Min(list) => call("Min", &self.texts(list)),
            Node::Ceil(a) => call("ceiling", &self.texts(&[*a])),
            Node::Floor(a) => call("sympy.floor", &self.texts(&[*a])),
            Node::Le(a, b) => call("Le", &self.texts(&[*a, *b])),
            Node::Lt(a, b) => call("Lt", &self.texts(&[*a, *b])),
            Node::Eq(a, b) => call("Eq", &self.texts(&[*a, *b])),
            Node::And(list) => call("And", &self.texts(list)),
            Node::Or(list) => call("Or", &self.texts(list)),
            Node::Not(a) => call("Not", &self.texts(&[*a])),
            Node::Piecewise { arms, otherwise } => {
                let mut parts: Vec<String> = arms
                    .iter()
                    .map(|(guard, value)| format!("({}, {})", self.parts[value], self.parts[guard]))
                    .collect();
                parts.push(format!("({}, True)", self.parts[otherwise]));
                call("Piecewise", &parts)
            }
            Node::MinOf(choices) => self.least(choices),
            Node::Assume { value, .. } => self.parts[value].clone(),
            Node::Sum { .. } => self.function(id, "sum"),
            Node::FixedPoint { .. } => self.function(id, "fixed_point"),
            Node::Table { .. } => self.function(id, "table"),
            Node::Symbol(_) | Node::Index(_) | Node::Invalid(_) => {
                unreachable!("declared, inside a loop, or refused")
            }
        }
    }

    /// What SymPy has no operation for: a Python function.
    fn function(&mut self, id: Id, kind: &str) -> String {
        let name = format!("{kind}_{}", self.loops.len() + 1);
        for node in self.arena.reachable(&[id]) {
            if let Node::Table { table, .. } = *self.arena.node(node) {
                let values = &self.arena.tables[table as usize];
                let list: Vec<String> = values.iter().map(|v| python_number(*v)).collect();
                self.tables
                    .entry(table)
                    .or_insert_with(|| format!("\n\n_table_{table} = [{}]\n", list.join(", ")));
            }
        }
        let function = self.arena.loop_function(id, &format!("_{name}"));
        write!(
            self.functions,
            "\n\n{}\n\n{name} = implemented_function(\"{name}\", _{name})\n",
            function.source
        )
        .expect("writing to a string");
        self.loops.push(name.clone());
        call(&name, &self.texts(&function.arguments))
    }

    /// A choice without `oo`: what cannot be used counts as a choice that can, or, if there is none
    /// for certain, as a number that no other one exceeds.
    fn least(&self, choices: &[Choice]) -> String {
        let certain = choices.iter().find(|choice| self.arena.always(choice.guard));
        let fallback = match certain {
            Some(choice) => self.parts[&choice.value].clone(),
            None => {
                let most = choices.iter().map(|choice| self.arena.facts(choice.value).hi);
                let most = most.fold(0.0, f64::max);
                number(Number::float(if most < 1e100 { most } else { f64::MAX }))
            }
        };
        let arm = |choice: &Choice| match self.arena.always(choice.guard) {
            true => self.parts[&choice.value].clone(),
            false => {
                let (value, guard) = (&self.parts[&choice.value], &self.parts[&choice.guard]);
                format!("Piecewise(({value}, {guard}), ({fallback}, True))")
            }
        };
        let arms: Vec<String> = choices.iter().map(arm).collect();
        let least = match arms.as_slice() {
            [] => return "sympy.nan".to_owned(),
            [only] => only.clone(),
            _ => call("Min", &arms),
        };
        if certain.is_some() {
            return least;
        }
        let guards: Vec<String> =
            choices.iter().map(|choice| self.parts[&choice.guard].clone()).collect();
        let any = if let [only] = guards.as_slice() { only.clone() } else { call("Or", &guards) };
        format!("Piecewise(({least}, {any}), (sympy.nan, True))")
    }

    /// Divisors as powers of −1: a rational coefficient would print as a product with `1/q`.
    fn product(&self, coefficient: Number, factors: &[(Id, Number)]) -> String {
        let mut parts = Vec::new();
        let (num, den) = coefficient.as_ratio().unwrap_or((1, 1));
        if coefficient.is_float() {
            parts.push(number(coefficient));
        } else if num != 1 {
            parts.push(number(Number::ratio(num, 1)));
        }
        for (base, e) in factors {
            let base = &self.parts[base];
            parts.push(if e.is_one() {
                base.clone()
            } else {
                format!("Pow({base}, {})", number(*e))
            });
        }
        if den != 1 {
            parts.push(format!("Pow({}, Integer(-1))", number(Number::ratio(den, 1))));
        }
        match parts.as_slice() {
            [only] => only.clone(),
            _ => call("Mul", &parts),
        }
    }

    fn texts(&self, ids: &[Id]) -> Vec<String> {
        ids.iter().map(|id| self.parts[id].clone()).collect()
    }
}

fn nesting(text: &str) -> usize {
    let (mut depth, mut deepest) = (0usize, 0);
    for byte in text.bytes() {
        match byte {
            b'(' => depth += 1,
            b')' => depth = depth.saturating_sub(1),
            _ => {}
        }
        deepest = deepest.max(depth);
    }
    deepest
}

fn call(function: &str, arguments: &[String]) -> String {
    format!("{function}({})", arguments.join(", "))
}

fn number(n: Number) -> String {
    match n.as_ratio() {
        Some((num, 1)) => format!("Integer({num})"),
        Some((num, den)) => format!("sympy.Rational({num}, {den})"),
        None => format!("F({n})"),
    }
}

/// A whole number as an `int`, so that Python's integer arithmetic stays exact.
pub(super) fn python_number(value: f64) -> String {
    if value.fract() == 0.0 && value.abs() < 9e15 {
        format!("{}", value as i64)
    } else {
        format!("{value:?}")
    }
}

fn assumptions(facts: &Facts) -> String {
    let kind = if facts.integer { ", integer=True" } else { "" };
    let sign = if facts.positive() {
        ", positive=True"
    } else if facts.non_negative() {
        ", nonnegative=True"
    } else if facts.integer {
        ""
    } else {
        ", real=True"
    };
    format!("{kind}{sign}")
}

/// A Python string: JSON's escapes are Python's.
pub(super) fn quoted(text: &str) -> String {
    serde_json::Value::from(text).to_string()
}

pub(super) fn dict(pairs: &[(String, String)]) -> String {
    let mut text = String::from("{");
    for (name, value) in pairs {
        write!(text, "\n    {}: {value},", quoted(name)).expect("writing to a string");
    }
    if !pairs.is_empty() {
        text.push('\n');
    }
    text + "}"
}

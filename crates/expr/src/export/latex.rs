//! LaTeX: one equation per named part, then the objective and what it is subject to.

use std::fmt::Write;

use sglsim_units::HashMap;

use crate::Module;
use crate::arena::Arena;
use crate::export::listing::{Uses, index_names};
use crate::module::Roots;
use crate::node::{Id, Node};
use crate::number::Number;

/// How tightly a written part binds.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Level {
    Logic,
    Compare,
    Sum,
    Product,
    Atom,
}

struct Writer<'a> {
    arena: &'a Arena,
    indices: HashMap<u32, String>,
    parts: HashMap<Id, (String, Level)>,
}

impl Arena {
    pub(crate) fn latex(&self, module: &Module, roots: &Roots) -> String {
        let uses = Uses::of(self, &roots.all());
        let indices = index_names(self, &roots.all());
        let mut writer = Writer { arena: self, indices, parts: HashMap::default() };
        let mut equations = Vec::new();
        for id in self.reachable(&roots.all()) {
            let node = self.shape(id);
            let (text, level) = writer.write(&node);
            let part = match self.label(id) {
                _ if id == roots.objective || !uses.deserves_equation(self, id, text.len()) => {
                    (text, level)
                }
                label => {
                    let label = label.map_or(format!("t_{{{}}}", id.0), |label| name(&label.name));
                    let free = self.free(self.facts(id).free).iter().map(|at| writer.index(*at));
                    let free: Vec<String> = free.collect();
                    let label = match free.as_slice() {
                        [] => label,
                        free => format!("{label}({})", free.join(", ")),
                    };
                    equations.push(format!("{label} &= {text}"));
                    (label, Level::Atom)
                }
            };
            writer.parts.insert(id, part);
        }
        let objective = &writer.parts[&roots.objective].0;
        equations.push(format!("{} &= {objective}", name(&module.objective_name)));
        let constraints = roots.constraints.iter().enumerate();
        equations.extend(constraints.map(|(at, id)| {
            let lead = if at == 0 { r"\text{subject to}\quad " } else { "" };
            format!("{lead}& {}", writer.parts[id].0)
        }));
        format!("\\begin{{align*}}\n{}\n\\end{{align*}}\n", equations.join(" \\\\\n"))
    }
}

impl Writer<'_> {
    fn write(&self, node: &Node<Number>) -> (String, Level) {
        let function = |name: &str, list: &[Id]| {
            (
                format!("\\{name}\\left({}\\right)", self.joined(list, ", ", Level::Logic)),
                Level::Atom,
            )
        };
        match node {
            Node::Number(n) => {
                let level = if n.is_negative() { Level::Sum } else { Level::Atom };
                (number(*n), level)
            }
            Node::Bool(value) => (format!("\\text{{{value}}}"), Level::Atom),
            Node::Symbol(at) => (name(&self.arena.symbols[*at as usize].name), Level::Atom),
            Node::Index(at) => (self.index(*at), Level::Atom),
            Node::Invalid(_) => (r"\text{invalid}".to_owned(), Level::Atom),
            Node::Add { constant, terms } => (self.sum(*constant, terms), Level::Sum),
            Node::Mul { coefficient, factors } => {
                (self.product(*coefficient, factors), Level::Product)
            }
            Node::Pow(a, b) => {
                let power =
                    format!("{{{}}}^{{{}}}", self.at(*a, Level::Atom), self.at(*b, Level::Logic));
                (power, Level::Product)
            }
            Node::Exp(a) => function("exp", &[*a]),
            Node::Ln(a) => function("ln", &[*a]),
            Node::Max(list) => function("max", list),
            Node::Min(list) => function("min", list),
            Node::Ceil(a) => {
                (format!("\\left\\lceil {} \\right\\rceil", self.at(*a, Level::Logic)), Level::Atom)
            }
            Node::Floor(a) => (
                format!("\\left\\lfloor {} \\right\\rfloor", self.at(*a, Level::Logic)),
                Level::Atom,
            ),
            Node::Le(a, b) => (self.joined(&[*a, *b], r" \le ", Level::Sum), Level::Compare),
            Node::Lt(a, b) => (self.joined(&[*a, *b], " < ", Level::Sum), Level::Compare),
            Node::Eq(a, b) => (self.joined(&[*a, *b], " = ", Level::Sum), Level::Compare),
            Node::And(list) => (self.joined(list, r" \land ", Level::Compare), Level::Logic),
            Node::Or(list) => (self.joined(list, r" \lor ", Level::Compare), Level::Logic),
            Node::Not(a) => (format!("\\lnot {}", self.at(*a, Level::Atom)), Level::Compare),
            Node::Piecewise { arms, otherwise } => {
                let mut text = String::from(r"\begin{cases} ");
                for (guard, value) in arms {
                    let (value, guard) =
                        (self.at(*value, Level::Logic), self.at(*guard, Level::Logic));
                    write!(text, "{value} & \\text{{if }} {guard} \\\\ ")
                        .expect("writing to a string");
                }
                let last = self.at(*otherwise, Level::Logic);
                (format!("{text}{last} & \\text{{otherwise}} \\end{{cases}}"), Level::Atom)
            }
            Node::MinOf(choices) => {
                let mut text = String::from(r"\min \begin{cases} ");
                for (position, choice) in choices.iter().enumerate() {
                    text.push_str(if position == 0 { "" } else { r" \\ " });
                    let value = self.at(choice.value, Level::Logic);
                    write!(text, "{value} & \\text{{{}}}", words(&choice.name))
                        .expect("writing to a string");
                    if !self.arena.always(choice.guard) {
                        let guard = self.at(choice.guard, Level::Logic);
                        write!(text, "\\text{{ if }} {guard}").expect("writing to a string");
                    }
                }
                (format!("{text} \\end{{cases}}"), Level::Atom)
            }
            Node::Assume { value, .. } => self.parts[value].clone(),
            Node::Table { table, index } => {
                let index = self.at(*index, Level::Logic);
                (format!("{{T_{{{table}}}}}_{{{index}}}"), Level::Atom)
            }
            Node::FixedPoint { index, lo, hi, body } => {
                let index = self.index(*index);
                let (lo, hi) = (self.at(*lo, Level::Sum), self.at(*hi, Level::Sum));
                let body = self.at(*body, Level::Sum);
                let range = format!("{index} \\in \\left[{lo}, {hi}\\right]");
                (format!("\\left\\{{{range} : {index} = {body}\\right\\}}"), Level::Atom)
            }
            Node::Sum { index, lo, hi, body } => {
                let index = self.index(*index);
                let (lo, hi) = (self.at(*lo, Level::Sum), self.at(*hi, Level::Sum));
                let body = self.at(*body, Level::Product);
                (format!("\\sum_{{{index} = {lo}}}^{{{hi}}} {body}"), Level::Sum)
            }
        }
    }

    fn index(&self, at: u32) -> String {
        name(&self.indices[&at])
    }

    fn sum(&self, constant: Number, terms: &[(Id, Number)]) -> String {
        let mut text = String::new();
        let mut push = |negative: bool, part: String| {
            text.push_str(match (text.is_empty(), negative) {
                (true, false) => "",
                (true, true) => "-",
                (false, false) => " + ",
                (false, true) => " - ",
            });
            text.push_str(&part);
        };
        for (term, c) in terms {
            let size = if c.is_negative() { c.neg() } else { *c };
            push(c.is_negative(), self.product(size, &[(*term, Number::ONE)]));
        }
        if !constant.is_zero() {
            let size = if constant.is_negative() { constant.neg() } else { constant };
            push(constant.is_negative(), number(size));
        }
        text
    }

    fn product(&self, coefficient: Number, factors: &[(Id, Number)]) -> String {
        let negative = coefficient.is_negative();
        let size = if negative { coefficient.neg() } else { coefficient };
        let (num, den) = match size.as_ratio() {
            Some((num, den)) => (Number::ratio(num, 1), den),
            None => (size, 1),
        };
        let (mut above, mut below) = (Vec::new(), Vec::new());
        if !num.is_one() {
            above.push(number(num));
        }
        if den != 1 {
            below.push(den.to_string());
        }
        for (base, e) in factors {
            let side = if e.is_negative() { &mut below } else { &mut above };
            let e = if e.is_negative() { e.neg() } else { *e };
            side.push(if e == Number::HALF {
                format!("\\sqrt{{{}}}", self.at(*base, Level::Logic))
            } else if e.is_one() {
                self.at(*base, Level::Product)
            } else {
                format!("{{{}}}^{{{}}}", self.at(*base, Level::Atom), number(e))
            });
        }
        let above = if above.is_empty() { "1".to_owned() } else { above.join(r" \, ") };
        let sign = if negative { "-" } else { "" };
        if below.is_empty() {
            format!("{sign}{above}")
        } else {
            format!("{sign}\\frac{{{above}}}{{{}}}", below.join(r" \, "))
        }
    }

    fn at(&self, id: Id, outer: Level) -> String {
        let (text, level) = &self.parts[&id];
        if *level < outer { format!("\\left({text}\\right)") } else { text.clone() }
    }

    fn joined(&self, list: &[Id], separator: &str, level: Level) -> String {
        list.iter().map(|id| self.at(*id, level)).collect::<Vec<_>>().join(separator)
    }
}

/// Text for `\text`.
fn words(text: &str) -> String {
    let mut escaped = String::new();
    for c in text.chars() {
        if "&%$#_{}".contains(c) {
            escaped.push('\\');
        }
        escaped.push(if "\\^~".contains(c) { ' ' } else { c });
    }
    escaped
}

/// A name: one letter in italics, a word upright.
fn name(text: &str) -> String {
    if text.chars().count() == 1 {
        return text.to_owned();
    }
    format!("\\mathrm{{{}}}", text.replace('_', r"\_"))
}

fn number(n: Number) -> String {
    match n.as_ratio() {
        Some((num, 1)) => num.to_string(),
        Some((num, den)) if num < 0 => format!("-\\frac{{{}}}{{{den}}}", -num),
        Some((num, den)) => format!("\\frac{{{num}}}{{{den}}}"),
        None => match n.to_string().split_once('e') {
            Some((digits, exponent)) => {
                format!("{} \\cdot 10^{{{exponent}}}", digits.trim_end_matches(".0"))
            }
            None => n.to_string(),
        },
    }
}

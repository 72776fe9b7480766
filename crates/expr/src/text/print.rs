//! Readable text of an expression.

use std::fmt::Write;

use sglsim_units::{HashMap, HashSet};

use super::lex::written;
use crate::arena::Arena;
use crate::node::{Id, Node};
use crate::number::Number;

/// Names under which parts are written, so that they can be read back.
#[derive(Default)]
pub(super) struct Naming {
    pub(super) nodes: HashMap<Id, String>,
    pub(super) indices: HashMap<u32, String>,
    pub(super) tables: HashMap<u32, String>,
    /// Parts whose dimension is not to be checked.
    pub(super) unchecked: HashSet<Id>,
}

/// Nesting after which an operand is printed as `…`.
const MAX_NESTING: usize = 40;

/// How tightly an operator binds, loosest first.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Level {
    Or,
    And,
    Compare,
    Sum,
    Product,
    Power,
    Atom,
}

impl Arena {
    /// The expression as text, cut after about `limit` characters.
    pub(crate) fn text(&self, id: Id, limit: usize) -> String {
        let mut printer = Printer { arena: self, out: String::new(), limit, naming: None };
        printer.print(id, Level::Or, 0);
        if let Some((cut, _)) = printer.out.char_indices().nth(limit) {
            printer.out.truncate(cut);
            printer.out.push('…');
        }
        printer.out
    }

    /// The expression in terms of what has a name, whole and to be read back. Its nesting is
    /// bounded by giving names.
    pub(super) fn exact(&self, id: Id, naming: &Naming) -> String {
        let mut printer =
            Printer { arena: self, out: String::new(), limit: usize::MAX, naming: Some(naming) };
        // A name is not written in terms of itself.
        let named = naming.nodes.contains_key(&id) && naming.unchecked.contains(&id);
        printer.out.push_str(if named { "(" } else { "" });
        printer.node(&self.shape(id), 0);
        printer.out.push_str(if named { ") [?]" } else { "" });
        printer.out
    }
}

struct Printer<'a> {
    arena: &'a Arena,
    out: String,
    limit: usize,
    naming: Option<&'a Naming>,
}

impl Printer<'_> {
    fn print(&mut self, id: Id, outer: Level, nesting: usize) {
        let mut outer = outer;
        let mut unchecked = false;
        if let Some(naming) = self.naming {
            unchecked = naming.unchecked.contains(&id);
            if let Some(name) = naming.nodes.get(&id) {
                self.out.push_str(name);
                self.out.push_str(if unchecked { " [?]" } else { "" });
                return;
            }
            if unchecked {
                outer = Level::Atom;
            }
        } else if nesting > MAX_NESTING || self.out.len() > self.limit * 4 {
            self.out.push('…');
            return;
        }
        let node = self.arena.shape(id);
        let level = level(&node);
        if level < outer {
            self.out.push('(');
        }
        self.node(&node, nesting + 1);
        if level < outer {
            self.out.push(')');
        }
        self.out.push_str(if unchecked { " [?]" } else { "" });
    }

    fn node(&mut self, node: &Node<Number>, nesting: usize) {
        match node {
            Node::Number(n) => self.push(n),
            Node::Bool(b) => self.push(b),
            Node::Symbol(at) => self.name(&self.arena.symbols[*at as usize].name),
            Node::Index(at) => self.index(*at),
            Node::Invalid(at) => {
                let error = self.arena.errors[*at as usize].clone();
                self.push(&format_args!("invalid({error})"));
            }
            Node::Add { constant, terms } => self.sum(*constant, terms, nesting),
            Node::Mul { coefficient, factors } => self.product(*coefficient, factors, nesting),
            Node::Pow(a, b) => {
                self.print(*a, Level::Atom, nesting);
                self.out.push('^');
                self.print(*b, Level::Atom, nesting);
            }
            Node::Exp(a) => self.call("exp", &[*a], nesting),
            Node::Ln(a) => self.call("ln", &[*a], nesting),
            Node::Max(list) => self.call("max", list, nesting),
            Node::Min(list) => self.call("min", list, nesting),
            Node::Ceil(a) => self.call("ceil", &[*a], nesting),
            Node::Floor(a) => self.call("floor", &[*a], nesting),
            Node::Not(a) => self.call("not", &[*a], nesting),
            Node::Le(a, b) => self.joined(&[*a, *b], " <= ", Level::Sum, nesting),
            Node::Lt(a, b) => self.joined(&[*a, *b], " < ", Level::Sum, nesting),
            Node::Eq(a, b) => self.joined(&[*a, *b], " == ", Level::Sum, nesting),
            Node::And(list) => self.joined(list, " and ", Level::Compare, nesting),
            Node::Or(list) => self.joined(list, " or ", Level::And, nesting),
            Node::Piecewise { arms, otherwise } => {
                self.out.push('{');
                for (guard, value) in arms {
                    self.print(*value, Level::Or, nesting);
                    self.out.push_str(" if ");
                    self.print(*guard, Level::Or, nesting);
                    self.out.push_str("; ");
                }
                self.print(*otherwise, Level::Or, nesting);
                self.out.push('}');
            }
            Node::MinOf(choices) => {
                self.out.push_str("min_of{");
                for (position, choice) in choices.iter().enumerate() {
                    self.out.push_str(if position == 0 { "" } else { "; " });
                    self.name(&choice.name);
                    self.out.push_str(": ");
                    self.print(choice.value, Level::Or, nesting);
                    if !self.arena.always(choice.guard) {
                        self.out.push_str(" if ");
                        self.print(choice.guard, Level::Or, nesting);
                    }
                }
                self.out.push('}');
            }
            Node::Assume { value, lo, hi, integer } => {
                self.out.push_str("assume(");
                self.print(*value, Level::Or, nesting);
                let sort = if *integer { "int" } else { "real" };
                self.push(&format_args!(", {sort}"));
                for (end, sign) in [(lo, ">="), (hi, "<=")] {
                    if let Some(end) = end {
                        self.push(&format_args!(", {sign} {end}"));
                    }
                }
                self.out.push(')');
            }
            Node::Table { table, index } => {
                match self.naming.and_then(|naming| naming.tables.get(table)) {
                    Some(name) => self.push(name),
                    None => {
                        let entries = self.arena.tables[*table as usize].len();
                        self.push(&format_args!("table_{table}<{entries}>"));
                    }
                }
                self.out.push('[');
                self.print(*index, Level::Or, nesting);
                self.out.push(']');
            }
            Node::FixedPoint { index, lo, hi, body } => {
                self.binder(["fixed_point(", " in "], *index, [*lo, *hi, *body], nesting);
            }
            Node::Sum { index, lo, hi, body } => {
                self.binder(["sum(", " = "], *index, [*lo, *hi, *body], nesting);
            }
        }
    }

    fn name(&mut self, name: &str) {
        match self.naming {
            Some(_) => self.out.push_str(&written(name)),
            None => self.out.push_str(name),
        }
    }

    /// A node with a running index: `sum(i = lo..hi: body)`, or `fixed_point(x in lo..hi: body)`.
    fn binder(&mut self, words: [&str; 2], index: u32, parts: [Id; 3], nesting: usize) {
        let [lo, hi, body] = parts;
        self.out.push_str(words[0]);
        self.index(index);
        self.out.push_str(words[1]);
        self.print(lo, Level::Sum, nesting);
        self.out.push_str("..");
        self.print(hi, Level::Sum, nesting);
        self.out.push_str(": ");
        self.print(body, Level::Or, nesting);
        self.out.push(')');
    }

    fn index(&mut self, index: u32) {
        match self.naming.and_then(|naming| naming.indices.get(&index)) {
            Some(name) => self.out.push_str(name),
            None => self.out.push_str(&self.arena.indices[index as usize]),
        }
    }

    fn sum(&mut self, constant: Number, terms: &[(Id, Number)], nesting: usize) {
        for (position, (term, c)) in terms.iter().enumerate() {
            self.sign(position == 0, c.is_negative());
            let c = if c.is_negative() { c.neg() } else { *c };
            if !c.is_one() {
                self.push(&format_args!("{c} * "));
            }
            // `2 * (x / 0.3)` is not `2 * x / 0.3`: a float divides after the product.
            let divided = !c.is_one() && self.divides(*term);
            self.print(*term, if divided { Level::Power } else { Level::Product }, nesting);
        }
        if !constant.is_zero() {
            self.sign(terms.is_empty(), constant.is_negative());
            self.push(&if constant.is_negative() { constant.neg() } else { constant });
        }
    }

    fn divides(&self, term: Id) -> bool {
        let Node::Mul { factors, .. } = self.arena.node(term) else { return false };
        factors.iter().any(|(base, _)| self.arena.constant(*base).is_some())
    }

    fn sign(&mut self, first: bool, negative: bool) {
        self.out.push_str(match (first, negative) {
            (true, false) => "",
            (true, true) => "-",
            (false, false) => " + ",
            (false, true) => " - ",
        });
    }

    fn product(&mut self, coefficient: Number, factors: &[(Id, Number)], nesting: usize) {
        let (num, den) = coefficient
            .as_ratio()
            .map_or((coefficient, 1), |(num, den)| (Number::ratio(num, 1), den));
        let above: Vec<_> = factors.iter().filter(|(_, e)| !e.is_negative()).collect();
        let below: Vec<_> = factors.iter().filter(|(_, e)| e.is_negative()).collect();
        let mut first = true;
        if num.is_minus_one() && !above.is_empty() {
            self.out.push('-');
        } else if !num.is_one() || above.is_empty() {
            self.push(&num);
            first = false;
        }
        for (base, e) in above {
            self.out.push_str(if first { "" } else { " * " });
            first = false;
            self.power(*base, *e, nesting);
        }
        if den != 1 {
            self.push(&format_args!(" / {den}"));
        }
        for (base, e) in below {
            self.out.push_str(" / ");
            self.power(*base, e.neg(), nesting);
        }
    }

    fn power(&mut self, base: Id, exponent: Number, nesting: usize) {
        if exponent.is_one() {
            self.print(base, Level::Power, nesting);
        } else if exponent == Number::HALF {
            self.call("sqrt", &[base], nesting);
        } else {
            self.print(base, Level::Atom, nesting);
            match exponent.as_ratio() {
                Some((e, 1)) => self.push(&format_args!("^{e}")),
                _ => self.push(&format_args!("^({exponent})")),
            }
        }
    }

    fn call(&mut self, name: &str, arguments: &[Id], nesting: usize) {
        self.out.push_str(name);
        self.out.push('(');
        self.joined(arguments, ", ", Level::Or, nesting);
        self.out.push(')');
    }

    fn joined(&mut self, items: &[Id], separator: &str, level: Level, nesting: usize) {
        for (position, item) in items.iter().enumerate() {
            if position != 0 {
                self.out.push_str(separator);
            }
            self.print(*item, level, nesting);
        }
    }

    fn push(&mut self, item: &dyn std::fmt::Display) {
        write!(self.out, "{item}").expect("writing to a string");
    }
}

fn level(node: &Node<Number>) -> Level {
    match node {
        Node::Or(_) => Level::Or,
        Node::And(_) => Level::And,
        Node::Le(..) | Node::Lt(..) | Node::Eq(..) => Level::Compare,
        Node::Add { .. } => Level::Sum,
        Node::Mul { .. } => Level::Product,
        Node::Number(n) if n.is_negative() => Level::Sum,
        Node::Number(n) if n.as_ratio().is_some_and(|(_, den)| den != 1) => Level::Product,
        Node::Pow(..) => Level::Power,
        _ => Level::Atom,
    }
}

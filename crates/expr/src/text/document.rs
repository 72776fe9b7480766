//! Writing a text: what is declared, which parts are named, in which order.

use std::fmt::Write;

use sglsim_units::{HashMap, HashSet};

use super::lex::{Name, quote, written};
use super::print::Naming;
use crate::arena::Arena;
use crate::export::{Uses, is_atom};
use crate::module::Roots;
use crate::node::{Id, Node};
use crate::{Module, Sort, Symbol, Values};

/// Operations after which a shared part gets a name.
const SHARED: usize = 6;

/// Operations after which any part gets a name.
const LONG: usize = 40;

/// Nesting after which a part gets a name.
const DEEP: usize = 12;

/// Columns of a line, if it can be broken.
const WIDTH: usize = 100;

impl Arena {
    /// An expression as a text that [`Context::parse`](crate::Context::parse) reads.
    pub(super) fn expression_text(&self, root: Id) -> String {
        let writer = Writer::new(self, &[root], &[root]);
        let mut out = writer.declarations(&Values::new(), |_| false);
        line(&mut out, &self.exact(root, &writer.naming));
        out
    }

    /// A module as a text that [`Module::parse`] reads.
    pub(super) fn module_text(&self, module: &Module, roots: &Roots) -> String {
        let mut heads = vec![roots.objective];
        heads.extend(&roots.constraints);
        let writer = Writer::new(self, &roots.all(), &heads);
        let mut out = String::new();
        line(&mut out, &format!("module {}{}", written(&module.name), doc(&module.doc)));
        let variable = |id: Id| roots.variables.contains(&id);
        out.push('\n');
        out += &writer.declarations(&module.values, variable);
        out.push('\n');
        let objective = self.exact(roots.objective, &writer.naming);
        line(&mut out, &format!("objective {} = {objective}", written(&module.objective_name)));
        for (constraint, id) in module.constraints.iter().zip(&roots.constraints) {
            let (name, holds) = (written(&constraint.name), self.exact(*id, &writer.naming));
            line(&mut out, &format!("constraint {name}: {holds}{}", doc(&constraint.doc)));
        }
        out
    }
}

struct Writer<'a> {
    arena: &'a Arena,
    naming: Naming,
    /// Symbols, those given first before the others.
    symbols: Vec<Id>,
    /// Indices that occur outside of their sum in what has a name.
    indices: Vec<u32>,
    /// What has a name, in order.
    defined: Vec<Id>,
}

impl Writer<'_> {
    /// Chooses names for what is below `roots`; `heads` are written whole.
    fn new<'a>(arena: &'a Arena, roots: &[Id], heads: &[Id]) -> Writer<'a> {
        let order = arena.reachable(roots);
        let mut naming = Naming { unchecked: arena.misfits(&order), ..Naming::default() };
        let mut taken: HashSet<Name> = HashSet::default();
        let mut symbols: Vec<Id> =
            roots.iter().copied().filter(|id| arena.is_symbol(*id)).collect();
        let mut others: Vec<(u32, Id)> = Vec::new();
        let mut indices: Vec<u32> = Vec::new();
        for id in &order {
            match arena.node(*id) {
                Node::Symbol(at) if !symbols.contains(id) => others.push((*at, *id)),
                Node::Index(at)
                | Node::Sum { index: at, .. }
                | Node::FixedPoint { index: at, .. } => indices.push(*at),
                Node::Table { table, .. } => {
                    let next = naming.tables.len() + 1;
                    naming.tables.entry(*table).or_insert_with(|| format!("table{next}"));
                }
                _ => {}
            }
        }
        others.sort_unstable();
        symbols.extend(others.into_iter().map(|(_, id)| id));
        for id in &symbols {
            if let Node::Symbol(at) = arena.node(*id) {
                taken.insert(plain(&arena.symbols[*at as usize].name));
            }
        }
        indices.sort_unstable();
        indices.dedup();
        for at in &indices {
            let base = arena.indices[*at as usize].clone();
            let ordinal =
                Some(arena.ordinal(*at)).filter(|n| *n > 1 || taken.contains(&plain(&base)));
            let name = Name { base, ordinal };
            naming.indices.insert(*at, name.to_string());
            taken.insert(name);
        }
        for table in 1..=naming.tables.len() {
            taken.insert(plain(&format!("table{table}")));
        }
        let mut writer =
            Writer { arena, naming, symbols, indices: Vec::new(), defined: Vec::new() };
        writer.define(&order, roots, heads, &mut taken);
        writer
    }

    fn define(&mut self, order: &[Id], roots: &[Id], heads: &[Id], taken: &mut HashSet<Name>) {
        let arena = self.arena;
        let uses = Uses::of(arena, roots);
        // Operations and nesting that writing a part out takes.
        let mut size: HashMap<Id, (usize, usize)> = HashMap::default();
        let mut free: Vec<u32> = Vec::new();
        let mut lets = 0;
        for id in order {
            let node = arena.node(*id);
            if is_atom(node) {
                size.insert(*id, (1, 0));
                continue;
            }
            let (mut operations, mut nesting) = (1, 0);
            node.for_each_child(|child| {
                let (more, deep) = size[&child];
                operations += more;
                nesting = nesting.max(deep + 1);
            });
            let long = operations > LONG || nesting > DEEP;
            let shared = uses.shared(*id) && operations > SHARED;
            let name = match arena.label(*id) {
                Some(label) => free_name(plain(&label.name), taken),
                None if (long || shared) && !heads.contains(id) => {
                    lets += 1;
                    free_name(plain(&format!("t{lets}")), taken)
                }
                None => {
                    size.insert(*id, (operations, nesting));
                    continue;
                }
            };
            self.naming.nodes.insert(*id, name.to_string());
            taken.insert(name);
            self.defined.push(*id);
            free.extend(arena.free(arena.facts(*id).free));
            size.insert(*id, (1, 0));
        }
        free.sort_unstable();
        free.dedup();
        self.indices = free;
    }

    /// Everything before the result.
    fn declarations(&self, values: &Values, variable: impl Fn(Id) -> bool) -> String {
        let mut out = String::new();
        let mut left = values.clone();
        for id in &self.symbols {
            let Node::Symbol(at) = *self.arena.node(*id) else { continue };
            let symbol = &self.arena.symbols[at as usize];
            let word = if variable(*id) { "variable" } else { "parameter" };
            let value = left.remove(&symbol.name).map(|value| format!(" = {}", number(value)));
            let value = value.unwrap_or_default();
            line(&mut out, &format!("{word} {}{value}{}", declared(symbol), doc(&symbol.doc)));
        }
        for (name, value) in left.iter() {
            line(&mut out, &format!("value {} = {}", written(name), number(value)));
        }
        for at in &self.indices {
            let word = if self.arena.is_unknown(*at) { "unknown" } else { "index" };
            line(&mut out, &format!("{word} {}", self.naming.indices[at]));
        }
        let mut tables: Vec<(&String, u32)> =
            self.naming.tables.iter().map(|(table, name)| (name, *table)).collect();
        tables.sort_by_key(|(name, table)| (name.len(), *name, *table));
        for (name, table) in tables {
            let values = self.arena.tables[table as usize].iter().map(|value| number(*value));
            let values = values.collect::<Vec<_>>().join(", ");
            line(&mut out, &format!("table {name} = [{values}]"));
        }
        for id in &self.defined {
            let (name, value) = (&self.naming.nodes[id], self.arena.exact(*id, &self.naming));
            match self.arena.label(*id) {
                Some(label) => {
                    let unit = if label.unit.is_empty() {
                        String::new()
                    } else {
                        format!(" [{}]", label.unit)
                    };
                    line(&mut out, &format!("part {name}{unit} = {value}{}", doc(&label.doc)));
                }
                None => line(&mut out, &format!("let {name} = {value}")),
            }
        }
        out
    }
}

fn plain(name: &str) -> Name {
    Name { base: name.to_owned(), ordinal: None }
}

fn free_name(wanted: Name, taken: &HashSet<Name>) -> Name {
    let mut name = wanted;
    while taken.contains(&name) {
        name.ordinal = Some(name.ordinal.unwrap_or(1) + 1);
    }
    name
}

/// `name: sort domain [unit]`.
fn declared(symbol: &Symbol) -> String {
    let sort = match symbol.sort {
        Sort::Bool => "bool",
        Sort::Int => "int",
        Sort::Real => "real",
    };
    let mut text = format!("{}: {sort}", written(&symbol.name));
    let domain = match symbol.domain {
        None => String::new(),
        Some((0.0, 1.0)) if symbol.sort == Sort::Bool => String::new(),
        Some((f64::MIN_POSITIVE, f64::MAX)) if symbol.sort == Sort::Real => " > 0".to_owned(),
        Some((low, f64::MAX)) => format!(" >= {}", number(low)),
        Some((f64::MIN, high)) => format!(" <= {}", number(high)),
        Some((low, high)) => format!(" in [{}, {}]", number(low), number(high)),
    };
    text += &domain;
    if symbol.unit != "1" {
        write!(text, " [{}]", symbol.unit).expect("writing to a string");
    }
    text
}

fn doc(text: &str) -> String {
    if text.is_empty() { String::new() } else { format!("  {}", quote(text, '"')) }
}

fn number(value: f64) -> String {
    if value.fract() == 0.0 && value.abs() < 1e15 {
        value.to_string()
    } else {
        format!("{value:?}")
    }
}

/// Adds a statement, broken at blanks where it is too long.
fn line(out: &mut String, statement: &str) {
    let mut column = 0;
    let mut quoted = None;
    let mut words: Vec<String> = vec![String::new()];
    let mut chars = statement.chars();
    while let Some(c) = chars.next() {
        match (c, quoted) {
            ('\\', Some(_)) => {
                let word = words.last_mut().expect("there is a word");
                word.push(c);
                word.extend(chars.next());
                continue;
            }
            (' ', None) => {
                words.push(String::new());
                continue;
            }
            ('"' | '`', None) => quoted = Some(c),
            (_, Some(quote)) if c == quote => quoted = None,
            _ => {}
        }
        words.last_mut().expect("there is a word").push(c);
    }
    for (position, word) in words.iter().enumerate() {
        let width = word.chars().count();
        if column > 4 && column + 1 + width > WIDTH {
            out.push_str("\n    ");
            column = 4;
        } else if position > 0 {
            out.push(' ');
            column += 1;
        }
        out.push_str(word);
        column += width;
    }
    out.push('\n');
}

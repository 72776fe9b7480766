//! What an export to source code computes: objective, conditions, slacks and named parts, in one
//! program.

use crate::arena::Arena;
use crate::export::listing::{Names, is_atom};
use crate::facts::FreeSet;
use crate::node::{Id, Node};
use crate::tape::source::{self, Body, Dialect};
use crate::{ExprError, Module, Program, Symbol};

/// Everything that a source file is written from.
pub(super) struct Plan {
    /// Symbols: first those that may be decided, then the others.
    pub(super) symbols: Vec<Symbol>,
    pub(super) variables: usize,
    /// Identifiers of the symbols.
    pub(super) arguments: Vec<String>,
    /// Lines with the tables.
    pub(super) tables: String,
    /// Lines that compute everything.
    pub(super) lines: String,
    pub(super) objective: String,
    /// Text of each constraint.
    pub(super) holds: Vec<String>,
    /// Name and text of what must not be negative.
    pub(super) slacks: Vec<(String, String)>,
    /// Name, unit, description and text of each named part.
    pub(super) parts: Vec<Part>,
}

pub(super) struct Part {
    pub(super) name: String,
    pub(super) unit: String,
    pub(super) doc: String,
    pub(super) text: String,
}

impl Plan {
    pub(super) fn new(
        module: &Module,
        dialect: &dyn Dialect,
        mut names: Names,
        ascii: bool,
    ) -> Result<Plan, ExprError> {
        let (cx, roots) = module.roots()?;
        let mut arena = cx.lock();
        let (mut symbols, parameters): (Vec<_>, Vec<_>) =
            arena.symbols_of(&roots).into_iter().partition(|(id, _)| roots.variables.contains(id));
        let variables = symbols.len();
        symbols.extend(parameters);
        let symbols: Vec<Symbol> = symbols.into_iter().map(|(_, symbol)| symbol).collect();
        let mut slacks = Vec::new();
        for (constraint, id) in module.constraints.iter().zip(&roots.constraints) {
            let differences = arena.slacks(*id);
            let single = differences.len() == 1;
            for (at, slack) in differences.into_iter().enumerate() {
                let suffix = if single { String::new() } else { format!("[{}]", at + 1) };
                slacks.push((format!("{}{suffix}", constraint.name), slack));
            }
        }
        let labelled: Vec<Id> = arena
            .reachable(&roots.all())
            .into_iter()
            .filter(|id| arena.label(*id).is_some() && arena.facts(*id).free == FreeSet::EMPTY)
            .collect();
        let mut outputs = vec![roots.objective];
        outputs.extend(&roots.constraints);
        outputs.extend(slacks.iter().map(|(_, id)| *id));
        outputs.extend(&labelled);
        let wanted: Vec<Option<String>> = outputs
            .iter()
            .map(|id| Some(arena.label(*id)?.name.clone()).filter(|_| !is_atom(arena.node(*id))))
            .collect();
        let inputs: Vec<&str> = symbols.iter().map(|symbol| symbol.name.as_str()).collect();
        let program = Program::of_nodes(&arena, &outputs, &inputs)?;
        let mut claim = |name: &str| {
            let plain = |c: char| if ascii && !c.is_ascii() { '_' } else { c };
            names.claim(&name.chars().map(plain).collect::<String>())
        };
        let arguments: Vec<String> = inputs.iter().map(|name| claim(name)).collect();
        let most = arena.most_terms(&outputs);
        let Body { tables, lines, outputs } =
            source::write(&program, dialect, &arguments, &wanted, &most, &mut claim)?;
        let mut texts = outputs.into_iter();
        let mut next = || texts.next().expect("one text for each output");
        let part = |(id, text): (&Id, String)| {
            let label = arena.label(*id).cloned().expect("only nodes with a label are here");
            Part { name: label.name, unit: label.unit, doc: label.doc, text }
        };
        Ok(Plan {
            objective: next(),
            holds: roots.constraints.iter().map(|_| next()).collect(),
            slacks: slacks.into_iter().map(|(name, _)| (name, next())).collect(),
            parts: labelled.iter().map(|id| part((id, next()))).collect(),
            symbols,
            variables,
            arguments,
            tables,
            lines,
        })
    }

    /// Those of the helpers, by what a call of them starts with, that are called.
    pub(super) fn helpers(&self, helpers: &[(&str, &str)]) -> String {
        let texts = self.holds.iter().chain(self.slacks.iter().map(|(_, text)| text));
        let texts = texts.chain(self.parts.iter().map(|part| &part.text));
        let all: Vec<&String> = texts.chain([&self.lines, &self.objective]).collect();
        let called = |(name, _): &&(&str, &str)| all.iter().any(|text| text.contains(name));
        helpers.iter().filter(called).map(|(_, source)| *source).collect()
    }
}

/// Terms beyond which a bound on their number is of no use.
const MANY_TERMS: f64 = 65_536.0;

impl Arena {
    /// How many terms each closed sum can have on the domains of its symbols, in order of their
    /// instructions; the entry of a fixed point means nothing.
    fn most_terms(&self, outputs: &[Id]) -> Vec<Option<u64>> {
        let most = |id: Id| match *self.node(id) {
            Node::Sum { lo, hi, .. } => {
                let terms = f64::max(self.facts(hi).hi - self.facts(lo).lo + 1.0, 0.0);
                Some((terms <= MANY_TERMS).then_some(terms as u64))
            }
            Node::FixedPoint { .. } => Some(None),
            _ => None,
        };
        let closed = |id: &Id| self.facts(*id).free == FreeSet::EMPTY;
        self.reachable(outputs).into_iter().filter(closed).filter_map(most).collect()
    }

    /// What is not negative where `holds` is met: `b − a` for `a ≤ b`, one for each part of a
    /// conjunction, and 1 or −1 for anything else.
    fn slacks(&mut self, holds: Id) -> Vec<Id> {
        let conditions = match self.node(holds) {
            Node::And(list) => list.to_vec(),
            _ => vec![holds],
        };
        let mut slacks = Vec::with_capacity(conditions.len());
        for condition in conditions {
            let (one, minus_one) = (crate::Number::ONE, crate::Number::MINUS_ONE);
            slacks.push(match *self.node(condition) {
                Node::Le(a, b) | Node::Lt(a, b) => self.build(Node::Add {
                    constant: crate::Number::ZERO,
                    terms: Box::new([(b, one), (a, minus_one)]),
                }),
                _ => {
                    let (met, missed) =
                        (self.make_number("slack", one), self.make_number("slack", minus_one));
                    self.build(Node::Piecewise {
                        arms: Box::new([(condition, met)]),
                        otherwise: missed,
                    })
                }
            });
        }
        slacks
    }
}

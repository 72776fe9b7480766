//! Which parts of a formula an export names.
//!
//! Sharing is everything: a formula of 400 nodes is 20 000 nodes as a tree. So every export is a
//! list of definitions, and what is used twice, named by the author or too large is one of them.

use sglsim_units::{HashMap, HashSet};

use crate::arena::Arena;
use crate::facts::FreeSet;
use crate::node::{Id, Node};

/// How often each node is used by others, and which ones are compared in a guard.
pub(crate) struct Uses {
    count: HashMap<Id, usize>,
    compared: HashSet<Id>,
}

impl Uses {
    pub(crate) fn of(arena: &Arena, roots: &[Id]) -> Uses {
        let mut uses = Uses { count: HashMap::default(), compared: HashSet::default() };
        for id in roots {
            *uses.count.entry(*id).or_default() += 1;
        }
        for id in arena.reachable(roots) {
            let node = arena.node(id);
            node.for_each_child(|child| *uses.count.entry(child).or_default() += 1);
            if let Node::MinOf(choices) = node {
                // The fallback of the others and every guard are written twice.
                for choice in choices {
                    *uses.count.entry(choice.value).or_default() += 1;
                    *uses.count.entry(choice.guard).or_default() += 1;
                }
            }
            if let Node::Le(a, b) | Node::Lt(a, b) | Node::Eq(a, b) = node {
                uses.compared.extend([*a, *b]);
            }
        }
        uses
    }

    pub(crate) fn shared(&self, id: Id) -> bool {
        self.count.get(&id).is_some_and(|count| *count > 1)
    }

    pub(crate) fn compared(&self, id: Id) -> bool {
        self.compared.contains(&id)
    }
}

/// Whether a node is its own name.
pub(crate) fn is_atom<N>(node: &Node<N>) -> bool {
    matches!(
        node,
        Node::Number(_) | Node::Bool(_) | Node::Symbol(_) | Node::Index(_) | Node::Invalid(_)
    )
}

/// Characters of an equation after which its parts get equations of their own.
const MAX_LINE: usize = 300;

impl Uses {
    /// Whether a part that is written in so many characters gets an equation of its own; within a
    /// sum or a fixed point it is a function of the indices.
    pub(crate) fn deserves_equation(&self, arena: &Arena, id: Id, length: usize) -> bool {
        let closed = arena.facts(id).free == FreeSet::EMPTY;
        let large = length > MAX_LINE && (self.shared(id) || length > 4 * MAX_LINE);
        !is_atom(arena.node(id)) && (large || (closed && arena.label(id).is_some()))
    }
}

/// A name for each index below `roots`, unlike those of the symbols and of each other.
pub(crate) fn index_names(arena: &Arena, roots: &[Id]) -> HashMap<u32, String> {
    let order = arena.reachable(roots);
    let symbols: Vec<&str> = order
        .iter()
        .filter_map(|id| match arena.node(*id) {
            Node::Symbol(at) => Some(arena.symbols[*at as usize].name.as_str()),
            _ => None,
        })
        .collect();
    let mut names = Names::reserving(&symbols);
    let mut found = HashMap::default();
    for id in order {
        if let Node::Index(at) | Node::Sum { index: at, .. } | Node::FixedPoint { index: at, .. } =
            arena.node(id)
        {
            found.entry(*at).or_insert_with(|| names.claim(&arena.indices[*at as usize]));
        }
    }
    found
}

/// Names that are taken, so that every new one is different.
#[derive(Default)]
pub(crate) struct Names {
    taken: HashSet<String>,
    /// The next number to try after a name: all before it are taken.
    numbers: HashMap<String, usize>,
}

impl Names {
    pub(crate) fn reserving(words: &[&str]) -> Names {
        let taken = words.iter().map(|word| (*word).to_owned()).collect();
        Names { taken, numbers: HashMap::default() }
    }

    /// `wanted` as an identifier, changed by `_` or a number where it is taken.
    pub(crate) fn claim(&mut self, wanted: &str) -> String {
        let mut name: String =
            wanted.chars().map(|c| if c.is_alphanumeric() || c == '_' { c } else { '_' }).collect();
        if !name.starts_with(|c: char| c.is_alphabetic() || c == '_') {
            name.insert(0, '_');
        }
        if self.taken.contains(&name) {
            let base = name.clone();
            name.push('_');
            if self.taken.contains(&name) {
                let number = self.numbers.entry(base.clone()).or_insert(2);
                while self.taken.contains(&name) {
                    name = format!("{base}_{number}");
                    *number += 1;
                }
            }
        }
        self.taken.insert(name.clone());
        name
    }
}

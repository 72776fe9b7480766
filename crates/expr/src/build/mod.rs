//! The normalising constructor: every node is brought into one form as it is built.
//!
//! Flattens nested operations of one kind, sorts operands by id, folds constants, collects like
//! terms and equal bases, drops neutral elements and decided branches. It never changes the value
//! at a point of the domain where the expression is defined.

mod add;
mod assume;
mod choice;
mod dimension;
mod envelope;
mod fixed_point;
mod lattice;
mod logic;
mod mul;
mod piecewise;
mod polynomial;
mod round;
mod sum;

use sglsim_units::HashMap;

use crate::arena::Arena;
use crate::node::{Id, Node};
use crate::number::Number;
use crate::{ExprError, Sort};

pub(crate) use dimension::Known;
pub(crate) use lattice::Lattice;
pub(crate) use logic::{Comparison, Connective};

/// Operands beyond which a nested operation is kept as one operand.
///
/// Without a limit an accumulator `s = s + x` would be copied at every step: quadratic memory.
const FLATTEN_LIMIT: usize = 32;

impl Arena {
    /// Builds an operation from its parts, in normal form.
    pub(crate) fn build(&mut self, shape: Node<Number>) -> Id {
        match shape {
            Node::Number(n) => self.make_number("constant", n),
            Node::Add { constant, terms } => self.add(constant, &terms),
            Node::Mul { coefficient, factors } => self.mul(coefficient, &factors),
            Node::Pow(a, b) => self.power(a, b),
            Node::Exp(a) => self.exp(a),
            Node::Ln(a) => self.ln(a),
            Node::Max(list) => self.lattice(Lattice::Max, &list),
            Node::Min(list) => self.lattice(Lattice::Min, &list),
            Node::Ceil(a) => self.ceil(a),
            Node::Floor(a) => self.floor(a),
            Node::Le(a, b) => self.compare(Comparison::Le, a, b),
            Node::Lt(a, b) => self.compare(Comparison::Lt, a, b),
            Node::Eq(a, b) => self.compare(Comparison::Eq, a, b),
            Node::And(list) => self.connect(Connective::And, &list),
            Node::Or(list) => self.connect(Connective::Or, &list),
            Node::Not(a) => self.not(a),
            Node::Piecewise { arms, otherwise } => self.piecewise(&arms, otherwise),
            Node::MinOf(choices) => self.min_of(&choices),
            Node::Assume { value, lo, hi, integer } => self.assume(value, lo, hi, integer),
            Node::Table { table, index } => self.table(table, index),
            Node::Sum { index, lo, hi, body } => self.sum(index, lo, hi, body),
            Node::FixedPoint { index, lo, hi, body } => self.fixed_point(index, lo, hi, body),
            atom @ (Node::Bool(_) | Node::Symbol(_) | Node::Index(_) | Node::Invalid(_)) => {
                self.intern(&atom)
            }
        }
    }

    /// A constant; invalid if it is NaN or infinite.
    pub(crate) fn make_number(&mut self, operation: &'static str, number: Number) -> Id {
        if number.is_finite() {
            self.intern(&Node::Number(number))
        } else {
            self.invalid(ExprError::NotFinite { operation, value: number.to_f64() })
        }
    }

    /// The first operand that is invalid, or a new invalid node if one has the wrong sort.
    fn refuse(&mut self, operation: &'static str, boolean: bool, operands: &[Id]) -> Option<Id> {
        if let Some(bad) = operands.iter().find(|id| self.error(**id).is_some()) {
            return Some(*bad);
        }
        let wrong = operands.iter().find(|id| self.facts(**id).boolean != boolean)?;
        let error = ExprError::WrongSort {
            operation,
            expected: if boolean { "truth value" } else { "number" },
            found: self.sort(*wrong),
            operand: self.text(*wrong, 80),
        };
        Some(self.invalid(error))
    }

    pub(crate) fn sort(&self, id: Id) -> Sort {
        match self.facts(id) {
            facts if facts.boolean => Sort::Bool,
            facts if facts.integer => Sort::Int,
            _ => Sort::Real,
        }
    }

    /// Whether a nested operation of `len` operands is merged into its parent.
    ///
    /// A named one is not: its name would be lost.
    fn flattens(&self, id: Id, len: usize) -> bool {
        len <= FLATTEN_LIMIT && self.label(id).is_none()
    }

    /// Gives a node what its predecessor was called and measured in.
    pub(crate) fn inherit(&mut self, new: Id, old: Id) {
        if let Some(label) = self.label(old).cloned() {
            self.set_label(new, label);
        }
        self.note(new, self.known(old));
    }

    /// Rebuilds `roots` with some nodes replaced; names stay with what they named.
    pub(crate) fn rebuild(&mut self, roots: &[Id], replaced: &HashMap<Id, Id>) -> Vec<Id> {
        let mut done: HashMap<Id, Id> = replaced.clone();
        let order = self.reachable_while(roots, |id| !replaced.contains_key(&id));
        for id in order {
            let mut changed = false;
            self.node(id).for_each_child(|child| changed |= done[&child] != child);
            if !changed {
                done.insert(id, id);
                continue;
            }
            let shape = self.shape(id).map(|child| done[&child], |number| *number);
            let new = self.build(shape);
            self.inherit(new, id);
            done.insert(id, new);
        }
        roots.iter().map(|root| done[root]).collect()
    }
}

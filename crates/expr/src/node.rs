//! The node: one operation of the expression graph.

use serde::{Deserialize, Serialize};

/// Position of a node in its arena. Children have smaller ids than their parents.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub(crate) struct Id(pub(crate) u32);

impl Id {
    pub(crate) fn index(self) -> usize {
        self.0 as usize
    }
}

/// One of several ways to get a value, and when it can be taken.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Choice {
    pub(crate) name: Box<str>,
    pub(crate) value: Id,
    pub(crate) guard: Id,
}

/// One operation. `N` is how constants are held: interned in the arena, by value outside of it.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Node<N> {
    Number(N),
    Bool(bool),
    /// A declared symbol, by position.
    Symbol(u32),
    /// The running index of a [`Node::Sum`], by position.
    Index(u32),
    /// Something that could not be built, by position of its error.
    Invalid(u32),
    /// `constant + Σ coefficient · term`, terms by id.
    Add {
        constant: N,
        terms: Box<[(Id, N)]>,
    },
    /// `coefficient · Π base ^ exponent`, bases by id.
    Mul {
        coefficient: N,
        factors: Box<[(Id, N)]>,
    },
    /// A power whose exponent is not a constant.
    Pow(Id, Id),
    Exp(Id),
    Ln(Id),
    Max(Box<[Id]>),
    Min(Box<[Id]>),
    Ceil(Id),
    Floor(Id),
    Le(Id, Id),
    Lt(Id, Id),
    Eq(Id, Id),
    And(Box<[Id]>),
    Or(Box<[Id]>),
    Not(Id),
    /// The value of the first arm `(guard, value)` whose guard holds.
    Piecewise {
        arms: Box<[(Id, Id)]>,
        otherwise: Id,
    },
    /// The least value of the choices whose guard holds; infeasible if none does.
    MinOf(Box<[Choice]>),
    /// `value`, asserted to be in a range and, if so said, an integer.
    Assume {
        value: Id,
        lo: Option<N>,
        hi: Option<N>,
        integer: bool,
    },
    /// Entry `index`, from 0, of a table, by position of the table; undefined outside of it.
    Table {
        table: u32,
        index: Id,
    },
    /// `Σ body` over `index = lo ..= hi`; 0 when `hi < lo`.
    Sum {
        index: u32,
        lo: Id,
        hi: Id,
        body: Id,
    },
    /// The `index` in `lo ..= hi` that equals `body`, where `index − body` rises through zero.
    FixedPoint {
        index: u32,
        lo: Id,
        hi: Id,
        body: Id,
    },
}

impl<N> Node<N> {
    /// Calls `visit` with every child.
    pub(crate) fn for_each_child(&self, mut visit: impl FnMut(Id)) {
        match self {
            Node::Number(_)
            | Node::Bool(_)
            | Node::Symbol(_)
            | Node::Index(_)
            | Node::Invalid(_) => {}
            Node::Add { terms: pairs, .. } | Node::Mul { factors: pairs, .. } => {
                pairs.iter().for_each(|(child, _)| visit(*child));
            }
            Node::Exp(a) | Node::Ln(a) | Node::Ceil(a) | Node::Floor(a) | Node::Not(a) => visit(*a),
            Node::Pow(a, b) | Node::Le(a, b) | Node::Lt(a, b) | Node::Eq(a, b) => {
                visit(*a);
                visit(*b);
            }
            Node::Max(list) | Node::Min(list) | Node::And(list) | Node::Or(list) => {
                list.iter().for_each(|child| visit(*child));
            }
            Node::Piecewise { arms, otherwise } => {
                for (guard, value) in arms {
                    visit(*guard);
                    visit(*value);
                }
                visit(*otherwise);
            }
            Node::MinOf(choices) => {
                for choice in choices {
                    visit(choice.guard);
                    visit(choice.value);
                }
            }
            Node::Assume { value: a, .. } | Node::Table { index: a, .. } => visit(*a),
            Node::Sum { lo, hi, body, .. } | Node::FixedPoint { lo, hi, body, .. } => {
                visit(*lo);
                visit(*hi);
                visit(*body);
            }
        }
    }

    /// The same operation over other children and constants.
    pub(crate) fn map<M>(
        &self,
        mut child: impl FnMut(Id) -> Id,
        mut number: impl FnMut(&N) -> M,
    ) -> Node<M> {
        match self {
            Node::Number(n) => Node::Number(number(n)),
            Node::Bool(b) => Node::Bool(*b),
            Node::Symbol(s) => Node::Symbol(*s),
            Node::Index(i) => Node::Index(*i),
            Node::Invalid(e) => Node::Invalid(*e),
            Node::Add { constant, terms } => Node::Add {
                constant: number(constant),
                terms: terms.iter().map(|(t, c)| (child(*t), number(c))).collect(),
            },
            Node::Mul { coefficient, factors } => Node::Mul {
                coefficient: number(coefficient),
                factors: factors.iter().map(|(b, e)| (child(*b), number(e))).collect(),
            },
            Node::Pow(a, b) => Node::Pow(child(*a), child(*b)),
            Node::Exp(a) => Node::Exp(child(*a)),
            Node::Ln(a) => Node::Ln(child(*a)),
            Node::Max(list) => Node::Max(list.iter().map(|a| child(*a)).collect()),
            Node::Min(list) => Node::Min(list.iter().map(|a| child(*a)).collect()),
            Node::Ceil(a) => Node::Ceil(child(*a)),
            Node::Floor(a) => Node::Floor(child(*a)),
            Node::Le(a, b) => Node::Le(child(*a), child(*b)),
            Node::Lt(a, b) => Node::Lt(child(*a), child(*b)),
            Node::Eq(a, b) => Node::Eq(child(*a), child(*b)),
            Node::And(list) => Node::And(list.iter().map(|a| child(*a)).collect()),
            Node::Or(list) => Node::Or(list.iter().map(|a| child(*a)).collect()),
            Node::Not(a) => Node::Not(child(*a)),
            Node::Piecewise { arms, otherwise } => Node::Piecewise {
                arms: arms.iter().map(|(g, v)| (child(*g), child(*v))).collect(),
                otherwise: child(*otherwise),
            },
            Node::MinOf(choices) => {
                let choices = choices.iter().map(|choice| Choice {
                    name: choice.name.clone(),
                    value: child(choice.value),
                    guard: child(choice.guard),
                });
                Node::MinOf(choices.collect())
            }
            Node::Assume { value, lo, hi, integer } => Node::Assume {
                value: child(*value),
                lo: lo.as_ref().map(&mut number),
                hi: hi.as_ref().map(&mut number),
                integer: *integer,
            },
            Node::Table { table, index } => Node::Table { table: *table, index: child(*index) },
            Node::Sum { index, lo, hi, body } => {
                Node::Sum { index: *index, lo: child(*lo), hi: child(*hi), body: child(*body) }
            }
            Node::FixedPoint { index, lo, hi, body } => {
                let (lo, hi, body) = (child(*lo), child(*hi), child(*body));
                Node::FixedPoint { index: *index, lo, hi, body }
            }
        }
    }
}

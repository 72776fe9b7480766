//! The operators that measurements are of: their arguments, and the law of a call.

use std::fmt;

use sglsim_expr::{Context, Expr, Symbol};
use sglsim_kernels::{Hardware, LawSet};

use crate::CalibrateError;

mod attention;
mod collective;
mod matrix;
mod memory;

/// An operator that tables may hold, such as `gemm`.
///
/// Its law is the one that a step is made of (`sglsim_kernels::operator`); nothing is written
/// here a second time.
pub struct Operator {
    /// Name in mappings and scores.
    pub name: &'static str,
    /// What one call is.
    pub doc: &'static str,
    /// What describes a call.
    pub arguments: &'static [Argument],
    /// What makes a shape: calls that agree in all arguments of one of these lists are kept out of a
    /// fit together.
    pub shapes: &'static [&'static [&'static str]],
    /// The law of a call, or why there is none.
    pub(crate) law: fn(&Call<'_>) -> Result<Expr, String>,
}

/// One argument of an operator.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Argument {
    /// Name in mappings.
    pub name: &'static str,
    /// Kind of its values.
    pub kind: Kind,
    /// What it is if a mapping does not say; `None` if it must.
    pub default: Option<&'static str>,
    /// Meaning, with its unit.
    pub doc: &'static str,
}

/// Kind of an argument's values.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Kind {
    /// A number in which the law is symbolic \[1\].
    Count,
    /// A number that the law is built for, such as a head's width: a whole one \[1\].
    Size,
    /// An amount of data in which the law is symbolic \[B\].
    Data,
    /// A word, such as a number format or a kernel.
    Word,
}

const fn count(name: &'static str, doc: &'static str) -> Argument {
    Argument { name, kind: Kind::Count, default: None, doc }
}

const fn data(name: &'static str, doc: &'static str) -> Argument {
    Argument { name, kind: Kind::Data, default: None, doc }
}

const fn size(name: &'static str, doc: &'static str) -> Argument {
    Argument { name, kind: Kind::Size, default: None, doc }
}

const fn word(name: &'static str, default: &'static str, doc: &'static str) -> Argument {
    Argument { name, kind: Kind::Word, default: Some(default), doc }
}

const fn or(argument: Argument, default: &'static str) -> Argument {
    Argument { default: Some(default), ..argument }
}

impl Operator {
    /// All operators.
    #[must_use]
    pub fn all() -> &'static [Self] {
        ALL
    }

    /// The operator called `name`.
    #[must_use]
    pub fn named(name: &str) -> Option<&'static Self> {
        ALL.iter().find(|operator| operator.name == name)
    }

    /// Arguments that are numbers, in their order.
    pub(crate) fn numbers(&self) -> impl Iterator<Item = &'static Argument> + use<> {
        self.arguments.iter().filter(|argument| argument.kind != Kind::Word)
    }

    /// Arguments that are words, in their order.
    pub(crate) fn words(&self) -> impl Iterator<Item = &'static Argument> + use<> {
        self.arguments.iter().filter(|argument| argument.kind == Kind::Word)
    }
}

impl fmt::Debug for Operator {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Operator").field("name", &self.name).finish_non_exhaustive()
    }
}

static ALL: &[Operator] = &[
    matrix::GEMM,
    matrix::EXPERTS,
    attention::PREFILL,
    attention::DECODE,
    attention::LATENT_PREFILL,
    attention::LATENT_DECODE,
    collective::ALL_REDUCE,
    collective::EAGER_ALL_REDUCE,
    collective::NCCL_ALL_REDUCE,
    collective::ALL_GATHER,
    collective::REDUCE_SCATTER,
    collective::PAIR_EXCHANGE,
    collective::SEND,
    collective::EXPERT_EXCHANGE,
    memory::ELEMENTWISE,
];

/// What a law is built from: symbols for what varies from row to row, values for the rest.
pub(crate) struct Call<'a> {
    pub(crate) laws: &'a LawSet,
    pub(crate) on: &'a Hardware,
    byte: Expr,
    arguments: Vec<(&'static str, Value)>,
}

/// Symbol of one byte: a number alone would say nothing of units.
pub(crate) const BYTE: &str = "one_byte";

enum Value {
    Symbol(Expr),
    Size(f64),
    Word(String),
}

impl<'a> Call<'a> {
    /// A call of an operator: one symbol per count, the given sizes and words in their order.
    pub(crate) fn new(
        operator: &Operator,
        (sizes, words): (&[f64], &[String]),
        cx: &Context,
        (laws, on): (&'a LawSet, &'a Hardware),
    ) -> Result<Self, CalibrateError> {
        let (mut sizes, mut words) = (sizes.iter(), words.iter());
        let mut arguments = Vec::new();
        for argument in operator.arguments {
            let value = match argument.kind {
                Kind::Count | Kind::Data => Value::Symbol(cx.symbol(symbol(argument))?),
                Kind::Size => Value::Size(sizes.next().copied().unwrap_or(f64::NAN)),
                Kind::Word => Value::Word(words.next().cloned().unwrap_or_default()),
            };
            arguments.push((argument.name, value));
        }
        let byte = cx.symbol(Symbol::real(BYTE).positive().unit("B"))?;
        Ok(Self { laws, on, byte, arguments })
    }

    fn value(&self, name: &str) -> &Value {
        let found = self.arguments.iter().find(|(known, _)| *known == name);
        &found.expect("a law reads arguments of its operator").1
    }

    /// The symbol of a count, or of an amount of data as a count of bytes.
    pub(crate) fn count(&self, name: &str) -> Expr {
        match self.value(name) {
            Value::Symbol(symbol) => symbol.clone(),
            Value::Size(_) | Value::Word(_) => unreachable!("`{name}` is a count"),
        }
    }

    /// A size, if it is a whole number.
    pub(crate) fn size(&self, name: &str) -> Result<u32, String> {
        match self.value(name) {
            Value::Size(value) if value.fract() == 0.0 && (0.0..1e9).contains(value) => {
                Ok(*value as u32)
            }
            Value::Size(value) => Err(format!("{name} is {value}, which is not a whole number")),
            Value::Symbol(_) | Value::Word(_) => unreachable!("`{name}` is a size"),
        }
    }

    pub(crate) fn word(&self, name: &str) -> &str {
        match self.value(name) {
            Value::Word(word) => word,
            Value::Symbol(_) | Value::Size(_) => unreachable!("`{name}` is a word"),
        }
    }

    /// The size of a row of one byte \[B\].
    pub(crate) fn byte(&self) -> Expr {
        self.byte.clone()
    }

    pub(crate) fn constant(&self, value: u32) -> Expr {
        self.on.sm_count.context().constant(value)
    }
}

/// The symbol of an argument: a count, also of bytes, so that laws may call them rows of one byte.
/// What may be zero has a default of zero.
fn symbol(argument: &Argument) -> Symbol {
    let symbol = Symbol::int(symbol_name(argument));
    if argument.default == Some("0") { symbol.non_negative() } else { symbol.positive() }
}

/// Name of an argument's symbol; apart from those of the hardware and of θ.
pub(crate) fn symbol_name(argument: &Argument) -> String {
    format!("call_{}", argument.name)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn shapes_and_names_are_consistent() {
        for operator in Operator::all() {
            let named = |name: &&str| operator.arguments.iter().any(|it| it.name == *name);
            assert!(!operator.shapes.is_empty(), "{operator:?}");
            assert!(operator.shapes.iter().all(|shape| shape.iter().all(&named)));
            assert_eq!(Operator::named(operator.name).map(|it| it.name), Some(operator.name));
        }
    }
}

//! Exports of expressions.

mod c;
mod json;
mod latex;
mod listing;
mod plan;
mod python;
mod script;
mod sympy;

pub(crate) use listing::Uses;
pub(crate) use json::{read_expression, read_module};
pub(crate) use listing::is_atom;

//! Exports of expressions.

mod json;
mod latex;
mod listing;
mod python;
mod sympy;
mod text;

pub(crate) use json::{read_expression, read_module};
pub(crate) use listing::is_atom;

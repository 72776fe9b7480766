//! Exports of expressions.

mod arrays;
mod c;
mod json;
mod latex;
mod listing;
mod mathml;
mod plan;
mod python;
mod script;
mod solver;
mod sympy;

pub use json::JSON_SCHEMA;
pub(crate) use json::{read_expression, read_module};
pub(crate) use listing::{Uses, is_atom};
pub use solver::{AmplModel, Sense};

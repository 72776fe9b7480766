//! Exports of expressions.

mod text;

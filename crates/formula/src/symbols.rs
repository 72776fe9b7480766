//! Declaring the symbols of a formula together with their values.

use sglsim_expr::{Context, Expr, ExprError, Symbol, Values};

/// A context, the values of its symbols, and which of them may be decided.
#[derive(Debug)]
pub(crate) struct Symbols {
    cx: Context,
    pub(crate) values: Values,
    pub(crate) knobs: Vec<Expr>,
}

impl Symbols {
    /// A context of its own: what was built from the same laws before must not show in a formula,
    /// nor a formula in what is built from them after.
    pub(crate) fn new() -> Self {
        Self { cx: Context::new(), values: Values::new(), knobs: Vec::new() }
    }

    pub(crate) fn context(&self) -> &Context {
        &self.cx
    }

    /// An expression of another context, copied into this one.
    pub(crate) fn import(&self, expr: &Expr) -> Expr {
        self.cx.constant(0) + expr
    }

    pub(crate) fn constant(&self, value: u32) -> Expr {
        self.cx.constant(value)
    }

    /// A symbol that is given. If a law has declared it before, its declaration stands.
    pub(crate) fn parameter(&mut self, symbol: Symbol, value: f64) -> Result<Expr, ExprError> {
        let known = self.cx.symbols().into_iter().find(|known| known.name == symbol.name);
        let symbol = known.unwrap_or(symbol);
        symbol.check(value)?;
        self.values.insert(symbol.name.as_str(), value);
        self.cx.symbol(symbol)
    }

    /// A symbol that may be decided.
    pub(crate) fn knob(&mut self, symbol: Symbol, value: f64) -> Result<Expr, ExprError> {
        let knob = self.parameter(symbol, value)?;
        self.decide(&knob);
        Ok(knob)
    }

    /// Makes a symbol of a law one that may be decided.
    pub(crate) fn decide(&mut self, symbol: &Expr) {
        if !self.knobs.contains(symbol) {
            self.knobs.push(symbol.clone());
        }
    }

    /// Makes a symbol one that is not to be decided.
    pub(crate) fn settle(&mut self, symbol: &Expr) {
        self.knobs.retain(|knob| knob != symbol);
    }
}

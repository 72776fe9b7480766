//! Declaring the symbols of a law under a common prefix, together with their values.

use sglsim_expr::{Context, Expr, Symbol, Values};

use crate::KernelError;
use crate::coefficients::CoefficientInfo;

/// Largest size of any parallel group that laws are meant for.
pub(crate) const MAX_GROUP: f64 = 1024.0;

/// A context, a prefix for names, and the values of what was declared so far.
pub(crate) struct Scope<'a> {
    pub(crate) cx: &'a Context,
    prefix: &'a str,
    pub(crate) values: Values,
}

impl<'a> Scope<'a> {
    pub(crate) fn new(cx: &'a Context, prefix: &'a str) -> Self {
        Self { cx, prefix, values: Values::new() }
    }

    pub(crate) fn name(&self, name: &str) -> String {
        format!("{}{name}", self.prefix)
    }

    /// A symbol without a value: something the caller supplies at every evaluation.
    pub(crate) fn input(&mut self, mut symbol: Symbol) -> Result<Expr, KernelError> {
        symbol.name = self.name(&symbol.name);
        Ok(self.cx.symbol(symbol)?)
    }

    /// A symbol with its value in this scenario.
    pub(crate) fn valued(&mut self, mut symbol: Symbol, value: f64) -> Result<Expr, KernelError> {
        symbol.name = self.name(&symbol.name);
        symbol.check(value)?;
        self.values.insert(symbol.name.as_str(), value);
        Ok(self.cx.symbol(symbol)?)
    }

    /// A knob: an integer from 1.
    pub(crate) fn knob(&mut self, name: &str, doc: &str, value: u32) -> Result<Expr, KernelError> {
        let symbol = Symbol::int(name).at_least(1.0).at_most(MAX_GROUP).doc(doc);
        self.valued(symbol, f64::from(value))
    }

    pub(crate) fn coefficient(
        &mut self,
        info: &CoefficientInfo,
        value: f64,
    ) -> Result<Expr, KernelError> {
        let (low, high) = info.bounds;
        let symbol = Symbol::real(info.name()).unit(info.unit).doc(info.doc).at_most(high);
        // Wider than the bounds of a fit: half of the least efficiency is still one.
        let symbol = if low > 0.0 && low < 1.0 { symbol.positive() } else { symbol.at_least(low) };
        self.valued(symbol, value)
    }
}

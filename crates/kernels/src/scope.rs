//! Declaring the symbols of a law under a common prefix, together with their values.

use sglsim_expr::{Context, Expr, Symbol, Values};

use crate::KernelError;
use crate::coefficients::CoefficientRange;

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
        name: &'static str,
        range: CoefficientRange,
        (unit, doc): (&str, &str),
        value: f64,
    ) -> Result<Expr, KernelError> {
        let symbol = Symbol::real(name).unit(unit).doc(doc);
        let symbol = match range {
            CoefficientRange::Share => symbol.positive().at_most(1.0),
            CoefficientRange::Weight => symbol.at_least(0.0).at_most(1.0),
            CoefficientRange::NonNegative => symbol.non_negative(),
            CoefficientRange::AtLeastOne => symbol.at_least(1.0),
        };
        self.valued(symbol, value)
    }
}

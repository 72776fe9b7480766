//! The formula of a regime: specialised to a box, where guards are decided and arms drop out.

use crate::module::Roots;
use crate::node::Id;
use crate::{Bounds, Constraint, Context, Expr, ExprError, Limits, Module, Simplified};

impl Expr {
    /// The expression for values inside a box only: what the box decides is dropped, then the rest
    /// simplified. Equal to the expression everywhere in the box, up to rounding.
    ///
    /// It lives in a context of its own, where the symbols have the box as their domain: evaluating
    /// it outside is [`ExprError::OutOfDomain`]. A symbol that the box gives one value is gone.
    ///
    /// ```
    /// use sglsim_expr::{Bounds, Context, Limits, Symbol, Values, ceil_div, max, piecewise};
    /// let cx = Context::new();
    /// let tokens = cx.symbol(Symbol::int("tokens").at_least(1.0))?;
    /// let tp = cx.symbol(Symbol::int("tp").at_least(1.0).at_most(64.0))?;
    /// let rows = 128 * ceil_div(&tokens, 128);
    /// let time = max(&rows / &tp, 40) + piecewise([(tp.le(1), 0)], 7 * &tokens);
    /// let decode = Bounds::from([("tokens", (1.0, 64.0)), ("tp", (4.0, 8.0))]);
    /// let special = time.specialise(&decode, &Limits::default())?;
    /// assert_eq!(special.expr.to_string(), "7 * tokens + 40");
    /// assert!(special.cost_after < special.cost_before);
    /// assert!(special.expr.evaluate(&Values::from([("tokens", 65.0)])).is_err());
    /// # Ok::<(), sglsim_expr::ExprError>(())
    /// ```
    ///
    /// # Errors
    ///
    /// [`ExprError::UnknownSymbol`] for a bound of what is no symbol, [`ExprError::EmptyRange`] for
    /// one that leaves no value, or what makes the expression invalid.
    pub fn specialise(&self, bounds: &Bounds, limits: &Limits) -> Result<Simplified, ExprError> {
        self.cx.lock().check_closed(self.id)?;
        let (cx, ids) = self.cx.narrowed(&Roots::single(self), bounds)?;
        let special = cx.expr(ids[0]);
        special.check()?;
        let cost_before = self.cost()?;
        let simplified = special.simplify(limits);
        Ok(Simplified { cost_before, ..simplified })
    }

    fn cost(&self) -> Result<f64, ExprError> {
        let symbols = self.free_symbols();
        let names: Vec<&str> = symbols.iter().map(|symbol| symbol.name.as_str()).collect();
        Ok(self.compile(&names)?.cost())
    }
}

impl Module {
    /// The module for values inside a box only: objective and constraints as [`Expr::specialise`],
    /// in one context. What the box fixes is no variable any more; a constraint that always holds
    /// there stays, as `true`. Values outside of the box move to its border.
    ///
    /// # Errors
    ///
    /// As [`Expr::specialise`], or [`ExprError::NotASymbol`].
    pub fn specialise(&self, bounds: &Bounds, limits: &Limits) -> Result<Module, ExprError> {
        let (source, roots) = self.roots()?;
        let (cx, ids) = source.narrowed(&roots, bounds)?;
        let simplified = |id: Id| -> Result<Expr, ExprError> {
            let expr = cx.expr(id);
            expr.check()?;
            Ok(expr.simplify(limits).expr)
        };
        // The objective is the first root.
        let (holds, variables) = ids[1..].split_at(self.constraints.len());
        let mut special = Module { objective: simplified(ids[0])?, ..self.clone() };
        special.constraints.clear();
        for (constraint, id) in self.constraints.iter().zip(holds) {
            let Constraint { name, doc, .. } = constraint.clone();
            special.constraints.push(Constraint { name, doc, holds: simplified(*id)? });
        }
        let is_symbol = |id: &&Id| cx.lock().is_symbol(**id);
        special.variables = variables.iter().filter(is_symbol).map(|id| cx.expr(*id)).collect();
        special.move_inside(&source, &roots, bounds)?;
        Ok(special)
    }

    fn move_inside(
        &mut self,
        source: &Context,
        roots: &Roots,
        bounds: &Bounds,
    ) -> Result<(), ExprError> {
        for (_, symbol) in source.lock().symbols_of(roots) {
            let range = bounds.of(&symbol)?;
            if let Some(value) = self.values.get(&symbol.name) {
                self.values.insert(symbol.name, value.clamp(range.lo, range.hi));
            }
        }
        Ok(())
    }
}

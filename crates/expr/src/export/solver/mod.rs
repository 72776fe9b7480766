//! Exports to solvers of mixed-integer nonlinear programs: AMPL's `.nl` and Pyomo.
//!
//! A solver knows sums, products, powers, `exp` and `ln` of variables, and integers. Everything else
//! is written in these, with bounds from the ranges of the parts:
//!
//! | part | form |
//! |---|---|
//! | maximum that the solver wants small, minimum that it wants large | not below, not above any arm |
//! | any other maximum or minimum | and a binary for each arm, one of which it does not exceed |
//! | choice of a kernel | a binary for each kernel, allowed where its guard holds |
//! | piecewise | a binary for each branch, allowed where its guard holds and none before it does |
//! | condition | binary with a bound for either case; nothing between, by 1 for integers, by a millionth of their range for reals |
//! | `ceil`, `floor` | integer within 1; quotients of integers are multiplied out |
//! | where two lines cross | integer, by the lines multiplied out |
//! | `c ^ y` | `exp(y ln c)` |
//! | sum | its terms, where its limits allow them |
//! | fixed point | a variable and its equation |
//! | table | a binary for each entry |
//! | named or shared part | a variable in units of its size, and its equation |
//!
//! Parameters have their values. The [`Sense`] decides which side of a part matters. A solver meets
//! a row to its tolerance only, so evaluate what it returns with [`Module::evaluate`].

mod choose;
mod clipped;
mod logic;
mod model;
mod nl;
mod polarity;
mod prepare;
mod pyomo;
mod reformulate;

pub use nl::AmplModel;

use crate::arena::Arena;
use crate::node::Id;
use crate::{ExprError, Module};

/// What the objective is to be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Sense {
    /// As large as possible.
    Maximise,
    /// As small as possible.
    Minimise,
}

impl Module {
    /// The module as a mixed-integer nonlinear program in AMPL's text format, which SCIP, Bonmin,
    /// Gurobi, Knitro and most other solvers read.
    ///
    /// ```
    /// # use sglsim_expr::{Context, Module, Sense, Symbol, Values, max};
    /// # let cx = Context::new();
    /// let tp = cx.symbol(Symbol::int("tp").at_least(1.0).at_most(8.0))?;
    /// let time = max(12 / &tp, 3) + &tp;
    /// let module = Module::new("step", "time", time).variable(&tp);
    /// let files = module.to_nl(Sense::Minimise)?;
    /// assert!(files.nl.starts_with("g3 1 1 0"));
    /// assert_eq!(files.col, "tp\nmax\n");
    /// # Ok::<(), sglsim_expr::ExprError>(())
    /// ```
    ///
    /// # Errors
    ///
    /// [`ExprError::NoSolverForm`] naming the part that has none, most often because a bound is
    /// missing; [`ExprError::Unbound`] if a parameter has no value; what makes an expression invalid.
    pub fn to_nl(&self, sense: Sense) -> Result<AmplModel, ExprError> {
        Ok(nl::write(&self.program(sense)?))
    }

    /// The same program as [`Module::to_nl`], as a Python module that builds a Pyomo model.
    ///
    /// # Errors
    ///
    /// As [`Module::to_nl`].
    pub fn to_pyomo(&self, sense: Sense) -> Result<String, ExprError> {
        Ok(pyomo::write(&self.program(sense)?))
    }

    fn program(&self, sense: Sense) -> Result<model::Model, ExprError> {
        let prepared = prepare::Prepared::of(self)?;
        reformulate::reformulate(self, &prepared, sense)
    }
}

fn no_form(arena: &Arena, id: Id, problem: &'static str) -> ExprError {
    ExprError::NoSolverForm { operand: arena.text(id, 80), problem }
}

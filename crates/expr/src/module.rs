//! A module: an objective with its knobs, constraints and values, ready for export.

use serde_json::Value;
use sglsim_units::Nearest;

use crate::{Context, Expr, ExprError, Program, Values};

/// A condition that a configuration must meet.
#[derive(Clone, Debug, PartialEq)]
pub struct Constraint {
    /// Short name, such as `"fits_in_hbm"`.
    pub name: String,
    /// One line for humans.
    pub doc: String,
    /// Whether it is met: a truth value.
    pub holds: Expr,
}

impl Constraint {
    /// A named condition.
    #[must_use]
    pub fn new(name: impl Into<String>, holds: Expr, doc: impl Into<String>) -> Constraint {
        Constraint { name: name.into(), doc: doc.into(), holds }
    }
}

/// An objective with everything that a solver or a reader needs beside it.
///
/// ```
/// use sglsim_expr::{Constraint, Context, Module, Symbol, Values, min};
/// let cx = Context::new();
/// let workers = cx.symbol(Symbol::int("workers").at_least(1.0).doc("decode workers"))?;
/// let rate = cx.symbol(Symbol::real("rate").positive().unit("token/s"))?;
/// let module = Module::new("decode", "throughput", min(&workers * &rate, 1e5))
///     .doc("Output throughput of a decode pool.")
///     .variable(&workers)
///     .constraint(Constraint::new("gpus", (&workers * 8).le(64), "GPUs there are"))
///     .values(&Values::from([("workers", 2.0), ("rate", 3e4)]));
/// assert_eq!(module.evaluate(&Values::new())?, 6e4);
/// assert_eq!(module.violated(&Values::from([("workers", 9.0)]))?, ["gpus"]);
/// assert!(module.to_sympy()?.contains("objective"));
/// # Ok::<(), sglsim_expr::ExprError>(())
/// ```
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub struct Module {
    /// Name of the module.
    pub name: String,
    /// What it is, for humans.
    pub doc: String,
    /// The function to be optimised.
    pub objective: Expr,
    /// Its name.
    pub objective_name: String,
    /// The symbols that may be decided; all others are parameters.
    pub variables: Vec<Expr>,
    /// When a configuration is feasible.
    pub constraints: Vec<Constraint>,
    /// Value of every symbol: of a parameter as measured or declared, of a variable as a start.
    pub values: Values,
}

impl Module {
    /// A module without variables, constraints and values.
    #[must_use]
    pub fn new(
        name: impl Into<String>,
        objective_name: impl Into<String>,
        objective: Expr,
    ) -> Module {
        Module {
            name: name.into(),
            doc: String::new(),
            objective,
            objective_name: objective_name.into(),
            variables: Vec::new(),
            constraints: Vec::new(),
            values: Values::new(),
        }
    }

    /// Sets the description.
    #[must_use]
    pub fn doc(mut self, doc: impl Into<String>) -> Module {
        self.doc = doc.into();
        self
    }

    /// Adds a symbol that may be decided.
    #[must_use]
    pub fn variable(mut self, symbol: &Expr) -> Module {
        self.variables.push(symbol.clone());
        self
    }

    /// Adds a constraint.
    #[must_use]
    pub fn constraint(mut self, constraint: Constraint) -> Module {
        self.constraints.push(constraint);
        self
    }

    /// Adds values of symbols.
    #[must_use]
    pub fn values(mut self, values: &Values) -> Module {
        self.values.extend(values.iter());
        self
    }

    /// Value of the objective; what is not in `values` has the module's own value.
    ///
    /// # Errors
    ///
    /// [`ExprError::UnknownSymbol`] for a name that is no symbol of the module, and what
    /// [`Expr::evaluate`] reports.
    pub fn evaluate(&self, values: &Values) -> Result<f64, ExprError> {
        self.objective.evaluate(&self.point(values)?)
    }

    /// Names of the constraints that are not met, in order.
    ///
    /// # Errors
    ///
    /// As [`Module::evaluate`].
    pub fn violated(&self, values: &Values) -> Result<Vec<&str>, ExprError> {
        let point = self.point(values)?;
        let mut names = Vec::new();
        for constraint in &self.constraints {
            if constraint.holds.evaluate(&point)? == 0.0 {
                names.push(constraint.name.as_str());
            }
        }
        Ok(names)
    }

    /// The objective and then the constraints, in order, as one program of some symbols; all others
    /// have the module's own value. A constraint that is met is 1, else 0.
    ///
    /// ```
    /// # use sglsim_expr::{Context, Module};
    /// let text = "
    /// module pool
    /// variable workers: int in [1, 64] = 2
    /// parameter rate: real > 0 = 30000
    /// objective throughput = min(workers * rate, 1e5)
    /// constraint gpus: workers * 8 <= 64
    /// ";
    /// let program = Module::parse(&Context::new(), text)?.compile(&["workers"])?;
    /// let mut found = [0.0; 2];
    /// program.evaluator().eval(&[9.0], &mut found);
    /// assert_eq!(found, [1e5, 0.0]);
    /// # Ok::<(), sglsim_expr::ExprError>(())
    /// ```
    ///
    /// # Errors
    ///
    /// [`ExprError::Unbound`] if a symbol is neither an input nor has a value,
    /// [`ExprError::OutOfDomain`] if a value is not allowed, or what makes an expression invalid.
    pub fn compile(&self, inputs: &[&str]) -> Result<Program, ExprError> {
        let fixed: Values = self.values.iter().filter(|(name, _)| !inputs.contains(name)).collect();
        let constraints = self.constraints.iter().map(|constraint| &constraint.holds);
        let outputs: Vec<Expr> =
            [&self.objective].into_iter().chain(constraints).map(|e| e.bind(&fixed)).collect();
        Program::compile(&outputs.iter().collect::<Vec<_>>(), inputs)
    }

    pub(crate) fn point(&self, values: &Values) -> Result<Values, ExprError> {
        let mut point = self.values.clone();
        if values.is_empty() {
            return Ok(point);
        }
        let (cx, roots) = self.roots()?;
        let known: Vec<String> =
            cx.lock().symbols_of(&roots).into_iter().map(|(_, symbol)| symbol.name).collect();
        for (name, value) in values.iter() {
            if !known.iter().any(|symbol| symbol == name) && self.values.get(name).is_none() {
                let hint = Nearest::to(name, known.iter().map(String::as_str));
                return Err(ExprError::UnknownSymbol { name: name.to_owned(), hint });
            }
            point.insert(name, value);
        }
        Ok(point)
    }

    /// A Python module with the formula in SymPy: see the crate's documentation.
    ///
    /// # Errors
    ///
    /// What makes an expression invalid; [`ExprError::NotASymbol`] if a variable is not a symbol;
    /// [`ExprError::Unbound`] if a symbol has no value.
    pub fn to_sympy(&self) -> Result<String, ExprError> {
        let (cx, roots) = self.roots()?;
        let arena = cx.lock();
        let symbols = arena.symbols_of(&roots);
        let unbound = symbols.iter().filter(|(_, s)| self.values.get(&s.name).is_none());
        let missing: Vec<String> = unbound.map(|(_, s)| s.name.clone()).collect();
        if let Some(first) = missing.first() {
            let hint = Nearest::to(first, self.values.names());
            let bound = self.values.names().map(str::to_owned).collect();
            return Err(ExprError::Unbound { missing, bound, hint });
        }
        Ok(arena.sympy(self, &roots))
    }

    /// The module as a JSON document; [`Module::from_json`] reads it back.
    ///
    /// # Errors
    ///
    /// What makes an expression invalid, or [`ExprError::NotASymbol`].
    pub fn to_json(&self) -> Result<Value, ExprError> {
        let (cx, roots) = self.roots()?;
        Ok(cx.lock().module_json(self, &roots))
    }

    /// Reads a document of [`Module::to_json`] into a context.
    ///
    /// # Errors
    ///
    /// [`ExprError::Format`] naming the place and the problem, or
    /// [`ExprError::ConflictingSymbol`] with what the context already declares.
    pub fn from_json(cx: &Context, document: &Value) -> Result<Module, ExprError> {
        crate::export::read_module(cx, document)
    }

    /// The formula as LaTeX: one equation per named part, the objective, the constraints.
    ///
    /// # Errors
    ///
    /// As [`Module::to_json`].
    pub fn to_latex(&self) -> Result<String, ExprError> {
        let (cx, roots) = self.roots()?;
        Ok(cx.lock().latex(self, &roots))
    }

    /// Everything of the module in one context: objective, constraints, variables.
    pub(crate) fn roots(&self) -> Result<(Context, Roots), ExprError> {
        let cx = self.objective.cx.clone();
        let constraints: Vec<&Expr> = self.constraints.iter().map(|c| &c.holds).collect();
        let variables: Vec<&Expr> = self.variables.iter().collect();
        let roots = Roots {
            objective: self.objective.id,
            constraints: cx.adopt(&constraints),
            variables: cx.adopt(&variables),
        };
        let arena = cx.lock();
        for id in roots.all() {
            arena.check_closed(id)?;
        }
        if let Some(id) = roots.variables.iter().find(|id| !arena.is_symbol(**id)) {
            return Err(ExprError::NotASymbol { operand: arena.text(*id, 80) });
        }
        if let Some(id) = roots.constraints.iter().find(|id| !arena.facts(**id).boolean) {
            return Err(ExprError::WrongSort {
                operation: "constraint",
                expected: "truth value",
                found: arena.sort(*id),
                operand: arena.text(*id, 80),
            });
        }
        drop(arena);
        Ok((cx, roots))
    }

    /// A module around a single expression: every symbol is a variable, none has a value.
    pub(crate) fn around(expr: &Expr) -> Module {
        let name = expr.name().unwrap_or_else(|| "expression".to_owned());
        let variables = expr.cx.lock().symbols_of(&Roots::single(expr)).into_iter();
        let variables = variables.map(|(id, _)| expr.cx.expr(id)).collect();
        Module { variables, ..Module::new(name.clone(), name, expr.clone()) }
    }
}

/// The ids of a module's expressions, in the context of its objective.
pub(crate) struct Roots {
    pub(crate) objective: crate::node::Id,
    pub(crate) constraints: Vec<crate::node::Id>,
    pub(crate) variables: Vec<crate::node::Id>,
}

impl Roots {
    pub(crate) fn single(expr: &Expr) -> Roots {
        Roots { objective: expr.id, constraints: Vec::new(), variables: Vec::new() }
    }

    pub(crate) fn all(&self) -> Vec<crate::node::Id> {
        let mut all = vec![self.objective];
        all.extend(&self.constraints);
        all.extend(&self.variables);
        all
    }
}

impl Expr {
    /// A Python module with this expression in SymPy, every symbol a variable without a value.
    ///
    /// # Errors
    ///
    /// What makes the expression invalid.
    pub fn to_sympy(&self) -> Result<String, ExprError> {
        let module = Module::around(self);
        let (cx, roots) = module.roots()?;
        Ok(cx.lock().sympy(&module, &roots))
    }

    /// LaTeX: one equation per named part, then the expression.
    ///
    /// # Errors
    ///
    /// What makes the expression invalid.
    pub fn to_latex(&self) -> Result<String, ExprError> {
        Module::around(self).to_latex()
    }

    /// The expression as a JSON document; [`Expr::from_json`] reads it back.
    ///
    /// # Errors
    ///
    /// What makes the expression invalid.
    pub fn to_json(&self) -> Result<Value, ExprError> {
        self.cx.lock().check_closed(self.id)?;
        Ok(self.cx.lock().expression_json(self.id))
    }

    /// Reads a document of [`Expr::to_json`] into a context.
    ///
    /// ```
    /// use sglsim_expr::{Context, Expr, Symbol, ceil};
    /// let cx = Context::new();
    /// let x = cx.symbol(Symbol::real("x").unit("s"))?;
    /// let e = ceil(&x / 3) + 0.1;
    /// assert_eq!(Expr::from_json(&cx, &e.to_json()?)?, e);
    /// # Ok::<(), sglsim_expr::ExprError>(())
    /// ```
    ///
    /// # Errors
    ///
    /// [`ExprError::Format`] naming the place and the problem, or
    /// [`ExprError::ConflictingSymbol`] with what the context already declares.
    pub fn from_json(cx: &Context, document: &Value) -> Result<Expr, ExprError> {
        crate::export::read_expression(cx, document)
    }
}

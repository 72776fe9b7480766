//! Exporting: the formula in other languages.
//!
//! A [`Module`](crate::Module) is an objective with its variables, constraints and values.
//!
//! | method | for |
//! |---|---|
//! | [`to_sympy`](crate::Module::to_sympy) | SymPy: `variables`, `parameters`, `defs`, `objective`, `constraints`, `guarded`, `values`, `units`, `descriptions`, `evaluate(values)`, `violated(values)` |
//! | [`to_python`](crate::Module::to_python), [`to_numpy`](crate::Module::to_numpy) | plain Python; NumPy and JAX: the same functions, `slacks(values)` for solvers and `parts(values)` for readers |
//! | [`to_c`](crate::Module::to_c) | C: a function of a struct |
//! | [`to_casadi`](crate::Module::to_casadi) | CasADi: functions of its expressions |
//! | [`to_nl`](crate::Module::to_nl), [`to_pyomo`](crate::Module::to_pyomo) | SCIP, HiGHS, Gurobi, …: a mixed-integer program, as large or as small as can be ([`Sense`](crate::Sense)) |
//! | [`to_json`](crate::Module::to_json) | JSON: versioned, with a schema ([`JSON_SCHEMA`](crate::JSON_SCHEMA)), read back to the same bits |
//! | [`to_latex`](crate::Module::to_latex), [`to_mathml`](crate::Module::to_mathml) | reports: an equation for each named part |
//! | [`to_text`](crate::Module::to_text) | people: the text form, read back by [`Module::parse`](crate::Module::parse) |
//!
//! Parts with a name ([`Expr::named`](crate::Expr::named)) keep it in all of them, and so do shared
//! parts: files grow with the graph and not with the tree.
//!
//! ```
//! use sglsim_expr::{Context, Module, Sense};
//! let module = Module::parse(&Context::new(), sglsim_expr::guide::DECODE)?;
//! let sympy = module.to_sympy()?;
//! assert!(sympy.contains("objective ="));
//! // A solver needs a finite range for everything it decides; parameters have their values.
//! let program = module.to_nl(Sense::Maximise)?;
//! assert!(program.col.lines().any(|name| name == "batch"));
//! let text = module.to_text()?;
//! assert_eq!(Module::parse(module.objective.context(), &text)?, module);
//! # Ok::<(), sglsim_expr::ExprError>(())
//! ```
//!
//! A single [`Expr`](crate::Expr) goes to SymPy, JSON, LaTeX, MathML and text too. What a solver finds
//! is right to its tolerances only: give its configuration to
//! [`Module::evaluate`](crate::Module::evaluate).

//! Symbolic expressions: build, simplify, bind, compile, export.
//!
//! A law is written once, as an expression. The simulator runs it compiled; a solver gets it
//! exported. This crate knows nothing of GPUs or tokens.
//!
//! ```
//! use sglsim_expr::{Context, Symbol, Values, ceil_div, max};
//!
//! // Build: symbols say what is known about their values, operators do the rest.
//! let cx = Context::new();
//! let tokens = cx.symbol(Symbol::int("tokens").at_least(0.0).unit("token"))?;
//! let bandwidth = cx.symbol(Symbol::real("bandwidth").positive().unit("B/s"))?;
//! let time = max(4096 * &tokens / &bandwidth, 2e-6).named("read", "s", "time to read the KV");
//!
//! // Evaluate at a point, checked and with errors that say what is wrong ...
//! let point = Values::from([("tokens", 1e6), ("bandwidth", 2e12)]);
//! assert_eq!(time.evaluate(&point)?, 2.048e-3);
//!
//! // ... or bind what is fixed and compile the rest, for a few nanoseconds per operation.
//! let law = time.bind(&Values::from([("bandwidth", 2e12)]));
//! let mut eval = law.compile(&["tokens"])?.evaluator();
//! assert_eq!(eval.eval1(&[1e6]), 2.048e-3);
//! assert_eq!(eval.eval1(&[1.0]), 2e-6);
//! # Ok::<(), sglsim_expr::ExprError>(())
//! ```
//!
//! # Building
//!
//! Expressions live in a [`Context`], which keeps every distinct operation once. They are brought
//! into a normal form while they are built: sums and products are flattened and ordered, constants
//! folded, like terms collected, decided branches dropped. Integers and their quotients are exact;
//! floats stay as they are.
//!
//! ```
//! # use sglsim_expr::{Context, Symbol, ceil_div, sum};
//! # let cx = Context::new();
//! # let n = cx.symbol(Symbol::int("n").at_least(1.0))?;
//! assert_eq!((&n + &n - &n / 3).to_string(), "5 * n / 3");
//! assert_eq!(ceil_div(6 * &n, 4).to_string(), "ceil(3 * n / 2)");
//! let i = cx.index("i");
//! assert_eq!(sum(&i, 1, &n, &i * &i).to_string(), "n * (n + 1) * (2 * n + 1) / 6");
//! # Ok::<(), sglsim_expr::ExprError>(())
//! ```
//!
//! Operators never panic. A NaN, or a comparison where a number is needed, makes an invalid
//! expression that carries its [`ExprError`] to whoever evaluates, compiles or exports it.

mod arena;
mod build;
mod context;
mod error;
mod export;
mod expr;
mod facts;
mod math;
mod module;
mod node;
mod number;
mod ops;
mod simplify;
mod symbol;
mod tape;
mod values;

pub use context::Context;
pub use error::ExprError;
pub use expr::Expr;
pub use module::{Constraint, Module};
pub use number::Number;
pub use ops::{
    Operand, add_of, all_of, ceil, ceil_div, exp, floor, floor_div, ln, max, max_of, min, min_of,
    piecewise, pow, sqrt, sum,
};
pub use simplify::{Limits, Simplified, Stop};
pub use symbol::{Sort, Symbol};
pub use tape::{Evaluator, Program};
pub use values::Values;

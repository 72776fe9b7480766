//! Differentiating: what a formula reacts to.
//!
//! [`Program::gradient`](crate::Program::gradient) gives the value and its derivatives by all inputs in
//! one sweep, for less than twice the value. The derivative is that of the arm which decides; at a tie it is that of
//! the first arm. A fixed point has that of its equation.
//!
//! ```
//! use sglsim_expr::{Context, Module};
//! let module = Module::parse(&Context::new(), sglsim_expr::guide::DECODE)?;
//! let program = module.compile(&["hbm", "batch"])?;
//! let mut gradient = program.gradient();
//! let mut by = [0.0; 2];
//! let value = gradient.eval(&[3.35e12, 64.0], &mut by);
//! // Reading takes 94 % of the step: one percent of bandwidth more is 0.94 % more tokens.
//! assert_eq!((by[0] * 3.35e12 / value * 100.0).round(), 94.0);
//! # Ok::<(), sglsim_expr::ExprError>(())
//! ```
//!
//! Rounding up is a step: its derivative is 0, and a jump from one branch to another has none
//! either. What a derivative does not see is told: [`Module::sensitivities`](crate::Module::sensitivities)
//! says which symbols act through steps, and what one more or less of an integer really does.
//!
//! ```
//! # use sglsim_expr::{Context, Module, Values};
//! # let module = Module::parse(&Context::new(), sglsim_expr::guide::DECODE)?;
//! for s in module.sensitivities(&Values::new())? {
//!     let elasticity = s.elasticity.unwrap_or(f64::NAN);
//!     println!("{} {elasticity:.2}{}", s.name, if s.steps { ", and in steps" } else { "" });
//! }
//! # Ok::<(), sglsim_expr::ExprError>(())
//! ```
//!
//! Next: [bounding](super::bound).

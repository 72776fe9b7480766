//! Evaluating: one point, many points.
//!
//! [`Expr::evaluate`](crate::Expr::evaluate) and [`Module::evaluate`](crate::Module::evaluate) take
//! [`Values`](crate::Values) by name and check each against its symbol's sort and domain.
//!
//! ```
//! use sglsim_expr::{Context, Module, Values};
//! let module = Module::parse(&Context::new(), sglsim_expr::guide::DECODE)?;
//! let at = Values::from([("tp", 8.0), ("batch", 256.0)]);
//! assert_eq!(module.evaluate(&at)?.round(), 1472.0);
//! assert_eq!(module.violated(&at)?, Vec::<&str>::new());
//! let wrong = module.evaluate(&Values::from([("tp", 32.0)])).unwrap_err();
//! assert_eq!(wrong.to_string(), "`tp` is 32, allowed is an integer in [1, 16]");
//! # Ok::<(), sglsim_expr::ExprError>(())
//! ```
//!
//! Where it has to be fast, bind what is fixed and compile the rest. An
//! [`Evaluator`](crate::Evaluator) neither checks nor allocates and needs about a nanosecond for an
//! operation; a [`BatchEvaluator`](crate::BatchEvaluator) takes columns of points and gives the same
//! bits several times as fast. Where few inputs change from point to point, an
//! [`IncrementalEvaluator`](crate::IncrementalEvaluator) remembers the rest.
//!
//! ```
//! # use sglsim_expr::{Context, Module, Values};
//! # let module = Module::parse(&Context::new(), sglsim_expr::guide::DECODE)?;
//! let program = module.compile(&["tp", "batch"])?;
//! let mut evaluator = program.evaluator();
//! // The objective, then whether each constraint is met.
//! let mut found = [0.0; 3];
//! evaluator.eval(&[8.0, 256.0], &mut found);
//! assert_eq!(found[1..], [1.0, 1.0]);
//! let (mut values, mut fits, mut soon) = ([0.0; 3], [0.0; 3], [0.0; 3]);
//! let columns: [&[f64]; 2] = [&[4.0, 8.0, 16.0], &[256.0; 3]];
//! program.batch().eval(&columns, &mut [&mut values, &mut fits, &mut soon]);
//! assert_eq!((values[1], fits), (found[0], [0.0, 1.0, 1.0]));
//! # Ok::<(), sglsim_expr::ExprError>(())
//! ```
//!
//! A [`Program`](crate::Program) is shared by threads, each with an evaluator of its own. All
//! evaluators run the same instructions: an arm that is not chosen has no influence, and a sum over
//! an empty range is 0.
//!
//! Next: [differentiating](super::differentiate).

//! Bounding: what a formula can be over a whole box.
//!
//! [`Program::intervals`](crate::Program::intervals) takes an [`Interval`](crate::Interval) for each
//! input and gives one that contains every value in the box, exact or rounded.
//!
//! ```
//! use sglsim_expr::{Context, Interval, Module};
//! let module = Module::parse(&Context::new(), sglsim_expr::guide::DECODE)?;
//! let program = module.compile(&["tp", "batch"])?;
//! let mut bounds = program.intervals();
//! // Of the objective, the first output.
//! let range = bounds.eval1(&[Interval::new(2.0, 4.0), Interval::new(64.0, 72.0)]);
//! let inside = program.evaluator().eval1(&[3.0, 70.0]);
//! assert!(range.contains(inside));
//! # Ok::<(), sglsim_expr::ExprError>(())
//! ```
//!
//! [`IntervalEvaluator::contract`](crate::IntervalEvaluator::contract) goes backwards: it shrinks a
//! box to what can reach a target, and never drops a point that does.
//!
//! ```
//! # use sglsim_expr::{Context, Interval, Module};
//! # let module = Module::parse(&Context::new(), sglsim_expr::guide::DECODE)?;
//! let mut bounds = module.compile(&["batch"])?.intervals();
//! // Which batches give 1000 tokens per second and GPU, and meet both constraints?
//! let at_least = |rate| [Interval::new(rate, f64::INFINITY), Interval::point(1.0), Interval::point(1.0)];
//! let mut batch = [Interval::new(1.0, 512.0)];
//! for _ in 0..20 {
//!     assert!(bounds.contract(&mut batch, &at_least(1000.0)));
//! }
//! assert_eq!((batch[0].lo.ceil(), batch[0].hi.floor()), (77.0, 112.0));
//! // None of them gives 10,000.
//! assert!(!bounds.contract(&mut batch, &at_least(10_000.0)));
//! # Ok::<(), sglsim_expr::ExprError>(())
//! ```
//!
//! A search that bounds boxes, splits those that may hold something better and drops the others ends with the
//! best configuration and a proof that there is none above it.
//!
//! Next: [analysing](super::analyse).

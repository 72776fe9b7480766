//! Simplifying: what can be dropped, and what costs less.
//!
//! Most of it needs no call. The [normal form](super::build#normal-form) is always there, and a
//! [`sum`](crate::sum) over lines, rooflines and kernels is closed when it is built: a decode time
//! over thousands of tokens costs as much as a few dozen operations.
//!
//! [`Expr::simplify`](crate::Expr::simplify) does the rest. It drops what the domains of the symbols
//! decide, then looks for a cheaper form in an e-graph. It is bounded by [`Limits`](crate::Limits)
//! that are no times, so the result is the same on every machine. A form is only taken if its
//! program got cheaper, and if it agrees with the old one at points of the domain.
//!
//! ```
//! use sglsim_expr::{Context, Limits, Module, Stop};
//! let cx = Context::new();
//! let module = Module::parse(&cx, sglsim_expr::guide::DECODE)?;
//! let simple = module.objective.simplify(&Limits::default());
//! assert!(simple.cost_after <= simple.cost_before);
//!
//! let e = cx.parse("{2 * hbm if tp > 16; min(tp * hbm, hbm * 3 + hbm * 4)}")?;
//! let simple = e.simplify(&Limits::default());
//! assert_eq!(simple.expr.to_string(), "hbm * min(tp, 7)");
//! assert_eq!(simple.stop, Stop::Saturated);
//! # Ok::<(), sglsim_expr::ExprError>(())
//! ```
//!
//! Named parts stay, simplified themselves. For a smaller region than the domains, see
//! [special cases](super::analyse#special-cases).
//!
//! Next: [evaluating](super::evaluate).

//! Analysing: what decides, and how far until something else does.
//!
//! [`Module::regime`](crate::Module::regime) says which bottleneck, kernel and branch decide at a
//! configuration, and how far each symbol can go until that changes. The distances are proven by bounds, not
//! sampled.
//!
//! ```
//! use sglsim_expr::{Context, Module, Values};
//! let module = Module::parse(&Context::new(), sglsim_expr::guide::DECODE)?;
//! let report = module.regime(&Values::new())?;
//! assert_eq!(report.to_string(), "\
//! throughput = 900.528 1/s
//!   work: max read (0.0167079), 72.9 % before multiply (0.00452525)
//!   all_reduce: piecewise exchange otherwise (0.00105943), 3 away from a change of tp <= 1
//!   kernel: min_of one_shot (6.62144e-6), 60.4 % before ring (1.06214e-5)
//! all constraints are met
//!
//! symbol     value  elasticity  down                                 up
//! tp             4       -0.08  3: memory met -> violated            9: kernel one_shot -> ring
//! batch         64        0.62  same to 1                            113: memory met -> violated
//! peak      9.9e14        0.00  2.68136e14: work read -> multiply    same to 1.01475e18
//! hbm      3.35e12        0.94  1.14366e12: latency met -> violated  1.23687e13: work read -> multiply
//! link        4e11        0.02  5.13818e9: latency met -> violated   same to 4.1e14
//! hop         2e-6       -0.04  same to 1.95312e-9                   1.02727e-4: latency met -> violated
//! context     4000       -0.35  same to 4                            7058: memory met -> violated
//! ");
//! # Ok::<(), sglsim_expr::ExprError>(())
//! ```
//!
//! # Monotonicity
//!
//! Over a box ([`Bounds`](crate::Bounds)), [`Module::monotonicity`](crate::Module::monotonicity)
//! proves that a value rises or falls. Unlike a derivative it knows steps and jumps.
//!
//! ```
//! # use sglsim_expr::{Bounds, Context, Module, Monotonicity};
//! # let module = Module::parse(&Context::new(), sglsim_expr::guide::DECODE)?;
//! let few = Bounds::from([("batch", (1.0, 128.0)), ("hbm", (3e12, 5e12))]);
//! let found = module.monotonicity(&few)?;
//! assert!(found.contains(&("hbm".to_owned(), Monotonicity::Increasing)));
//! # Ok::<(), sglsim_expr::ExprError>(())
//! ```
//!
//! # Special cases
//!
//! [`Module::specialise`](crate::Module::specialise) gives the smaller formula that holds inside a
//! box.
//!
//! ```
//! # use sglsim_expr::{Bounds, Context, Limits, Module};
//! # let module = Module::parse(&Context::new(), sglsim_expr::guide::DECODE)?;
//! let wide = Bounds::from([("tp", (9.0, 16.0)), ("batch", (1.0, 64.0))]);
//! let special = module.specialise(&wide, &Limits::default())?;
//! // Only the ring spans so many ranks, and there is one tile of requests.
//! assert!(special.objective.size() < module.objective.size());
//! assert!(!special.to_text()?.contains("one_shot"));
//! # Ok::<(), sglsim_expr::ExprError>(())
//! ```
//!
//! Next: [exporting](super::export).

//! Building: symbols, operators, units.
//!
//! A symbol says what is known of its values: its sort, its domain, its unit. Operators do the rest.
//!
//! ```
//! use sglsim_expr::{Context, Symbol, ceil_div, max, min_of_feasible, piecewise};
//!
//! let cx = Context::new();
//! let tp = cx.symbol(Symbol::int("tp").at_least(1.0).at_most(16.0).doc("tensor parallel ranks"))?;
//! let batch = cx.symbol(Symbol::int("batch").at_least(1.0).at_most(512.0))?;
//! let context = cx.symbol(Symbol::int("context").at_least(1.0))?;
//! let hbm = cx.symbol(Symbol::real("hbm").positive().unit("B/s"))?;
//! let peak = cx.symbol(Symbol::real("peak").positive().unit("FLOP/s"))?;
//! let link = cx.symbol(Symbol::real("link").positive().unit("B/s"))?;
//! let hop = cx.symbol(Symbol::real("hop").positive().unit("s"))?;
//!
//! let kv = (&batch * &context * 327_680).named("kv", "B", "keys and values of all requests");
//! let multiply = 1.4e11 * (ceil_div(&batch, 128) * 128) / (&tp * &peak);
//! let read = (140e9 + &kv) / (&tp * &hbm);
//! let kernel = min_of_feasible([
//!     ("ring", &hop * &tp + 16_384 * &batch / &link, cx.truth(true)),
//!     ("one_shot", 2 * &hop + 4096 * &batch * &tp / &link, tp.le(8)),
//! ]);
//! let all_reduce = piecewise([(tp.le(1), 0)], 160 * kernel);
//! let step = (max(multiply, read) + all_reduce).named("step", "s", "time of a step");
//! # Ok::<(), sglsim_expr::ExprError>(())
//! ```
//!
//! The same in the text form is [`DECODE`](super::DECODE). It is read by
//! [`Module::parse`](crate::Module::parse), which reports all mistakes at once, each with its place.
//!
//! # Normal form
//!
//! A [`Context`](crate::Context) holds every operation once, in a normal form: sums and products are
//! flat and ordered, constants folded, like terms collected, decided branches dropped. So equal
//! formulas are one node and compare in no time, and shared parts are shared everywhere.
//!
//! ```
//! # use sglsim_expr::{Context, Symbol, ceil_div, max};
//! # let cx = Context::new();
//! # let n = cx.symbol(Symbol::int("n").at_least(1.0))?;
//! assert_eq!((&n + &n - &n / 3).to_string(), "5 * n / 3");
//! assert_eq!(ceil_div(6 * &n, 4).to_string(), "ceil(3 * n / 2)");
//! assert_eq!(max(&n, 2) + 1, 1 + max(2, &n));
//! # Ok::<(), sglsim_expr::ExprError>(())
//! ```
//!
//! Integers and their quotients are exact and floats stay as they are. A division is never turned into a
//! product with a reciprocal: `ceil(x · (1/4300))` is wrong where `ceil(x / 4300)` is right.
//!
//! # Units
//!
//! Seconds are not added to bytes. Base dimensions are s, B and FLOP; tokens, requests and GPUs are
//! counted. A number fits what it is added to; what it multiplies keeps its power of time, since a
//! number such as 327 680 may well be in bytes. [`Expr::named`](crate::Expr::named) settles it.
//!
//! ```
//! # use sglsim_expr::{Context, Symbol};
//! # let cx = Context::new();
//! let bytes = cx.symbol(Symbol::real("bytes").unit("B"))?;
//! let latency = cx.symbol(Symbol::real("latency").unit("s"))?;
//! let wrong = &bytes + &latency;
//! assert_eq!(wrong.check().unwrap_err().to_string(), "`+` of `bytes` in B and `latency` in s");
//! # Ok::<(), sglsim_expr::ExprError>(())
//! ```
//!
//! Operators never panic. What cannot be built is an invalid expression: it carries the first
//! [`ExprError`](crate::ExprError) to whoever evaluates, compiles or exports it.
//!
//! # More than arithmetic
//!
//! | | |
//! |---|---|
//! | [`min_of_feasible`](crate::min_of_feasible) | the fastest kernel that can be used, by name |
//! | [`piecewise`](crate::piecewise) | the first value whose guard holds, and a fallback |
//! | [`sum`](crate::sum) | over an integer range, empty where it ends before it begins |
//! | [`fixed_point`](crate::fixed_point) | the root of a rising equation, such as a batch that fills itself |
//! | [`table`](crate::table), [`lookup`](crate::lookup) | recorded histories, calibrated curves |
//! | [`Expr::assume`](crate::Expr::assume) | what is known but cannot be proven |
//!
//! ```
//! # use sglsim_expr::{Context, Symbol, Values, fixed_point, sum};
//! # let cx = Context::new();
//! let n = cx.symbol(Symbol::int("n").at_least(1.0))?;
//! // A sum of polynomials and extrema of lines has no loop.
//! let i = cx.index("i");
//! assert_eq!(sum(&i, 1, &n, &i * &i).to_string(), "n * (n + 1) * (2 * n + 1) / 6");
//! // Little's law: as many requests are in a batch as arrive while one is served.
//! let batch = cx.unknown("batch");
//! let filled = fixed_point(&batch, 0, 512, 3 * (1 + &n * &batch / 100));
//! assert!((filled.evaluate(&Values::from([("n", 10.0)]))? - 30.0 / 7.0).abs() < 1e-8);
//! # Ok::<(), sglsim_expr::ExprError>(())
//! ```
//!
//! Next: [simplifying](super::simplify).

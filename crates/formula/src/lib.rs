//! Metrics of a scenario as formulas of its configuration.
//!
//! The laws that a simulation runs are expressions. This crate composes them into the metrics that a
//! planner asks for, as functions of the number of workers, the parallel sizes, the chunk and the batch
//! caps, with the feasible region as constraints. What only a run can know (cache hits, lengths, load) is
//! [frozen](Frozen) from one.
//!
//! ```
//! use sglsim_engine::{Scenario, Simulation};
//! use sglsim_expr::Values;
//! use sglsim_formula::{Formula, Frozen, Metric};
//!
//! let scenario = Scenario::from_ron(r#"(
//!     model: "Llama-3.1-8B",
//!     hardware: (gpu: "H100-SXM"),
//!     deployment: Disaggregated(prefill: (workers: 1), decode: (workers: 1)),
//!     workload: Synthetic(
//!         arrivals: Poisson(rate: 5.0),
//!         input_len: LogNormal(mean: 2000, cv: 0.8, max: 16000),
//!         output_len: Fixed(100),
//!         requests: 50,
//!     ),
//! )"#)?;
//! let simulation = Simulation::new(scenario.clone())?;
//! let plan = simulation.plan().clone();
//! let frozen = Frozen::of(&simulation.run()?, &scenario)?;
//!
//! let most = Formula::of(&plan, Metric::MaxOutputThroughput, &frozen)?;
//! let now = most.evaluate(&Values::new())?;
//! let more = most.evaluate(&Values::from([("N_p", 4.0), ("N_d", 2.0)]))?;
//! assert!(more > now);
//! assert!(most.violated(&Values::from([("decode_tp_size", 3.0)]))?.contains(&"decode_tp_divides_heads"));
//! assert!(most.to_sympy()?.contains("N_p = Symbol(\"N_p\", integer=True, positive=True)"));
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! | level | metrics | agrees with the engine |
//! |---|---|---|
//! | step | `step_time`, `prefill_step_time`, `decode_step_time` | it is the same expression |
//! | request | `ttft`, `itl`, `e2e_latency`, `transfer_time` | on an idle system |
//! | run | `mean_ttft`, `p99_tpot`, `output_throughput` of one run, by [`History`] | it is the report, and has its derivatives |
//! | steady state | `output_throughput` and its relatives; `mean_ttft`, `mean_tpot`, … under a load | to a few percent, see `docs/guide/formulas.md` |
//!
//! This crate knows scenarios, plans and reports; of the event core it knows nothing.

mod error;
mod formula;
mod frozen;
mod history;
mod metric;
mod pool;
mod request;
mod steady;
mod symbols;
mod validity;

pub use error::FormulaError;
pub use formula::Formula;
pub use frozen::{Frozen, Load, Observed, Parameter};
pub use history::{BatchMix, History};
pub use metric::{Latency, Level, Metric, Statistic};
pub use validity::Measured;

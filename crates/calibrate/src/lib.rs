//! Fits the coefficients of operator laws to measurements, and scores laws against them.
//!
//! The laws are those of `sglsim-kernels`, the very expressions that a step is made of. A row of a
//! table becomes a call of an operator; the law of that call is compiled over the row's numbers and
//! the coefficients in it; and all coefficients that laws share are fitted together. A law that
//! changes needs nothing here.
//!
//! ```
//! use std::io::Write;
//!
//! use sglsim_calibrate::{Dataset, FitOptions, Mapping, Rows, fit, score};
//! use sglsim_hw::{Gpu, Topology};
//! use sglsim_kernels::Coefficients;
//!
//! // A table of matrix products, and what its columns mean.
//! let mut table = tempfile::NamedTempFile::new()?;
//! writeln!(table, "tokens,width,t_us")?;
//! for tokens in [64, 256, 1024, 4096] {
//!     for width in [2048, 4096, 6144, 8192, 16384] {
//!         let flops = 2.0 * f64::from(tokens * width) * f64::from(width);
//!         let bytes = 2.0 * f64::from(width) * f64::from(width + 2 * tokens);
//!         let seconds = 5e-6 + (flops / 600e12).max(bytes / 2.5e12);
//!         writeln!(table, "{tokens},{width},{}", seconds * 1e6)?;
//!     }
//! }
//! let mapping = Mapping::from_ron(
//!     r#"(operator: "gemm", time: "t_us [us]", arguments: {"m": "tokens", "n": "width", "k": "width"})"#,
//! )?;
//! let mut data = Dataset::new();
//! data.add_mapped(table.path(), &[mapping])?;
//!
//! let topology = Topology::of(Gpu::preset("H100")?)?;
//! let mut theta = Coefficients::for_architecture(topology.gpu().architecture);
//! let found = fit(&data, &topology, &theta, &FitOptions::default(), &mut |_, _, _| {})?;
//! found.calibration.apply(topology.gpu(), &mut theta)?;
//! let score = score(&data, &topology, &theta, Rows::All)?;
//! let errors = score.tables[0].errors.unwrap();
//! assert!(errors.median_ape < 0.2, "{errors:?}");
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! # What is where
//!
//! * [`Dataset`]: measured calls, from tables in known formats or by a [`Mapping`];
//! * [`Operator`]: what a call is described by, and what makes a shape;
//! * [`fit`]: coefficients from a data set, as a [`Calibration`](sglsim_kernels::Calibration) file;
//!   [`Ceilings`]: measured peaks as bounds of it;
//! * [`fit_curve`]: a few factors from the latencies of a whole deployment ([`Curve`]);
//! * [`score`]: errors per table, operator, number format and regime; [`plot`]: to look at them.
//!
//! Not here: what a simulation runs on a calibration (`sglsim-engine`), and the laws.

mod arithmetic;
mod ceiling;
mod curve;
mod dataset;
mod error;
mod errors;
mod fit;
mod format;
mod laws;
mod mapping;
mod operator;
mod plot;
mod score;
mod solver;
mod split;
mod table;
mod units;

pub use ceiling::Ceilings;
pub use curve::{Curve, CurveFit, CurvePoint, FittedPoint, Latencies, Lever, fit_curve};
pub use dataset::{Dataset, Unsupported};
pub use error::CalibrateError;
pub use errors::Errors;
pub use fit::{Fit, FitOptions, FittedCoefficient, FittedPart, Remark, fit};
pub use mapping::Mapping;
pub use operator::{Argument, Kind, Operator};
pub use plot::plot;
pub use score::{Point, Rows, Score, TableScore, score};
pub use sglsim_kernels::Regime;

pub(crate) use score::CalibrationErrors;

//! Vocabulary of sglsim: time, quantities, ids, deterministic maps and random streams.
//!
//! This crate stands under every other one and knows none of them. What it holds:
//!
//! * [`SimTime`] and [`Seconds`]: an instant and a duration of simulated time;
//! * [`Bytes`], [`BytesPerSec`], [`FlopsPerSec`]: checked quantities with their unit in the type;
//! * [`RequestId`], [`WorkerId`]: dense ids;
//! * [`DisaggregationMode`]: what a worker does in a deployment;
//! * [`HashMap`], [`HashSet`]: maps whose hasher is fixed, so that no result depends on it;
//! * [`RngStreams`]: one seed, many named and independent random streams;
//! * [`nearest`]: the known name closest to a misspelt one, for error messages.
//!
//! ```
//! use sglsim_units::{Bytes, BytesPerSec, SimTime};
//!
//! let transfer = Bytes::new(50e9)? / BytesPerSec::new(100e9)?;
//! assert_eq!((SimTime::ZERO + transfer).seconds(), 0.5);
//! # Ok::<(), sglsim_units::UnitError>(())
//! ```

mod collections;
mod ids;
mod labels;
mod mode;
mod names;
mod quantity;
mod rng;
mod time;

pub use collections::{HashMap, HashSet};
pub use ids::{RequestId, TokenCount, WorkerId};
pub use labels::Labels;
pub use mode::DisaggregationMode;
pub use names::{Nearest, nearest};
pub use quantity::{Bytes, BytesPerSec, FlopsPerSec, UnitError};
pub use rng::RngStreams;
pub use time::{Seconds, SimTime};

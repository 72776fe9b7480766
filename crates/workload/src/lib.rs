//! Requests: trace readers and synthetic generators.
//!
//! A [`Workload`] says what arrives and when; whoever simulates the system takes the requests and
//! reports their ends. This crate knows token spans and time, and nothing of a cluster.
//!
//! * [`Trace`]: recorded traces (Mooncake, Qwen, Azure, BurstGPT, plain CSV), and their replay;
//! * [`SyntheticConfig`]: arrivals, lengths, shared prefixes and conversations drawn from laws;
//! * [`MaxConcurrency`]: a bound on the requests in flight, over any other workload;
//! * [`WorkloadConfig`]: the workload section of a scenario file;
//! * `testing` (feature `testing`): a conformance suite for your own [`Workload`].
//!
//! A closed loop of 8 users who talk with the system, five turns each:
//!
//! ```
//! use sglsim_units::{RngStreams, SimTime};
//! use sglsim_workload::{Arrivals, DurationLaw, Finished, LengthLaw, Sessions, SyntheticConfig};
//!
//! let arrivals = Arrivals::ClosedLoop { concurrency: 8, think: DurationLaw::default() };
//! let mut config =
//!     SyntheticConfig::new(arrivals, LengthLaw::Fixed(100), LengthLaw::Fixed(20), 1000);
//! let (turns, think) = (LengthLaw::Fixed(5), DurationLaw::Fixed(2.0));
//! config.sessions = Some(Sessions { turns, think, max_prompt_len: None });
//!
//! let mut workload = config.build(RngStreams::new(42))?;
//! let first = workload.pop().ok_or("a request")?;
//! for _ in 1..8 {
//!     workload.pop(); // the other users
//! }
//! assert_eq!(workload.peek(), None); // all wait for an answer
//!
//! let at = SimTime::new(1.5)?;
//! workload.on_finished(&Finished { id: first.id, at, output_len: 20 });
//! let second = workload.pop().ok_or("the next turn")?;
//! assert_eq!(second.arrival.seconds(), 3.5); // the user thinks for 2 s
//! assert_eq!(second.prompt.tokens(), 100 + 20 + 100); // what was said, the answer, new words
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```

mod concurrency;
mod config;
mod content;
mod error;
mod laws;
mod request;
mod synthetic;
#[cfg(feature = "testing")]
pub mod testing;
mod trace;

pub use concurrency::MaxConcurrency;
pub use config::{TraceConfig, WorkloadConfig};
pub use content::{fresh_content, output_content, prefix_content};
pub use error::{TraceError, TraceErrorKind, WorkloadError};
pub use laws::{Arrivals, DurationLaw, LengthBin, LengthLaw};
pub use request::{Finished, Request, Workload};
pub use synthetic::{LabelLaws, Sessions, SharedPrefix, SyntheticConfig};
pub use trace::{LengthSummary, Replay, ReplayOptions, Trace, TraceFormat, TraceRow, TraceSummary};

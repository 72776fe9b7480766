//! Which worker gets a request: routing policies and the counts they decide on, as in SGLang's
//! router.
//!
//! This crate knows prompts and what the router itself has sent where. It knows nothing of
//! workers' insides, of costs or of batches: like the real router it guesses what a worker caches.
//!
//! * [`RoutePolicy`]: the seam. [`RoundRobin`], [`Random`], [`PowerOfTwo`], [`CacheAware`],
//!   [`Bucket`], [`PrefixHash`], [`ConsistentHashing`] and [`Manual`] are SGLang's;
//!   [`PolicyConfig`] is their form in a scenario file;
//! * [`Router`]: one policy over one pool, with the in-flight counts and a [`CircuitBreaker`] for
//!   each worker;
//! * [`PdRouter`]: two of them, for prefill/decode disaggregation;
//! * `testing` (feature `testing`): a conformance suite for your own [`RoutePolicy`].
//!
//! ```
//! use sglsim_radix::{Prompt, Span};
//! use sglsim_router::{PolicyConfig, RouteRequest, Router};
//! use sglsim_units::{RngStreams, SimTime, WorkerId};
//!
//! let policy = PolicyConfig::default().build(RngStreams::new(0))?; // cache_aware
//! let mut router = Router::new(policy, [WorkerId(0), WorkerId(1)]);
//!
//! let chat = Prompt::new(vec![Span::new(7, 500)]);
//! let other = Prompt::new(vec![Span::new(8, 500)]);
//! let first = router.route(&RouteRequest::new(&chat, SimTime::ZERO))?;
//! let second = router.route(&RouteRequest::new(&other, SimTime::ZERO))?;
//! let again = router.route(&RouteRequest::new(&chat, SimTime::ZERO))?;
//! assert_eq!((first, second), (WorkerId(0), WorkerId(1))); // least load
//! assert_eq!(again, first); // the worker that has seen this prompt
//! # Ok::<(), sglsim_router::RouteError>(())
//! ```

mod breaker;
mod bucket;
mod cache_aware;
mod config;
mod consistent_hashing;
mod error;
mod health;
mod limiter;
mod manual;
mod pd;
mod policy;
mod power_of_two;
mod prefix_hash;
mod random;
mod retry;
mod ring;
mod round_robin;
mod router;
#[cfg(feature = "testing")]
pub mod testing;
mod ticks;
mod tree;
mod view;

pub use breaker::{CircuitBreaker, CircuitBreakerConfig};
pub use bucket::{Bucket, BucketConfig};
pub use cache_aware::{CHARACTERS_PER_TOKEN, CacheAware, CacheAwareConfig};
pub use config::PolicyConfig;
pub use consistent_hashing::{ConsistentHashing, ConsistentHashingConfig};
pub use error::{Pool, RouteError};
pub use health::HealthCheckConfig;
pub use limiter::{Admission, Limiter, LimiterConfig};
pub use manual::{AssignmentMode, Manual, ManualConfig};
pub use pd::{PdPair, PdResponse, PdRouter};
pub use policy::RoutePolicy;
pub use power_of_two::PowerOfTwo;
pub use prefix_hash::{PrefixHash, PrefixHashConfig};
pub use random::Random;
pub use retry::RetryConfig;
pub use round_robin::RoundRobin;
pub use router::{Outcome, Response, Router};
pub use tree::{TenantMatch, TenantTree};
pub use view::{RouteRequest, RoutingKey, WorkerView};

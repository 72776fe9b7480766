//! Conformance suites: one call tests a scheduler or a queue order of your own.
//!
//! Each drives the part under test over many seeded random workloads, without an engine and without
//! latency laws, and checks its laws after every step. A broken law is a panic whose message starts
//! with the law's id and says what was seen, where, and under which settings.
//!
//! ```
//! use sglsim_sched::{LongestPrefixMatch, SglangScheduler, testing};
//!
//! testing::policy_conformance(|| Box::new(LongestPrefixMatch));
//! testing::conformance(|config| {
//!     Box::new(SglangScheduler::with_policy(config, Box::new(LongestPrefixMatch)))
//! });
//! ```

mod case;
mod drive;
mod laws;
mod policy;
pub mod seed;

use crate::{DisaggregationMode, Scheduler, SchedulerConfig};

use case::Case;

/// Workloads of each mode that a suite tries.
const CASES: u64 = 64;

/// Drives a scheduler of aggregated and of prefill workers and checks `SCHED-1` to `SCHED-8` and
/// `KV-1`.
///
/// # Panics
///
/// If a law is broken.
pub fn conformance(make: impl Fn(&SchedulerConfig) -> Box<dyn Scheduler>) {
    run(DisaggregationMode::Null, &make);
    run(DisaggregationMode::Prefill, &make);
}

/// Drives a scheduler of decode workers, to which prompts arrive after random delays, and checks
/// `SCHED-2`, `SCHED-3`, `SCHED-5` to `SCHED-8` and `KV-1`.
///
/// # Panics
///
/// If a law is broken.
pub fn decode_conformance(make: impl Fn(&SchedulerConfig) -> Box<dyn Scheduler>) {
    run(DisaggregationMode::Decode, &make);
}

pub use policy::policy_conformance;

fn run(mode: DisaggregationMode, make: &dyn Fn(&SchedulerConfig) -> Box<dyn Scheduler>) {
    for seed in 0..CASES {
        let case = Case::draw(mode, seed);
        let first = drive::drive(&case, make(&case.config).as_mut());
        let second = drive::drive(&case, make(&case.config).as_mut());
        laws::check_equal(&case, &first, &second);
    }
}
#[cfg(test)]
mod tests;

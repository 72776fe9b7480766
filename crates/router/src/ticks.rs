//! Work that is due once an interval, done before the next decision instead of on a thread.

use sglsim_units::{Seconds, SimTime};

/// Whole intervals of simulated time.
///
/// The real router has threads that wake up on the wall clock. Work that is due here is done when
/// the next decision asks: between two decisions nobody can tell the difference.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Ticks {
    interval: Seconds,
    passed: u64,
}

impl Ticks {
    /// A tick every `interval`; never if that is 0.
    pub(crate) fn every(interval: Seconds) -> Self {
        Self { interval, passed: 0 }
    }

    /// Whether a tick has passed since the last time that this was asked.
    pub(crate) fn passed(&mut self, now: SimTime) -> bool {
        if self.interval == Seconds::ZERO {
            return false;
        }
        #[expect(
            clippy::cast_possible_truncation,
            clippy::cast_sign_loss,
            reason = "a time divided by a duration, rounded down on purpose"
        )]
        let passed = (now.seconds() / self.interval.get()) as u64;
        std::mem::replace(&mut self.passed, passed) < passed
    }
}

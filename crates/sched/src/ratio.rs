//! `new_token_ratio`: the share of a request's remaining tokens that admission reserves.

/// Initial ratio at conservativeness 1 (SGLang 0.5.23, `SGLANG_INIT_NEW_TOKEN_RATIO`).
const INIT: f64 = 0.7;
/// Smallest ratio as a share of the initial one (`SGLANG_MIN_NEW_TOKEN_RATIO_FACTOR`).
const MIN_FACTOR: f64 = 0.14;
/// Decode steps from the initial ratio to the smallest (`SGLANG_NEW_TOKEN_RATIO_DECAY_STEPS`).
const DECAY_STEPS: f64 = 600.0;

/// Starts high, decays with every decode step that fits, jumps up when a retraction shows that it
/// was too low.
///
/// # Source
///
/// SGLang 0.5.23, `managers/scheduler_components/new_token_ratio_tracker.py`.
///
/// ```
/// use sglsim_sched::NewTokenRatio;
/// let mut ratio = NewTokenRatio::new(1.0);
/// assert_eq!(ratio.get(), 0.7);
/// for _ in 0..1000 {
///     ratio.decay();
/// }
/// assert!((ratio.get() - 0.098).abs() < 1e-12);
/// ```
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct NewTokenRatio {
    initial: f64,
    minimum: f64,
    current: f64,
}

impl NewTokenRatio {
    /// The tracker at its start for a given `schedule_conservativeness`.
    #[must_use]
    pub fn new(schedule_conservativeness: f64) -> Self {
        let initial = (INIT * schedule_conservativeness).min(1.0);
        Self { initial, minimum: (initial * MIN_FACTOR).min(1.0), current: initial }
    }

    /// A tracker that stands at `current`.
    #[cfg(feature = "testing")]
    pub(crate) fn at(current: f64) -> Self {
        Self { current, ..Self::new(1.0) }
    }

    /// The ratio now, in (0, 1\].
    #[must_use]
    pub fn get(self) -> f64 {
        self.current
    }

    /// The smallest ratio that decay comes to.
    #[must_use]
    pub fn minimum(self) -> f64 {
        self.minimum
    }

    /// One decode step found room.
    pub fn decay(&mut self) {
        let step = (self.initial - self.minimum) / DECAY_STEPS;
        self.current = (self.current - step).max(self.minimum);
    }

    /// A retraction left requests with `generated` tokens of at most `max_new` in all.
    pub fn after_retraction(&mut self, generated: u64, max_new: u64, room: u64) {
        self.current = ((generated + room) as f64 / (max_new + 1) as f64).min(1.0);
    }

    /// The scheduler ran out of work.
    pub fn reset(&mut self) {
        self.current = self.initial;
    }
}

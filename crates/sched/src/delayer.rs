//! Holds prefill back until it is worth a step of its own.

use std::collections::VecDeque;

use sglsim_units::SimTime;

use crate::batch::BatchState;
use crate::config::PrefillDelayerConfig;

/// Prefill attempts that are remembered (SGLang 0.5.23, `RecentPrefillBatchSizeTracker`).
const WINDOW: usize = 16;

/// Weighs a prefill that could be made now against what decoding would lose by it.
///
/// Many small prefills stop everybody's tokens many times. As long as there is not even room for a
/// batch as large as recent ones, or too few requests wait, prefill is held back, for a bounded
/// number of passes.
///
/// # Source
///
/// SGLang 0.5.23, `managers/prefill_delayer.py`, of one rank: it can prefill, or it cannot. Ranks of
/// one worker that negotiate are not modelled.
#[derive(Clone, Debug)]
pub(crate) struct PrefillDelayer {
    config: PrefillDelayerConfig,
    /// Passes that the present prefill was held back for, and since when.
    held: Option<(u32, SimTime)>,
    /// The very first one is let through.
    first: bool,
    /// Sizes of recent attempts, the newest last.
    attempts: VecDeque<usize>,
}

/// The delayer in one pass over the queue: asked at most once.
#[derive(Debug)]
pub(crate) struct DelayedPass {
    delayer: PrefillDelayer,
    now: SimTime,
    token_usage: f64,
    waiting: usize,
    verdict: Option<bool>,
    attempted: usize,
}

impl PrefillDelayer {
    pub(crate) fn new(config: PrefillDelayerConfig) -> Self {
        Self { config, held: None, first: true, attempts: VecDeque::new() }
    }

    /// A pass begins.
    pub(crate) fn begin(self, batch: &BatchState, now: SimTime) -> DelayedPass {
        let memory = batch.memory();
        DelayedPass {
            now,
            token_usage: memory.used() as f64 / memory.capacity() as f64,
            waiting: batch.waiting_queue().len(),
            verdict: None,
            attempted: 0,
            delayer: self,
        }
    }

    /// Size of the largest recent attempt.
    fn largest(&self) -> usize {
        self.attempts.iter().copied().max().unwrap_or(0)
    }

    /// Whether a prefill that could be made now is let through.
    fn allows(&mut self, batch: &BatchState, pass: (f64, usize), now: SimTime) -> bool {
        let (token_usage, waiting) = pass;
        let held = self.held.take();
        if self.config.token_usage_low_watermark.is_some_and(|low| token_usage < low) {
            return true;
        }
        let (running, largest) = (batch.running().len(), self.largest());
        let rows = batch.config().max_running_requests as usize;
        let no_room = rows.saturating_sub(running) < largest;
        let too_few = running > 0
            && self.config.queue_min_ratio.is_some_and(|ratio| {
                let most = batch.config().prefill_max_requests.map_or(largest, |n| n as usize);
                #[expect(clippy::cast_possible_truncation, reason = "SGLang's int()")]
                #[expect(clippy::cast_sign_loss, reason = "a ratio of requests is positive")]
                let least = ((running as f64 * ratio) as usize).min(most);
                let waited = held.map_or(0.0, |(_, since)| (now - since).get());
                waiting < least && waited < self.config.max_delay.get()
            });
        if !(no_room || too_few) || std::mem::take(&mut self.first) {
            return true;
        }
        let (passes, since) = held.unwrap_or((0, now));
        let holds = passes + 1 < self.config.max_delay_passes;
        self.held = holds.then_some((passes + 1, since));
        !holds
    }
}

impl DelayedPass {
    /// Whether a prompt that fits may be taken; the first answer holds for the pass.
    pub(crate) fn allows(&mut self, batch: &BatchState) -> bool {
        let rows = batch.config().micro_batch_size() as usize;
        let free = rows.saturating_sub(batch.running().len()).max(1);
        self.attempted = self.attempted.max(self.waiting.max(1).min(free));
        let (delayer, now) = (&mut self.delayer, self.now);
        let pass = (self.token_usage, self.waiting);
        *self.verdict.get_or_insert_with(|| delayer.allows(batch, pass, now))
    }

    /// The pass ends with this many requests in the batch.
    pub(crate) fn end(mut self, admitted: usize) -> PrefillDelayer {
        if self.verdict.is_none() {
            // Nothing could be prefilled: nothing is held back either.
            self.delayer.held = None;
        }
        let attempt = if admitted > 0 { admitted } else { self.attempted };
        if attempt > 0 {
            if self.delayer.attempts.len() == WINDOW {
                self.delayer.attempts.pop_front();
            }
            self.delayer.attempts.push_back(attempt);
        }
        self.delayer
    }
}

//! The clock of a rank's host tier: when copies to the host are done, and how long a step waits for what
//! comes back.

use std::collections::VecDeque;

use sglsim_kernels::HostCopyProgram;
use sglsim_radix::Backup;
use sglsim_sched::BatchState;
use sglsim_units::{Seconds, SimTime, TokenCount};

/// Copies between one rank and its host tier.
///
/// There is one stream for each direction. Copies to the host follow each other; the scheduler learns of
/// those that are done when it forms its next batch. What comes back is waited for layer by layer.
///
/// # Source
///
/// SGLang 0.5.23, `managers/cache_controller.py`, `mem_cache/unified_radix_cache.py:check_hicache_events`.
#[derive(Debug)]
pub(crate) struct HostCopies {
    law: HostCopyProgram,
    /// When the last copy to the host is done.
    write_free: SimTime,
    /// Copies to the host, and when they are done.
    under_way: VecDeque<(SimTime, Backup)>,
    /// Longest time that an eviction for the step now chosen waits for its copies.
    blocked: f64,
    /// Tokens that the step now chosen waits for.
    loaded: TokenCount,
}

impl HostCopies {
    pub(crate) fn new(law: HostCopyProgram) -> Self {
        Self { law, write_free: SimTime::ZERO, under_way: VecDeque::new(), blocked: 0.0, loaded: 0 }
    }

    /// Before a batch is formed: tells the cache what is done.
    pub(crate) fn poll(&mut self, now: SimTime, batch: &mut BatchState) {
        batch.finish_loads();
        while let Some((done, backup)) = self.under_way.front().copied()
            && done <= now
        {
            self.under_way.pop_front();
            batch.finish_backup(backup);
        }
    }

    /// After the cache was changed: starts the copies that it asks for.
    pub(crate) fn start(&mut self, now: SimTime, batch: &mut BatchState) {
        while let Some(backup) = batch.next_backup() {
            let seconds = self.law.seconds(backup.tokens);
            if backup.blocking {
                self.blocked += seconds;
                continue;
            }
            let seconds = Seconds::new(seconds).expect("a copy law is finite and not negative");
            self.write_free = self.write_free.max(now) + seconds;
            self.under_way.push_back((self.write_free, backup));
        }
        self.loaded += batch.take_loaded();
    }

    /// Time of the step now chosen, which takes `step` \[s\] without any copy \[s\].
    pub(crate) fn step_seconds(&mut self, step: f64) -> f64 {
        let blocked = std::mem::take(&mut self.blocked);
        let loaded = std::mem::take(&mut self.loaded);
        blocked + self.law.step_seconds(step, loaded)
    }

    /// When the next copy to the host is done.
    pub(crate) fn next_done(&self) -> Option<SimTime> {
        self.under_way.front().map(|(done, _)| *done)
    }
}

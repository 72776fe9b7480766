//! To where the prompt has been before, unless that makes the pool lopsided.

use sglsim_units::Seconds;

use crate::policy::{count_healthy, healthy, nth_healthy};
use crate::{RouteError, RoutePolicy, RouteRequest, TenantTree, WorkerView};

/// SGLang's default policy: an approximate tree of what was sent where, and least load.
///
/// ```text
/// l_min, l_max = least and greatest load of the pool, unhealthy workers included
/// if l_max - l_min > balance_abs_threshold and l_max > balance_rel_threshold * l_min:
///     the healthy worker with least load
/// else if matched / prompt > cache_threshold:
///     the tenant of the longest match, or the first healthy worker if that is not to be had
/// else:
///     the healthy worker with least load
/// ```
///
/// Load is the number of requests in flight; of equal loads the first worker wins. The prompt is
/// then entered in the tree for the chosen worker. Comparisons are strict, an empty prompt matches
/// nothing. Whether a worker still has what the tree says is never checked.
///
/// # Source
///
/// sglang-router 0.3.2, `policies/cache_aware.rs`, with two differences. The real router's tree is
/// over the characters of the text, this one over tokens: shares and sizes in characters are taken
/// to be proportional ([`CHARACTERS_PER_TOKEN`](CacheAwareConfig::CHARACTERS_PER_TOKEN)). And the
/// real eviction thread runs on the wall clock; here an eviction that is due runs before the next
/// decision, which nobody can tell apart.
#[derive(Clone, Debug)]
pub struct CacheAware {
    config: CacheAwareConfig,
    tree: TenantTree,
    /// Eviction intervals that had passed at the last eviction.
    intervals: u64,
}

/// Parameters of [`CacheAware`], in the units of SGLang's command line.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct CacheAwareConfig {
    /// Share of the prompt that must match, between 0 and 1.
    pub cache_threshold: f64,
    /// Difference of loads above which the pool may be out of balance \[request\].
    pub balance_abs_threshold: u32,
    /// Ratio of loads above which the pool may be out of balance, at least 1.
    pub balance_rel_threshold: f64,
    /// Time between evictions \[s\]; 0 for never.
    pub eviction_interval: Seconds,
    /// Size of one worker's part of the tree that an eviction leaves \[character\].
    pub max_tree_size: u64,
}

impl CacheAwareConfig {
    /// Characters of text that one token stands for \[1\].
    ///
    /// Assumed, a common figure for English text. It only scales `max_tree_size`.
    pub const CHARACTERS_PER_TOKEN: u64 = 4;

    fn check(&self) -> Result<(), RouteError> {
        let rules = [
            (
                "cache_threshold",
                self.cache_threshold,
                (0.0..=1.0).contains(&self.cache_threshold),
                "0 to 1",
            ),
            (
                "balance_rel_threshold",
                self.balance_rel_threshold,
                self.balance_rel_threshold >= 1.0 && self.balance_rel_threshold.is_finite(),
                ">= 1 and finite",
            ),
        ];
        match rules.into_iter().find(|(.., is_allowed, _)| !is_allowed) {
            None => Ok(()),
            Some((field, value, _, allowed)) => {
                Err(RouteError::OutOfRange { field, value, allowed })
            }
        }
    }
}

/// The defaults of SGLang's command line (`router_args.py`), not those of its library.
impl Default for CacheAwareConfig {
    fn default() -> Self {
        Self {
            cache_threshold: 0.3,
            balance_abs_threshold: 64,
            balance_rel_threshold: 1.5,
            eviction_interval: Seconds::new(60.0).expect("60 s is a duration"),
            max_tree_size: 1 << 26,
        }
    }
}

impl CacheAware {
    /// A policy that has seen nothing.
    ///
    /// # Errors
    ///
    /// [`RouteError::OutOfRange`] if a threshold is outside its range.
    pub fn new(config: CacheAwareConfig) -> Result<Self, RouteError> {
        config.check()?;
        Ok(Self { config, tree: TenantTree::new(), intervals: 0 })
    }

    /// What the policy believes to be where.
    #[must_use]
    pub fn tree(&self) -> &TenantTree {
        &self.tree
    }

    fn is_imbalanced(&self, workers: &[WorkerView]) -> bool {
        let loads = || workers.iter().map(WorkerView::in_flight);
        let (least, most) = (loads().min().unwrap_or(0), loads().max().unwrap_or(0));
        most - least > self.config.balance_abs_threshold
            && f64::from(most) > self.config.balance_rel_threshold * f64::from(least)
    }

    /// Position of the tenant of the longest match, if the match is long enough.
    fn affine(&mut self, request: &RouteRequest<'_>, workers: &[WorkerView]) -> Option<usize> {
        let prompt = request.prompt();
        let found = self.tree.match_prefix(prompt);
        #[expect(clippy::cast_precision_loss, reason = "prompts are far below 2^53 tokens")]
        let rate = found.tokens as f64 / prompt.tokens().max(1) as f64;
        if rate <= self.config.cache_threshold {
            return Some(least_loaded(workers));
        }
        let tenant = found.tenant?;
        let position = workers.iter().position(|worker| worker.id() == tenant);
        if position.is_none() {
            self.tree.remove_tenant(tenant);
        }
        position.filter(|&position| workers[position].is_healthy())
    }

    fn evict_if_due(&mut self, request: &RouteRequest<'_>) {
        let interval = self.config.eviction_interval.get();
        if interval == 0.0 {
            return;
        }
        #[expect(
            clippy::cast_possible_truncation,
            clippy::cast_sign_loss,
            reason = "a time divided by a duration, rounded down on purpose"
        )]
        let intervals = (request.now().seconds() / interval) as u64;
        if intervals > self.intervals {
            self.intervals = intervals;
            let tokens = self.config.max_tree_size / CacheAwareConfig::CHARACTERS_PER_TOKEN;
            self.tree.evict_above(tokens);
        }
    }
}

impl RoutePolicy for CacheAware {
    fn name(&self) -> &str {
        "cache_aware"
    }

    fn route(
        &mut self,
        request: &RouteRequest<'_>,
        workers: &[WorkerView],
    ) -> Result<usize, RouteError> {
        count_healthy(self.name(), workers)?;
        self.evict_if_due(request);
        let choice = if self.is_imbalanced(workers) {
            least_loaded(workers)
        } else {
            self.affine(request, workers).unwrap_or_else(|| nth_healthy(workers, 0))
        };
        self.tree.insert(request.prompt(), workers[choice].id());
        Ok(choice)
    }

    fn on_removed(&mut self, worker: sglsim_units::WorkerId) {
        self.tree.remove_tenant(worker);
    }
}

/// Position of the first healthy worker with least load; there is one.
fn least_loaded(workers: &[WorkerView]) -> usize {
    healthy(workers)
        .min_by_key(|&position| workers[position].in_flight())
        .expect("a healthy worker was counted")
}

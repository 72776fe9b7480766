//! To where the prompt has been before, unless that makes the pool lopsided.

use rand::RngExt;
use rand_pcg::Pcg64Mcg;
use serde::{Deserialize, Serialize};
use sglsim_radix::Prompt;
use sglsim_units::{RngStreams, Seconds, WorkerId};

use crate::policy::first_least;
use crate::ticks::Ticks;
use crate::{RouteError, RoutePolicy, RouteRequest, TenantTree, WorkerView};

/// SGLang's default policy: an approximate tree of what was sent where, and least load.
///
/// ```text
/// l_min, l_max = least and greatest load of the workers that may be chosen
/// if l_max - l_min > balance_abs_threshold and l_max > balance_rel_threshold * l_min:
///     the worker with least load
/// else if matched / prompt > cache_threshold:
///     the tenant of the longest match, or the first worker if that may not be chosen
/// else:
///     the worker with least load
/// ```
///
/// Load is the number of requests in flight; of equal loads the first worker wins. The prompt is
/// then entered in the tree for the chosen worker, but not if a tenant was missing: that tenant is
/// forgotten altogether, even if only its circuit breaker is open. Comparisons are strict, an empty
/// prompt matches nothing. Whether a worker still has what the tree says is never checked.
///
/// Without a tree (`has_tree: false`) the second and third rule are: any worker, at random. That is
/// what sglang-router 0.3.2 does before prefill and decode pools, whose trees it never makes; later
/// versions do.
///
/// # Source
///
/// sglang-router 0.3.2, `policies/cache_aware.rs`, with two differences. The real router's tree is
/// over the characters of the text, this one over tokens: shares and sizes in characters are taken
/// to be proportional ([`CHARACTERS_PER_TOKEN`]). And the real eviction thread runs on the wall
/// clock; here an eviction that is due runs before the next decision, which nobody can tell apart.
#[derive(Clone, Debug)]
pub struct CacheAware {
    config: CacheAwareConfig,
    tree: TenantTree,
    evictions: Ticks,
    rng: Pcg64Mcg,
}

/// Parameters of [`CacheAware`], in the units of SGLang's command line.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
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
    /// Characters of text that one token stands for \[1\]; scales `max_tree_size`.
    pub characters_per_token: u64,
    /// Whether there is a tree at all.
    pub has_tree: bool,
}

/// Characters of text that one token stands for, unless a scenario says otherwise \[1\].
///
/// Assumed: a common figure for English text.
pub const CHARACTERS_PER_TOKEN: u64 = 4;

impl CacheAwareConfig {
    fn check(&self) -> Result<(), RouteError> {
        RouteError::check("cache_threshold", self.cache_threshold, 0.0..=1.0, "0 to 1")?;
        let ratio = self.balance_rel_threshold;
        RouteError::check("balance_rel_threshold", ratio, 1.0..=1e6, "1 to 1e6")?;
        RouteError::check("characters_per_token", self.characters_per_token, 1.., "at least 1")
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
            characters_per_token: CHARACTERS_PER_TOKEN,
            has_tree: true,
        }
    }
}

impl CacheAware {
    /// A policy that has seen nothing; without a tree it draws from the stream
    /// `router/cache_aware`.
    ///
    /// # Errors
    ///
    /// [`RouteError::OutOfRange`] if a threshold is outside its range.
    pub fn new(config: CacheAwareConfig, streams: RngStreams) -> Result<Self, RouteError> {
        config.check()?;
        let evictions = Ticks::every(config.eviction_interval);
        let rng = streams.stream("router/cache_aware");
        Ok(Self { config, tree: TenantTree::new(), evictions, rng })
    }

    /// What the policy believes to be where.
    #[must_use]
    pub fn tree(&self) -> &TenantTree {
        &self.tree
    }

    #[expect(
        clippy::cast_precision_loss,
        clippy::cast_possible_truncation,
        reason = "the real router compares in f32"
    )]
    fn is_imbalanced(&self, workers: &[WorkerView]) -> bool {
        let loads = || workers.iter().map(WorkerView::in_flight);
        let (least, most) = (loads().min().unwrap_or(0), loads().max().unwrap_or(0));
        most - least > self.config.balance_abs_threshold
            && most as f32 > self.config.balance_rel_threshold as f32 * least as f32
    }

    /// The tenant of the longest match, if the match is long enough.
    #[expect(
        clippy::cast_precision_loss,
        clippy::cast_possible_truncation,
        reason = "the real router compares in f32"
    )]
    fn affine(&mut self, prompt: &Prompt) -> Option<WorkerId> {
        let found = self.tree.match_prefix(prompt);
        let rate = found.tokens as f32 / prompt.tokens().max(1) as f32;
        found.tenant.filter(|_| rate > self.config.cache_threshold as f32)
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
        if self.evictions.passed(request.now()) {
            self.tree.evict_above(self.config.max_tree_size / self.config.characters_per_token);
        }
        let is_imbalanced = self.is_imbalanced(workers);
        if !self.config.has_tree && !is_imbalanced {
            return Ok(self.rng.random_range(0..workers.len()));
        }
        let prompt = request.prompt();
        let tenant = if is_imbalanced { None } else { self.affine(prompt) };
        let choice = match tenant {
            None => first_least(workers, WorkerView::in_flight),
            Some(tenant) => match workers.iter().position(|worker| worker.id() == tenant) {
                Some(position) => position,
                None => {
                    self.tree.remove_tenant(tenant);
                    return Ok(0);
                }
            },
        };
        self.tree.insert(prompt, workers[choice].id());
        Ok(choice)
    }

    fn on_removed(&mut self, worker: WorkerId) {
        self.tree.remove_tenant(worker);
    }
}

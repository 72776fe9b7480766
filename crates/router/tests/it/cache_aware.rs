//! `cache_aware` by hand: thresholds, ties, stale tenants, eviction.

use sglsim_radix::{Prompt, Span};
use sglsim_router::{CacheAware, CacheAwareConfig, RoutePolicy, RouteRequest, WorkerView};
use sglsim_units::{RngStreams, Seconds, SimTime, WorkerId};

fn prompt(spans: &[(u64, u32)]) -> Prompt {
    spans.iter().map(|&(content, len)| Span::new(content, len)).collect()
}

fn workers<const N: usize>(loads: [u32; N]) -> [WorkerView; N] {
    std::array::from_fn(|at| WorkerView::new(WorkerId::from_index(at)).with_in_flight(loads[at]))
}

fn policy(config: CacheAwareConfig) -> CacheAware {
    CacheAware::new(config, RngStreams::new(0)).expect("allowed")
}

fn route(policy: &mut CacheAware, prompt: &Prompt, at: f64, workers: &[WorkerView]) -> usize {
    let now = SimTime::new(at).expect("allowed");
    policy.route(&RouteRequest::new(prompt, now), workers).expect("some worker is healthy")
}

#[test]
fn a_match_must_exceed_the_threshold() {
    // A threshold that halves exactly, so that 5 of 10 tokens are on it and 6 above.
    let mut policy =
        policy(CacheAwareConfig { cache_threshold: 0.5, ..CacheAwareConfig::default() });
    assert_eq!(route(&mut policy, &prompt(&[(1, 100)]), 0.0, &workers([0, 0])), 0);
    assert_eq!(route(&mut policy, &prompt(&[(1, 5), (2, 5)]), 0.0, &workers([1, 0])), 1);
    assert_eq!(route(&mut policy, &prompt(&[(1, 6), (3, 4)]), 0.0, &workers([1, 0])), 0);
}

#[test]
fn least_load_takes_the_first_of_equals() {
    let mut policy = policy(CacheAwareConfig::default());
    assert_eq!(route(&mut policy, &prompt(&[(1, 10)]), 0.0, &workers([2, 1, 1])), 1);
    assert_eq!(route(&mut policy, &prompt(&[]), 0.0, &workers([0, 0, 0])), 0);
}

#[test]
fn a_lopsided_pool_is_balanced_first() {
    let mut policy = policy(CacheAwareConfig::default());
    let chat = prompt(&[(1, 10)]);
    assert_eq!(route(&mut policy, &chat, 0.0, &workers([0, 0])), 0);
    // Both comparisons are strict: 64 more is not too many, 1.5 times as many neither.
    assert_eq!(route(&mut policy, &chat, 0.0, &workers([64, 0])), 0);
    assert_eq!(route(&mut policy, &chat, 0.0, &workers([300, 200])), 0);
    assert_eq!(route(&mut policy, &chat, 0.0, &workers([301, 200])), 1);
    // The node was made for worker 0, which is chosen again once the pool is level.
    assert_eq!(route(&mut policy, &chat, 0.0, &workers([65, 0])), 1);
    assert_eq!(route(&mut policy, &chat, 0.0, &workers([0, 0])), 0);
}

#[test]
fn a_tenant_that_may_not_be_chosen_is_forgotten() {
    let mut policy = policy(CacheAwareConfig::default());
    let chat = prompt(&[(1, 10)]);
    assert_eq!(route(&mut policy, &chat, 0.0, &workers([0, 0])), 0);
    let rest = &workers([0, 0])[1..];
    assert_eq!(route(&mut policy, &chat, 0.0, rest), 0);
    assert_eq!(policy.tree().size(WorkerId(0)), 0);
    assert_eq!(policy.tree().size(WorkerId(1)), 0, "a prompt of last resort is not entered");
    assert_eq!(route(&mut policy, &chat, 0.0, rest), 0);
    assert_eq!(policy.tree().size(WorkerId(1)), 10);
}

#[test]
fn eviction_runs_once_an_interval() {
    let interval = Seconds::new(60.0).unwrap();
    // Room for 25 tokens at 4 characters each.
    let config = CacheAwareConfig {
        eviction_interval: interval,
        max_tree_size: 100,
        ..CacheAwareConfig::default()
    };
    let mut policy = policy(config);
    let pool = workers([0]);
    for content in 0..5 {
        route(&mut policy, &prompt(&[(content, 10)]), 59.0, &pool);
    }
    assert_eq!(policy.tree().size(WorkerId(0)), 50);
    route(&mut policy, &prompt(&[(5, 10)]), 60.0, &pool);
    assert_eq!(policy.tree().size(WorkerId(0)), 30, "two prompts stay, one is new");
    route(&mut policy, &prompt(&[(6, 10)]), 119.0, &pool);
    assert_eq!(policy.tree().size(WorkerId(0)), 40);
    let never = CacheAwareConfig { eviction_interval: Seconds::ZERO, ..config };
    let mut policy = CacheAware::new(never, RngStreams::new(0)).unwrap();
    for content in 0..5 {
        route(&mut policy, &prompt(&[(content, 10)]), 1e6, &pool);
    }
    assert_eq!(policy.tree().size(WorkerId(0)), 50);
}

//! SGLang's policies keep the laws, and the suite notices a policy that does not.

use std::panic::{AssertUnwindSafe, catch_unwind};

use sglsim_router::{
    CacheAwareConfig, PolicyConfig, RouteError, RoutePolicy, RouteRequest, WorkerView, testing,
};
use sglsim_units::{RngStreams, Seconds};

use crate::read;

#[test]
fn policies_of_sglang_keep_the_laws() {
    let eager = CacheAwareConfig {
        cache_threshold: 0.0,
        balance_abs_threshold: 2,
        eviction_interval: Seconds::new(10.0).unwrap(),
        ..CacheAwareConfig::default()
    };
    for config in [
        PolicyConfig::RoundRobin,
        PolicyConfig::Random,
        PolicyConfig::PowerOfTwo,
        PolicyConfig::default(),
        PolicyConfig::CacheAware(eager),
        read("Bucket()").unwrap(),
        read("Bucket(balance_abs_threshold: 10, balance_rel_threshold: 1.0)").unwrap(),
        read("ConsistentHashing()").unwrap(),
        read("Manual()").unwrap(),
        read("Manual(assignment_mode: MinLoad, max_idle: 100.0)").unwrap(),
        read("Manual(assignment_mode: MinGroup)").unwrap(),
    ] {
        let make = || config.build(RngStreams::new(5)).unwrap();
        testing::conformance(make);
        testing::symmetry(make);
    }
    // On a ring every name has its places.
    for text in ["PrefixHash(prefix_token_count: 3)", "ConsistentHashing(hash_ring: true)"] {
        testing::conformance(|| read(text).unwrap().build(RngStreams::new(5)).unwrap());
    }
    // With a tree that is emptied all the time.
    let forgetful = CacheAwareConfig { max_tree_size: 0, ..eager };
    testing::conformance(|| PolicyConfig::CacheAware(forgetful).build(RngStreams::new(5)).unwrap());
}

type Choose = fn(&[WorkerView]) -> Result<usize, RouteError>;

#[derive(Debug)]
struct Wrong(Choose);

impl RoutePolicy for Wrong {
    fn name(&self) -> &str {
        "wrong"
    }

    fn route(
        &mut self,
        _request: &RouteRequest<'_>,
        workers: &[WorkerView],
    ) -> Result<usize, RouteError> {
        (self.0)(workers)
    }
}

#[test]
fn a_broken_law_is_named() {
    let lost: Choose = |workers| Ok(workers.len());
    let gives_up: Choose = |_| Err(RouteError::NoWorkers { policy: "wrong".to_owned() });
    let cases = [
        (lost, "1: the choice is a position in `workers`"),
        (gives_up, "2: a request that cannot be placed is `NotPlaced`"),
    ];
    for (wrong, law) in cases {
        let check = || testing::conformance(|| Box::new(Wrong(wrong)));
        let message = catch_unwind(AssertUnwindSafe(check)).expect_err("the mistake is found");
        let message = message.downcast_ref::<String>().expect("a formatted message");
        assert!(message.contains(law), "{message}");
    }
}

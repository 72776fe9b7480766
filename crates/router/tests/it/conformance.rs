//! SGLang's policies keep the laws, and the suite notices a policy that does not.

use std::panic::{AssertUnwindSafe, catch_unwind};

use sglsim_router::{
    CacheAwareConfig, PolicyConfig, RouteError, RoutePolicy, RouteRequest, WorkerView, testing,
};
use sglsim_units::{RngStreams, Seconds};

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
        eager.into(),
    ] {
        let make = || config.build(RngStreams::new(5)).unwrap();
        testing::conformance(make);
        testing::symmetry(make);
    }
    // With a tree that is emptied all the time.
    let forgetful = CacheAwareConfig { max_tree_size: 0, ..eager };
    testing::conformance(|| PolicyConfig::from(forgetful).build(RngStreams::new(5)).unwrap());
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
    let ignores_health: Choose = |workers| match workers.len() {
        0 => Err(RouteError::NoWorkers { policy: "wrong".to_owned() }),
        _ => Ok(0),
    };
    let cases = [
        (ignores_health, "1: the chosen worker is healthy"),
        (|workers| Ok(workers.len()), "1: the choice is a position in `workers`"),
    ];
    for (wrong, law) in cases {
        let check = || testing::conformance(|| Box::new(Wrong(wrong)));
        let message = catch_unwind(AssertUnwindSafe(check)).expect_err("the mistake is found");
        let message = message.downcast_ref::<String>().expect("a formatted message");
        assert!(message.contains(law), "{message}");
    }
}

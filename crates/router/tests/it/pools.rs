//! Routers over one pool and over two.

use std::error::Error;

use sglsim_radix::{Prompt, Span};
use sglsim_router::{
    Outcome, PdResponse, PdRouter, PolicyConfig, Pool, PowerOfTwo, Random, Response, RouteError,
    RoutePolicy, RouteRequest, Router, WorkerView,
};
use sglsim_units::{RngStreams, SimTime, WorkerId};

fn prompt(content: u64) -> Prompt {
    Prompt::new(vec![Span::new(content, 100)])
}

fn well(worker: WorkerId) -> Response {
    Response { worker, routing_key: None, outcome: Outcome::Success, at: SimTime::ZERO }
}

fn router(config: PolicyConfig, workers: std::ops::Range<u32>) -> Router {
    let policy = config.build(RngStreams::new(3)).expect("allowed");
    Router::new(policy, workers.map(WorkerId))
}

#[test]
fn what_is_in_flight_is_counted() {
    let mut router = router(PolicyConfig::RoundRobin, 4..6);
    let prompt = prompt(1);
    let request = RouteRequest::new(&prompt, SimTime::ZERO);
    let first = router.route(&request).unwrap();
    router.route(&request).unwrap();
    router.route(&request).unwrap();
    let in_flight = |router: &Router| router.in_flight().map(|(_, count)| count).sum();
    let total: u32 = in_flight(&router);
    assert_eq!((first, total), (WorkerId(4), 3));
    router.finished(&well(first)).unwrap();
    assert_eq!(in_flight(&router), 2);
    let unknown = router.finished(&well(WorkerId(9))).unwrap_err();
    assert_eq!(unknown.to_string(), "w9 is not in this pool of 2 workers");
}

#[test]
fn round_robin_counts_over_the_healthy() {
    let mut router = router(PolicyConfig::RoundRobin, 0..3);
    router.set_health(WorkerId(1), false).unwrap();
    let prompt = prompt(1);
    let choices: Vec<u32> = (0..4)
        .map(|_| router.route(&RouteRequest::new(&prompt, SimTime::ZERO)).unwrap().0)
        .collect();
    assert_eq!(choices, [0, 2, 0, 2]);
}

#[test]
fn a_worker_can_leave() {
    let mut router = router(PolicyConfig::default(), 0..2);
    let prompt = prompt(1);
    let request = RouteRequest::new(&prompt, SimTime::ZERO);
    assert_eq!(router.route(&request).unwrap(), WorkerId(0));
    router.remove_worker(WorkerId(0)).unwrap();
    assert_eq!(router.route(&request).unwrap(), WorkerId(1));
    router.remove_worker(WorkerId(1)).unwrap();
    let error = router.route(&request).unwrap_err();
    assert_eq!(error.to_string(), "`cache_aware` has no workers to choose from");
}

#[test]
fn random_is_uniform() {
    let views = [0, 1, 2].map(|at| WorkerView::new(WorkerId(at)));
    let mut policy = Random::new(RngStreams::new(11));
    let prompt = prompt(1);
    let mut counts = [0_u32; 3];
    for _ in 0..3000 {
        counts[policy.route(&RouteRequest::new(&prompt, SimTime::ZERO), &views).unwrap()] += 1;
    }
    // 1000 expected, standard deviation 26.
    assert!(counts.iter().all(|count| count.abs_diff(1000) < 130), "{counts:?}");
}

#[test]
fn power_of_two_prefers_polled_tokens_and_never_takes_the_worst() {
    let mut policy = PowerOfTwo::new(RngStreams::new(1));
    let prompt = prompt(1);
    let request = RouteRequest::new(&prompt, SimTime::ZERO);
    let view = |id, in_flight, tokens| {
        WorkerView::new(WorkerId(id)).with_in_flight(in_flight).with_polled_tokens(tokens)
    };
    // By tokens the first is worst, by requests the last.
    let polled = [view(0, 1, Some(900)), view(1, 2, Some(500)), view(2, 3, Some(100))];
    let silent = [view(0, 1, None), view(1, 2, None), view(2, 3, None)];
    for _ in 0..200 {
        assert_ne!(policy.route(&request, &polled).unwrap(), 0);
        assert_ne!(policy.route(&request, &silent).unwrap(), 2);
    }
}

#[test]
fn pools_are_independent_and_errors_count_nothing() {
    let prefill = router(PolicyConfig::default(), 0..2);
    let decode = router(PolicyConfig::RoundRobin, 2..4);
    let mut pair = PdRouter::new(prefill, decode);
    let (chat, other) = (prompt(1), prompt(2));
    let first = pair.route(&RouteRequest::new(&chat, SimTime::ZERO)).unwrap();
    let second = pair.route(&RouteRequest::new(&other, SimTime::ZERO)).unwrap();
    let again = pair.route(&RouteRequest::new(&chat, SimTime::ZERO)).unwrap();
    assert_eq!([first, second, again].map(|p| p.prefill.0), [0, 1, 0]);
    assert_eq!([first, second, again].map(|p| p.decode.0), [2, 3, 2]);

    for worker in [2, 3].map(WorkerId) {
        pair.pool_mut(Pool::Decode).set_health(worker, false).unwrap();
    }
    let load = |router: &Router| router.in_flight().map(|(_, count)| count).sum::<u32>();
    let error = pair.route(&RouteRequest::new(&chat, SimTime::ZERO)).unwrap_err();
    assert!(matches!(error, RouteError::Pool { pool: Pool::Decode, .. }));
    assert_eq!(error.to_string(), "cannot route to the decode pool");
    assert_eq!(
        error.source().unwrap().to_string(),
        "`round_robin` has no worker to choose: all 2 are unhealthy or cut off by their circuit breaker"
    );
    assert_eq!((load(pair.prefill()), load(pair.decode())), (3, 3));
    for done in [first, second, again] {
        let (prefill, decode) = (Outcome::Success, Outcome::Success);
        let at = SimTime::ZERO;
        pair.finished(&PdResponse { pair: done, routing_key: None, prefill, decode, at }).unwrap();
    }
    assert_eq!((load(pair.prefill()), load(pair.decode())), (0, 0));
}

#[derive(Debug)]
struct Lost;

impl RoutePolicy for Lost {
    fn name(&self) -> &str {
        "lost"
    }

    fn route(&mut self, _: &RouteRequest<'_>, workers: &[WorkerView]) -> Result<usize, RouteError> {
        Ok(workers.len() + 5)
    }
}

#[test]
fn a_policy_that_chooses_nobody_is_an_error() {
    let mut router = Router::new(Box::new(Lost), [WorkerId(0)]);
    let prompt = prompt(1);
    let error = router.route(&RouteRequest::new(&prompt, SimTime::ZERO)).unwrap_err();
    assert_eq!(error.to_string(), "`lost` chose position 6 of 1 workers");
}

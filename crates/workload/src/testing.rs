//! Conformance suite for authors of workloads, and a toy server to drive them with.

use std::cmp::Reverse;
use std::collections::BinaryHeap;

use proptest::prelude::*;
use sglsim_units::{RequestId, Seconds, SimTime};

use crate::{
    Arrivals, DurationLaw, Finished, LengthBin, LengthLaw, Request, Sessions, SharedPrefix,
    SyntheticConfig, Workload,
};

/// How a workload went on a toy server that serves everyone at once.
#[derive(Clone, Debug, PartialEq)]
pub struct Served {
    /// The requests, in order of arrival.
    pub requests: Vec<Request>,
    /// When each was finished.
    pub finished: Vec<SimTime>,
    /// Most requests in flight at one time. An end at the instant of an arrival counts as earlier.
    pub most_in_flight: usize,
}

/// Drives `workload` to its end, or to `limit` requests: request *r* finishes `service(r)` after its
/// arrival. Checks laws 1 to 4 and 7 of [`Workload`] on the way.
///
/// # Panics
///
/// If a law is broken.
pub fn serve(
    workload: &mut dyn Workload,
    limit: usize,
    service: impl Fn(&Request) -> Seconds,
) -> Served {
    let mut served = Served { requests: Vec::new(), finished: Vec::new(), most_in_flight: 0 };
    let mut running: BinaryHeap<Reverse<(SimTime, RequestId)>> = BinaryHeap::new();
    let mut now = SimTime::ZERO;
    while served.requests.len() < limit {
        let arrival = workload.peek();
        assert_eq!(workload.peek(), arrival, "law 1: asking for the next arrival changed it");
        match (arrival, running.peek()) {
            (None, None) => {
                assert!(workload.pop().is_none(), "law 1: a request came that was not announced");
                assert!(workload.peek().is_none(), "law 1: a workload that has ended began again");
                return served;
            }
            (arrival, Some(Reverse((end, _)))) if arrival.is_none_or(|at| *end <= at) => {
                let Some(Reverse((at, id))) = running.pop() else { unreachable!("just seen") };
                assert!(at >= now, "law 2: an arrival at {now} came after an end at {at}");
                now = at;
                let output_len = served.requests[id.index()].output_len;
                workload.on_finished(&Finished { id, at, output_len });
                if let Some(next) = workload.peek() {
                    assert!(next >= now, "law 2: an end at {now} released an arrival at {next}");
                }
            }
            (arrival, _) => {
                if let Some(by) = workload.released_by() {
                    let ended = served.finished.get(by.index());
                    let known = ended.is_some_and(|end| *end <= now && Some(*end) <= arrival);
                    assert!(known, "law 7: {by} released an arrival before its end");
                }
                let request = workload.pop();
                let request = request.expect("law 1: an announced request did not come");
                assert_eq!(Some(request.arrival), arrival, "law 1: {request:?}");
                assert!(request.arrival >= now, "law 2: time went back from {now}: {request:?}");
                assert_eq!(request.id.index(), served.requests.len(), "law 3: {request:?}");
                check_lengths(&request);
                now = request.arrival;
                let end = now + service(&request);
                running.push(Reverse((end, request.id)));
                served.most_in_flight = served.most_in_flight.max(running.len());
                served.finished.push(end);
                served.requests.push(request);
            }
        }
    }
    served
}

fn check_lengths(request: &Request) {
    let spans = request.prompt.elements();
    assert!(!spans.is_empty(), "law 4: an empty prompt: {request:?}");
    assert!(spans.iter().all(|span| span.len > 0), "law 4: an empty span: {request:?}");
    assert!(request.output_len >= 1, "law 4: an empty output: {request:?}");
    assert!(request.max_new_tokens >= request.output_len, "law 4: a limit too low: {request:?}");
}

/// Checks the laws of [`Workload`] on what `make` makes, against a slow and a fast server.
///
/// At most 10,000 requests are taken. `make` must make the same workload each time.
///
/// ```
/// use sglsim_units::RngStreams;
/// use sglsim_workload::{Arrivals, LengthLaw, SyntheticConfig, testing};
///
/// testing::conformance(|| {
///     let arrivals = Arrivals::Poisson { rate: 3.0 };
///     SyntheticConfig::new(arrivals, LengthLaw::Fixed(100), LengthLaw::Fixed(10), 50)
///         .build(RngStreams::new(1))
///         .expect("the configuration is valid")
/// });
/// ```
///
/// # Panics
///
/// If a law is broken.
pub fn conformance(make: impl Fn() -> Box<dyn Workload>) {
    const LIMIT: usize = 10_000;
    for seconds_per_token in [0.0, 1e-3, 1.0] {
        let service = |request: &Request| {
            Seconds::new(f64::from(request.output_len) * seconds_per_token)
                .expect("a product of finite numbers")
        };
        let mut workload = make();
        let (name, total) = (workload.name().to_owned(), workload.total());
        assert!(!name.is_empty(), "a workload has a name");
        let served = serve(&mut *workload, LIMIT, service);
        if let Some(total) = total {
            let expected = usize::try_from(total).unwrap_or(usize::MAX).min(LIMIT);
            assert_eq!(served.requests.len(), expected, "law 5: {name} has another total");
        }
        let again = serve(&mut *make(), LIMIT, service);
        assert!(served == again, "law 6: {name} differs from itself");
    }
}

/// Laws of lengths up to a few thousand tokens.
pub fn length_law() -> impl Strategy<Value = LengthLaw> {
    let bin = (1..500_u32, 0..500_u32, 0.1..10.0_f64).prop_map(|(min, more, weight)| LengthBin {
        min,
        max: min + more,
        weight,
    });
    prop_oneof![
        (1..2000_u32).prop_map(LengthLaw::Fixed),
        (1..500_u32, 0..2000_u32)
            .prop_map(|(min, more)| LengthLaw::Uniform { min, max: min + more }),
        (1..2000_u32, 0.0..=1.0_f64)
            .prop_map(|(len, range_ratio)| LengthLaw::Random { len, range_ratio }),
        (1.0..1000.0_f64, 0.0..4.0_f64).prop_map(|(mean, cv)| LengthLaw::LogNormal {
            mean,
            cv,
            max: 4000
        }),
        (1.0..1000.0_f64, 0.0..2.0_f64).prop_map(|(median, sigma)| LengthLaw::LogNormalMedian {
            median,
            sigma,
            max: 4000
        }),
        (0.0..3.0_f64, 1..2000_u32).prop_map(|(exponent, max)| LengthLaw::Zipf { exponent, max }),
        proptest::collection::vec(bin, 1..5).prop_map(LengthLaw::Histogram),
    ]
}

/// Laws of durations of about a second.
pub fn duration_law() -> impl Strategy<Value = DurationLaw> {
    prop_oneof![
        (0.0..3.0_f64).prop_map(DurationLaw::Fixed),
        (0.0..3.0_f64).prop_map(|mean| DurationLaw::Exponential { mean }),
        (0.1..3.0_f64, 0.0..2.0_f64).prop_map(|(mean, cv)| DurationLaw::LogNormal { mean, cv }),
    ]
}

/// Laws of arrivals of a few per second.
pub fn arrivals() -> impl Strategy<Value = Arrivals> {
    prop_oneof![
        (0.1..50.0_f64).prop_map(|rate| Arrivals::Poisson { rate }),
        (0.1..50.0_f64, 0.1..10.0_f64).prop_map(|(rate, cv)| Arrivals::Gamma { rate, cv }),
        (0.1..50.0_f64).prop_map(|rate| Arrivals::Constant { rate }),
        Just(Arrivals::Burst),
        (1..20_u32, 0.1..9.0_f64).prop_map(|(size, every)| Arrivals::Batches { size, every }),
        (1..40_u32, duration_law())
            .prop_map(|(concurrency, think)| Arrivals::ClosedLoop { concurrency, think }),
    ]
}

/// Valid configurations of up to `max_requests` requests, with and without shared prefixes,
/// conversations and bounds.
pub fn synthetic_config(max_requests: u64) -> impl Strategy<Value = SyntheticConfig> {
    let turns =
        (1..4_u32, 0..4_u32).prop_map(|(min, more)| LengthLaw::Uniform { min, max: min + more });
    let sessions = (turns, duration_law(), proptest::option::of(1..20_000_u64))
        .prop_map(|(turns, think, max_prompt_len)| Sessions { turns, think, max_prompt_len });
    let prefix = (1..20_u32, length_law(), 0.0..=1.0_f64, 0.0..2.0_f64)
        .prop_map(|(groups, len, share, skew)| SharedPrefix { groups, len, share, skew });
    let laws = (arrivals(), length_law(), length_law());
    let shape = (proptest::option::of(prefix), proptest::option::of(sessions));
    let bounds = (
        1..=max_requests,
        proptest::option::of(1.0..60.0_f64),
        any::<bool>(),
        proptest::option::of(1..30_u32),
    );
    (laws, shape, bounds).prop_map(
        |((arrivals, input_len, output_len), (prefix, sessions), bounds)| {
            let (requests, duration, overstated, max_concurrency) = bounds;
            let max_new_tokens = overstated.then(|| output_len.longest() + 1);
            SyntheticConfig {
                prefix,
                sessions,
                duration,
                max_new_tokens,
                max_concurrency,
                ..SyntheticConfig::new(arrivals, input_len, output_len, requests)
            }
        },
    )
}

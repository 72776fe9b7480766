//! `ENGINE-5`: all costs and gaps times *k* give all times times *k*. With powers of two, exactly.

use proptest::prelude::*;
use sglsim_engine::{
    CostModel, Delivery, Fabric, FifoFabric, Finished, Flow, PolicyConfig, Report, Request,
    RngStreams, Scenario, Seconds, SimTime, Simulation, StepFeatures, Summary, Workload,
};

use crate::scenarios::scenarios;

fn times(at: SimTime, k: f64) -> SimTime {
    SimTime::new(at.seconds() * k).unwrap()
}

#[derive(Debug)]
struct SlowLaw(sglsim_engine::LawCost, f64);

impl CostModel for SlowLaw {
    fn name(&self) -> &str {
        "slow law"
    }

    fn step_seconds(&mut self, step: &StepFeatures) -> f64 {
        self.0.step_seconds(step) * self.1
    }
}

#[derive(Debug)]
struct SlowFabric(FifoFabric, f64);

impl Fabric for SlowFabric {
    fn name(&self) -> &str {
        "slow fabric"
    }

    fn submit(&mut self, now: SimTime, flow: Flow) {
        let alone = Seconds::new(flow.alone.get() * self.1).unwrap();
        self.0.submit(now, Flow { alone, ..flow });
    }

    fn peek(&self) -> Option<SimTime> {
        self.0.peek()
    }

    fn pop(&mut self) -> Option<Delivery> {
        self.0.pop()
    }
}

#[derive(Debug)]
struct SlowWorkload(Box<dyn Workload>, f64);

impl Workload for SlowWorkload {
    fn name(&self) -> &str {
        self.0.name()
    }

    fn total(&self) -> Option<u64> {
        self.0.total()
    }

    fn peek(&self) -> Option<SimTime> {
        self.0.peek().map(|at| times(at, self.1))
    }

    fn pop(&mut self) -> Option<Request> {
        self.0.pop().map(|request| Request { arrival: times(request.arrival, self.1), ..request })
    }

    fn on_finished(&mut self, done: &Finished) {
        self.0.on_finished(&Finished { at: times(done.at, 1.0 / self.1), ..*done });
    }
}

fn run_slowed(scenario: &Scenario, k: f64) -> Report {
    let mut scenario = scenario.clone();
    if let PolicyConfig::CacheAware(config) = &mut scenario.router.policy {
        config.eviction_interval = Seconds::new(config.eviction_interval.get() * k).unwrap();
    }
    let router = &mut scenario.router;
    for limit in [
        &mut router.request_timeout_secs,
        &mut router.bootstrap_timeout,
        &mut router.waiting_timeout,
    ] {
        *limit = Seconds::new(limit.get() * k).unwrap();
    }
    let streams = RngStreams::new(scenario.seed);
    let workload = scenario.workload.build(".".as_ref(), streams).unwrap();
    Simulation::new(scenario)
        .unwrap()
        .workload(Box::new(SlowWorkload(workload, k)))
        .cost_model(move |_, pool| {
            let program = pool.law.compile().unwrap();
            Box::new(SlowLaw(sglsim_engine::LawCost::new(program, String::new()), k))
        })
        .fabric(Box::new(SlowFabric(FifoFabric::new(), k)))
        .run()
        .unwrap()
}

/// The gaps between tokens are a histogram of limited precision; the rest is exact.
fn is_close(a: Summary, b: Summary) -> bool {
    let pairs = [(a.p50, b.p50), (a.p90, b.p90), (a.p99, b.p99)];
    a.count == b.count && pairs.iter().all(|(a, b)| (a - b).abs() <= 2e-3 * a.max(1e-6))
}

proptest! {
    #![proptest_config(crate::scenarios::cases(24))]

    #[test]
    fn engine_5_all_times_scale(scenario in scenarios(), power in -6_i32..10) {
        let k = 2_f64.powi(power);
        let (one, other) = (run_slowed(&scenario, 1.0), run_slowed(&scenario, k));
        for (one, other) in one.requests.iter().zip(&other.requests) {
            let scaled = |at: Option<SimTime>| at.map(|at| times(at, k));
            let mut expected = *one;
            expected.arrival = times(one.arrival, k);
            for at in [
                &mut expected.queued,
                &mut expected.admitted,
                &mut expected.prefilled,
                &mut expected.transferred,
                &mut expected.first_token,
                &mut expected.finished,
            ] {
                *at = scaled(*at);
            }
            prop_assert_eq!(&expected, other, "ENGINE-5 all times are multiplied by {}", k);
        }
        let of = |of: fn(&Report) -> Summary| (of(&one).scaled(k), of(&other));
        for (one, other) in [
            of(|r| r.ttft), of(|r| r.tpot), of(|r| r.e2e), of(|r| r.queue_time),
            of(|r| r.transfer_time),
        ] {
            prop_assert_eq!(one, other, "ENGINE-5");
        }
        let (gaps, slowed) = of(|r| r.itl);
        prop_assert_eq!(gaps.mean, slowed.mean, "ENGINE-5");
        prop_assert_eq!(gaps.max, slowed.max, "ENGINE-5");
        prop_assert!(is_close(gaps, slowed), "ENGINE-5 {:?} {:?}", gaps, slowed);
        prop_assert_eq!(one.duration.get() * k, other.duration.get(), "ENGINE-5");
        for (one, other) in one.pools.iter().zip(&other.pools) {
            prop_assert_eq!(one, other, "ENGINE-5 shares stay");
        }
    }
}

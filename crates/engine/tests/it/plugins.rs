//! What a plug-in can get wrong ends the run with an error that says who, where and when; what it
//! gets right takes effect.

use sglsim_engine::{
    BatchState, CostModel, Delivery, EngineError, Fabric, Fcfs, FifoFabric, Flow, ForwardMode,
    Needs, PolicyConfig, QueueEntry, Report, Request, RequestId, RngStreams, Scenario, SchedError,
    SchedulePolicy, Scheduler, SimTime, Simulation, StepFeatures, Workload,
};

use crate::scenarios::{base, base_with};

const PAIR: &str = r#"{"Disaggregated": {"prefill": {}, "decode": {}}}"#;

fn simulation() -> Simulation {
    Simulation::new(base()).unwrap()
}

fn pair() -> Simulation {
    Simulation::new(base_with(&[("deployment", PAIR)])).unwrap()
}

#[derive(Debug)]
struct Costs(f64);

impl CostModel for Costs {
    fn name(&self) -> &str {
        "mine"
    }

    fn step_seconds(&mut self, _step: &StepFeatures) -> f64 {
        self.0
    }
}

#[test]
fn a_cost_that_is_no_duration() {
    for bad in [f64::NAN, f64::INFINITY, f64::NEG_INFINITY, -1e-9] {
        let error = simulation().cost_model(move |_, _| Box::new(Costs(bad))).run().unwrap_err();
        let EngineError::BadCost { seconds, model, .. } = &error else { panic!("{error:?}") };
        assert_eq!((seconds.to_bits(), model.as_str()), (bad.to_bits(), "mine"));
        let text = error.to_string();
        assert!(text.contains("allowed is finite and >= 0"), "{text}");
        assert!(text.contains("extend_tokens: 500"), "{text}");
    }
}

#[test]
fn a_cost_out_of_all_proportion_is_still_a_run() {
    for (cost, end) in [(0.0, 0.0), (1e-300, 2e-299), (1e300, 2e301), (f64::MAX, f64::MAX)] {
        let patient = base_with(&[("router.request_timeout_secs", &f64::MAX.to_string())]);
        let simulation = Simulation::new(patient).unwrap();
        let report = simulation.cost_model(move |_, _| Box::new(Costs(cost))).run().unwrap();
        assert_eq!(report.completed, 1);
        assert!((report.duration.get() - end).abs() <= end * 1e-9, "{cost}: {}", report.duration);
        let json = report.to_json().to_string();
        let read: Result<serde_json::Value, _> = serde_json::from_str(&json);
        assert!(read.is_ok(), "{json}");
    }
}

#[derive(Debug)]
struct Lazy;

impl Scheduler for Lazy {
    fn name(&self) -> &str {
        "lazy"
    }

    fn next_step(&mut self, _: &mut BatchState, _: SimTime) -> Result<ForwardMode, SchedError> {
        Ok(ForwardMode::Idle)
    }
}

#[test]
fn a_scheduler_that_never_works_is_told_so() {
    for simulation in [simulation(), pair()] {
        let error = simulation.scheduler(|_, _| Box::new(Lazy)).run().unwrap_err();
        let EngineError::Stalled { unfinished, scheduler, .. } = &error else {
            panic!("{error:?}")
        };
        assert_eq!((*unfinished, scheduler.as_str()), (1, "lazy"));
    }
    let error = simulation().scheduler(|_, _| Box::new(Lazy)).run().unwrap_err();
    let expected = "at 0 s nothing happens any more, but 1 requests are not finished; the first is \
        r0 on worker w0 (scheduler `lazy`, seed 42)";
    assert_eq!(error.to_string(), expected);
}

#[derive(Debug)]
struct Eager;

impl Scheduler for Eager {
    fn name(&self) -> &str {
        "eager"
    }

    fn next_step(&mut self, _: &mut BatchState, _: SimTime) -> Result<ForwardMode, SchedError> {
        Ok(ForwardMode::Decode)
    }
}

#[test]
fn a_scheduler_that_decodes_nothing_is_told_so() {
    let error = simulation().scheduler(|_, _| Box::new(Eager)).run().unwrap_err();
    let EngineError::Worker { source: SchedError::WrongMode { .. }, .. } = error else {
        panic!("{error:?}")
    };
}

/// Considers one request only, again and again.
#[derive(Debug)]
struct NoPermutation;

impl SchedulePolicy for NoPermutation {
    fn name(&self) -> &str {
        "no permutation"
    }

    fn needs(&self, _waiting: usize) -> Needs {
        Needs::Entries
    }

    fn order(&mut self, _entries: &[QueueEntry], order: &mut [usize]) {
        order.fill(0);
    }
}

#[test]
fn an_order_that_is_no_permutation_is_told_so() {
    let two = base_with(&[("workload.requests", "2")]);
    let simulation = Simulation::new(two).unwrap();
    let error = simulation.schedule_policy(|_| Box::new(NoPermutation)).run().unwrap_err();
    assert!(matches!(error, EngineError::Worker { .. } | EngineError::Stalled { .. }), "{error:?}");
}

/// A fabric with one thing wrong.
#[derive(Debug)]
enum BadFabric {
    Swallows,
    Promises,
}

impl Fabric for BadFabric {
    fn name(&self) -> &str {
        "bad"
    }

    fn submit(&mut self, _now: SimTime, _flow: Flow) {}

    fn peek(&self) -> Option<SimTime> {
        match self {
            Self::Swallows => None,
            Self::Promises => Some(SimTime::ZERO),
        }
    }

    fn pop(&mut self) -> Option<Delivery> {
        None
    }
}

#[test]
fn kv_that_never_arrives_is_told() {
    let error = pair().fabric(Box::new(BadFabric::Swallows)).run().unwrap_err();
    assert!(matches!(error, EngineError::Stalled { unfinished: 1, .. }), "{error:?}");
    let error = pair().fabric(Box::new(BadFabric::Promises)).run().unwrap_err();
    assert!(error.to_string().contains("FABRIC-3"), "{error}");
}

/// Delivers every flow twice.
#[derive(Debug, Default)]
struct Twice {
    inner: FifoFabric,
    again: Option<Delivery>,
}

impl Fabric for Twice {
    fn name(&self) -> &str {
        "twice"
    }

    fn submit(&mut self, now: SimTime, flow: Flow) {
        self.inner.submit(now, flow);
    }

    fn peek(&self) -> Option<SimTime> {
        self.again.map(|delivery| delivery.arrived).or(self.inner.peek())
    }

    fn pop(&mut self) -> Option<Delivery> {
        self.again.take().or_else(|| {
            self.again = self.inner.pop();
            self.again
        })
    }
}

#[test]
fn kv_that_arrives_twice_is_told() {
    let error = pair().fabric(Box::<Twice>::default()).run().unwrap_err();
    let text = error.to_string();
    assert!(text.contains("the fabric `twice` broke a law of its trait: FABRIC-1"), "{text}");
}

/// Gives every request the number of the one before.
#[derive(Debug)]
struct Misnumbered(Box<dyn Workload>);

impl Workload for Misnumbered {
    fn name(&self) -> &str {
        "misnumbered"
    }

    fn total(&self) -> Option<u64> {
        self.0.total()
    }

    fn peek(&self) -> Option<SimTime> {
        self.0.peek()
    }

    fn pop(&mut self) -> Option<Request> {
        let id = |id: RequestId| RequestId(id.0.saturating_sub(1));
        self.0.pop().map(|request| Request { id: id(request.id), ..request })
    }
}

#[test]
fn requests_with_one_number_are_told() {
    let two = base_with(&[("workload.requests", "2")]);
    let inner = two.workload.build(".".as_ref(), RngStreams::new(two.seed)).unwrap();
    let simulation = Simulation::new(two).unwrap().workload(Box::new(Misnumbered(inner)));
    let error = simulation.run().unwrap_err();
    assert!(matches!(error, EngineError::BrokenLaw { .. }), "{error:?}");
    assert!(error.to_string().contains("misnumbered"), "{error}");
}

/// A workload that announces a request and has none.
#[derive(Debug)]
struct Promises;

impl Workload for Promises {
    fn name(&self) -> &str {
        "promises"
    }

    fn total(&self) -> Option<u64> {
        None
    }

    fn peek(&self) -> Option<SimTime> {
        Some(SimTime::ZERO)
    }

    fn pop(&mut self) -> Option<Request> {
        None
    }
}

/// A workload without any request.
#[derive(Debug)]
struct Nothing;

impl Workload for Nothing {
    fn name(&self) -> &str {
        "nothing"
    }

    fn total(&self) -> Option<u64> {
        Some(0)
    }

    fn peek(&self) -> Option<SimTime> {
        None
    }

    fn pop(&mut self) -> Option<Request> {
        None
    }
}

#[test]
fn a_workload_without_requests_is_told() {
    let error = simulation().workload(Box::new(Nothing)).run().unwrap_err();
    assert_eq!(error.to_string(), "the workload `nothing` has no request");
    let error = simulation().workload(Box::new(Promises)).run().unwrap_err();
    assert!(error.to_string().contains("promises"), "{error}");
}

/// Last come, first served.
#[derive(Debug)]
struct Newest;

impl SchedulePolicy for Newest {
    fn name(&self) -> &str {
        "newest"
    }

    fn needs(&self, _waiting: usize) -> Needs {
        Needs::Entries
    }

    fn order(&mut self, _entries: &[QueueEntry], order: &mut [usize]) {
        order.reverse();
    }
}

#[test]
fn every_layer_can_be_swapped() {
    let load = r#"{"Synthetic": {"arrivals": "Burst", "input_len": {"Fixed": 500},
        "output_len": {"Fixed": 5}, "requests": 4}}"#;
    let scenario = base_with(&[
        ("workload", load),
        ("deployment.workers", "2"),
        ("deployment.chunked_prefill_size", "500"),
    ]);
    let run = |change: fn(Simulation) -> Simulation| -> Report {
        change(Simulation::new(scenario.clone()).unwrap()).run().unwrap()
    };
    let plain = run(|simulation| simulation);
    assert_eq!(plain, run(|simulation| simulation.schedule_policy(|_| Box::new(Fcfs))));
    assert_eq!(plain, run(|simulation| simulation.fabric(Box::new(FifoFabric::new()))));
    assert_eq!(
        plain,
        run(|simulation| {
            let policy = PolicyConfig::RoundRobin.build(RngStreams::new(0)).unwrap();
            simulation.route_policy(policy)
        })
    );
    let newest = run(|simulation| simulation.schedule_policy(|_| Box::new(Newest)));
    assert!(newest.requests[3].ttft() < newest.requests[1].ttft());
    assert!(plain.requests[1].ttft() < plain.requests[3].ttft());
}

/// All requests of one key go to one worker, which learns it from the workload's labels.
#[test]
fn routing_keys_reach_the_router() {
    let scenario = |keys: u32| {
        let text = format!(
            r#"(
                model: "Llama-3.1-8B",
                hardware: (gpu: "H100-SXM"),
                deployment: Aggregated(workers: 8),
                router: (policy: Manual()),
                workload: Synthetic(
                    arrivals: Poisson(rate: 20.0),
                    labels: (routing_keys: {keys}),
                    input_len: Fixed(100),
                    output_len: Fixed(10),
                    requests: 200,
                ),
            )"#
        );
        let report = Simulation::new(Scenario::from_ron(&text).unwrap()).unwrap().run().unwrap();
        let workers = report.requests.iter().filter_map(|record| record.decode_worker);
        workers.collect::<std::collections::BTreeSet<_>>().len()
    };
    assert_eq!(scenario(1), 1);
    assert_eq!(scenario(0), 8);
    assert!((2..=3).contains(&scenario(3)));
}

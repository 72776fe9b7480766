//! What must hold in every run, on random scenarios: `docs/invariants.md`, "Runs".

use proptest::prelude::*;
use sglsim_engine::{
    BatchState, DecodeScheduler, Deployment, DeploymentPlan, DisaggregationMode, Event,
    ForwardMode, Observer, Report, RequestId, RouterConfig, Scenario, SchedError,
    SchedulePolicyName, Scheduler, SchedulerConfig, Seconds, SglangScheduler, SimTime, Simulation,
    TokenCount, WorkerId,
};

use crate::scenarios::{bytes, faulty, run, scenarios};
use crate::watch::{Shared, TokenTimes};

/// What a request has gone through.
#[derive(Clone, Debug, Default)]
struct Life {
    output_len: u64,
    prompt: u64,
    stage: u8,
    ended: bool,
}

/// Watches the order of everything.
#[derive(Debug, Default)]
struct Order {
    last: SimTime,
    lives: Vec<Life>,
    /// Pipeline stages of a worker, 0 for one.
    stages: usize,
    /// When each step of each worker was over.
    ends: Vec<Vec<SimTime>>,
    /// Steps and costs, for `ENGINE-6`.
    steps: Vec<(WorkerId, Seconds, sglsim_engine::StepFeatures)>,
    delivered: Vec<TokenCount>,
}

impl Order {
    fn pass(&mut self, id: RequestId, stage: u8) {
        let life = &mut self.lives[id.index()];
        assert!(!life.ended, "ENGINE-2 causality: {id} goes on after its end");
        assert!(
            stage >= life.stage,
            "ENGINE-2 causality: {id} goes from {} to {stage}",
            life.stage
        );
        life.stage = stage;
    }

    fn back(&mut self, id: RequestId, stage: u8) {
        self.lives[id.index()].stage = stage;
    }

    fn end(&mut self, id: RequestId) {
        let life = &mut self.lives[id.index()];
        assert!(!life.ended, "ENGINE-1 conservation: {id} ends twice");
        life.ended = true;
    }
}

impl Observer for Order {
    fn on_event(&mut self, at: SimTime, event: &Event<'_>) {
        assert!(at >= self.last, "ENGINE-3 the clock never goes back: {at} after {}", self.last);
        self.last = at;
        match *event {
            Event::Arrived { request, .. } => {
                assert_eq!(request.id.index(), self.lives.len(), "ids in order of arrival");
                assert_eq!(request.arrival, at, "ENGINE-3 a request arrives when it is due");
                let output_len = u64::from(request.output_len);
                let prompt = request.prompt.tokens();
                self.lives.push(Life { output_len, prompt, ..Life::default() });
                self.delivered.push(0);
            }
            Event::Routed { id, .. } => self.pass(id, 1),
            Event::Queued { id } => self.pass(id, 2),
            Event::Admitted { id, .. } => self.pass(id, 3),
            Event::Prefilled { id } => self.pass(id, 4),
            Event::Delivered { id, tokens, .. } => self.delivered[id.index()] += tokens,
            Event::Transferred { id } => self.pass(id, 5),
            Event::Token { id, .. } | Event::Resumed { id, .. } => self.pass(id, 6),
            // The next attempt begins.
            Event::Retried { id, .. } => self.back(id, 0),
            Event::Failed { id, .. } => self.end(id),
            // It waits for another prefill.
            Event::Retracted { id, .. } => self.back(id, 2),
            Event::Finished { id, .. } => {
                self.pass(id, 7);
                self.end(id);
            }
            Event::Refused { id } => self.end(id),
            Event::RankStep { result, .. } => {
                let rows = result.decoded + result.discarded;
                match result.mode {
                    ForwardMode::Extend => assert!(result.extended > 0 && rows == 0),
                    ForwardMode::Decode => assert!(rows > 0 && result.extended == 0),
                    ForwardMode::Mixed => assert!(result.extended > 0 && rows > 0),
                    ForwardMode::Idle => panic!("an idle rank takes no part in a step"),
                }
            }
            Event::Step { worker, began, cost, features } => {
                if self.ends.len() <= worker.index() {
                    self.ends.resize(worker.index() + 1, Vec::new());
                }
                let ends = &mut self.ends[worker.index()];
                let before = ends.len().checked_sub(self.stages.max(1));
                let free = before.map_or(SimTime::ZERO, |step| ends[step]);
                assert!(began >= free, "ENGINE-3 a worker runs as many steps as it has stages");
                ends.push(at);
                let off = (at.seconds() - (began + cost).seconds()).abs();
                // With stages, the cost is the difference, and adding it rounds.
                let most = if self.stages > 1 { 1e-12 * at.seconds() } else { 0.0 };
                assert!(off <= most, "ENGINE-6 a step takes what it costs");
                self.steps.push((worker, cost, *features));
            }
            _ => {}
        }
    }
}

/// The scheduler of SGLang, which also counts the memory before and after every decision.
#[derive(Debug)]
struct Counting(Box<dyn Scheduler>);

fn check_memory(batch: &BatchState, when: &str) {
    let memory = batch.memory();
    let parts =
        [memory.available(), memory.evictable(), memory.protected(), batch.private_tokens()];
    assert_eq!(
        parts.iter().sum::<u64>(),
        memory.capacity(),
        "KV-1 free + evictable + protected + held = capacity, {when} a step: {parts:?}"
    );
}

impl Scheduler for Counting {
    fn name(&self) -> &str {
        self.0.name()
    }

    fn next_step(
        &mut self,
        batch: &mut BatchState,
        now: SimTime,
    ) -> Result<ForwardMode, SchedError> {
        check_memory(batch, "after");
        if batch.is_empty() {
            let held = (batch.private_tokens(), batch.memory().protected());
            assert_eq!(held, (0, 0), "KV-1 nobody holds memory where nobody is");
        }
        let mode = self.0.next_step(batch, now);
        check_memory(batch, "before");
        mode
    }
}

fn counting(
    scenario: &Scenario,
) -> impl Fn(WorkerId, &SchedulerConfig) -> Box<dyn Scheduler> + use<> {
    let plan = DeploymentPlan::of(scenario, ".".as_ref()).unwrap();
    let policies: Vec<_> = (plan.pools.iter())
        .flat_map(|pool| vec![pool.config.schedule_policy; pool.workers as usize])
        .collect();
    move |worker, config| {
        Box::new(Counting(match config.mode {
            DisaggregationMode::Decode => Box::new(DecodeScheduler::new()),
            _ => {
                let policy = policies[worker.index()]
                    .build(config, sglsim_units::RngStreams::new(1))
                    .expect("no priorities");
                Box::new(SglangScheduler::with_policy(config, policy))
            }
        }))
    }
}

fn check_records(scenario: &Scenario, plan: &DeploymentPlan, report: &Report, order: &Order) {
    let ends = report.completed + report.refused + report.failed;
    assert_eq!(
        report.requests.len() as u64,
        ends,
        "ENGINE-1 arrived = finished + refused + failed"
    );
    let router = RouterConfig { policy: scenario.router.policy, ..RouterConfig::default() };
    let fits = |life: &Life| {
        let fits = |pool: &sglsim_engine::PoolPlan| {
            pool.scheduler.check_prompt(RequestId(0), life.prompt).is_ok()
        };
        plan.pools.iter().all(fits)
    };
    // Prompts that do not fit count as failures of a worker, which open its circuit breaker.
    let oversized = order.lives.iter().filter(|life| !fits(life)).count();
    let is_calm = scenario.faults.is_empty()
        && scenario.client_timeout.is_none()
        && scenario.router == router
        && oversized < router.circuit_breaker.cb_failure_threshold as usize;
    assert!(order.lives.iter().all(|life| life.ended), "ENGINE-1 every request ends");
    let generates = plan.pools.last().unwrap();
    for (record, life) in report.requests.iter().zip(&order.lives) {
        assert_eq!(record.prompt_tokens, life.prompt);
        if record.failed.is_some() {
            assert!(!is_calm, "ENGINE-1 nobody fails without a reason");
            assert_eq!(record.finished, None);
            continue;
        }
        if record.refused && !is_calm {
            continue;
        }
        if record.refused {
            assert!(!fits(life), "ENGINE-1 only what never fits is refused");
            assert_eq!((record.queued, record.finished, record.output_tokens), (None, None, 0));
            continue;
        }
        let room = generates.scheduler.max_new_tokens(life.prompt);
        assert_eq!(
            record.output_tokens,
            life.output_len.min(room),
            "ENGINE-1 output tokens are those asked for (room for {room})"
        );
        let ways = [
            Some(record.arrival),
            record.queued,
            record.admitted,
            record.prefilled,
            record.transferred.or(record.prefilled),
            record.first_token,
            record.finished,
        ];
        assert!(ways.iter().all(Option::is_some), "ENGINE-2 causality: {record:?}");
        assert!(ways.is_sorted(), "ENGINE-2 causality: {record:?}");
        assert_eq!(record.transferred.is_some(), plan.pools.len() == 2);
        assert!(record.cached_tokens < life.prompt, "one token is always computed");
    }
    let computed: u64 = report.pools.iter().map(|pool| pool.prefill_tokens).sum();
    let decoded: u64 = report.pools.iter().map(|pool| pool.decode_tokens).sum();
    let needed = report.total_input_tokens - report.total_cached_tokens;
    if report.retractions == 0 && is_calm {
        assert_eq!(computed, needed, "ENGINE-1 what is not cached is computed, once");
        assert_eq!(decoded, report.total_output_tokens - report.completed, "ENGINE-1");
    } else {
        assert!(computed >= needed);
    }
    // After a crash, the report's time may be over before a pool was idle.
    for pool in report.pools.iter().filter(|_| is_calm) {
        for share in [pool.busy_share, pool.kv_usage, pool.kv_usage_max] {
            assert!((0.0..=1.0 + 1e-9).contains(&share), "a share: {pool:?}");
        }
    }
    let bound = report.max_concurrent_requests as f64 + 1e-9;
    assert!(report.concurrency <= bound, "a mean is at most a maximum (seed {})", scenario.seed);
}

fn check_tokens(report: &Report, tokens: &TokenTimes) {
    for (record, times) in report.requests.iter().zip(&tokens.times) {
        if record.failed.is_some() {
            assert_eq!(times.first().copied(), record.first_token.map(SimTime::seconds));
            continue;
        }
        assert_eq!(times.len() as u64, record.output_tokens, "ENGINE-1 tokens of {record:?}");
        assert!(times.is_sorted(), "ENGINE-3 tokens come in order");
        assert_eq!(times.first().copied(), record.first_token.map(SimTime::seconds));
        assert_eq!(times.last().copied(), record.finished.map(SimTime::seconds));
    }
    if report.failed > 0 {
        return;
    }
    let gaps = tokens.gaps();
    assert_eq!(gaps.len() as u64, report.itl.count, "every gap is a sample");
    if let Some(longest) = gaps.iter().copied().reduce(f64::max) {
        let mean = gaps.iter().sum::<f64>() / gaps.len() as f64;
        assert!((report.itl.mean - mean).abs() <= 1e-9 * mean, "{} {mean}", report.itl.mean);
        assert!((report.itl.max - longest).abs() <= 1e-9, "{} {longest}", report.itl.max);
    }
}

fn check_costs(plan: &DeploymentPlan, order: &Order) {
    let mut programs: Vec<_> = (plan.pools.iter())
        .flat_map(|pool| vec![pool.law.compile().unwrap(); pool.workers as usize])
        .collect();
    for (worker, cost, features) in &order.steps {
        let law = programs[worker.index()].seconds(features);
        assert_eq!(law.to_bits(), cost.get().to_bits(), "ENGINE-6 a step costs what the law says");
    }
}

proptest! {
    #![proptest_config(crate::scenarios::cases(48))]

    #[test]
    fn engine_1_2_3_6_and_kv_1_hold(scenario in scenarios()) {
        let (order, tokens) = (Shared::new(Order::default()), Shared::new(TokenTimes::default()));
        let simulation = Simulation::new(scenario.clone()).unwrap();
        let plan = simulation.plan().clone();
        let report = simulation
            .scheduler(counting(&scenario))
            .observer(order.watch())
            .observer(tokens.watch())
            .run();
        let report = match report {
            Ok(report) => report,
            Err(error) => panic!("{error}: {:?}\n{}", std::error::Error::source(&error), scenario.to_ron()),
        };
        let order = order.take();
        check_records(&scenario, &plan, &report, &order);
        check_tokens(&report, &tokens.take());
        check_costs(&plan, &order);
    }

    #[test]
    fn laws_hold_with_pipeline_stages(scenario in scenarios(), stages in 2_u32..5) {
        let mut scenario = scenario;
        let pools = match &mut scenario.deployment {
            Deployment::Aggregated(pool) => vec![pool],
            Deployment::Disaggregated { prefill, decode } => vec![prefill, decode],
        };
        for pool in pools {
            pool.pp_size = stages;
            // Short of memory, a micro-batch that cannot push anybody out of another gives requests up.
            pool.max_total_tokens = None;
        }
        let order = Shared::new(Order { stages: stages as usize, ..Order::default() });
        let tokens = Shared::new(TokenTimes::default());
        let simulation = Simulation::new(scenario.clone()).unwrap();
        let plan = simulation.plan().clone();
        let simulation = simulation.scheduler(counting(&scenario));
        let report = simulation.observer(order.watch()).observer(tokens.watch()).run();
        let report = report.unwrap_or_else(|error| panic!("{error}: {}", scenario.to_ron()));
        check_records(&scenario, &plan, &report, &order.take());
        check_tokens(&report, &tokens.take());
    }

    #[test]
    fn engine_1_2_3_and_kv_1_hold_when_things_fail(scenario in faulty()) {
        let (order, tokens) = (Shared::new(Order::default()), Shared::new(TokenTimes::default()));
        let simulation = Simulation::new(scenario.clone()).unwrap();
        let plan = simulation.plan().clone();
        let report = simulation
            .scheduler(counting(&scenario))
            .observer(order.watch())
            .observer(tokens.watch())
            .run();
        let report = match report {
            Ok(report) => report,
            Err(error) => panic!("{error}: {:?}\n{}", std::error::Error::source(&error), scenario.to_ron()),
        };
        check_records(&scenario, &plan, &report, &order.take());
        check_tokens(&report, &tokens.take());
        let [first, again] = [&report, &run(&scenario)].map(|report| bytes(report, &scenario));
        if plan.pools.iter().all(|pool| pool.config.schedule_policy == SchedulePolicyName::Fcfs) {
            prop_assert_eq!(first, again, "ENGINE-4 same scenario, same bytes");
        }
    }

    #[test]
    fn engine_4_same_scenario_same_bytes(scenario in scenarios()) {
        let once = run(&scenario);
        let watched = Simulation::new(scenario.clone()).unwrap()
            .observer(Shared::new(TokenTimes::default()).watch())
            .run().unwrap();
        prop_assert_eq!(&once, &watched, "ENGINE-4 an observer changes nothing");
        let [first, again] = [&once, &run(&scenario)].map(|report| bytes(report, &scenario));
        prop_assert_eq!(first, again, "ENGINE-4 same scenario, same bytes");
    }
}

/// The laws mean nothing if the scenarios never come to what is hard.
#[test]
fn random_scenarios_are_short_of_everything() {
    use proptest::strategy::ValueTree;
    use proptest::test_runner::TestRunner;

    let mut runner = TestRunner::deterministic();
    let strategy = scenarios();
    let (mut retractions, mut hits, mut refused, mut transfers, mut waits) = ([0; 2], 0, 0, 0, 0);
    for _ in 0..40 {
        let report = run(&strategy.new_tree(&mut runner).unwrap().current());
        retractions[report.pools.len() - 1] += report.retractions;
        hits += report.total_cached_tokens;
        refused += report.refused;
        transfers += report.transfer_time.count;
        waits += u64::from(report.queue_time.max > 0.0);
    }
    assert!(retractions.iter().all(|count| *count > 0), "somebody is pushed out: {retractions:?}");
    assert!(hits > 0, "somebody finds a prefix");
    assert!(refused > 0, "somebody never fits");
    assert!(transfers > 0, "some KV travels");
    assert!(waits > 0, "somebody waits");
}

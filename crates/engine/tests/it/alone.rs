//! Requests alone in a deployment, whose times can be worked out by hand.

use sglsim_engine::{
    DeploymentPlan, Event, Observer, Report, Scenario, SimTime, Simulation, StepFeatures,
};

use crate::scenarios::{base, base_with, run};
use crate::watch::{Log, Shared};

fn extend(prefix: f64, new: f64) -> StepFeatures {
    StepFeatures {
        extend_tokens: new,
        extend_pairs: new * prefix + new * (new + 1.0) / 2.0,
        extend_prefix: prefix,
        extend_seqs: 1.0,
        logit_rows: 1.0,
        tokens: new,
        eager: 1.0,
        sum_tokens: new,
        sum_logit_rows: 1.0,
        ..StepFeatures::default()
    }
}

fn decode(context: f64) -> StepFeatures {
    StepFeatures {
        decode_seqs: 1.0,
        decode_padded: 1.0,
        decode_context: context,
        query_tokens: 1.0,
        logit_rows: 1.0,
        tokens: 1.0,
        sum_tokens: 1.0,
        sum_logit_rows: 1.0,
        ..StepFeatures::default()
    }
}

/// The first step of a worker that was at rest.
fn first(step: StepFeatures) -> StepFeatures {
    StepFeatures { serial: 1.0, ..step }
}

fn plan(scenario: &Scenario) -> DeploymentPlan {
    DeploymentPlan::of(scenario, ".".as_ref()).unwrap()
}

#[track_caller]
fn close(found: f64, expected: f64) {
    assert!((found - expected).abs() <= 1e-12, "{found} s, by hand {expected} s");
}

fn ttft(report: &Report) -> f64 {
    report.requests[0].ttft().unwrap().get()
}

#[test]
fn one_chunk() {
    let scenario = base();
    let report = run(&scenario);
    let mut law = plan(&scenario).pools[0].law.compile().unwrap();
    let first = law.seconds(&first(extend(0.0, 500.0)));
    close(ttft(&report), first);
    let decodes: f64 = (1..20).map(|token| law.seconds(&decode(500.0 + f64::from(token)))).sum();
    close(report.requests[0].e2e().unwrap().get(), first + decodes);
    close(report.requests[0].tpot().unwrap().get(), decodes / 19.0);
    close(report.itl.mean, decodes / 19.0);
}

#[test]
fn three_chunks() {
    let scenario = base_with(&[("deployment.chunked_prefill_size", "200")]);
    let mut law = plan(&scenario).pools[0].law.compile().unwrap();
    let chunks = [first(extend(0.0, 200.0)), extend(200.0, 200.0), extend(400.0, 100.0)];
    close(ttft(&run(&scenario)), chunks.iter().map(|chunk| law.seconds(chunk)).sum());
}

const PAIR: &str = r#"{"Disaggregated": {"prefill": {}, "decode": {}}}"#;

#[test]
fn ttft_of_a_pair_ends_with_the_last_piece() {
    let scenario =
        base_with(&[("deployment", PAIR), ("deployment.prefill.chunked_prefill_size", "200")]);
    let plan = plan(&scenario);
    let mut law = plan.pools[0].law.compile().unwrap();
    let mut transfer = plan.transfer.as_ref().unwrap().compile().unwrap();
    // Each piece leaves when it is computed and the one before has arrived.
    let (mut computed, mut arrived) = (0.0, 0.0_f64);
    for (prefix, tokens) in [(0.0, 200), (200.0, 200), (400.0, 100)] {
        let serial = if prefix == 0.0 { 1.0 } else { 0.0 };
        let chunk = StepFeatures { serial, ..extend(prefix, f64::from(tokens)) };
        computed += law.seconds(&chunk);
        arrived = arrived.max(computed) + transfer.seconds(u64::try_from(tokens).unwrap());
    }
    let report = run(&scenario);
    close(ttft(&report), arrived);
    close(report.requests[0].prefilled.unwrap().seconds(), computed);
    close(report.transfer_time.mean, arrived - computed);
    let mut law = plan.pools[1].law.compile().unwrap();
    let rest: f64 = (2..20).map(|token| law.seconds(&decode(500.0 + f64::from(token)))).sum();
    let decodes = law.seconds(&first(decode(501.0))) + rest;
    close(report.requests[0].e2e().unwrap().get(), arrived + decodes);
}

#[test]
fn a_pair_sends_a_cached_prefix_first() {
    // Two turns of one user: what the first one left in the prefill worker's cache is sent again.
    let load = r#"{"Synthetic": {"arrivals": {"ClosedLoop": {"concurrency": 1}},
        "input_len": {"Fixed": 500}, "output_len": {"Fixed": 1},
        "sessions": {"turns": {"Fixed": 2}}, "requests": 2}}"#;
    let scenario = base_with(&[("deployment", PAIR), ("workload", load)]);
    let plan = plan(&scenario);
    let mut law = plan.pools[0].law.compile().unwrap();
    let mut transfer = plan.transfer.as_ref().unwrap().compile().unwrap();
    let report = run(&scenario);
    let second = report.requests[1];
    // 500 + 1 + 500 tokens, of which the prefill worker knows its first prompt.
    assert_eq!((second.prompt_tokens, second.cached_tokens), (1001, 500));
    let computed = law.seconds(&first(extend(500.0, 501.0)));
    let prefix = transfer.seconds(500);
    close(second.ttft().unwrap().get(), computed.max(prefix) + transfer.seconds(501));
}

#[test]
fn kv_is_held_from_the_reservation_to_the_end_of_its_use() {
    let load = r#"{"Synthetic": {"arrivals": {"Constant": {"rate": 0.01}},
        "input_len": {"Fixed": 500}, "output_len": {"Fixed": 1}, "requests": 2}}"#;
    for deployment in [r#"{"Aggregated": {}}"#, PAIR] {
        let report = run(&base_with(&[("deployment", deployment), ("workload", load)]));
        // Both requests hold their prompt for as long as they take, 100 s apart.
        let held = 500.0 * report.requests.iter().map(|r| r.e2e().unwrap().get()).sum::<f64>();
        for pool in &report.pools {
            let capacity = pool.kv_capacity as f64;
            close(pool.kv_usage, held / (report.duration.get() * capacity));
            close(pool.kv_usage_max, 500.0 / capacity);
        }
    }
}

#[test]
fn a_full_decode_worker_delays_prefill() {
    let load = r#"{"Synthetic": {"arrivals": "Burst", "input_len": {"Fixed": 800},
        "output_len": {"Fixed": 100}, "requests": 2}}"#;
    let both = [("deployment", PAIR), ("workload", load)];
    let ample = run(&base_with(&both));
    assert!(ample.requests.iter().all(|record| record.queued == Some(SimTime::ZERO)));

    let tight = [("deployment.decode.max_total_tokens", "2000")];
    let report = run(&base_with(&[&both[..], &tight[..]].concat()));
    let [first, second] = [report.requests[0], report.requests[1]];
    assert_eq!(second.queued, first.finished, "its memory comes from the first one");
    assert!(second.ttft().unwrap() > ample.requests[1].ttft().unwrap());
    assert_eq!(report.retractions, 0);
}

#[test]
fn what_happens_at_one_instant_has_an_order() {
    let log = Shared::new(Log::default());
    let load = r#"{"Synthetic": {"arrivals": "Burst", "input_len": {"Fixed": 8},
        "output_len": {"Fixed": 2}, "requests": 2}}"#;
    let scenario = base_with(&[("workload", load)]);
    let simulation = Simulation::new(scenario).unwrap().cost_model(|_, _| Box::new(Second));
    simulation.observer(log.watch()).run().unwrap();
    let arrivals = ["0 s Arrived", "0 s Routed", "0 s Chosen", "0 s Queued"].repeat(2);
    let rest = [
        "0 s Admitted",
        "0 s Admitted",
        "0 s KvUsed",
        // The second step is chosen, and takes its memory, while the first one runs.
        "0 s KvUsed",
        "1 s RankStep",
        "1 s Extended",
        "1 s Prefilled",
        "1 s Token",
        "1 s Extended",
        "1 s Prefilled",
        "1 s Token",
        "1 s Step",
        "2 s RankStep",
        "2 s Finished",
        "2 s Finished",
        "2 s Step",
    ];
    assert_eq!(log.take().0, [arrivals, rest.to_vec()].concat());
}

/// Features of every step.
#[derive(Debug, Default)]
struct Steps(Vec<StepFeatures>);

impl Observer for Steps {
    fn on_event(&mut self, _at: SimTime, event: &Event<'_>) {
        if let Event::Step { features, .. } = event {
            self.0.push(**features);
        }
    }
}

/// Two attention ranks, a request each, a second apart, and every step a second long.
#[test]
fn attention_ranks_step_together() {
    let load = r#"{"Synthetic": {"arrivals": {"Constant": {"rate": 1.0}},
        "input_len": {"Fixed": 100}, "output_len": {"Fixed": 3}, "requests": 2}}"#;
    let two = [
        ("deployment.tp_size", "2"),
        ("deployment.dp_size", "2"),
        ("deployment.disable_overlap_schedule", "true"),
        ("workload", load),
    ];
    let steps = Shared::new(Steps::default());
    let simulation = Simulation::new(base_with(&two)).unwrap();
    let simulation = simulation.cost_model(|_, _| Box::new(Second)).observer(steps.watch());
    assert_eq!(simulation.run().unwrap().duration.get(), 4.0);

    let mut steps = steps.take().0;
    assert!(steps.iter_mut().all(|step| std::mem::take(&mut step.serial) == 1.0));
    // The first prefills; the second rank has nothing to do.
    assert_eq!(steps[0], extend(0.0, 100.0));
    // The second prefills while the first decodes, which therefore cannot replay a graph.
    let prefill = extend(0.0, 100.0);
    let both = StepFeatures { sum_tokens: 101.0, sum_logit_rows: 2.0, ..prefill };
    let decoding = StepFeatures { eager: 1.0, ..decode(101.0) };
    let StepFeatures { decode_seqs, decode_padded, decode_context, query_tokens, .. } = decoding;
    let both = StepFeatures { decode_seqs, decode_padded, decode_context, query_tokens, ..both };
    assert_eq!(steps[1], both);
    // Both decode; of each feature the larger one counts.
    let pair = StepFeatures { sum_tokens: 2.0, sum_logit_rows: 2.0, ..decode(102.0) };
    assert_eq!(steps[2], pair);
    // The first has left, but its rank replays the graph with the other one.
    assert_eq!(steps[3], StepFeatures { decode_context: 102.0, ..pair });
    assert_eq!(steps.len(), 4);
}

/// Every step takes a second.
#[derive(Debug)]
struct Second;

impl sglsim_engine::CostModel for Second {
    fn name(&self) -> &str {
        "a second"
    }

    fn step_seconds(&mut self, _step: &StepFeatures) -> f64 {
        1.0
    }
}

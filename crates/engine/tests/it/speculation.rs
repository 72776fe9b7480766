//! Speculative decoding in the loop.

use sglsim_engine::{Event, Observer, Report, Scenario, SimTime, Simulation, StepFeatures};

use crate::scenarios::{base_with, bytes, run};
use crate::watch::{Shared, TokenTimes};

const LOAD: &str = r#"{"Synthetic": {"arrivals": {"Poisson": {"rate": 4.0}},
    "input_len": {"Uniform": {"min": 1, "max": 900}}, "output_len": {"Uniform": {"min": 1, "max": 200}},
    "requests": 60}}"#;

fn speculating(acceptance: &str, more: &[(&str, &str)]) -> Scenario {
    let fields = [
        ("workload", LOAD),
        ("deployment.speculative_algorithm", "\"EAGLE3\""),
        ("deployment.speculative_num_steps", "3"),
        ("deployment.speculative_acceptance", acceptance),
    ];
    base_with(&[&fields[..], more].concat())
}

fn watched(scenario: &Scenario) -> (Report, TokenTimes) {
    let tokens = Shared::new(TokenTimes::default());
    let simulation = Simulation::new(scenario.clone()).unwrap();
    let report = simulation.observer(tokens.watch()).run().unwrap();
    (report, tokens.take())
}

/// Everybody gets their tokens, told one by one, whatever is drawn; the mean that was drawn is that of the
/// law: 1 + 0.6 + 0.36 + 0.216.
#[test]
fn every_token_comes_and_as_many_as_the_law_says() {
    let geometric = r#"{"Geometric": {"rate": 0.6}}"#;
    let (report, tokens) = watched(&speculating(geometric, &[]));
    assert_eq!(report.completed, 60);
    for (record, times) in report.requests.iter().zip(&tokens.times) {
        assert_eq!(times.len() as u64, record.output_tokens, "ENGINE-1 tokens of {record:?}");
        assert!(times.is_sorted());
        assert_eq!(times.last().copied(), record.finished.map(SimTime::seconds));
    }
    let pool = &report.pools[0];
    assert_eq!(pool.decode_tokens, report.total_output_tokens - report.completed, "ENGINE-1");
    assert_eq!(report.itl.count, pool.decode_tokens, "every gap is a sample");
    assert!((pool.accept_length - 2.176).abs() < 0.05, "{}", pool.accept_length);
}

/// A histogram is reproduced: half of the sequences accept nothing, half all three drafts.
#[test]
fn a_histogram_is_drawn_from() {
    let (report, _) = watched(&speculating(r#"{"Histogram": {"counts": [10, 0, 0, 10]}}"#, &[]));
    assert!((report.pools[0].accept_length - 2.5).abs() < 0.1);
}

/// Features of the first decode step.
#[derive(Debug, Default)]
struct FirstDecode(Option<StepFeatures>);

impl Observer for FirstDecode {
    fn on_event(&mut self, _at: SimTime, event: &Event<'_>) {
        if let Event::Step { features, .. } = event
            && features.decode_seqs > 0.0
        {
            self.0.get_or_insert(**features);
        }
    }
}

/// One request, every draft accepted: of its 20 tokens the first comes from the prompt, and five steps of
/// four tokens bring the other 19; each costs what the law of an iteration says. The loop overlaps: when the
/// sixth step is chosen, 17 tokens are known and the fifth step is sure of one more only, so the sixth is
/// launched, and what it brings is thrown away.
#[test]
fn a_request_alone_takes_steps_of_four_tokens() {
    let all = r#"{"Geometric": {"rate": 1.0}}"#;
    let one = r#"{"Synthetic": {"arrivals": "Burst", "input_len": {"Fixed": 500},
        "output_len": {"Fixed": 20}, "requests": 1}}"#;
    let scenario = speculating(all, &[("workload", one)]);
    let first = Shared::new(FirstDecode::default());
    let simulation = Simulation::new(scenario.clone()).unwrap().observer(first.watch());
    let (_, law) = simulation.plan().pools[0].speculation.clone().unwrap();
    let report = simulation.run().unwrap();
    assert_eq!((report.pools[0].decode_steps, report.pools[0].accept_length), (6, 4.0));
    let normal = scenario.with("deployment.disable_overlap_schedule", "true").unwrap();
    assert_eq!(run(&normal).pools[0].decode_steps, 5);
    let features = first.take().0.unwrap();
    assert_eq!((features.query_tokens, features.tokens), (4.0, 4.0));
    assert_eq!(features.decode_context, 501.0);
    let mut program = law.compile().unwrap();
    let decodes: f64 = (0..5)
        .map(|step| 501.0 + 4.0 * f64::from(step))
        .map(|decode_context| program.seconds(&StepFeatures { decode_context, ..features }))
        .sum();
    let record = report.requests[0];
    let found = record.finished.unwrap().since(record.first_token.unwrap()).get();
    assert!((found - decodes).abs() < 1e-12, "{found} s, by hand {decodes} s");
}

#[test]
fn the_same_seed_draws_the_same() {
    let scenario = speculating(r#"{"PerPosition": {"rates": [0.8, 0.6]}}"#, &[]);
    let [first, again] = [&run(&scenario), &run(&scenario)].map(|report| bytes(report, &scenario));
    assert_eq!(first, again, "ENGINE-4 same scenario, same bytes");
    let other = scenario.with("seed", "7").unwrap();
    assert_ne!(run(&scenario).pools[0].accept_length, run(&other).pools[0].accept_length);
}

/// A pool that holds hardly more than one request: some are pushed out, and everybody gets their tokens.
#[test]
fn speculation_survives_a_small_pool() {
    let load = r#"{"Synthetic": {"arrivals": {"Constant": {"rate": 50.0}}, "input_len": {"Fixed": 60},
        "output_len": {"Uniform": {"min": 300, "max": 700}}, "requests": 20, "max_new_tokens": 700}}"#;
    let small = [
        ("workload", load),
        ("deployment.max_total_tokens", "1600"),
        ("deployment.schedule_conservativeness", "0.02"),
    ];
    let (report, _) = watched(&speculating(r#"{"Geometric": {"rate": 0.5}}"#, &small));
    assert!(report.retractions > 0);
    assert_eq!(report.completed, 20);
}

#[test]
fn what_does_not_go_together_is_refused_by_name() {
    let refused = |fields: &[(&str, &str)]| {
        let error = Simulation::new(base_with(fields)).unwrap_err();
        std::error::Error::source(&error)
            .map_or_else(|| error.to_string(), |e| format!("{error}: {e}"))
    };
    let eagle = ("deployment.speculative_algorithm", "\"EAGLE\"");
    let rate = ("deployment.speculative_acceptance", r#"{"Geometric": {"rate": 0.6}}"#);
    let said = refused(&[eagle]);
    assert!(said.contains("speculative_acceptance") && said.contains("Geometric"), "{said}");
    let said = refused(&[rate]);
    assert!(said.contains("only with `speculative_algorithm`"), "{said}");
    let said = refused(&[("deployment.speculative_algorithm", "\"STANDALONE\""), rate]);
    assert!(said.contains("draft model"), "{said}");
    let said = refused(&[eagle, rate, ("deployment.scheduler", "\"vllm\"")]);
    assert!(said.contains("scheduler"), "{said}");
    let said =
        refused(&[eagle, ("deployment.speculative_acceptance", r#"{"Geometric": {"rate": 1.5}}"#)]);
    assert!(said.contains("1.5"), "{said}");
}

//! Pipeline stages: batches and times worked out by hand from SGLang's `event_loop_pp`.

use sglsim_engine::{
    CostModel, Event, ForwardMode, Observer, Report, Scenario, SimTime, Simulation,
};
use sglsim_engine::{StepFeatures, WorkerId};

use crate::scenarios::{base_with, bytes, run};
use crate::watch::{Shared, TokenTimes};

/// One second for each stage.
#[derive(Debug)]
struct Seconds(f64);

impl CostModel for Seconds {
    fn name(&self) -> &str {
        "one second a stage"
    }

    fn step_seconds(&mut self, _step: &StepFeatures) -> f64 {
        1.0
    }

    fn latency_seconds(&mut self, _step: &StepFeatures) -> f64 {
        self.0
    }
}

/// A batch: when it entered and was through \[s\], its micro-batch, what it did and to how many.
type Batch = (f64, f64, usize, ForwardMode, u64);

#[derive(Debug, Default)]
struct Batches {
    done: Vec<Batch>,
    last: Option<(usize, ForwardMode, u64)>,
}

impl Observer for Batches {
    fn on_event(&mut self, at: SimTime, event: &Event<'_>) {
        match *event {
            Event::RankStep { rank, result, .. } => {
                self.last = Some((rank, result.mode, result.extended + result.decoded));
            }
            Event::Step { began, .. } => {
                let (micro_batch, mode, tokens) = self.last.take().unwrap();
                self.done.push((began.seconds(), at.seconds(), micro_batch, mode, tokens));
            }
            _ => {}
        }
    }
}

/// Batches, and times of every token of every request \[s\].
fn watched(stages: u32, fields: &[(&str, &str)], requests: &str) -> (Vec<Batch>, Vec<Vec<f64>>) {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("requests.jsonl");
    std::fs::write(&path, requests).unwrap();
    let trace = format!(r#"{{"Trace": {{"file": {:?}, "format": "Mooncake"}}}}"#, path.display());
    let pp_size = stages.to_string();
    let all = [&[("deployment.pp_size", pp_size.as_str()), ("workload", &trace)], fields].concat();
    let (batches, tokens) = (Shared::new(Batches::default()), Shared::new(TokenTimes::default()));
    Simulation::new(base_with(&all))
        .unwrap()
        .cost_model(move |_: WorkerId, _| Box::new(Seconds(f64::from(stages))))
        .observer(batches.watch())
        .observer(tokens.watch())
        .run()
        .unwrap();
    (batches.take().done, tokens.take().times)
}

fn line(millis: u32, input: u32, output: u32, hash: u32) -> String {
    format!(
        "{{\"timestamp\": {millis}, \"input_length\": {input}, \"output_length\": {output}, \"hash_ids\": [{hash}]}}\n"
    )
}

use ForwardMode::{Decode, Extend};

/// The chunks of a long prompt go into the micro-batches one after the other: the second one enters while
/// the first is on its way. Its tokens are decoded in the micro-batch that had its last chunk.
#[test]
fn chunks_of_one_prompt_follow_one_another_through_the_stages() {
    let (batches, tokens) =
        watched(2, &[("deployment.chunked_prefill_size", "100")], &line(0, 300, 3, 1));
    let expected = [
        (0.0, 2.0, 0, Extend, 100),
        (1.0, 3.0, 1, Extend, 100),
        // Micro-batch 0 goes on when its results are in, at 2 s; micro-batch 1 then has nothing.
        (2.0, 4.0, 0, Extend, 100),
        (4.0, 6.0, 0, Decode, 1),
        (6.0, 8.0, 0, Decode, 1),
    ];
    assert_eq!(batches, expected);
    assert_eq!(tokens, [[4.0, 6.0, 8.0]]);
}

/// Three stages and five chunks: the last two wait for the results of the first two.
#[test]
fn as_many_batches_are_on_their_way_as_there_are_stages() {
    let (batches, tokens) =
        watched(3, &[("deployment.chunked_prefill_size", "100")], &line(0, 500, 2, 1));
    let entered: Vec<_> = batches.iter().map(|batch| (batch.0, batch.2)).collect();
    assert_eq!(entered, [(0.0, 0), (1.0, 1), (2.0, 2), (3.0, 0), (4.0, 1), (7.0, 1)]);
    assert_eq!(tokens, [[7.0, 10.0]]);
}

/// A micro-batch holds half of the requests, so two are spread over two, and the stages are always at work.
/// Where both fit into one, they take turns with nobody, and every stage rests half of the time.
#[test]
fn requests_fill_one_micro_batch_before_the_next() {
    let two = line(0, 10, 3, 1) + &line(0, 10, 3, 2);
    let (batches, tokens) = watched(2, &[("deployment.max_running_requests", "2")], &two);
    let expected = [
        (0.0, 2.0, 0, Extend, 10),
        (1.0, 3.0, 1, Extend, 10),
        (2.0, 4.0, 0, Decode, 1),
        (3.0, 5.0, 1, Decode, 1),
        (4.0, 6.0, 0, Decode, 1),
        (5.0, 7.0, 1, Decode, 1),
    ];
    assert_eq!(batches, expected);
    assert_eq!(tokens, [[2.0, 4.0, 6.0], [3.0, 5.0, 7.0]]);

    let room =
        [("deployment.max_running_requests", "2"), ("deployment.pp_max_micro_batch_size", "2")];
    let (batches, tokens) = watched(2, &room, &two);
    let together = [(0.0, 2.0, 0, Extend, 20), (2.0, 4.0, 0, Decode, 2), (4.0, 6.0, 0, Decode, 2)];
    assert_eq!(batches, together);
    assert_eq!(tokens, [[2.0, 4.0, 6.0]; 2]);
}

/// The loop waits for micro-batch 0 when a second request comes, and then prefers its prompt to the token of
/// the first. Micro-batch 1 was asked before, and stays empty.
#[test]
fn who_comes_while_a_batch_is_on_its_way_waits_for_it() {
    let (batches, tokens) = watched(2, &[], &(line(0, 10, 3, 1) + &line(500, 10, 2, 2)));
    let expected = [
        (0.0, 2.0, 0, Extend, 10),
        (2.0, 4.0, 0, Extend, 10),
        (4.0, 6.0, 0, Decode, 2),
        (6.0, 8.0, 0, Decode, 1),
    ];
    assert_eq!(batches, expected);
    assert_eq!(tokens, [vec![2.0, 6.0, 8.0], vec![4.0, 6.0]]);
}

fn load(stages: u32, rate: u32) -> Scenario {
    let load = format!(
        r#"{{"Synthetic": {{"arrivals": {{"Poisson": {{"rate": {rate}}}}}, "input_len": {{"Uniform": {{"min": 1,
            "max": 3000}}}}, "output_len": {{"Uniform": {{"min": 1, "max": 200}}}}, "requests": 200}}}}"#
    );
    base_with(&[
        ("model", "\"Llama-3.1-70B\""),
        ("deployment.tp_size", "4"),
        ("deployment.pp_size", &stages.to_string()),
        ("deployment.max_running_requests", "64"),
        ("workload", &load),
    ])
}

/// Twice the GPUs as a second stage: more throughput under load and more room for KV, no shorter steps.
#[test]
fn a_second_stage_brings_throughput_and_room() {
    let ends = |report: &Report| report.duration.get();
    let (one, two) = (run(&load(1, 50)), run(&load(2, 50)));
    assert!(one.completed == 200 && two.completed == 200);
    // Prompts go twice as fast; decode batches are half as large and read the weights as often.
    assert!(ends(&two) < 0.9 * ends(&one), "{} s, {} s", ends(&one), ends(&two));
    assert!(two.pools[0].kv_capacity > 2 * one.pools[0].kv_capacity);
    assert!(two.pools[0].busy_share <= 1.0 && !two.formula_available);
    let calm = |stages| run(&load(stages, 1)).tpot.p50;
    assert!(calm(2) > 0.8 * calm(1), "a token passes all layers one after the other");
}

#[test]
fn the_same_scenario_gives_the_same_bytes() {
    let scenario = load(2, 20);
    let [first, again] = [&run(&scenario), &run(&scenario)].map(|report| bytes(report, &scenario));
    assert_eq!(first, again, "ENGINE-4");
}

#[test]
fn what_does_not_go_with_stages_is_refused_by_name() {
    let refused = |fields: &[(&str, &str)]| {
        let fields = [&[("deployment.pp_size", "2")], fields].concat();
        let error = Simulation::new(base_with(&fields)).unwrap_err();
        std::error::Error::source(&error)
            .map_or_else(|| error.to_string(), |e| format!("{error}: {e}"))
    };
    for (field, value) in [
        ("scheduler", "\"vllm\""),
        ("enable_hierarchical_cache", "true"),
        ("enable_prefill_delayer", "true"),
        ("pp_max_micro_batch_size", "0"),
    ] {
        let said = refused(&[(&format!("deployment.{field}"), value)]);
        assert!(said.contains(field) && said.contains("pp_"), "{said}");
    }
    let said = refused(&[
        ("deployment.speculative_algorithm", "\"EAGLE\""),
        ("deployment.speculative_acceptance", r#"{"Geometric": {"rate": 0.6}}"#),
    ]);
    assert!(said.contains("pp_size"), "{said}");
}

//! The driver `place`, on operations whose answers sglang-router 0.3.2 gave.
//!
//! `tests/fixtures/recorded.jsonl.gz` holds sequences of random operations before mock workers:
//! every operation is followed by its answer, and `start` begins a sequence. `cargo xtask
//! differential` compares more of them.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::{BufRead, BufReader};

use flate2::read::GzDecoder;

#[path = "../../examples/place/compare.rs"]
mod compare;
#[path = "../../examples/place/driver.rs"]
mod driver;
#[path = "../../examples/place/settings.rs"]
mod settings;

use driver::Driver;
use settings::Settings;

/// Operations and answers.
fn recorded() -> (Vec<String>, Vec<String>) {
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/fixtures/recorded.jsonl.gz");
    let lines = BufReader::new(GzDecoder::new(File::open(path).expect("the fixture is there")));
    let lines = lines.lines().map(|line| line.expect("the fixture can be read"));
    let (mut operations, mut answers) = (Vec::new(), Vec::new());
    for (at, line) in lines.enumerate() {
        if at % 2 == 0 { operations.push(line) } else { answers.push(line) }
    }
    (operations, answers)
}

#[test]
fn the_real_router_placed_requests_as_ours_may() {
    let (operations, answers) = recorded();
    let summary = compare::compare(&Settings::default(), &operations, &answers).unwrap();
    assert_eq!(summary.differences, [""; 0]);
    assert!(summary.sequences >= 200, "{} sequences", summary.sequences);
}

/// A comparison that explained everything would prove nothing.
#[test]
fn a_wrong_answer_is_not_explained() {
    let (operations, mut answers) = recorded();
    let begins = |text: &str| operations.iter().position(|line| line.contains(text)).unwrap();
    for policy in ["cache_aware", "round_robin", "manual", "consistent_hashing"] {
        let first = begins(&format!("\"policy\": \"{policy}\""));
        let end = operations[first + 1..].iter().position(|line| line.contains("\"start\""));
        let end = end.map_or(operations.len(), |end| first + 1 + end);
        let mut seen: BTreeMap<usize, usize> = BTreeMap::new();
        for at in first..end {
            // Another worker than the one that got it.
            for worker in 0..4 {
                let old = format!("\"worker\": {worker}}}");
                if answers[at].contains(&old) {
                    let new = format!("\"worker\": {}}}", (worker + 1) % 2);
                    let changed = answers[at].replace(&old, &new);
                    let right = std::mem::replace(&mut answers[at], changed);
                    let wrong = compare::compare(
                        &Settings::default(),
                        &operations[first..end],
                        &answers[first..end],
                    );
                    *seen.entry(wrong.unwrap().differences.len().min(1)).or_default() += 1;
                    answers[at] = right;
                    break;
                }
            }
        }
        assert!(seen.get(&1) >= seen.get(&0), "{policy}: most changes are noticed, {seen:?}");
    }
}

fn answers(settings: &[(&str, &str)], lines: &[&str]) -> Vec<String> {
    let mut all = Settings::default();
    for (name, value) in settings {
        all.set(name, value).expect("a known setting");
    }
    let mut driver = Driver::new(&all).expect("a recorded setting is allowed");
    lines.iter().map(|line| driver.run(line).unwrap_or_else(|error| error)).collect()
}

#[test]
fn a_failed_request_is_tried_elsewhere_until_the_attempts_are_used_up() {
    let lines = [
        r#"{"op":"send","id":"a","text":"x"}"#,
        r#"{"op":"fail","id":"a","status":503}"#,
        r#"{"op":"send","id":"b","text":"x"}"#,
        r#"{"op":"fail","id":"b","status":400}"#,
    ];
    let options = [("policy", "round_robin"), ("retry_max_retries", "3")];
    assert_eq!(
        answers(&options, &lines),
        [
            r#"{"op": "send", "id": "a", "worker": 0}"#,
            r#"{"op": "fail", "id": "a", "status": 503, "retried_on": ["worker1","worker0"]}"#,
            r#"{"op": "send", "id": "b", "worker": 1}"#,
            r#"{"op": "fail", "id": "b", "status": 400}"#,
        ]
    );
}

#[test]
fn lines_that_make_no_sense_are_named() {
    let lines = [
        r#"{"op":"send","text":"x"}"#,
        r#"{"op":"snd"}"#,
        r#"{"op":"send","id":"a""#,
        r#"{"op":"done","id":"a"}"#,
        r#"{"op":"sleep","s":-1}"#,
        r#"{"op":"sleep"}"#,
        r#"{"op":"send","id":"a","text":7}"#,
        r#"{"op":"send","id":"a","body":{"input_ids":"x"}}"#,
        r#"{"op":"start","prefill":2}"#,
        r#"{"op":"start","workers":0}"#,
        r#"{"op":"start","args":{"policy":"cache_awar"}}"#,
        r#"{"op":"start","args":{"cache_treshold":0.5}}"#,
        r#"{"op":"start","args":{"cache_threshold":1.5}}"#,
        r#"{"op":"start","args":{"policy":"bucket"}}"#,
        r#"{"op":"start","args":{"cb_failure_threshold":0}}"#,
        r#"{"op":"state"} {}"#,
    ];
    insta::assert_snapshot!(answers(&[], &lines).join("\n"));
}

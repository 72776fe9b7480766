//! Admission against answers recorded from SGLang 0.5.23's own `SchedulePolicy` and
//! `PrefillAdder`: order of the queue, verdicts, slices and budgets.
//!
//! `tests/fixtures/admission.jsonl.gz` holds random scenarios, each followed by its answer. `cargo
//! xtask differential` compares more of them.

use std::fs::File;
use std::io::Read;
use std::path::PathBuf;

use flate2::read::GzDecoder;
use serde_json::Value;
use sglsim_sched::testing::seed;
use sglsim_sched::{SchedulePolicyName, Scheduler};
use sglsim_units::SimTime;

#[path = "../../examples/admission/answer.rs"]
mod answer;
#[path = "../../examples/admission/scenario.rs"]
mod scenario;

use scenario::{Rank, Scenario};

/// Recorded scenarios and their answers.
fn recorded() -> Vec<(String, Value)> {
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/fixtures/admission.jsonl.gz");
    let mut text = String::new();
    let file = File::open(path).expect("the fixture is there");
    GzDecoder::new(file).read_to_string(&mut text).expect("the fixture is text");
    let lines: Vec<&str> = text.lines().collect();
    pairs(lines.iter().step_by(2).copied(), lines.iter().skip(1).step_by(2).copied())
}

fn pairs<'a>(
    scenarios: impl Iterator<Item = &'a str>,
    answers: impl Iterator<Item = &'a str>,
) -> Vec<(String, Value)> {
    let answers = answers.map(|line| serde_json::from_str(line).expect("an answer is JSON"));
    scenarios.map(str::to_owned).zip(answers).collect()
}

/// Numbers compare as numbers: the recorded ones are sometimes whole and sometimes not.
fn same(ours: &Value, theirs: &Value) -> bool {
    match (ours, theirs) {
        (Value::Number(a), Value::Number(b)) => {
            let (a, b) = (a.as_f64().expect("a float"), b.as_f64().expect("a float"));
            (a - b).abs() < 1e-6
        }
        (Value::Array(a), Value::Array(b)) => {
            a.len() == b.len() && a.iter().zip(b).all(|(a, b)| same(a, b))
        }
        (Value::Object(a), Value::Object(b)) => {
            a.len() == b.len() && a.iter().all(|(key, a)| b.get(key).is_some_and(|b| same(a, b)))
        }
        _ => ours == theirs,
    }
}

#[track_caller]
fn check(recorded: &[(String, Value)]) {
    let mut wrong = Vec::new();
    for (number, (scenario, theirs)) in recorded.iter().enumerate() {
        let ours = answer::answer(scenario).unwrap_or_else(|e| panic!("scenario {number}: {e}"));
        let ours: Value = serde_json::from_str(&ours).expect("an answer is JSON");
        if !same(&ours, theirs) {
            wrong.push(format!("{number}: {scenario}\n  ours   {ours}\n  theirs {theirs}"));
        }
    }
    assert!(wrong.is_empty(), "{} differ:\n{}", wrong.len(), wrong.join("\n"));
}

#[test]
fn random_scenarios_are_answered_as_sglang_does() {
    let recorded = recorded();
    assert!(recorded.len() >= 1000, "{} scenarios", recorded.len());
    check(&recorded);
}

#[test]
fn examples_are_answered_as_sglang_does() {
    let Some(data) = std::env::var_os("SGLSIM_DATA").map(PathBuf::from) else {
        println!("skipped: SGLSIM_DATA is not set");
        return;
    };
    let folder = data.join("../tools/sglang-reference/examples");
    let read = |name: &str| std::fs::read_to_string(folder.join(name)).expect("recorded answers");
    let (scenarios, answers) = (read("admission.jsonl"), read("admission.expected.jsonl"));
    let recorded = pairs(scenarios.lines(), answers.lines());
    assert_eq!(recorded.len(), 73);
    check(&recorded);
}

/// The batch that the whole scheduler forms of a scenario whose rows and pool are real.
fn formed(mut scenario: Scenario) -> Vec<(String, u64)> {
    let held = scenario.running.len() + usize::from(scenario.chunked.is_some());
    let rows = scenario.allocatable.map_or(1_000_000, |rows| rows + held);
    scenario.rows = Some(u32::try_from(rows).expect("rows of a scenario are few"));
    scenario.pool = Some(scenario.capacity);
    let Rank { mut batch, names, chunked, .. } = scenario.rank().expect("a rank");
    if let Some((submission, done)) = chunked {
        seed::chunked(&mut batch, submission, done);
    }
    let policy = scenario.policy().expect("a policy");
    let ratio = scenario.new_token_ratio;
    let mut scheduler = seed::scheduler(&scenario.config(), policy, ratio);
    scheduler.next_step(&mut batch, SimTime::ZERO).expect("it decides");
    let slices = batch.extend_batch().iter();
    slices.map(|slice| (names[batch.id(slice.slot).index()].clone(), slice.extend)).collect()
}

#[test]
fn the_scheduler_forms_the_batches_that_were_recorded() {
    let mut compared = 0;
    for (number, (line, theirs)) in recorded().iter().enumerate() {
        let scenario = Scenario::read(line).expect("recorded scenarios are right");
        let page = u64::from(scenario.page_size);
        // With rows for nobody, SGLang does not even sort. A chunked prompt is in the tree before
        // the queue is sorted, unlike in the recordings.
        let is_alike = !scenario.preempt
            && scenario.mixed_decode_tokens == 0
            && scenario.capacity.is_multiple_of(page)
            && scenario.capacity > 1
            && scenario.allocatable != Some(0)
            // Alone it goes in, in SGLang it waits for ever.
            && !(scenario.disable_tree && scenario.running.is_empty())
            && (scenario.chunked.is_none() || scenario.policy == SchedulePolicyName::Fcfs)
            && (!scenario.disable_tree || scenario.cached.is_empty())
            // Without memory the recorded budgets go below zero; a real pool does not.
            && theirs["budgets_before"]["rem_total"].as_f64().is_some_and(|left| left > 0.0);
        if !is_alike {
            continue;
        }
        compared += 1;
        let steps = theirs["steps"].as_array().expect("a list").iter();
        let theirs: Vec<(String, u64)> = steps
            .filter(|step| step["admitted"] == true)
            .map(|step| {
                let extend = step["extend"].as_u64().expect("a number");
                (step["rid"].as_str().expect("a name").to_owned(), extend)
            })
            .collect();
        assert_eq!(formed(scenario), theirs, "scenario {number}: {line}");
    }
    assert!(compared > 200, "{compared} compared");
}

#[test]
fn a_wrong_line_names_what_is_wrong() {
    let waiting = |request: &str| format!(r#"{{"capacity": 9, "waiting": [{request}]}}"#);
    let request = r#"{"rid": "a", "tokens": [1], "max_new": 1}"#;
    for (line, message) in [
        (r#"{"capacity": 100, "wait"#.to_owned(), "column 23: EOF while parsing"),
        (r"{}".to_owned(), "missing field `capacity`"),
        (r#"{"capacity": -1}"#.to_owned(), "`capacity`, column 15: invalid value"),
        (r#"{"capacity": 9, "polcy": "lpm"}"#.to_owned(), "unknown field `polcy`"),
        (r#"{"capacity": 9, "policy": "lmp"}"#.to_owned(), "`policy`, column 31: unknown variant"),
        (r#"{"capacity": 9, "eviction_policy": "lur"}"#.to_owned(), "did you mean `lru`?"),
        (r#"{"capacity": 9, "page_size": 16}"#.to_owned(), "at least one page of 16"),
        (r#"{"capacity": 9, "page_size": 0}"#.to_owned(), "`page_size` is 0"),
        (
            r#"{"capacity": 90, "page_size": 16, "chunked_prefill_size": 8}"#.to_owned(),
            "`chunked_prefill_size` is 8",
        ),
        (waiting(r#"{"rid": "a", "tokens": [], "max_new": 1}"#), "`tokens` is missing or empty"),
        (waiting(r#"{"rid": "a", "tokens": "x", "max_new": 1}"#), "`waiting[0].tokens`"),
        (waiting(&format!("{request}, {request}")), "there are two requests `a`"),
        (
            r#"{"capacity": 9, "chunked": {"rid": "a", "tokens": [1], "done": 1, "max_new": 1}}"#
                .to_owned(),
            "`done` is 1 of 1 `tokens`",
        ),
    ] {
        let refused = answer::answer(&line).expect_err("the line is wrong");
        assert!(refused.contains(message), "{line}: `{refused}` has no `{message}`");
    }
}

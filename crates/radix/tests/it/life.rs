//! The replay driver, on operations whose answers SGLang 0.5.23's own tree and allocator gave.
//!
//! `tests/fixtures/*.jsonl.gz` hold runs of random operations: a line with the settings starts a run,
//! then every operation is followed by its answer. `cargo xtask differential` compares more of them.

use std::fs::File;
use std::io::{BufRead, BufReader};
use std::path::Path;

use flate2::read::GzDecoder;
use serde_json::Value;
use sglsim_radix::WritePolicy;

use crate::data;

#[path = "../../examples/replay/driver.rs"]
mod driver;

use driver::{Driver, Settings};

/// The driver of a recorded run.
fn driver_of(settings: &Value) -> Driver {
    let policy = settings["eviction_policy"].as_str().expect("a policy").parse();
    Driver::new(Settings {
        page_size: settings["page_size"].as_u64().expect("a page size"),
        policy: policy.expect("a known policy"),
        capacity: settings["capacity"].as_u64(),
        host: settings["hicache_size"].as_u64(),
        write_policy: settings["hicache_write_policy"]
            .as_str()
            .map_or_else(WritePolicy::default, |name| name.parse().expect("a known write policy")),
    })
    .expect("recorded with allowed settings")
}

/// Does one operation, and compares the answer but for the identity of slots.
#[track_caller]
fn check(driver: &mut Driver, operation: &str, recorded: &str, place: &str) {
    let ours = driver.run(operation).unwrap_or_else(|error| panic!("{place}: {error}"));
    let ours: Value = serde_json::from_str(&ours).expect("an answer is JSON");
    let mut theirs: Value = serde_json::from_str(recorded).expect("an answer is JSON");
    for slots in ["values", "indices", "slots", "freed"] {
        theirs.as_object_mut().expect("an object").remove(slots);
    }
    if theirs.get("error").is_some() {
        // Beside an error, theirs may say what was done before it.
        assert_eq!(ours["error"], theirs["error"], "{place}: {operation}");
    } else {
        assert_eq!(ours, theirs, "{place}: {operation}");
    }
}

#[test]
fn recorded_runs() {
    replay("recorded.jsonl.gz");
}

/// Above a host tier, under every write policy; the copies were acknowledged at random.
#[test]
fn recorded_runs_with_a_host_tier() {
    replay("hicache.jsonl.gz");
}

/// Replays a fixture of at least 10,000 operations.
#[track_caller]
fn replay(name: &str) {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures").join(name);
    let file = File::open(path).expect("the fixture is there");
    let mut lines = BufReader::new(GzDecoder::new(file)).lines().enumerate();
    let mut next = || lines.next().map(|(at, line)| (at, line.expect("a line of text")));
    let (mut driver, mut operations) = (None, 0);
    while let Some((at, line)) = next() {
        if line.starts_with("{\"page_size\"") {
            driver = Some(driver_of(&serde_json::from_str(&line).expect("settings")));
            continue;
        }
        let (_, recorded) = next().expect("every operation has its answer");
        let driver = driver.as_mut().expect("settings come first");
        check(driver, &line, &recorded, &format!("{name}, line {}", at + 1));
        operations += 1;
    }
    assert!(operations >= 10_000, "{operations} operations");
}

#[test]
fn lives_are_those_of_sglang() {
    let Some(folder) = data::recordings() else { return };
    let read = |name: &str| std::fs::read_to_string(folder.join(name)).expect("recorded answers");
    let operations = read("radix_life.jsonl");
    for page_size in [1, 16] {
        let settings = Settings { page_size, capacity: Some(320), ..Settings::default() };
        let mut driver = Driver::new(settings).expect("allowed settings");
        let answers = read(&format!("radix_life.page{page_size}.cap320.expected.jsonl"));
        assert_eq!(operations.lines().count(), answers.lines().count());
        for (at, (operation, recorded)) in operations.lines().zip(answers.lines()).enumerate() {
            check(&mut driver, operation, recorded, &format!("page {page_size}, line {}", at + 1));
        }
    }
}

/// The message that a line is refused with.
fn refusal(capacity: Option<u64>, lines: &[&str]) -> String {
    let settings = Settings { capacity, ..Settings::default() };
    let mut driver = Driver::new(settings).expect("allowed settings");
    let (last, before) = lines.split_last().expect("at least one line");
    for line in before {
        driver.run(line).expect("the lines before the last are right");
    }
    driver.run(last).expect_err("the last line is wrong")
}

#[test]
fn a_wrong_line_names_what_is_wrong() {
    let admit = r#"{"op": "admit", "rid": "r1", "tokens": [1, 2]}"#;
    let lock = r#"{"op": "lock", "id": "a", "tokens": [1]}"#;
    for (capacity, lines, message) in [
        (None, vec![r#"{"op": "mach", "tokens": []}"#], "did you mean `match`?"),
        (None, vec![r#"{"op": "match"}"#], "`tokens` is missing"),
        (None, vec![r#"{"tokens": [1]}"#], "missing field `op`"),
        (None, vec![r#"{"op": "match", "tok"#], "column 20: EOF while parsing"),
        (None, vec![r#"{"op": "match", "tokens": [1, -2]}"#], "`tokens[1]`, column 32: invalid"),
        (None, vec![r#"{"op": "state"} 1"#], "one JSON object a line"),
        (None, vec![r#"{"op": "evict"}"#], "`n` is missing"),
        (None, vec![r#"{"op": "unlock", "id": "a"}"#], "there is no lock `a`"),
        (None, vec![lock, lock], "there is a lock `a` already"),
        (None, vec![admit], "needs --capacity"),
        (None, vec![r#"{"op": "ack", "n": 1}"#], "needs --hicache-size"),
        (Some(9), vec![admit, admit], "there is a request `r1` already"),
        (Some(9), vec![admit, r#"{"op": "finish", "rid": "r2"}"#], "did you mean `r1`?"),
        (Some(9), vec![r#"{"op": "admit", "rid": "r", "tokens": []}"#], "`tokens` is empty"),
        (Some(9), vec![r#"{"op": "insert", "tokens": [1]}"#], "with --capacity"),
    ] {
        let refused = refusal(capacity, &lines);
        assert!(refused.contains(message), "{lines:?}: `{refused}` has no `{message}`");
    }
    let settings = Settings { page_size: 16, capacity: Some(100), ..Settings::default() };
    let refused = Driver::new(settings).err().expect("no multiple of a page");
    assert!(refused.contains("`capacity` is 100"), "{refused}");
}

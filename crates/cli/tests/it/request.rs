//! `sglsim request` and `sglsim run --timeline`.

use serde_json::Value;

use crate::program::{Folder, output, root, sglsim};

const SHORT: &str = "fixtures/scenarios/back-pressure.ron";

#[test]
fn the_worst_request_waits_for_room_while_prefill_is_idle() {
    let worst = output(&root(), &["request", SHORT, "--worst", "ttft"]);
    let share = |stage: &str| {
        let line = worst.lines().rfind(|line| line.starts_with(stage)).unwrap();
        let share = line.split_once(" %").unwrap().0.rsplit(' ').next().unwrap();
        share.parse::<f64>().unwrap()
    };
    assert!(share("wait for room on the decode worker") > 80.0, "{worst}");
    assert!(share("prefill") < 10.0, "{worst}");
    assert!(worst.contains("waits for room there"), "{worst}");
    let id = worst.split(' ').nth(1).unwrap();
    assert_eq!(output(&root(), &["request", SHORT, id]), worst);
    let report: Value = serde_json::from_str(&output(&root(), &["run", SHORT, "--json"])).unwrap();
    assert!(report["pools"][0]["busy_share"].as_f64().unwrap() < 0.5);
    assert!(report["pools"][1]["kv_usage"].as_f64().unwrap() > 0.7);
}

#[test]
fn a_timeline_is_written_beside_the_report() {
    let folder = Folder::new();
    let run = ["run", "scenario.ron", "--timeline"];
    let text = output(folder.path(), &[&run[..], &["all.json"]].concat());
    assert!(text.contains("\ntimeline of 40 requests and "), "{text}");
    let some = ["some.json", "--timeline-requests", "3", "--timeline-window", "2..3"];
    output(folder.path(), &[&run[..], &some].concat());
    let lives = |name: &str| {
        let trace: Value = serde_json::from_str(&folder.read(name)).unwrap();
        let events = trace["traceEvents"].as_array().unwrap();
        let name = |event: &&Value| event["args"]["name"].as_str().unwrap_or("").to_owned();
        events.iter().filter(|event| name(event).starts_with("request ")).count()
    };
    assert_eq!((lives("all.json"), lives("some.json")), (40, 3));
}

#[test]
fn what_cannot_be_shown_is_said() {
    let folder = Folder::new();
    let mut text = String::new();
    for args in [
        &["request", "scenario.ron"][..],
        &["request", "scenario.ron", "40"],
        &["request", "scenario.ron", "-1"],
        &["request", "scenario.ron", "3", "--worst", "ttft"],
        &["request", "scenario.ron", "--worst", "ttff"],
        &["run", "scenario.ron", "--timeline-requests", "3"],
        &["run", "scenario.ron", "--timeline", "t.json", "--timeline-window", "5..2"],
        &["run", "scenario.ron", "--timeline", "no/such/folder/t.json"],
    ] {
        let answer = sglsim(folder.path(), args);
        assert!(answer.code > 0 && answer.stdout.is_empty(), "{args:?}: {answer:?}");
        assert_eq!(folder.names("."), ["scenario.ron"], "{args:?}");
        text += &format!("$ sglsim {}\n{}\n", args.join(" "), folder.redact(&answer.stderr));
    }
    insta::assert_snapshot!("request_bad_input", text);
}

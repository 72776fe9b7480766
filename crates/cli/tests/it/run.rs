//! `sglsim run`: what it prints and what it writes.

use std::process::Stdio;

use crate::program::{Folder, command, output, sglsim};

#[test]
fn the_same_seed_gives_the_same_bytes() {
    let folder = Folder::new();
    output(folder.path(), &["run", "scenario.ron", "--out", "first"]);
    output(folder.path(), &["run", "scenario.ron", "--out", "second"]);
    output(folder.path(), &["run", "scenario.ron", "--set", "seed=43", "--out", "other"]);
    for name in ["report.json", "requests.csv"] {
        let read = |run: &str| folder.read(&format!("{run}/{name}"));
        assert_eq!(read("first"), read("second"), "{name}");
        assert_ne!(read("first"), read("other"), "{name}");
    }
}

#[test]
fn a_report_folder_holds_the_report_and_nothing_else() {
    let folder = Folder::new();
    let text = output(folder.path(), &["run", "scenario.ron", "--out", "deep/day"]);
    assert!(text.ends_with("\nwritten to deep/day\n"), "{text}");
    assert_eq!(folder.names("deep/day"), ["report.json", "requests.csv", "scenario.ron"]);
    assert_eq!(folder.read("deep/day/requests.csv").lines().count(), 1 + 40);
}

#[test]
fn a_second_report_replaces_the_first_and_spares_other_files() {
    let folder = Folder::new();
    output(folder.path(), &["run", "scenario.ron", "--out", "day"]);
    let before = folder.read("day/report.json");
    folder.write("day/notes.txt", "mine");
    output(folder.path(), &["run", "scenario.ron", "--set", "seed=1", "--out", "day"]);
    assert_ne!(folder.read("day/report.json"), before);
    assert_eq!(folder.read("day/notes.txt"), "mine");
    assert_eq!(folder.names("day").len(), 4);
}

#[test]
fn a_failed_run_leaves_the_report_before_it_untouched() {
    let folder = Folder::new();
    output(folder.path(), &["run", "scenario.ron", "--out", "day"]);
    let before = folder.read("day/report.json");
    let small = "deployment.prefill.max_total_tokens=1500";
    let answer = sglsim(folder.path(), &["run", "scenario.ron", "--set", small, "--out", "day"]);
    assert_eq!(answer.code, 1, "{answer:?}");
    assert_eq!(folder.read("day/report.json"), before);
    assert_eq!(folder.names("day").len(), 3);
}

#[test]
fn the_written_scenario_repeats_the_run_from_anywhere() {
    let folder = Folder::new();
    folder.write(
        "trace.jsonl",
        "{\"timestamp\": 0, \"input_length\": 600, \"output_length\": 20, \"hash_ids\": [0, 1]}\n\
         {\"timestamp\": 900, \"input_length\": 512, \"output_length\": 5, \"hash_ids\": [0]}\n",
    );
    let scenario = folder.read("scenario.ron");
    let (head, _) = scenario.split_once("Synthetic").unwrap();
    folder.write("replay.ron", format!("{head}Trace(file: \"trace.jsonl\", speed: 2.0))"));
    output(folder.path(), &["run", "replay.ron", "--out", "deep/day"]);
    output(folder.path(), &["run", "deep/day/scenario.ron", "--out", "again"]);
    for name in ["report.json", "requests.csv", "scenario.ron"] {
        assert_eq!(folder.read(&format!("deep/day/{name}")), folder.read(&format!("again/{name}")));
    }
}

#[test]
fn a_trace_replaces_the_workload() {
    let folder = Folder::new();
    folder.write("trace.csv", "arrival_s,input_length,output_length\n0,100,7\n1.5,300,4\n");
    let text = output(folder.path(), &["run", "scenario.ron", "--trace", "trace.csv"]);
    assert!(text.contains("workload trace.csv"), "{text}");
    assert!(text.contains("400 in, 11 out"), "{text}");
}

#[test]
fn json_has_the_keys_of_bench_serving_and_ours() {
    let folder = Folder::new();
    let text = output(folder.path(), &["run", "scenario.ron", "--json", "--out", "day"]);
    assert_eq!(text, folder.read("day/report.json"));
    let report: serde_json::Value = serde_json::from_str(&text).unwrap();
    let keys: Vec<&str> = report.as_object().unwrap().keys().map(String::as_str).collect();
    insta::assert_snapshot!("json_keys", keys.join("\n"));
    let pool = report["pools"][0].as_object().unwrap();
    insta::assert_snapshot!(
        "json_pool_keys",
        pool.keys().map(String::as_str).collect::<Vec<_>>().join("\n")
    );
    assert_eq!(report["completed"], 40);
}

#[test]
fn a_reader_that_goes_away_is_no_error() {
    let folder = Folder::new();
    for args in [&["run", "scenario.ron", "--json"][..], &["presets"], &["check", "scenario.ron"]] {
        let mut command = command(folder.path(), args);
        let mut child = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
        drop(child.stdout.take());
        let output = child.wait_with_output().unwrap();
        let stderr = String::from_utf8(output.stderr).unwrap();
        assert_eq!((output.status.code(), stderr.as_str()), (Some(0), ""), "{args:?}");
    }
}

//! The scenarios that come with the project, and the trace that one of them needs.

use crate::program::{Folder, output, root};

/// The trace of `mooncake-4p4d.ron`, below the folder that `SGLSIM_DATA` names.
const MOONCAKE: &str = "traces/mooncake_conversation.jsonl.gz";

fn scenarios() -> Vec<String> {
    let entries = std::fs::read_dir(root().join("fixtures/scenarios")).unwrap();
    let mut names: Vec<String> =
        entries.map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
    names.sort();
    names.into_iter().map(|name| format!("fixtures/scenarios/{name}")).collect()
}

#[test]
fn every_scenario_can_be_checked_and_runs() {
    let mut ran = 0;
    for scenario in scenarios() {
        if scenario.contains("mooncake") {
            continue;
        }
        let text = output(&root(), &["check", &scenario]);
        assert!(text.ends_with("ok: this can be simulated\n"), "{scenario}: {text}");
        let text = output(&root(), &["run", &scenario]);
        assert!(text.contains(" finished in "), "{scenario}: {text}");
        ran += 1;
    }
    assert!(ran >= 4, "only {ran} scenarios ran");
}

#[test]
fn the_whole_mooncake_trace_is_served() {
    let Some(data) = std::env::var_os("SGLSIM_DATA") else {
        println!("skipped: SGLSIM_DATA is not set");
        return;
    };
    let trace = std::path::Path::new(&data).join(MOONCAKE);
    let scenario = root().join("fixtures/scenarios/mooncake-4p4d.ron");
    let (scenario, trace) = (scenario.to_str().unwrap(), trace.to_str().unwrap());
    let folder = Folder::new();
    let checked = output(folder.path(), &["check", scenario, "--trace", trace]);
    assert!(checked.contains("3.40 per second over 3,537 s"), "{checked}");
    assert!(checked.contains("12,035 tokens on average, at most 126,195"), "{checked}");
    for day in ["first", "second"] {
        output(folder.path(), &["run", scenario, "--trace", trace, "--out", day]);
    }
    let report: serde_json::Value =
        serde_json::from_str(&folder.read("first/report.json")).unwrap();
    assert_eq!(report["completed"], 12_031);
    assert_eq!(report["total_input_tokens"], 144_793_823);
    assert_eq!(report["total_output_tokens"], 4_122_048);
    for name in ["report.json", "requests.csv"] {
        let read = |day: &str| folder.read(&format!("{day}/{name}"));
        assert!(read("first") == read("second"), "{name} differs between two runs");
    }
}

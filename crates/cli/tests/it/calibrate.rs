//! `sglsim calibrate`: fits, scores and curves as users make them, and what they get wrong.

use std::fmt::Write;

use serde_json::Value;

use crate::program::{Folder, output, root, sglsim};

/// What the columns of [`gemms`] mean.
const MAP: &str = r#"(operator: "gemm", time: "time_us [us]", arguments: {"m": "tokens", "n": "out_features", "k": "in_features"})"#;

/// A folder with the example table and a small scenario.
fn folder() -> Folder {
    let folder = Folder::new();
    let example = root().join("fixtures/calibration/example/gemm.csv");
    folder.write("gemm.csv", std::fs::read(example).unwrap());
    folder
}

#[test]
fn a_fit_is_scored_and_used() {
    let folder = folder();
    let fit = ["calibrate", "fit", "--gpu", "H100", "--table", "gemm.csv", "--map", MAP];
    let with = |rest: &[&str]| output(folder.path(), &[&fit, rest].concat());
    let text = with(&["--date", "2026-11-24", "-o", "mine.ron"]);
    assert!(text.contains("gemm_bf16_bandwidth_efficiency"), "{text}");
    let again = with(&["--date", "2026-11-24", "-o", "again.ron"]);
    assert_eq!(text.replace("mine.ron", ""), again.replace("again.ron", ""));
    assert_eq!(folder.read("mine.ron"), folder.read("again.ron"));

    let score = |rest: &[&str]| {
        let score = ["calibrate", "score", "--table", "gemm.csv", "--map", MAP];
        output(folder.path(), &[&score, rest].concat())
    };
    let table = |rest: &[&str]| -> Value {
        let all: Value = serde_json::from_str(&score(&[rest, &["--json"]].concat())).unwrap();
        let [table] = all["tables"].as_array().unwrap().as_slice() else { panic!("{all}") };
        assert_eq!((&table["file"], &table["op"]), (&"gemm.csv".into(), &"gemm".into()));
        assert_eq!((&table["dtype"], &table["unsupported"]), (&"bf16".into(), &0.into()));
        table.clone()
    };
    let median = |rest: &[&str]| table(rest)["median_ape"].as_f64().unwrap();
    let mine = ["--calibration", "mine.ron"];
    assert!(median(&mine) < 0.06, "{}", median(&mine));
    assert!(median(&mine) < median(&["--gpu", "H100", "--calibration", "datasheet"]));
    let points = |which| table(&[&mine[..], &["--holdout", which]].concat())["points"].clone();
    let [all, out, fitted] = ["all", "held-out", "fitted"].map(|it| points(it).as_u64().unwrap());
    assert_eq!((all, out + fitted), (140, 140));
    assert!(out > 0 && fitted > out);

    let text = score(&[&mine[..], &["--plot", "gemm.svg", "--worst", "2"]].concat());
    assert!(text.starts_with("H100-SXM, laws: fitted to measurements of H100-SXM (2026-11-24)"));
    assert_eq!(text.lines().filter(|line| line.contains("m=")).count(), 2, "{text}");
    assert!(folder.read("gemm.svg").starts_with("<svg "));

    let check = |calibration: &str| {
        let set = format!("calibration={calibration}");
        let text = output(folder.path(), &["check", "scenario.ron", "--set", &set]);
        text.lines().find(|line| line.contains("latencies")).unwrap().trim().to_owned()
    };
    assert!(
        check("mine.ron").contains("fitted to measurements of H100-SXM (2026-11-24); the rest")
    );
    assert_eq!(
        check("datasheet").split_whitespace().collect::<Vec<_>>(),
        ["latencies", "datasheet"]
    );
    assert!(check("H200").contains("transferred from H200 ("));
}

#[test]
fn a_run_carries_its_calibration_along() {
    let folder = folder();
    let fit = ["calibrate", "fit", "--gpu", "H100", "--table", "gemm.csv", "--map", MAP];
    output(folder.path(), &[&fit, &["-o", "mine.ron"][..]].concat());
    let run = ["run", "scenario.ron", "--set", "calibration=mine.ron", "--out", "report"];
    output(folder.path(), &run);
    let report: Value = serde_json::from_str(&folder.read("report/report.json")).unwrap();
    let source = report["latency_source"].as_str().unwrap();
    assert!(source.starts_with("fitted to measurements of H100-SXM ("), "{source}");
    // The scenario in the report is whole: it runs from its new place.
    output(folder.path(), &["run", "report/scenario.ron", "--out", "again"]);
    assert_eq!(folder.read("report/report.json"), folder.read("again/report.json"));
}

#[test]
fn bad_tables_and_settings() {
    let folder = folder();
    let mut text = String::new();
    let mut refused = |about: &str, args: &[&str]| {
        let answer = sglsim(folder.path(), &[&["calibrate"], args].concat());
        assert!(answer.code != 0 && answer.stdout.is_empty(), "{about}: {answer:?}");
        write!(text, "# {about}\n{}\n", folder.redact(&answer.stderr)).unwrap();
    };
    let tables = [
        ("mixed units", "tokens,out_features,in_features,time_us\n1,64,64,5\n2,64,64,0.006 ms\n"),
        (
            "a unit in the header that is not the mapping's",
            "tokens,out_features,in_features,time_ms\n1,64,64,5\n",
        ),
        ("a missing column", "tokens,out_feature,in_features,time_us\n1,64,64,5\n"),
        ("a NaN row", "tokens,out_features,in_features,time_us\n1,64,64,5\n2,64,64,NaN\n"),
        ("an empty table", "tokens,out_features,in_features,time_us\n"),
        ("an empty file", ""),
        ("a torn row", "tokens,out_features,in_features,time_us\n1,64,64,5\n1,64\n"),
        ("nothing that a law can express", "tokens,out_features,in_features,time_us\n0,64,64,5\n"),
    ];
    for (about, table) in tables {
        folder.write("bad.csv", table);
        let map = if about.starts_with("a unit") {
            MAP.replacen("time_us", "time_ms", 1)
        } else {
            MAP.to_owned()
        };
        refused(
            about,
            &["fit", "--gpu", "H100", "--table", "bad.csv", "--map", &map, "-o", "x.ron"],
        );
    }
    let settings: [(&str, &[&str]); 7] = [
        ("a folder that is not there", &["--map", MAP, "-o", "no/such/x.ron"]),
        ("a table in no known format", &[]),
        ("a mapping of no operator", &["--map", r#"(operator: "gem", time: "t [us]")"#]),
        ("a ceiling above the datasheet", &["--map", MAP, "--ceiling", "hbm_bandwidth=9e12"]),
        ("a ceiling of nothing", &["--map", MAP, "--ceiling", "hbm=1e12"]),
        ("a share of everything", &["--map", MAP, "--holdout", "1"]),
        ("no date", &["--map", MAP, "--date", "yesterday"]),
    ];
    for (about, rest) in settings {
        let fit = ["fit", "--gpu", "H100", "--table", "gemm.csv"];
        let out = if rest.contains(&"-o") { &[][..] } else { &["-o", "x.ron"] };
        refused(about, &[&fit, rest, out].concat());
    }
    let score =
        |calibration| ["score", "--table", "gemm.csv", "--map", MAP, "--calibration", calibration];
    refused("a calibration that is not there", &score("none.ron"));
    refused("a GPU without a calibration", &score("B200"));
    folder.write(
        "old.ron",
        r#"(version: 1, gpu: "H100-SXM", date: "", coefficients: {"gemm_bf16_eficiency": 1})"#,
    );
    refused("a calibration of other laws", &score("old.ron"));
    refused("datasheet of no GPU", &score("datasheet"));
    insta::assert_snapshot!(text);
    assert!(!folder.names(".").contains(&"x.ron".to_owned()), "nothing is written");
}

/// A deployment whose memory is slower and whose host is busier is found from its latencies.
#[test]
fn a_curve_finds_what_made_it() {
    let folder = Folder::new();
    folder.write(
        "one.ron",
        crate::program::SMALL
            .replace("Disaggregated(prefill: (workers: 1), decode: (workers: 1))", "Aggregated()"),
    );
    let mut curve = "concurrency,input_len,output_len,ttft_ms,tpot_ms\n".to_owned();
    for (concurrency, input) in [(1, 100), (2, 1000), (8, 300), (32, 500), (64, 2000)] {
        let load = format!(
            "workload=Synthetic(arrivals: ClosedLoop(concurrency: {concurrency}), input_len: Fixed({input}), \
             output_len: Fixed(24), requests: {})",
            2 * concurrency
        );
        let truth = [
            "coefficients.gemm_bf16_bandwidth_efficiency=0.6",
            "coefficients.host_step_latency=0.012",
        ];
        output(
            folder.path(),
            &["run", "one.ron", "--set", &load, "--set", truth[0], "--set", truth[1], "--out", "r"],
        );
        let report: Value = serde_json::from_str(&folder.read("r/report.json")).unwrap();
        let ms = |key: &str| report[key].as_f64().unwrap();
        let _ = writeln!(
            curve,
            "{concurrency},{input},24,{},{}",
            ms("mean_ttft_ms"),
            ms("mean_tpot_ms")
        );
        std::fs::remove_dir_all(folder.path().join("r")).unwrap();
    }
    folder.write("curve.csv", curve);
    let args = [
        "calibrate",
        "curve",
        "one.ron",
        "--measured",
        "curve.csv",
        "--rounds",
        "2",
        "-o",
        "mine.ron",
    ];
    let text = output(folder.path(), &args);
    let (_, rest) = text.split_once("host time per step × ").unwrap();
    let host: f64 = rest.split_whitespace().next().unwrap().parse().unwrap();
    assert!((11.0..13.0).contains(&host), "{text}");
    let check = output(folder.path(), &["check", "one.ron", "--set", "calibration=mine.ron"]);
    assert!(check.contains("fitted to measurements of H100-SXM ("), "{check}");
    folder.write("bad.csv", "concurrency,input_len,output_len,ttft\n1,100,24,5\n");
    let args = ["calibrate", "curve", "one.ron", "--measured", "bad.csv", "-o", "x.ron"];
    let answer = sglsim(folder.path(), &args);
    assert!(answer.stderr.contains("no column `ttft_ms`"), "{}", answer.stderr);
}

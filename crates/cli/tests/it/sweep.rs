//! `sglsim sweep`: what it simulates, what it calls best, what it writes, how it fails.

use serde_json::Value;

use crate::program::{Folder, output, sglsim};

fn sweep(folder: &Folder, args: &[&str]) -> Value {
    let args = [&["sweep", "scenario.ron", "--json"], args].concat();
    serde_json::from_str(&output(folder.path(), &args)).unwrap()
}

fn points(sweep: &Value) -> &[Value] {
    sweep["points"].as_array().unwrap()
}

const WORKERS: &str = "deployment.decode.workers=1..3";
const RATES: &str = "workload.arrivals.rate=5,40";

#[test]
fn the_number_of_threads_changes_no_byte() {
    let folder = Folder::new();
    let slo = "ttft=200ms,tpot=12ms";
    for threads in ["1", "4"] {
        let args = ["sweep", "scenario.ron", "--over", WORKERS, "--over", RATES, "--slo", slo];
        let out = format!("day{threads}");
        output(folder.path(), &[&args[..], &["--threads", threads, "--out", &out]].concat());
    }
    assert_eq!(folder.names("day1"), ["best.ron", "sweep.csv", "sweep.json", "sweep.svg"]);
    for name in folder.names("day1") {
        let read = |day: &str| folder.read(&format!("{day}/{name}"));
        assert_eq!(read("day1"), read("day4"), "{name}");
    }
    assert_eq!(folder.read("day1/sweep.csv").lines().count(), 1 + 3 * 2);
}

#[test]
fn a_point_is_the_run_of_its_settings() {
    let folder = Folder::new();
    folder.write("trace.csv", "arrival_s,input_length,output_length\n0,100,7\n1.5,300,4\n");
    let trace = ["--trace", "trace.csv"];
    let speeds = ["--over", "workload.speed=1..4*2", "--over", "workload.limit=Some(1),Some(2)"];
    let swept = sweep(&folder, &[&trace[..], &speeds].concat());
    assert_eq!(points(&swept).len(), 6);
    for point in points(&swept) {
        let mut args = vec!["run", "scenario.ron", "--json", "--trace", "trace.csv"];
        let settings: Vec<String> = (point["settings"].as_object().unwrap().iter())
            .map(|(path, value)| format!("{path}={}", value.as_str().unwrap()))
            .collect();
        args.extend(settings.iter().flat_map(|setting| ["--set", setting]));
        let run: Value = serde_json::from_str(&output(folder.path(), &args)).unwrap();
        assert_eq!(point["report"], run, "{settings:?}");
    }
}

#[test]
fn every_split_of_the_workers_is_tried() {
    let folder = Folder::new();
    let swept = sweep(&folder, &["--pd-workers", "5"]);
    let splits: Vec<(&str, &str)> = (points(&swept).iter())
        .map(|point| {
            let of = |pool| point["settings"][format!("deployment.{pool}.workers")].as_str();
            (of("prefill").unwrap(), of("decode").unwrap())
        })
        .collect();
    assert_eq!(splits, [("1", "4"), ("2", "3"), ("3", "2"), ("4", "1")]);
    assert!(points(&swept).iter().all(|point| point["report"]["gpus"] == 5));
}

#[test]
fn the_best_keeps_every_bound_and_nobody_beats_the_front() {
    let folder = Folder::new();
    let args = ["--over", WORKERS, "--over", "workload.arrivals.rate=5,20,80,320"];
    let bounds = ["--slo", "ttft=60ms,p99_tpot=9ms", "--attain", "80", "--objective"];
    for objective in ["goodput", "gpus", "p99_ttft", "output_throughput_per_gpu"] {
        let swept = sweep(&folder, &[&args[..], &bounds, &[objective]].concat());
        let is_cost = ["gpus", "p99_ttft"].contains(&objective);
        let kept = |point: &Value| {
            point["slo_attainment"].as_f64().unwrap() >= 0.8
                && point["report"]["p99_tpot_ms"].as_f64().unwrap() <= 9.0
        };
        let all = points(&swept);
        assert!(all.iter().any(kept) && !all.iter().all(kept), "the bounds tell points apart");
        for point in all {
            assert_eq!(point["broken_bound"].is_null(), kept(point), "{point}");
        }
        let best = all.iter().find(|point| point["best"] == true).unwrap();
        assert!(kept(best));
        let value = |point: &Value| point["objective"].as_f64().unwrap();
        for point in all.iter().filter(|point| kept(point)) {
            let worse =
                if is_cost { value(point) >= value(best) } else { value(point) <= value(best) };
            assert!(worse, "{objective}: {} beats {}", value(point), value(best));
        }
    }
    let swept = sweep(&folder, &[&args[..], &["--front", "output_throughput,p99_ttft"]].concat());
    let of = |point: &Value| {
        let number = |key| point["report"][key].as_f64().unwrap();
        (number("output_throughput"), number("p99_ttft_ms"))
    };
    for point in points(&swept) {
        let (rate, wait) = of(point);
        let beaten = points(&swept).iter().any(|other| {
            let other = of(other);
            other.0 >= rate && other.1 <= wait && other != (rate, wait)
        });
        assert_eq!(point["front"], !beaten, "{point}");
    }
}

#[test]
fn the_best_scenario_can_be_run_from_anywhere() {
    let folder = Folder::new();
    output(folder.path(), &["sweep", "scenario.ron", "--over", WORKERS, "--out", "a/b"]);
    let swept: Value = serde_json::from_str(&folder.read("a/b/sweep.json")).unwrap();
    let best = points(&swept).iter().find(|point| point["best"] == true).unwrap();
    let run = output(folder.path(), &["run", "a/b/best.ron", "--json"]);
    assert_eq!(best["report"], serde_json::from_str::<Value>(&run).unwrap());
}

#[test]
fn a_point_that_cannot_be_costs_no_other() {
    let folder = Folder::new();
    let over = "deployment.prefill.tp_size=1,3,2";
    let text = output(folder.path(), &["sweep", "scenario.ron", "--over", over]);
    assert_eq!(text.matches("cannot be").count(), 2, "{text}");
    assert!(text.contains("\n3 cannot be: "), "{text}");
    let swept = sweep(&folder, &["--over", over]);
    let failed: Vec<bool> = points(&swept).iter().map(|p| p["error"].is_string()).collect();
    assert_eq!(failed, [false, true, false]);
}

#[test]
fn what_cannot_be_swept_is_said_before_anything_runs() {
    let folder = Folder::new();
    let mut text = String::new();
    for args in [
        &[][..],
        &["--over", "deployment.decode.workers"],
        &["--over", "deployment.decode.wrokers=1..4"],
        &["--over", "deployment.decode.workers=1,two"],
        &["--over", WORKERS, "--over", WORKERS],
        &["--over", WORKERS, "--pd-workers", "4"],
        &["--over", "seed=1..1000", "--over", "deployment.decode.workers=1..1000"],
        &["--over", WORKERS, "--slo", "ttft=2"],
        &["--over", WORKERS, "--objective", "goodptu"],
        &["--over", WORKERS, "--front", "goodput"],
        &["--over", WORKERS, "--attain", "120"],
        &["--over", "deployment.prefill.tp_size=3,5"],
        &["--over", WORKERS, "--trace", "missing.csv"],
        &["--over", WORKERS, "--out", "scenario.ron"],
        &["--over", WORKERS, "--plot", "no/such/folder/a.svg"],
    ] {
        let args = [&["sweep", "scenario.ron"], args].concat();
        let answer = sglsim(folder.path(), &args);
        assert!(answer.code > 0 && answer.stdout.is_empty(), "{args:?}: {answer:?}");
        assert_eq!(folder.names("."), ["scenario.ron"], "{args:?}");
        let said = folder.redact(&answer.stderr);
        // The fields of a pool are known well enough from other errors.
        let said = said.split(" (known: ").next().unwrap();
        text += &format!("$ sglsim {}\n{said}\n", args.join(" "));
    }
    insta::assert_snapshot!("sweep_bad_input", text);
}

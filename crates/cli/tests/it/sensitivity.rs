//! `sglsim sensitivity`, `sglsim freeze` and formulas of runs.

use serde_json::Value;

use crate::program::{Answer, Folder, output, sglsim};

#[test]
fn a_table_and_a_picture_tell_what_changes_a_metric() {
    let folder = Folder::new();
    let args =
        ["sensitivity", "scenario.ron", "--metric=mean_tpot", "--top=3", "--plot=tornado.svg"];
    let text = output(folder.path(), &args);
    for part in ["mean_tpot ", "decode_hbm_bandwidth", "decode.workers", "elasticity"] {
        assert!(text.contains(part), "{part} is missing in\n{text}");
    }
    let svg = folder.read("tornado.svg");
    assert!(svg.starts_with("<svg") && svg.contains("decode_hbm_bandwidth"), "{svg}");
    assert_eq!(output(folder.path(), &args), text, "the same again");
}

/// What so little more of a parameter that nothing is decided otherwise gives by simulation is what the
/// gradient promises.
#[test]
fn gradients_promise_what_simulations_give() {
    let folder = Folder::new();
    let args =
        ["sensitivity", "scenario.ron", "--metric=mean_itl", "--json", "--no-knobs", "--by=0.001"];
    let json: Value = serde_json::from_str(&output(folder.path(), &args)).unwrap();
    let value = json["value"].as_f64().unwrap();
    let first = &json["parameters"][0];
    let (less, more) = (first["simulated"]["less"].as_f64(), first["simulated"]["more"].as_f64());
    let slope = (more.unwrap() - less.unwrap()) / (2e-5 * value);
    let elasticity = first["elasticity"].as_f64().unwrap();
    assert!(first["name"].as_str().unwrap().starts_with("decode_"), "{first}");
    assert!((slope / elasticity - 1.0).abs() < 0.01, "{slope} simulated, {elasticity} promised");
    let shares = json["time_shares"].as_object().unwrap().values();
    let whole: f64 = shares.filter_map(Value::as_f64).sum();
    assert!((whole - 1.0).abs() < 1e-9);
    assert!(json["settings"].as_array().unwrap().is_empty());
}

#[test]
fn a_metric_of_a_run_is_a_formula() {
    let folder = Folder::new();
    let report: Value =
        serde_json::from_str(&output(folder.path(), &["run", "scenario.ron", "--json"])).unwrap();
    let formula = |more: &[&str]| {
        let args = [&["formula", "scenario.ron", "--to=json"], more].concat();
        let Answer { code, stdout, stderr } = sglsim(folder.path(), &args);
        assert_eq!(code, 0, "{stderr}");
        assert!(stderr.contains("simulated steps decide"), "{stderr}");
        serde_json::from_str::<Value>(&stdout).unwrap()
    };
    let near = |a: f64, b: f64| (a / b - 1.0).abs() < 1e-9;
    let json = formula(&["--metric=p99_ttft"]);
    assert_eq!(json["level"], "run");
    let reported = report["p99_ttft_ms"].as_f64().unwrap() / 1e3;
    assert!(near(json["value"].as_f64().unwrap(), reported));
    let json = formula(&["--metric=output_throughput", "--level=run"]);
    assert!(near(json["value"].as_f64().unwrap(), report["output_throughput"].as_f64().unwrap()));
}

#[test]
fn freezing_over_seeds_has_intervals_and_is_read_back() {
    let folder = Folder::new();
    let text = output(folder.path(), &["freeze", "scenario.ron", "--seeds=4", "-o", "frozen.ron"]);
    assert!(text.starts_with("4 runs, 160 requests\n"), "{text}");
    for part in ["cache_hit_rate", "decode_padding_share", "retractions_per_request", " to "] {
        assert!(text.contains(part), "{part} is missing in\n{text}");
    }
    let formula =
        ["formula", "scenario.ron", "--metric=max_output_throughput", "--freeze=frozen.ron"];
    let deployment = ["--set", "deployment.decode.workers=3"];
    let answer = sglsim(folder.path(), &[&formula[..], &deployment].concat());
    assert_eq!(answer.code, 0, "{}", answer.stderr);
    let other = ["--set", "workload.output_len=Fixed(7)"];
    let answer = sglsim(folder.path(), &[&formula[..], &other].concat());
    assert!(answer.stderr.contains("are of the workload"), "{}", answer.stderr);
    let later = folder.read("frozen.ron").replace("version: 3", "version: 4");
    folder.write("frozen.ron", later);
    let answer = sglsim(folder.path(), &formula);
    assert!(answer.stderr.contains("has version 4 of frozen values"), "{}", answer.stderr);
}

#[test]
fn mistakes_say_what_would_be_right() {
    let folder = Folder::new();
    for (args, hint) in [
        (&["sensitivity", "scenario.ron", "--metric=mean_tpott"][..], "did you mean `mean_tpot`?"),
        (&["sensitivity", "scenario.ron", "--metric=ttft"], "`ttft` is no metric of a run"),
        (&["sensitivity", "scenario.ron", "--by=0"], "from 0.001 to 90 percent"),
        (
            &["formula", "scenario.ron", "--metric=p99_ttft", "--level=configuration"],
            "`p99_ttft` is a metric of a run",
        ),
        (
            &["formula", "scenario.ron", "--metric=p99_ttft", "--freeze=x.ron"],
            "`--freeze` does not go with",
        ),
        (&["formula", "scenario.ron", "--metric=ttft", "--level=run"], "ask for `mean_ttft`"),
        (&["freeze", "scenario.ron", "-o", "no/such/file.ron"], "cannot write the frozen values"),
    ] {
        let answer = sglsim(folder.path(), args);
        assert!(answer.code != 0 && answer.stderr.contains(hint), "{args:?}: {}", answer.stderr);
    }
}

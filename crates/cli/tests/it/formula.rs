//! `sglsim formula`: every form is printed and means the same number, and mistakes are told.

use serde_json::Value;

use crate::program::{Answer, Folder, sglsim};

const METRIC: &str = "--metric=output_throughput";

#[test]
fn json_has_the_expression_its_value_and_what_may_be_decided() {
    let folder = Folder::new();
    let Answer { code, stdout, stderr } =
        sglsim(folder.path(), &["formula", "scenario.ron", METRIC, "--to=json"]);
    assert_eq!((code, stderr.trim()), (0, "froze 14 parameters from a run of 40 requests"));
    let json: Value = serde_json::from_str(&stdout).unwrap();
    assert!(json["value"].as_f64().unwrap() > 0.0);
    assert!(json["expression"]["nodes"].is_array(), "{}", json["expression"]);
    let variables = json["variables"].as_array().unwrap();
    let names: Vec<&str> = variables.iter().filter_map(|v| v["name"].as_str()).collect();
    for knob in ["N_p", "N_d", "prefill_chunked_prefill_size", "decode_max_running_requests"] {
        assert!(names.contains(&knob), "{knob} is not among {names:?}");
    }
}

#[test]
fn every_form_is_printed() {
    let folder = Folder::new();
    for (form, mark) in [
        ("sympy", "with sympy.evaluate(False):"),
        ("latex", "\\begin{align*}"),
        ("python", "def evaluate("),
        ("numpy", "import numpy"),
        ("c", "double"),
        ("casadi", "casadi.Function"),
        ("mathml", "<apply><eq/>"),
    ] {
        let answer = sglsim(folder.path(), &["formula", "scenario.ron", METRIC, "--to", form]);
        assert_eq!(answer.code, 0, "{form}: {}", answer.stderr);
        assert!(answer.stdout.contains(mark), "{form} has no `{mark}`");
    }
}

#[test]
fn a_solver_gets_a_program_if_it_gets_ranges() {
    let folder = Folder::new();
    let formula = ["formula", "scenario.ron", "--metric=max_output_throughput", "--knobs=N_p,N_d"];
    for (form, mark) in [("nl", "g3 1 1 0"), ("pyomo", "pyo.ConcreteModel")] {
        let ranges = ["--within=N_p=1..16,N_d=1..16", "--to", form];
        let answer = sglsim(folder.path(), &[&formula[..], &ranges[..]].concat());
        assert_eq!(answer.code, 0, "{form}: {}", answer.stderr);
        assert!(answer.stdout.contains(mark), "{form} has no `{mark}`");
    }
    let answer = sglsim(folder.path(), &[&formula[..], &["--within=N_p=1..two"]].concat());
    assert!(answer.stderr.contains("it is written NAME=LEAST..MOST"), "{}", answer.stderr);
    let answer = sglsim(folder.path(), &[&formula[..], &["--within=N_q=1..2"]].concat());
    assert!(answer.stderr.contains("did you mean `N_p`?"), "{}", answer.stderr);
}

#[test]
fn a_frozen_workload_is_read_back() {
    let folder = Folder::new();
    let value = |more: &[&str]| {
        let args = [&["formula", "scenario.ron", METRIC, "--to=json"], more].concat();
        let answer = sglsim(folder.path(), &args);
        assert_eq!(answer.code, 0, "{}", answer.stderr);
        serde_json::from_str::<Value>(&answer.stdout).unwrap()["value"].clone()
    };
    assert_eq!(value(&["--save-frozen=means.ron"]), value(&["--freeze=means.ron"]));
}

#[test]
fn mistakes_name_the_nearest() {
    let folder = Folder::new();
    for (argument, hint) in [
        ("--metric=output_thruput", "did you mean `output_throughput`?"),
        ("--knobs=N_pp", "did you mean `N_p`?"),
    ] {
        let args: &[&str] = &["formula", "scenario.ron", argument, METRIC];
        let args = if argument.starts_with("--metric") { &args[..3] } else { args };
        let answer = sglsim(folder.path(), args);
        assert_eq!(answer.code, 1);
        assert!(answer.stderr.contains(hint), "{}", answer.stderr);
        assert_eq!(answer.stdout, "");
    }
}

//! `sglsim explain`: where the time of one step goes.

use serde_json::Value;

use crate::program::{Folder, output, root, sglsim};

#[test]
fn steps_of_two_large_deployments() {
    for name in ["llama-70b-fp8-tp8", "deepseek-ep32"] {
        let scenario = format!("fixtures/scenarios/{name}.ron");
        insta::assert_snapshot!(
            format!("explain_{name}"),
            output(&root(), &["explain", &scenario])
        );
    }
}

#[test]
fn a_batch_is_that_of_the_pool_that_runs_it() {
    let folder = Folder::new();
    let of = |args: &[&str]| output(folder.path(), &[&["explain", "scenario.ron"], args].concat());
    let decode = of(&["--batch", "decode=30,context=2000"]);
    assert!(decode.contains("30 sequences of 2,000 tokens, CUDA graph of 32"), "{decode}");
    assert!(!decode.contains("prefill step"));
    let prefill = of(&["--batch", "extend=500, prefix=1500, seqs=3"]);
    assert!(prefill.contains("3 prompts of 500 new tokens behind 1,500 cached ones"), "{prefill}");
    assert!(!prefill.contains("decode step"));
    let one = of(&["--pool", "decode"]);
    assert!(one.contains("decode step") && !one.contains("prefill step"), "{one}");
}

#[test]
fn a_batch_that_cannot_be_says_why() {
    let folder = Folder::new();
    let of = |args: &[&str]| sglsim(folder.path(), &[&["explain", "scenario.ron"], args].concat());
    for (batch, why) in [
        ("decode=0", "neither `extend` nor `decode` tokens"),
        ("decod=5", "there is no size `decod`; did you mean `decode`?"),
        ("decode", "`decode` is not written as NAME=COUNT"),
        ("decode=1.5", "`decode` is 1.5, allowed are the integers 0 to 100000000"),
        ("extend=99999999999", "allowed are the integers"),
    ] {
        let answer = of(&["--batch", batch]);
        assert_eq!((answer.code, answer.stdout.as_str()), (2, ""), "{batch}");
        assert!(answer.stderr.contains(why), "{batch}: {}", answer.stderr);
    }
    let answer = of(&["--batch", "extend=5", "--pool", "decode"]);
    assert_eq!(answer.code, 1);
    assert!(answer.stderr.contains(
        "`--batch` extends, which no worker of `--pool decode` does; leave `--pool` out"
    ));
    let answer = of(&["--plot", "no/such/folder.svg"]);
    assert!(answer.stderr.contains("cannot write the plot into `no/such/folder.svg`"));
}

#[test]
fn json_adds_up_and_the_plot_has_every_step() {
    let folder = Folder::new();
    let args = ["explain", "scenario.ron", "--json", "--plot", "step.svg"];
    let json: Value = serde_json::from_str(&output(folder.path(), &args)).unwrap();
    let steps = json["steps"].as_array().unwrap();
    assert_eq!(steps.len(), 2);
    for step in steps {
        let operators = step["operators"].as_array().unwrap();
        let all: f64 = operators.iter().map(|one| one["time"].as_f64().unwrap()).sum();
        let device = step["device_time"].as_f64().unwrap();
        assert!((all / device - 1.0).abs() < 1e-9, "{all} {device}");
    }
    let svg = folder.read("step.svg");
    assert!(svg.starts_with("<svg ") && svg.ends_with("</svg>\n"));
    assert!(svg.contains("prefill step") && svg.contains("decode step"));
    assert!(!svg.contains("href") && !svg.contains("NaN"), "it needs nothing else");
}

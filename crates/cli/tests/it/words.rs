//! What the program says: help, presets, what it makes of a scenario.

use crate::program::{Folder, output, root, sglsim};

#[test]
fn help() {
    let help = |args: &[&str]| output(&root(), args);
    insta::assert_snapshot!("help", help(&["--help"]));
    for command in ["run", "check", "request", "sweep", "explain", "presets"] {
        insta::assert_snapshot!(format!("help_{command}"), help(&[command, "--help"]));
    }
}

#[test]
fn without_a_command_help_is_an_error() {
    let answer = sglsim(&root(), &[]);
    assert_eq!((answer.code, answer.stdout.as_str()), (2, ""));
    assert!(answer.stderr.contains("Usage: sglsim <COMMAND>"), "{}", answer.stderr);
}

#[test]
fn a_misspelt_argument_is_answered_with_the_right_one() {
    for (args, tip) in [
        (&["presets", "gpuu"][..], "a similar value exists: 'gpu'"),
        (&["chek"], "a similar subcommand exists: 'check'"),
        (&["run", "--jsn", "x.ron"], "a similar argument exists: '--json'"),
        (&["--trace", "x", "run", "x.ron"], "'run --trace' exists"),
    ] {
        let answer = sglsim(&root(), args);
        assert_eq!(answer.code, 2, "{args:?}");
        assert!(answer.stderr.contains(tip), "{args:?}: {}", answer.stderr);
    }
}

#[test]
fn presets() {
    insta::assert_snapshot!("presets", output(&root(), &["presets"]));
    let all = ["gpu", "link", "model"].map(|kind| output(&root(), &["presets", kind]));
    assert_eq!(all.join("\n"), output(&root(), &["presets"]));
}

#[test]
fn check() {
    let of = |args: &[&str]| output(&root(), &[&["check"], args].concat());
    insta::assert_snapshot!("check_quickstart", of(&["fixtures/scenarios/quickstart.ron"]));
    insta::assert_snapshot!(
        "check_deepseek",
        of(&["fixtures/scenarios/deepseek-dp-attention.ron"])
    );
}

#[test]
fn check_says_which_requests_will_be_refused() {
    let folder = Folder::new();
    let of = |more: &[&str]| {
        let pool = ["check", "scenario.ron", "--set", "deployment.prefill.max_total_tokens=1500"];
        sglsim(folder.path(), &[&pool, more].concat())
    };
    let answer = of(&[]);
    assert_eq!((answer.code, answer.stdout.as_str()), (1, ""));
    assert!(answer.stderr.contains("hint: "), "{}", answer.stderr);
    let answer = of(&["--set", "oversized_requests=Refuse"]);
    assert_eq!(answer.code, 0, "{answer:?}");
    assert!(answer.stdout.contains("warning: "), "{}", answer.stdout);
}

//! Bad input: every mistake is an error that names the field, its value, what is allowed and, where
//! there is one, what was probably meant. One snapshot holds all messages, so that they can be read.

use std::error::Error;
use std::fmt::Write;

use sglsim_engine::{EngineError, Scenario, ScenarioError, Simulation};

use crate::scenarios::{base, base_with};

/// An error and its causes, as the command line prints them.
fn chain(error: &dyn Error) -> String {
    let mut text = error.to_string();
    let mut source = error.source();
    while let Some(cause) = source {
        write!(text, "\n    because {cause}").unwrap();
        source = cause.source();
    }
    text
}

/// Compares with a snapshot that does not repeat the input.
macro_rules! check {
    ($text:expr) => {
        insta::with_settings!({ omit_expression => true }, { insta::assert_snapshot!($text) })
    };
}

const GOOD: &str = r#"(
    model: "Llama-3.1-8B",
    hardware: (gpu: "H100-SXM"),
    deployment: Aggregated(workers: 1, tp_size: 1),
    router: (policy: CacheAware(cache_threshold: 0.5)),
    workload: Synthetic(
        arrivals: Poisson(rate: 4.0),
        input_len: LogNormal(mean: 1000, cv: 1.0, max: 8000),
        output_len: Fixed(50),
        requests: 20,
    ),
    coefficients: { "gemm_bf16_bandwidth_efficiency": 0.8 },
    seed: 1,
)"#;

/// Runs a scenario that must fail before or while it runs.
fn failure(text: &str) -> EngineError {
    let run = || -> Result<_, EngineError> { Simulation::new(Scenario::from_ron(text)?)?.run() };
    match run() {
        Ok(report) => panic!("{} requests completed with\n{text}", report.completed),
        Err(error) => error,
    }
}

/// Messages of `GOOD` with something replaced.
fn messages(changes: &[(&str, &str)]) -> String {
    let mut all = String::new();
    for (from, to) in changes {
        assert!(GOOD.contains(from), "`{from}` is in the scenario");
        let error = failure(&GOOD.replacen(from, to, 1));
        writeln!(all, "{from} -> {to}\n  {}\n", chain(&error)).unwrap();
    }
    all
}

#[test]
fn the_scenario_is_good_before_it_is_spoilt() {
    let report = Simulation::new(Scenario::from_ron(GOOD).unwrap()).unwrap().run().unwrap();
    assert_eq!(report.completed, 20);
}

#[test]
fn names() {
    check!(messages(&[
        ("model:", "modle:"),
        ("gpu:", "gpus:"),
        ("Aggregated(", "Agregated("),
        ("tp_size", "tp_sise"),
        ("router: (policy", "router: (polcy"),
        ("CacheAware", "CacheAwar"),
        ("cache_threshold", "cache_treshold"),
        ("Poisson", "Poison"),
        ("rate:", "rat:"),
        ("cv:", "vc:"),
        ("seed:", "sed:"),
        ("Llama-3.1-8B", "Llama-3.1-8"),
        ("H100-SXM", "H100-SMX"),
        ("gemm_bf16_bandwidth_efficiency", "gemm_bf16_bandwidth_eficiency"),
        ("(gpu: \"H100-SXM\")", "(gpu: \"H100-SXM\", scale_up: \"NVLnk4\")"),
        ("tp_size: 1", "schedule_policy: fcsf"),
        ("tp_size: 1", "radix_eviction_policy: lur"),
        ("tp_size: 1", "moe_a2a_backend: deepep2"),
        ("model: \"Llama-3.1-8B\"", "model: \"nowhere/config.json\""),
        ("Poisson(rate: 4.0)", "Closed(concurrency: 4)"),
    ]));
}

#[test]
fn numbers() {
    check!(messages(&[
        ("workers: 1", "workers: 0"),
        ("workers: 1", "workers: 4294967295"),
        ("workers: 1", "workers: -1"),
        ("workers: 1", "workers: 1.5"),
        ("tp_size: 1", "tp_size: 0"),
        ("tp_size: 1", "tp_size: 3"),
        ("tp_size: 1", "tp_size: 64"),
        ("tp_size: 1", "tp_size: 4294967295"),
        ("tp_size: 1", "dp_size: 0"),
        ("tp_size: 1", "tp_size: 4, dp_size: 3"),
        ("tp_size: 1", "ep_size: 2"),
        ("tp_size: 1", "pp_size: 33"),
        ("tp_size: 1", "pp_size: 0"),
        ("tp_size: 1", "chunked_prefill_size: 0"),
        ("tp_size: 1", "chunked_prefill_size: -2"),
        ("tp_size: 1", "chunked_prefill_size: 99999999999"),
        ("tp_size: 1", "chunked_prefill_size: 16, page_size: 64"),
        ("tp_size: 1", "page_size: 0"),
        ("tp_size: 1", "page_size: 4294967295"),
        ("tp_size: 1", "page_size: 4294967295, chunked_prefill_size: -1"),
        ("tp_size: 1", "cuda_graph_max_bs: 0"),
        ("tp_size: 1", "max_prefill_tokens: 0"),
        ("tp_size: 1", "max_running_requests: 0"),
        ("tp_size: 1", "max_total_tokens: 0"),
        ("tp_size: 1", "mem_fraction_static: 0.0"),
        ("tp_size: 1", "mem_fraction_static: 1.5"),
        ("tp_size: 1", "mem_fraction_static: NaN"),
        ("tp_size: 1", "mem_fraction_static: 0.1"),
        ("tp_size: 1", "schedule_conservativeness: -1.0"),
        ("tp_size: 1", "schedule_conservativeness: inf"),
        ("tp_size: 1", "schedule_conservativeness: NaN"),
        ("tp_size: 1", "moe_a2a_backend: deepep"),
        ("0.5", "2.0"),
        ("0.5", "NaN"),
        ("0.8", "-0.8"),
        ("0.8", "NaN"),
        ("0.8", "inf"),
        ("rate: 4.0", "rate: 0.0"),
        ("rate: 4.0", "rate: -4.0"),
        ("rate: 4.0", "rate: NaN"),
        ("rate: 4.0", "rate: inf"),
        ("mean: 1000", "mean: -1000"),
        ("mean: 1000", "mean: NaN"),
        ("cv: 1.0", "cv: -1.0"),
        ("max: 8000", "max: 0"),
        ("Fixed(50)", "Fixed(0)"),
        ("Fixed(50)", "Fixed(-5)"),
        ("Fixed(50)", "Fixed(99999999999)"),
        ("requests: 20", "requests: 0"),
        ("requests: 20", "requests: 99999999999"),
        ("requests: 20", "duration: -1.0"),
        ("requests: 20", "duration: NaN"),
        ("requests: 20,", ""),
        ("seed: 1", "seed: -1"),
        ("seed: 1", "context_length: 0"),
        ("(gpu: \"H100-SXM\")", "(gpu: \"H100-SXM\", gpus_per_node: 0)"),
        ("\"Llama-3.1-8B\"", "\"Llama-3.1-70B\""),
        ("\"Llama-3.1-8B\"", "\"DeepSeek-V3\""),
        ("\"Llama-3.1-8B\"", "\"\""),
        ("\"H100-SXM\"", "\"\""),
    ]));
}

#[test]
fn text_that_ends_too_early_is_an_error_wherever_it_ends() {
    for end in 0..GOOD.len() {
        let error = Scenario::from_ron(&GOOD[..end]).unwrap_err();
        assert!(matches!(error, ScenarioError::Syntax { .. }), "{end}: {error}");
    }
    for junk in ["", "()", "[]", "42", "\u{0}", "(model: \"x\"", "{}", "Scenario"] {
        let error = Scenario::from_ron(junk).unwrap_err();
        assert!(matches!(error, ScenarioError::Syntax { .. }), "{junk:?}: {error}");
    }
    let deep = "(".repeat(100_000);
    assert!(Scenario::from_ron(&deep).is_err());
    assert!(Scenario::from_ron(&format!("{GOOD} more")).is_err(), "nothing may follow");
}

#[test]
fn a_file_is_named_in_the_message() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("spoilt.ron");
    std::fs::write(&file, GOOD.replace("tp_size", "tp_sise")).unwrap();
    let message = Simulation::from_file(&file).unwrap_err().to_string();
    let expected = format!("scenario `{}`, line 4, column ", file.display());
    assert!(message.starts_with(&expected), "{message}");
    std::fs::write(&file, [0xff, 0xfe]).unwrap();
    assert!(matches!(Scenario::from_file(&file), Err(ScenarioError::Read { .. })));
    let missing = Scenario::from_file(folder.path().join("none.ron")).unwrap_err();
    assert!(missing.to_string().contains("none.ron"));
}

#[test]
fn prompts_that_never_fit() {
    let tight = [("deployment.max_total_tokens", "400")];
    let refused = base_with(&tight);
    let report = Simulation::new(refused.clone()).unwrap().run().unwrap();
    assert_eq!((report.completed, report.refused), (0, 1));
    let error = refused.with("oversized_requests", "Error").unwrap();
    let aggregated = Simulation::new(error).unwrap().run().unwrap_err();

    // The same on either side of a pair.
    let pair = |prefill: u32, decode: u32| {
        let deployment = format!(
            r#"{{"Disaggregated": {{"prefill": {{"max_total_tokens": {prefill}}},
            "decode": {{"max_total_tokens": {decode}}}}}}}"#
        );
        let scenario = base_with(&[("deployment", &deployment)]);
        let report = Simulation::new(scenario.clone()).unwrap().run().unwrap();
        assert_eq!((report.completed, report.refused), (0, 1));
        let scenario = scenario.with("oversized_requests", "Error").unwrap();
        Simulation::new(scenario).unwrap().run().unwrap_err()
    };
    check!(format!(
        "aggregated\n  {}\n\nprefill\n  {}\n\ndecode\n  {}",
        chain(&aggregated),
        chain(&pair(400, 5000)),
        chain(&pair(5000, 900)),
    ));
}

#[test]
fn traces() {
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(folder.path().join("empty.jsonl"), "").unwrap();
    let mut all = String::new();
    for (file, format) in [("none.jsonl", "Auto"), ("empty.jsonl", "Mooncake")] {
        let load = format!(r#"{{"Trace": {{"file": "{file}", "format": "{format}"}}}}"#);
        let scenario = base_with(&[("workload", &load)]);
        let run = Simulation::in_folder(scenario, folder.path()).and_then(Simulation::run);
        let text = chain(&run.unwrap_err());
        let place = folder.path().display().to_string();
        writeln!(all, "{file}\n  {}\n", text.replace(&place, "FOLDER")).unwrap();
    }
    check!(all);
}

#[test]
fn changes_by_path() {
    let mut all = String::new();
    let scenario = Scenario::from_ron(GOOD).unwrap();
    for (path, value) in [
        ("", "1"),
        ("sed", "1"),
        ("deployment.wrokers", "4"),
        ("deployment.Aggregated.wrokers", "4"),
        ("deployment.prefill.workers", "4"),
        ("deployment.hardware.gpu", "A100"),
        ("deployment.workers.more", "4"),
        ("workload.arrivals.rte", "4"),
        ("workload.arrivals.rate", "fast"),
        ("workload.input_len.0", "4"),
        ("deployment.workers", "-1"),
        ("deployment.workers", "1.5"),
        ("deployment.workers", "null"),
        ("deployment.schedule_policy", "lmp"),
        ("router.policy", "CacheAware(cache_treshold: 0.5)"),
        ("router.policy", "CacheAware("),
        ("workload.arrivals", "Poisson(rate: NaN)"),
        ("workload.arrivals", "Poisson(4.0)"),
        ("router.policy", "RoundRobbin"),
        ("coefficients", "fast"),
        ("coefficients.gemm_bf16_bandwidth_efficiency", "fast"),
        ("model", "8"),
        ("seed", "99999999999999999999999"),
    ] {
        match scenario.with(path, value) {
            Ok(changed) => panic!("{path}={value} gives {}", changed.to_ron()),
            Err(error) => writeln!(all, "{path}={value}\n  {}\n", chain(&error)).unwrap(),
        }
    }
    // A coefficient's name is checked against the laws.
    let unknown = scenario.with("coefficients.gemm_bf16_bandwidth_eficiency", "0.5").unwrap();
    let error = Simulation::new(unknown).unwrap_err();
    writeln!(all, "coefficients.gemm_bf16_bandwidth_eficiency=0.5\n  {}", chain(&error)).unwrap();
    check!(all);
}

#[test]
fn a_value_that_nests_without_end_is_an_error() {
    for open in ["(", "[", "A(", "{\"a\":", "a:("] {
        assert!(base().with("seed", &open.repeat(100_000)).is_err(), "{open}");
    }
}

#[test]
fn changes_by_path_that_work() {
    let scenario = base();
    let changed = |path: &str, value: &str| scenario.with(path, value).unwrap();
    let pool = |scenario: &Scenario| match &scenario.deployment {
        sglsim_engine::Deployment::Aggregated(pool) => pool.clone(),
        other => panic!("{other:?}"),
    };
    assert_eq!(pool(&changed("deployment.workers", "4")).workers, 4);
    assert_eq!(pool(&changed("deployment.Aggregated.workers", "4")).workers, 4);
    assert_eq!(
        pool(&changed("deployment.max_running_requests", "4")).max_running_requests,
        Some(4)
    );
    let back = changed("deployment.max_running_requests", "4");
    let back = back.with("deployment.max_running_requests", "null").unwrap();
    assert_eq!(back, scenario);
    let hardware = changed("deployment.hardware", r#"{"gpu": "A100-80GB"}"#);
    assert_eq!(pool(&hardware).hardware.unwrap().gpu, "A100-80GB");
    let policy = changed("router.policy", r#"{"CacheAware": {}}"#);
    assert_eq!(policy.router.policy, sglsim_engine::PolicyConfig::default());
    assert_eq!(changed("model", "Qwen3-32B").model, "Qwen3-32B");
    let length = changed("workload.output_len.Fixed", "7");
    assert_eq!(Simulation::new(length).unwrap().run().unwrap().total_output_tokens, 7);
    // What has no value in the file can be set just the same.
    assert_eq!(
        changed("workload.duration", "2.5").with("workload.duration", "null").unwrap(),
        scenario
    );
}

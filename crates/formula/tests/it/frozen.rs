//! What a run freezes, and its file.

use sglsim_formula::{FormulaError, Frozen, Load};

use crate::scenarios::{AGGREGATED, fixed, freeze, mixed, scenario};

#[test]
fn means_are_those_of_the_requests() {
    let scenario =
        scenario("Llama-3.1-8B", AGGREGATED, &fixed("Constant(rate: 2.0)", 1000, 11, 21));
    let (_, mut frozen) = freeze(&scenario);
    let expected = Frozen::assumed(1000.0, 0.0, 11.0, Load::Open { request_rate: 2.0 }).unwrap();
    assert_eq!(frozen.requests, 21);
    frozen.requests = 0;
    frozen.seeds = 0;
    assert_eq!(std::mem::take(&mut frozen.model), "Llama-3.1-8B");
    assert!(std::mem::take(&mut frozen.workload).contains("Constant"));
    // They came at equal gaps, and workers took turns.
    assert!(std::mem::replace(&mut frozen.gap_scv, 1.0) < 1e-12);
    assert!((std::mem::replace(&mut frozen.mean_gap_share, 0.1) - 0.1).abs() < 1e-12);
    frozen.source.clone_from(&expected.source);
    assert_eq!(frozen, expected);
}

#[test]
fn long_outputs_count_more_in_the_context() {
    let scenario = scenario("Llama-3.1-8B", AGGREGATED, &mixed("Burst", 200));
    let (report, frozen) = freeze(&scenario);
    let (mut steps, mut context) = (0, 0);
    for request in &report.requests {
        for token in 1..request.output_tokens {
            steps += 1;
            context += request.prompt_tokens + token;
        }
    }
    let mean = context as f64 / f64::from(steps);
    assert!((frozen.mean_decode_context / mean - 1.0).abs() < 1e-12);
    assert!(frozen.mean_cached_tokens > 100.0);
}

#[test]
fn loads_are_told_apart() {
    let load = |arrivals: &str| {
        freeze(&scenario("Llama-3.1-8B", AGGREGATED, &fixed(arrivals, 500, 5, 20))).1.load
    };
    assert_eq!(load("Burst"), Load::Unlimited);
    assert_eq!(
        load("ClosedLoop(concurrency: 4, think: Exponential(mean: 2.0))"),
        Load::Closed { max_concurrency: 4.0, mean_think_time: 2.0 }
    );
    assert!(
        matches!(load("Poisson(rate: 3.0)"), Load::Open { request_rate } if request_rate > 1.0)
    );
}

#[test]
fn files_read_back_and_wrong_ones_are_refused() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("frozen.ron");
    let frozen = Frozen::assumed(1234.5, 10.0, 77.7, Load::Open { request_rate: 0.1 }).unwrap();
    frozen.write_to(&path).unwrap();
    assert_eq!(Frozen::from_file(&path).unwrap(), frozen);

    let text = std::fs::read_to_string(&path).unwrap();
    std::fs::write(&path, text.replace("mean_output_tokens: 77.7", "mean_output_tokens: 0.5"))
        .unwrap();
    let error = Frozen::from_file(&path).unwrap_err();
    assert_eq!(error.to_string(), "frozen `mean_output_tokens` is 0.5, allowed is >= 1");
    std::fs::write(&path, text.replace("mean_output_tokens", "mean_output_token")).unwrap();
    assert!(matches!(Frozen::from_file(&path), Err(FormulaError::Format { .. })));
    let missing = Frozen::from_file(folder.path().join("no.ron")).unwrap_err();
    assert!(matches!(missing, FormulaError::File { .. }));
}

//! The workload section of a scenario file, and what it refuses.

use std::path::Path;

use sglsim_units::RngStreams;
use sglsim_workload::{
    Arrivals, DurationLaw, LengthLaw, TraceConfig, WorkloadConfig, WorkloadError, testing,
};

use proptest::prelude::*;

fn build(text: &str) -> Result<(), WorkloadError> {
    let config: WorkloadConfig = ron::from_str(text).unwrap_or_else(|e| panic!("{text}: {e}"));
    config.build(Path::new("/nowhere"), RngStreams::new(1)).map(drop)
}

fn synthetic(fields: &str) -> String {
    format!("Synthetic(input_len: Fixed(1), output_len: Fixed(1), {fields})")
}

#[test]
fn every_field_can_be_written() {
    let text = "Synthetic(
        arrivals: ClosedLoop(concurrency: 64, think: Exponential(mean: 5.0)),
        input_len: LogNormalMedian(median: 800, sigma: 1.1, max: 32768),
        output_len: Histogram([(min: 1, max: 64, weight: 3.0), (min: 65, max: 512, weight: 1.0)]),
        prefix: Some((groups: 64, len: Fixed(2048), share: 0.9, skew: 1.0)),
        sessions: Some((turns: Uniform(min: 1, max: 6), think: LogNormal(mean: 8, cv: 1.5))),
        requests: Some(1000),
        duration: Some(600.0),
        max_new_tokens: Some(512),
        max_concurrency: Some(256),
    )";
    let config: WorkloadConfig = ron::from_str(text).unwrap();
    config.build(Path::new("."), RngStreams::new(1)).unwrap();
    for law in ["Fixed(7)", "Random(len: 1024)", "Zipf(exponent: 1.2, max: 99)"] {
        assert!(ron::from_str::<LengthLaw>(law).is_ok(), "{law}");
    }
    for law in ["Poisson(rate: 3.0)", "Gamma(rate: 3, cv: 2)", "Constant(rate: 1)", "Burst"] {
        assert!(ron::from_str::<Arrivals>(law).is_ok(), "{law}");
    }
    let implicit_some =
        ron::Options::default().with_default_extension(ron::extensions::Extensions::IMPLICIT_SOME);
    let text = synthetic("arrivals: Burst, requests: 9, prefix: (groups: 2, len: Fixed(5))");
    assert!(implicit_some.from_str::<WorkloadConfig>(&text).is_ok());
    assert!(ron::from_str::<Arrivals>("Batches(size: 4, every: 1.5)").is_ok());
    assert_eq!(ron::from_str::<DurationLaw>("Fixed(0.0)").unwrap(), DurationLaw::default());
}

#[test]
fn a_trace_is_read_from_the_folder_of_the_scenario() {
    let folder = tempfile::tempdir().unwrap();
    let text = "arrival_s,input_length,output_length\n0,1,1\n1,1,1\n2,1,1\n";
    std::fs::write(folder.path().join("day.csv"), text).unwrap();
    let config: WorkloadConfig =
        ron::from_str(r#"Trace(file: "day.csv", speed: 2, limit: Some(2), format: Csv)"#).unwrap();
    let mut workload = config.build(folder.path(), RngStreams::new(1)).unwrap();
    assert_eq!((workload.name(), workload.total()), ("day.csv", Some(2)));
    workload.pop();
    assert_eq!(workload.peek().map(|at| at.seconds()), Some(0.5));
    assert!(matches!(
        config.build(Path::new("/nowhere"), RngStreams::new(1)),
        Err(WorkloadError::Trace(_))
    ));
}

#[test]
fn unknown_fields_are_refused() {
    for text in [
        r#"Trace(file: "x", sped: 2)"#,
        "Synthetic(arrivals: Burst, input_len: Fixed(1), output_len: Fixed(1), request: Some(1))",
        "Synthetic(arrivals: Poisson(rate: 1, cv: 2), input_len: Fixed(1), output_len: Fixed(1))",
        "Synthetic(arrivals: Burst, input_len: LogNormal(mean: 9, sd: 1), output_len: Fixed(1))",
        "Recorded(file: \"x\")",
    ] {
        assert!(ron::from_str::<WorkloadConfig>(text).is_err(), "{text}");
    }
}

/// The field that a configuration is refused for.
#[track_caller]
fn refused(text: &str, field: &str) {
    match build(text) {
        Err(WorkloadError::OutOfRange { field: found, value, allowed }) => {
            assert_eq!(found, field, "{text}");
            assert!(!value.is_empty() && !allowed.is_empty());
        }
        other => panic!("{text}: {other:?}"),
    }
}

#[test]
fn values_out_of_range_are_refused_by_name() {
    for bad in ["0.0", "-1.0", "NaN", "inf", "1e300"] {
        let fields = |law: &str| synthetic(&format!("requests: Some(1), arrivals: {law}"));
        refused(&fields(&format!("Poisson(rate: {bad})")), "arrivals.rate");
        refused(&fields(&format!("Constant(rate: {bad})")), "arrivals.rate");
        refused(&fields(&format!("Gamma(rate: {bad}, cv: 1)")), "arrivals.rate");
        refused(&fields(&format!("Gamma(rate: 1, cv: {bad})")), "arrivals.cv");
        refused(&fields(&format!("Batches(size: 1, every: {bad})")), "arrivals.every");
    }
    let burst = |law: &str| {
        format!(
            "Synthetic(arrivals: Burst, requests: Some(1), input_len: {law}, output_len: Fixed(1))"
        )
    };
    for (law, field) in [
        ("Fixed(0)", "input_len"),
        ("Uniform(min: 0, max: 1)", "input_len.min"),
        ("Uniform(min: 5, max: 4)", "input_len.max"),
        ("Random(len: 0)", "input_len.len"),
        ("Random(len: 1, range_ratio: 1.5)", "input_len.range_ratio"),
        ("Random(len: 1, range_ratio: NaN)", "input_len.range_ratio"),
        ("LogNormal(mean: 0.5, cv: 1)", "input_len.mean"),
        ("LogNormal(mean: NaN, cv: 1)", "input_len.mean"),
        ("LogNormal(mean: 9, cv: -1)", "input_len.cv"),
        ("LogNormal(mean: 9, cv: 1, max: 8)", "input_len.mean"),
        ("LogNormalMedian(median: 9, sigma: inf)", "input_len.sigma"),
        ("Zipf(exponent: -1, max: 8)", "input_len.exponent"),
        ("Zipf(exponent: 1, max: 0)", "input_len.max"),
        ("Histogram([])", "number of bins of input_len"),
        ("Histogram([(min: 0, max: 1, weight: 1)])", "input_len[0].min"),
        ("Histogram([(min: 2, max: 1, weight: 1)])", "input_len[0].max"),
        ("Histogram([(min: 1, max: 1, weight: NaN)])", "input_len[0].weight"),
        ("Histogram([(min: 1, max: 1, weight: 0)])", "sum of the weights of input_len"),
    ] {
        refused(&burst(law), field);
    }
    for (fields, field) in [
        ("requests: Some(0)", "requests"),
        ("requests: Some(4294967296)", "requests"),
        ("requests: Some(1), duration: Some(0.0)", "duration"),
        ("requests: Some(1), duration: Some(NaN)", "duration"),
        ("requests: Some(1), max_new_tokens: Some(0)", "max_new_tokens"),
        ("requests: Some(1), max_concurrency: Some(0)", "max_concurrency"),
        ("requests: Some(1), prefix: Some((groups: 0, len: Fixed(1)))", "prefix.groups"),
        ("requests: Some(1), prefix: Some((groups: 1, len: Fixed(0)))", "prefix.len"),
        ("requests: Some(1), prefix: Some((groups: 1, len: Fixed(1), share: 2))", "prefix.share"),
        ("requests: Some(1), prefix: Some((groups: 1, len: Fixed(1), skew: NaN))", "prefix.skew"),
        ("requests: Some(1), sessions: Some((turns: Fixed(0)))", "longest of sessions.turns"),
        (
            "requests: Some(1), sessions: Some((turns: LogNormal(mean: 3, cv: 1)))",
            "longest of sessions.turns",
        ),
        (
            "requests: Some(1), sessions: Some((turns: Fixed(1), think: Fixed(-1)))",
            "sessions.think",
        ),
        (
            "requests: Some(1), sessions: Some((turns: Fixed(1), max_prompt_len: Some(0)))",
            "sessions.max_prompt_len",
        ),
    ] {
        refused(&synthetic(&format!("arrivals: Burst, {fields}")), field);
    }
    let closed = |law: &str| synthetic(&format!("requests: Some(1), arrivals: {law}"));
    refused(&closed("ClosedLoop(concurrency: 0)"), "arrivals.concurrency");
    refused(&closed("ClosedLoop(concurrency: 1, think: Fixed(inf))"), "arrivals.think");
    refused(
        &synthetic("arrivals: Poisson(rate: 1e6), duration: Some(1e6)"),
        "duration x rate (expected requests)",
    );
}

#[test]
fn a_workload_without_an_end_is_refused() {
    let message = |fields: &str| build(&synthetic(fields)).unwrap_err().to_string();
    assert_eq!(
        message("arrivals: Poisson(rate: 1)"),
        "Poisson arrivals never end by themselves; give `requests` or `duration`"
    );
    assert_eq!(
        message("arrivals: ClosedLoop(concurrency: 2), duration: Some(9.0)"),
        "ClosedLoop arrivals never end by themselves; give `requests`"
    );
    assert!(build(&synthetic("arrivals: Poisson(rate: 1), duration: Some(9.0)")).is_ok());
}

proptest! {
    #[test]
    fn what_is_written_is_read_again(config in testing::synthetic_config(100)) {
        let config = WorkloadConfig::Synthetic(config);
        let text = ron::to_string(&config).unwrap();
        prop_assert_eq!(ron::from_str::<WorkloadConfig>(&text).unwrap(), config.clone(), "{}", text);
        let text = serde_json::to_string(&config).unwrap();
        prop_assert_eq!(serde_json::from_str::<WorkloadConfig>(&text).unwrap(), config);
    }
}

#[test]
fn a_trace_section_is_read_again() {
    let mut config = TraceConfig::new("a/b.jsonl.gz");
    config.block_size = Some(16);
    config.replay.limit = Some(3);
    config.max_concurrency = Some(4);
    let config = WorkloadConfig::Trace(config);
    let text = ron::to_string(&config).unwrap();
    assert_eq!(ron::from_str::<WorkloadConfig>(&text).unwrap(), config, "{text}");
}

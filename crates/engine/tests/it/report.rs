//! What a report looks like from outside.

use serde_json::Value;

use crate::scenarios::{base_with, bytes, run};

const PAIR: &str = r#"{"Disaggregated": {"prefill": {}, "decode": {}}}"#;

/// The keys of the JSON form, in order, with the type of their values.
fn keys(value: &Value, indent: usize, text: &mut String) {
    use std::fmt::Write;
    let Value::Object(map) = value else { return };
    for (key, value) in map {
        let kind = match value {
            Value::Null => "null",
            Value::Bool(_) => "bool",
            Value::Number(number) if number.is_f64() => "float",
            Value::Number(_) => "integer",
            Value::String(_) => "string",
            Value::Array(_) => "array of",
            Value::Object(_) => "",
        };
        writeln!(text, "{:indent$}{key}: {kind}", "").unwrap();
        let inner = value.as_array().and_then(|array| array.first()).unwrap_or(value);
        keys(inner, indent + 2, text);
    }
}

#[test]
fn keys_of_the_json_form() {
    let scenario = base_with(&[("deployment", PAIR), ("workload.requests", "5")]);
    let [json, csv] = bytes(&run(&scenario), &scenario);
    let mut text = String::new();
    keys(&serde_json::from_str(&json).unwrap(), 0, &mut text);
    insta::assert_snapshot!("report_json_keys", text);
    insta::assert_snapshot!("requests_csv_header", csv.lines().next().unwrap());
}

#[test]
fn an_empty_field_is_a_time_that_never_came() {
    let scenario = base_with(&[("deployment.max_total_tokens", "300")]);
    let report = run(&scenario);
    assert_eq!((report.completed, report.refused), (0, 1));
    assert_eq!(report.output_throughput(), 0.0);
    let [json, csv] = bytes(&report, &scenario);
    let line = csv.lines().nth(1).unwrap();
    assert_eq!(line, "0,0,500,0,0,0,0,0,,,,,,,,,0,1,,0");
    assert!(!json.contains("null"), "an empty run has no NaN: {json}");
}

#[test]
fn times_in_json_are_milliseconds() {
    let scenario = base_with(&[]);
    let report = run(&scenario);
    let json = report.to_json();
    assert_eq!(json["mean_ttft_ms"].as_f64().unwrap(), report.ttft.mean * 1e3);
    assert_eq!(json["median_itl_ms"].as_f64().unwrap(), report.itl.p50 * 1e3);
    assert_eq!(json["duration"].as_f64().unwrap(), report.duration.get());
    let per_gpu = json["output_throughput_per_gpu"].as_f64().unwrap();
    assert_eq!(per_gpu, report.output_throughput() / f64::from(report.gpus));
}

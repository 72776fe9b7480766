//! Published traces, held against facts computed from them independently; and small ones by hand.

use std::path::{Path, PathBuf};

use sglsim_radix::{Prompt, Span};
use sglsim_units::{HashSet, Labels, SimTime};
use sglsim_workload::{
    LengthSummary, ReplayOptions, Request, Trace, TraceFormat, TraceRow, Workload, WorkloadError,
    testing,
};

/// A published trace, or `None` aloud where the data is not at hand.
#[expect(clippy::print_stdout, reason = "a skipped test says so")]
fn published(name: &str) -> Option<PathBuf> {
    let folder = std::env::var_os("SGLSIM_DATA");
    if folder.is_none() {
        println!("skipped: SGLSIM_DATA is not set");
    }
    Some(Path::new(&folder?).join("traces").join(name))
}

fn read(path: &Path) -> Trace {
    Trace::read(path, TraceFormat::Auto, None).unwrap()
}

fn requests(workload: &mut dyn Workload) -> Vec<Request> {
    std::iter::from_fn(|| workload.pop()).collect()
}

#[track_caller]
fn check_lengths(lengths: &LengthSummary, total: u64, mean: &str, percentiles: [u64; 4]) {
    assert_eq!(lengths.total, total);
    assert_eq!(format!("{:.1}", lengths.mean), mean);
    assert_eq!([lengths.p50, lengths.p90, lengths.p99, lengths.max], percentiles);
}

#[test]
fn the_mooncake_conversation_trace_has_its_published_facts() {
    let Some(path) = published("mooncake_conversation.jsonl.gz") else { return };
    let trace = read(&path);
    let facts = trace.summary();
    assert_eq!(facts.requests, 12_031);
    assert_eq!(format!("{:.1} {:.4}", facts.span, facts.rate), "3537.0 3.4015");
    assert_eq!(format!("{:.2}", facts.arrival_cv), "3.03");
    check_lengths(&facts.input, 144_793_823, "12035.1", [6_909, 27_367, 85_401, 126_195]);
    check_lengths(&facts.output, 4_122_048, "342.6", [350, 597, 1_120, 2_000]);

    let all = requests(&mut trace.replay(&ReplayOptions::default()).unwrap());
    let blocks: Vec<Span> =
        all.iter().flat_map(|request| request.prompt.elements().to_vec()).collect();
    let distinct: HashSet<u64> = blocks.iter().map(|span| span.content).collect();
    assert_eq!((blocks.len(), distinct.len()), (288_500, 182_790));
    assert!(all.iter().all(|request| request.prompt.elements()[0].content == 0));
    let instants: HashSet<u64> =
        all.iter().map(|request| request.arrival.seconds().to_bits()).collect();
    assert_eq!(instants.len(), 1_180);
}

#[test]
fn the_azure_code_trace_has_its_published_facts() {
    let Some(path) = published("azure_llm_2023_code.csv.gz") else { return };
    let facts = read(&path).summary();
    assert_eq!(facts.requests, 8_819);
    assert_eq!(format!("{:.1} {:.4}", facts.span, facts.rate), "3435.9 2.5667");
    assert_eq!(format!("{:.2}", facts.arrival_cv), "13.15");
    check_lengths(&facts.input, 18_059_974, "2047.8", [1_469, 5_194, 7_436, 7_437]);
    check_lengths(&facts.output, 245_896, "27.9", [13, 55, 252, 1_899]);
}

fn written(name: &str, text: impl AsRef<[u8]>) -> (tempfile::TempDir, PathBuf) {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join(name);
    std::fs::write(&path, text).unwrap();
    (folder, path)
}

/// Arrivals, prompts and outputs of a file with this text.
fn rows(text: &str) -> Vec<(f64, Vec<Span>, u32)> {
    let (_folder, path) = written("trace", text);
    requests(&mut read(&path).replay(&ReplayOptions::default()).unwrap())
        .into_iter()
        .map(|r| (r.arrival.seconds(), r.prompt.elements().to_vec(), r.output_len))
        .collect()
}

#[test]
fn blocks_cover_the_prompt_and_the_last_is_partial() {
    let text = r#"{"timestamp": 27, "input_length": 1030, "output_length": 5, "hash_ids": [7, 3, 9]}
{"timestamp": 27, "input_length": 512, "output_length": 6, "hash_ids": [7], "other": null}
{"timestamp": 3027, "input_length": 1, "output_length": 7, "hash_ids": [4]}"#;
    let expected = vec![
        (0.0, vec![Span::new(7, 512), Span::new(3, 512), Span::new(9, 6)], 5),
        (0.0, vec![Span::new(7, 512)], 6),
        (3.0, vec![Span::new(4, 1)], 7),
    ];
    assert_eq!(rows(text), expected);
    assert_eq!(rows(&format!("\u{feff}{}\r\n\r\n \n", text.replace('\n', "\r\n"))), expected);
}

#[test]
fn a_qwen_trace_has_seconds_and_blocks_of_16() {
    let text = r#"{"chat_id": 159, "parent_chat_id": -1, "timestamp": 61.5, "input_length": 20, "output_length": 3, "type": "text", "turn": 1, "hash_ids": [0, 1]}
{"chat_id": 160, "parent_chat_id": 159, "timestamp": 62, "input_length": 16, "output_length": 4, "type": "text", "turn": 2, "hash_ids": [0]}"#;
    assert_eq!(
        rows(text),
        vec![(0.0, vec![Span::new(0, 16), Span::new(1, 4)], 3), (0.5, vec![Span::new(0, 16)], 4)]
    );
    let (_folder, path) = written("qwen.jsonl", text.replace("[0, 1]", "[0, 1, 2]"));
    let trace = Trace::read(&path, TraceFormat::Qwen, Some(8)).unwrap_err();
    assert_eq!(trace.to_string(), format!("cannot read trace `{}` at line 2", path.display()));
}

#[test]
fn csv_columns_are_found_by_name_in_any_order() {
    let lengths = |text: &str| -> Vec<(f64, u32, u32)> {
        rows(text).into_iter().map(|(at, spans, out)| (at, spans[0].len, out)).collect()
    };
    let expected = vec![(0.0, 4808, 10), (0.052, 3180, 8), (86_400.0, 1, 1)];
    assert_eq!(
        lengths(
            "TIMESTAMP,ContextTokens,GeneratedTokens\r\n\
             2023-11-16 18:17:03.9799600,4808,10\r\n\
             2023-11-16 18:17:04.0319600,3180,8\r\n\
             2023-11-17 18:17:03.9799600,1,1"
        ),
        expected
    );
    assert_eq!(
        lengths(
            "Timestamp,Session ID,Model,Request tokens,Response tokens,Total tokens,Log Type\n\
             5,1,\"GPT-4\",4808,10,4818,API log\n5.052,,x,3180,8,0,\n86405,,x,1,1,2,y\n"
        ),
        [(0.0, 4808, 10), (5.052 - 5.0, 3180, 8), (86_400.0, 1, 1)]
    );
    assert_eq!(
        lengths("output_length, arrival_s, input_length\n10,0,4808\n8,0.052,3180\n1,8.64e4,1\n"),
        expected
    );
}

#[test]
fn prompts_of_a_csv_trace_all_differ() {
    let rows = rows("arrival_s,input_length,output_length\n0,10,1\n0,10,1\n");
    assert_ne!(rows[0].1[0].content, rows[1].1[0].content);
}

#[test]
fn gzip_is_seen_from_the_content_not_the_name() {
    use std::io::Write;
    let text = "arrival_s,input_length,output_length\n0,10,1\n";
    let mut gzip = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
    gzip.write_all(text.as_bytes()).unwrap();
    let (_folder, path) = written("no_suffix", gzip.finish().unwrap());
    assert_eq!(read(&path).requests(), 1);
    let (_folder, path) = written("plain.gz", text);
    assert_eq!(read(&path).requests(), 1);
}

#[test]
fn speed_limit_and_overstated_output() {
    let (_folder, path) =
        written("t", "arrival_s,input_length,output_length\n5,10,1\n9,10,3\n12,10,90\n");
    let trace = read(&path);
    let replay = |options: ReplayOptions| trace.replay(&options);

    let mut fast = replay(ReplayOptions { speed: 4.0, ..Default::default() }).unwrap();
    assert_eq!(fast.total(), Some(3));
    let fast = requests(&mut fast);
    assert_eq!(fast.iter().map(|r| r.arrival.seconds()).collect::<Vec<_>>(), [0.0, 1.0, 1.75]);
    assert!(fast.iter().all(|r| r.ignore_eos && r.max_new_tokens == r.output_len));

    let options = ReplayOptions { limit: Some(2), max_new_tokens: Some(64), ..Default::default() };
    let mut short = replay(options.clone()).unwrap();
    assert_eq!(short.total(), Some(2));
    let short = requests(&mut short);
    assert_eq!(short.len(), 2);
    assert!(short.iter().all(|r| !r.ignore_eos && r.max_new_tokens == 64));

    let error = replay(ReplayOptions { limit: None, ..options }).unwrap_err();
    assert_eq!(error.to_string(), "`max_new_tokens` is 64, allowed is from 90 to 4294967295");
    for speed in [0.0, -1.0, f64::NAN, f64::INFINITY, 1e-300] {
        let error = replay(ReplayOptions { speed, ..Default::default() }).unwrap_err();
        assert!(matches!(error, WorkloadError::OutOfRange { field, .. } if field == "speed"));
    }
    assert!(replay(ReplayOptions { limit: Some(0), ..Default::default() }).is_err());
}

#[test]
fn a_trace_by_hand_is_checked_and_replayed() {
    let row = |at: f64, prompt: u32, output_len| TraceRow {
        arrival: SimTime::new(at).unwrap(),
        prompt: Prompt::new(vec![Span::new(1, prompt)]),
        output_len,
        labels: Labels::default(),
    };
    let trace = Trace::from_rows("mine", [row(2.0, 5, 1), row(2.5, 6, 1)]).unwrap();
    testing::conformance(|| Box::new(trace.replay(&ReplayOptions::default()).unwrap()));
    assert_eq!(trace.replay(&ReplayOptions::default()).unwrap().peek(), SimTime::new(2.0).ok());

    let far = Trace::from_rows("far", [row(1e307, 1, 1)]).unwrap();
    assert!(far.replay(&ReplayOptions { speed: 1e-6, ..Default::default() }).is_err());

    let field = |rows: Vec<TraceRow>| match Trace::from_rows("mine", rows).unwrap_err() {
        WorkloadError::OutOfRange { field, .. } => field,
        other => panic!("{other}"),
    };
    assert_eq!(field(vec![]), "rows");
    assert_eq!(field(vec![row(0.0, 0, 1)]), "rows[0].prompt.tokens");
    assert_eq!(field(vec![row(0.0, 1, 1), row(0.0, 1, 0)]), "rows[1].output_len");
    assert_eq!(field(vec![row(1.0, 1, 1), row(0.5, 1, 1)]), "rows[1].arrival");
}

/// A trace of the given lines.
fn of_lines(lines: &[&str]) -> Result<Trace, WorkloadError> {
    let file = tempfile::NamedTempFile::new().unwrap();
    std::fs::write(file.path(), lines.join("\n")).unwrap();
    Trace::read(file.path(), TraceFormat::Auto, None)
}

#[test]
fn labels_are_read_where_a_line_has_them() {
    let plain = r#"{"timestamp": 0, "input_length": 5, "output_length": 1, "hash_ids": [1]}"#;
    let line = |labels: &str| plain.replace('}', &format!(", {labels}}}"));
    let json = of_lines(&[
        plain,
        &line(r#""rid": "a", "priority": -3, "routing_key": "user 7", "extra_key": "salt""#),
        &line(r#""rid": "b", "routing_key": 8, "extra_key": "salt", "lora_path": "sql""#),
        &line(r#""routing_key": "user 7", "extra_key": "salt", "priority": null"#),
    ]);
    let csv = of_lines(&[
        "arrival_s,input_length,output_length,priority,routing_key,extra_key,lora_path,rid",
        "0,5,1,,,,,",
        "0,5,1,-3,user 7,salt,,a",
        "0,5,1,,8,salt,sql,b",
        "0,5,1,,user 7,salt,,",
    ]);
    let labels = |namespace, priority, routing_key| Labels { namespace, priority, routing_key };
    for trace in [json.unwrap(), csv.unwrap()] {
        let all = requests(&mut trace.replay(&ReplayOptions::default()).unwrap());
        assert_eq!(
            all.iter().map(|request| request.labels).collect::<Vec<_>>(),
            [
                Labels::default(),
                labels(1, Some(-3), Some(0)),
                labels(2, None, Some(1)),
                labels(1, None, Some(0)),
            ]
        );
    }
}

#[test]
fn wrong_labels_are_refused_with_their_line() {
    let line = |labels: &str| {
        format!(
            r#"{{"timestamp": 0, "input_length": 5, "output_length": 1, "hash_ids": [1], {labels}}}"#
        )
    };
    for (second, message) in [
        (line(r#""rid": "a""#), "`rid` is `a`, which an earlier line has already"),
        (line(r#""priority": 1.5"#), "`priority` is 1.5, allowed is a whole number"),
        (line(r#""extra_key": ["x"]"#), "`extra_key` is [\"x\"], allowed is a text or a number"),
    ] {
        let error = of_lines(&[&line(r#""rid": "a""#), &second]).unwrap_err();
        let WorkloadError::Trace(error) = error else { panic!("{error}") };
        assert_eq!(error.line(), Some(2));
        assert_eq!(error.kind().to_string(), message);
    }
}

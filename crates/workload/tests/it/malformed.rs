//! Whatever is wrong with a file is one clear error: where, what, and what would be right.

use std::error::Error;
use std::io::Write;

use sglsim_workload::{Trace, TraceErrorKind, TraceFormat, WorkloadError};

const ROW: &str =
    r#"{"timestamp": 9, "input_length": 600, "output_length": 5, "hash_ids": [0, 1]}"#;

/// Line and message (with its cause) of the error that a file with this content gives.
#[track_caller]
fn refused(content: impl AsRef<[u8]>) -> (Option<u64>, String) {
    let mut file = tempfile::NamedTempFile::new().unwrap();
    file.write_all(content.as_ref()).unwrap();
    match Trace::read(file.path(), TraceFormat::Auto, None).unwrap_err() {
        WorkloadError::Trace(error) => {
            assert_eq!(error.path(), file.path());
            (error.line(), error.kind().to_string())
        }
        other => panic!("{other}"),
    }
}

#[track_caller]
fn check(content: impl AsRef<[u8]>, line: u64, message: &str) {
    assert_eq!(refused(content), (Some(line), message.to_owned()));
}

#[test]
fn fields_of_json_lines() {
    let second = |from: &str, to: &str| format!("{ROW}\n{}\n", ROW.replace(from, to));
    let lengths = "allowed is a whole number from 1 to 4294967295";
    let present = "(there are: hash_ids, input_lenght, output_length, timestamp)";
    check(
        second("input_length", "input_lenght"),
        2,
        &format!("there is no `input_length`; is `input_lenght` a misspelling of it? {present}"),
    );
    check(
        second("timestamp", "x"),
        2,
        "there is no `timestamp` (there are: hash_ids, input_length, output_length, x)",
    );
    for bad in ["-3", "0", "1.5", "1e99", "4294967296", "\"600\"", "null", "[]"] {
        let shown = if bad == "1e99" { "1e+99" } else { bad };
        let message = format!("`input_length` is {shown}, {lengths}");
        check(second("600", bad), 2, &message);
    }
    check(second("5,", "0,"), 2, &format!("`output_length` is 0, {lengths}"));
    check(second("600", "NaN"), 2, "the line is not a JSON object: expected value at column 34");
    check(
        second("600", "1025"),
        2,
        "`hash_ids` holds 2 blocks, but 1025 tokens in blocks of 512 are 3",
    );
    check(
        second("[0, 1]", "[]"),
        2,
        "`hash_ids` holds 0 blocks, but 600 tokens in blocks of 512 are 2",
    );
    check(second("[0, 1]", "7"), 2, "`hash_ids` is 7, allowed is a list of ids");
    check(
        second("[0, 1]", "[0, -1]"),
        2,
        "`hash_ids` is -1, allowed is a whole number from 0 to 2^62 - 1",
    );
    check(second(" 9", " \"nine\""), 2, "`timestamp` is \"nine\", allowed is a finite number");
    check(
        second(" 9", " 8"),
        2,
        "`timestamp` is 8, allowed is not earlier than the line before, \
         0 s after the first request",
    );
}

#[test]
fn lines_of_json() {
    let cut = &ROW[..40];
    let eof = "the line is not a JSON object: EOF while parsing a string at column 40";
    check(format!("{ROW}\n{ROW}\n{cut}"), 3, eof);
    check(format!("{ROW}\n\n\n{ROW}\n"), 2, "the line is blank, and more requests follow");
    check(
        format!("{ROW}\n[1, 2]\n"),
        2,
        "the line is not a JSON object: invalid type: sequence, expected a map",
    );
    check(
        [ROW.as_bytes(), b"\n{\"timest\xffamp\"\n"].concat(),
        2,
        "byte 9 of the line is not UTF-8",
    );
}

#[test]
fn csv() {
    let header = "TIMESTAMP,ContextTokens,GeneratedTokens\n2023-11-16 18:17:03.97,10,5\n";
    let row = |row: &str| format!("{header}{row}\n");
    let lengths = "allowed is a whole number from 1 to 4294967295";
    check(row("2023-11-16 18:17:04,10"), 3, "the line has 2 cells, the header has 3");
    for bad in ["-3", "0", "1.5", "NaN", "", "inf", "99999999999", "+-1"] {
        let message = format!("`ContextTokens` is {bad}, {lengths}");
        check(row(&format!("2023-11-16 18:17:04,{bad},5")), 3, &message);
    }
    check(row("2023-11-16 18:17:04,1,0"), 3, &format!("`GeneratedTokens` is 0, {lengths}"));
    check(
        row("2023-02-30 18:17:04,1,1"),
        3,
        "`TIMESTAMP` is `2023-02-30 18:17:04`, allowed is a date and time such as \
         2023-11-16 18:17:03.9799600, from 1970 to 2261",
    );
    check(
        row("2023-11-16 18:17:05,1,1\n2023-11-16 18:17:04,1,1"),
        4,
        "`TIMESTAMP` is 2023-11-16 18:17:04, allowed is not earlier than the line before, \
         1.03 s after the first request",
    );
    check(
        header.replace("ContextTokens", "ContextToken"),
        1,
        "there is no `ContextTokens`; is `ContextToken` a misspelling of it? \
         (there are: TIMESTAMP, ContextToken, GeneratedTokens)",
    );
    check(
        "arrival_s,input_length,output_length\n1,1,1\nnan,1,1\n",
        3,
        "`arrival_s` is `nan`, allowed is a finite number of seconds",
    );
    let (line, message) = refused("prompt,answer\nhi,there\n");
    assert_eq!(line, Some(1));
    assert!(
        message.starts_with("the first line `prompt,answer` fits no known format; known are: JSON")
    );
}

#[test]
fn files() {
    let empty = (None, "there is no request in it".to_owned());
    assert_eq!(refused(""), empty);
    assert_eq!(refused("\n \r\n\n"), empty);
    assert_eq!(refused("TIMESTAMP,ContextTokens,GeneratedTokens\n"), empty);

    let read = |path: &std::path::Path| Trace::read(path, TraceFormat::Auto, None).unwrap_err();
    let folder = tempfile::tempdir().unwrap();
    let missing = folder.path().join("missing.jsonl");
    let error = read(&missing);
    assert_eq!(error.to_string(), format!("cannot read trace `{}`", missing.display()));
    assert_eq!(error.source().unwrap().to_string(), "No such file or directory (os error 2)");
    assert_eq!(read(folder.path()).source().unwrap().to_string(), "Is a directory (os error 21)");
}

#[test]
fn a_gzip_stream_cut_anywhere_is_refused() {
    let mut gzip = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::best());
    for at in 9..200 {
        writeln!(gzip, "{}", ROW.replace(" 9", &format!(" {at}"))).unwrap();
    }
    let whole = gzip.finish().unwrap();
    let read = |bytes: &[u8]| {
        let mut file = tempfile::NamedTempFile::new().unwrap();
        file.write_all(bytes).unwrap();
        Trace::read(file.path(), TraceFormat::Auto, None)
    };
    assert_eq!(read(&whole).unwrap().requests(), 191);
    for cut in 2..whole.len() {
        let error = read(&whole[..cut]).unwrap_err();
        let WorkloadError::Trace(error) = error else { panic!("{error}") };
        assert!(matches!(error.kind(), TraceErrorKind::Gzip(_)), "cut at {cut}: {error:?}");
    }
    let mut damaged = whole.clone();
    damaged[whole.len() / 2] ^= 0x55;
    assert!(read(&damaged).is_err());
    assert!(read(&[whole.as_slice(), b"more"].concat()).is_err());
    // Two gzip members are one file, as for gunzip; here time goes back where they meet.
    let WorkloadError::Trace(error) = read(&[whole.as_slice(), &whole].concat()).unwrap_err()
    else {
        panic!("not an error of the trace")
    };
    assert_eq!(error.line(), Some(192));
}

#[test]
fn a_block_size_is_for_formats_with_blocks() {
    let mut file = tempfile::NamedTempFile::new().unwrap();
    writeln!(file, "{ROW}").unwrap();
    let read = |format, size| Trace::read(file.path(), format, Some(size));
    assert!(read(TraceFormat::Mooncake, 300).is_ok());
    assert!(matches!(
        read(TraceFormat::Mooncake, 0),
        Err(WorkloadError::OutOfRange { field, .. }) if field == "block_size"
    ));
    assert_eq!(
        read(TraceFormat::Csv, 16).unwrap_err().to_string(),
        "`block_size` is 16, allowed is nothing: the trace is CSV, which has no blocks"
    );
}

//! What cannot be right is an error that says where.

use sglsim_calibrate::{Ceilings, Dataset, Mapping};

use crate::files::{Folder, gemm_mapping, read_gemms};

/// The message of a table that is refused, without the folder in front of the file.
fn refusal(text: &str) -> String {
    let message = read_gemms(text).unwrap_err().to_string();
    let at = message.find("gemms.csv").unwrap_or_else(|| panic!("{message}"));
    message[at..].to_owned()
}

#[test]
fn a_cell_that_is_not_a_finite_number_is_named_with_its_place() {
    for (cell, problem) in [
        ("NaN", "`t_us` is `NaN`, which is not a finite number"),
        ("inf", "`t_us` is `inf`, which is not a finite number"),
        ("", "`t_us` is ``, but it must be a number"),
        ("fast", "`t_us` is `fast`, which is not a number"),
        ("-3", "`t_us` is `-3`, but a time is not negative"),
    ] {
        let message = refusal(&format!("m,n,k,t_us\n1,64,64,5\n2,64,64,{cell}\n"));
        assert_eq!(message, format!("gemms.csv:3:4: {problem}"));
    }
}

#[test]
fn units_do_not_mix() {
    let in_cell = refusal("m,n,k,t_us\n1,64,64,5\n2,64,64,0.006 ms\n");
    assert!(
        in_cell.starts_with("gemms.csv:3:4: `t_us` is `0.006 ms`, a number with the unit `ms`"),
        "{in_cell}"
    );
    let folder = Folder::new();
    let path = folder.write("gemms.csv", "m,n,k,t_us\n1,64,64,5\n");
    let wrong =
        r#"(operator: "gemm", time: "t_us [ms]", arguments: {"m": "m", "n": "n", "k": "k"})"#;
    let message = Dataset::new()
        .add_mapped(path, &[Mapping::from_ron(wrong).unwrap()])
        .unwrap_err()
        .to_string();
    assert!(
        message.ends_with("gemms.csv:1:4: `t_us` says us, but the mapping reads it in ms"),
        "{message}"
    );
}

#[test]
fn columns_that_are_missing_are_named_with_what_reads_them() {
    assert_eq!(
        refusal("m,n,kk,t_us\n1,64,64,5\n"),
        "gemms.csv` has no column `k`, which `gemm.k` reads; did you mean `kk`?; it has: m, n, kk, t_us"
    );
}

#[test]
fn empty_and_ragged_tables() {
    assert_eq!(refusal(""), "gemms.csv` has no rows and no header");
    assert_eq!(refusal("m,n,k,t_us\n"), "gemms.csv` has no rows below its header");
    assert_eq!(
        refusal("m,n,k,t_us\n1,64,64,5\n1,64\n"),
        "gemms.csv:3: the row has 2 cells, the header has 4"
    );
}

#[test]
fn files_that_cannot_be_read() {
    let folder = Folder::new();
    let message = Dataset::new().add(folder.path("none.csv")).unwrap_err().to_string();
    assert!(message.starts_with("cannot read `") && message.ends_with("none.csv`"), "{message}");
    let torn = folder.path("torn.csv.gz");
    std::fs::write(&torn, [0x1f, 0x8b, 8, 0, 0, 0, 0, 0, 0, 3, 1, 2, 3]).unwrap();
    let error = Dataset::new().add(&torn).unwrap_err();
    assert!(error.to_string().ends_with("torn.csv.gz`"), "{error}");
    assert!(std::error::Error::source(&error).is_some(), "why it is unreadable");
}

#[test]
fn tables_in_no_known_format() {
    let folder = Folder::new();
    let path = folder.write("mine.csv", "a,b\n1,2\n");
    let message = Dataset::new().add(path).unwrap_err().to_string();
    assert!(message.contains("is in no known format, its columns are: a, b"), "{message}");
    assert!(message.contains("aiconfigurator gemm"), "{message}");
}

#[test]
fn mappings_that_cannot_be() {
    for (text, part) in [
        (r#"(operator: "gem", time: "t [us]")"#, "did you mean `gemm`?"),
        (r#"(operator: "gemm", time: "t [us]")"#, "argument `m` is missing: rows of activations"),
        (
            r#"(operator: "gemm", time: "t [us]", arguments: {"m": "m", "n": "n", "k": "k", "dtyp": "d"})"#,
            "it has no argument `dtyp` (known: m, n, k, dtype); did you mean `dtype`?",
        ),
        (r#"(operator: "gemm", tim: "t [us]")"#, "line 1, column"),
    ] {
        let message = Mapping::from_ron(text).unwrap_err().to_string();
        assert!(message.contains(part), "{message}");
    }
    let folder = Folder::new();
    let path = folder.write("gemms.csv", "m,n,k,t\n1,64,64,5\n");
    for (time, part) in [
        ("t", "`time: t` has no unit; write it behind the column, such as `[ms]`"),
        ("t [h]", "has the unit `h`, allowed are s, ms, us, µs, ns"),
        ("t * (2 [us]", "a `(` is not closed"),
    ] {
        let text = format!(
            r#"(operator: "gemm", time: "{time}", arguments: {{"m": "m", "n": "n", "k": "k"}})"#
        );
        let mapping = Mapping::from_ron(&text).unwrap();
        let message = Dataset::new().add_mapped(&path, &[mapping]).unwrap_err().to_string();
        assert!(message.contains(part), "{message}");
    }
}

#[test]
fn rows_that_cannot_be_expressed_are_counted_with_a_reason() {
    let text = "m,n,k,t_us\n1,64,64,5\n0,64,64,5\n1,64,64,0\n1.5,64,64,5\n";
    let data = read_gemms(text).unwrap();
    assert_eq!(data.len(), 1);
    let reasons: Vec<(String, usize)> = data.unsupported().map(|it| (it.reason, it.rows)).collect();
    let reasons: Vec<(&str, usize)> = reasons.iter().map(|(why, n)| (why.as_str(), *n)).collect();
    assert_eq!(reasons, [("its time is 0", 1), ("m is 0", 1), ("m is not a whole number", 1)]);
    assert_eq!(gemm_mapping().operator, "gemm");
}

#[test]
fn ceilings_above_the_datasheet_are_refused() {
    let (topology, mut theta) = crate::files::h100();
    let mut ceilings = Ceilings::default();
    ceilings.set("hbm_bandwidth", 4e12).unwrap();
    let message = ceilings.scale(topology.gpu(), &mut theta).unwrap_err().to_string();
    assert_eq!(
        message,
        "`hbm_bandwidth` is 4000000000000, allowed is at most the datasheet's peak"
    );
}

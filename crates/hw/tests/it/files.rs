//! Descriptions that users write.

use std::path::PathBuf;

use sglsim_hw::{Gpu, HwError, Link};

const MINE: &str = r#"(
    name: "mine",
    architecture: Hopper,
    sm_count: 100,
    boost_clock_hz: 1.5e9,
    peak: (bf16: 500e12, fp8: Some(1000e12)),
    hbm_capacity: 80_000_000_000,
    hbm_bandwidth: 3e12,
    l2_capacity: 5e7,
    shared_memory_per_sm: 200000,
    tdp_watts: 500,
    gpus_per_node: 4,
    scale_up: "NVLink4",
    scale_out: "IB-NDR",
    source: "a guess",
)"#;

fn refused(from: &str, to: &str) -> HwError {
    assert!(MINE.contains(from));
    Gpu::from_ron(&MINE.replacen(from, to, 1)).unwrap_err()
}

/// Checks where and at which field the description is refused, and part of the message.
#[track_caller]
fn check_syntax(from: &str, to: &str, at: (usize, &str), says: &str) {
    let error = refused(from, to);
    assert!(error.to_string().contains(says), "{error}");
    match error {
        HwError::Syntax { line, field, .. } => assert_eq!((line, &*field), at),
        other => panic!("{other:?}"),
    }
}

#[test]
fn a_gpu_of_ones_own() {
    let gpu = Gpu::from_ron(MINE).unwrap();
    assert_eq!(gpu.hbm_capacity.get(), 80e9);
    assert_eq!(gpu.peak.int8, None);
}

#[test]
fn what_is_written_is_read_back() {
    for name in Gpu::names() {
        let gpu = Gpu::preset(name).unwrap();
        assert_eq!(Gpu::from_ron(&ron::to_string(&gpu).unwrap()).unwrap(), gpu);
    }
}

#[test]
fn misspelt_names_get_a_hint() {
    check_syntax("hbm_bandwidth", "hbm_bandwidht", (8, "hbm_bandwidht"), "`hbm_bandwidth`?");
    check_syntax("fp8:", "pf8:", (6, "peak.pf8"), "did you mean `fp8`?");
    check_syntax("Hopper", "Hoper", (3, "architecture"), "did you mean `Hopper`?");
}

#[test]
fn broken_values_name_their_place() {
    check_syntax("3e12", "-3e12", (8, "hbm_bandwidth"), "bandwidth is -3000000000000 B/s");
    check_syntax("3e12", "inf", (8, "hbm_bandwidth"), "> 0 and finite");
    check_syntax("500e12", "NaN", (6, "peak.bf16"), "compute rate is NaN");
    check_syntax("3e12,", "3e12", (9, ""), "comma");
    check_syntax("100,", "-1,", (4, "sm_count"), "");
    check_syntax("    name: \"mine\",\n", "", (15, ""), "`name`");
}

#[test]
fn impossible_figures_name_their_range() {
    for (from, to, says) in [
        ("sm_count: 100", "sm_count: 0", "`sm_count` of `mine` is 0, allowed is >= 1"),
        ("gpus_per_node: 4", "gpus_per_node: 0", "`gpus_per_node` of `mine` is 0, allowed is >= 1"),
        ("1.5e9", "-1", "`boost_clock_hz` of `mine` is -1, allowed is > 0 and finite"),
        ("80_000_000_000", "0", "`hbm_capacity` of `mine` is 0, allowed is > 0 and finite"),
        ("watts: 500", "watts: NaN", "`tdp_watts` of `mine` is NaN, allowed is > 0 and finite"),
    ] {
        assert_eq!(refused(from, to).to_string(), says);
    }
}

#[test]
fn files_are_named_in_errors() {
    let folder = std::env::temp_dir().join(format!("sglsim-hw-{}", std::process::id()));
    std::fs::create_dir_all(&folder).unwrap();
    let write = |name: &str, text: &str| -> PathBuf {
        let path = folder.join(name);
        std::fs::write(&path, text).unwrap();
        path
    };
    let good = write("good.ron", MINE);
    assert_eq!(Gpu::from_file(&good).unwrap(), Gpu::from_ron(MINE).unwrap());

    let bad = write("bad.ron", &MINE.replace("sm_count", "sm_cuont"));
    let message = Gpu::from_file(&bad).unwrap_err().to_string();
    assert!(message.contains("bad.ron: line 4, column ") && message.contains("`sm_count`?"));

    let missing = Link::from_file(folder.join("none.ron")).unwrap_err().to_string();
    assert!(missing.contains("none.ron: cannot be read: "), "{missing}");
    std::fs::remove_dir_all(&folder).unwrap();
}

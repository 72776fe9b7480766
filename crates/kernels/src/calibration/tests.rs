//! What calibration files hold, and what they refuse.

use sglsim_hw::Gpu;

use super::*;

const SMALL: &str = r#"(
    version: 1,
    gpu: "H100-SXM",
    date: "2026-11-24",
    coefficients: { "gemm_bf16_efficiency": 0.75 },
    tables: [(file: "gemm.csv", rows: 10, fitted: 8)],
    errors: [(operator: "gemm", dtype: "bf16", points: 2, median_ape: 0.03, p90_ape: 0.1)],
)"#;

#[test]
fn what_is_written_is_read_again() {
    let calibration = Calibration::from_ron(SMALL).unwrap();
    assert_eq!(calibration.held_out, HeldOut::default());
    assert_eq!(Calibration::from_ron(&calibration.to_ron()).unwrap(), calibration);
}

#[test]
fn only_what_was_fitted_changes() {
    let gpu = Gpu::preset("H100").unwrap();
    let before = Coefficients::for_architecture(gpu.architecture);
    let mut after = before.clone();
    Calibration::from_ron(SMALL).unwrap().apply(&gpu, &mut after).unwrap();
    let changed: Vec<String> = Coefficients::infos()
        .map(|info| info.name())
        .filter(|name| before.get(name) != after.get(name))
        .collect();
    assert_eq!(changed, ["gemm_bf16_efficiency"]);
    assert_eq!(after.gemm_bf16.efficiency, 0.75);
}

#[test]
fn refusals_name_what_is_wrong() {
    for (from, to, message) in [
        ("version: 1", "version: 9", "calibration of version 9, known is 1"),
        ("gpu:", "gpv:", "line 3, column 5"),
        ("bf16_efficiency", "bf16_eficiency", "did you mean `gemm_bf16_efficiency`?"),
        ("0.75", "1.75", "coefficient `gemm_bf16_efficiency` is 1.75"),
    ] {
        let error = Calibration::from_ron(&SMALL.replacen(from, to, 1)).unwrap_err();
        assert!(error.to_string().contains(message), "{error}");
    }
    let error = Calibration::from_file("/nowhere/x.ron").unwrap_err();
    assert_eq!(error.to_string(), "cannot read calibration `/nowhere/x.ron`");
}

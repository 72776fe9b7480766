//! Measurements that a law made are fitted by that law again.

use std::fmt::Write;

use sglsim_calibrate::{Dataset, FitOptions, Remark, Rows, fit, score};
use sglsim_kernels::HeldOut;

use crate::files::{Folder, gemm_mapping, h100};

/// GEMMs of many shapes, timed by the law with other coefficients than the default ones; every tenth
/// row takes three times as long.
fn table(truth: &sglsim_kernels::Coefficients) -> String {
    let mut text = "m,n,k,t_us\n".to_owned();
    let (topology, _) = h100();
    let folder = Folder::new();
    let mut rows = String::from("m,n,k,t_us\n");
    for m in [1, 8, 24, 64, 200, 512, 1024, 4096, 16384] {
        for n in [512, 1024, 2560, 4096, 8192, 14336] {
            for k in [512, 2048, 4096, 8192] {
                let _ = writeln!(rows, "{m},{n},{k},1");
            }
        }
    }
    let mut data = Dataset::new();
    data.add_mapped(folder.write("rows.csv", &rows), &[gemm_mapping()]).unwrap();
    let score = score(&data, &topology, truth, Rows::All).unwrap();
    for (at, point) in score.tables[0].points.iter().enumerate() {
        let numbers: Vec<&str> = point.call.split(['=', ' ']).skip(1).step_by(2).collect();
        let wrong = if at % 10 == 7 { 3.0 } else { 1.0 };
        let _ = writeln!(text, "{},{}", numbers.join(","), point.predicted * 1e6 * wrong);
    }
    text
}

#[test]
fn a_fit_finds_the_law_behind_the_rows_in_spite_of_outliers() {
    let (topology, start) = h100();
    let mut truth = start.clone();
    for info in sglsim_kernels::Coefficients::infos().filter(|info| info.family == "gemm_bf16") {
        let value = start.get(&info.name()).unwrap();
        truth.set(&info.name(), (value * 0.8).clamp(info.bounds.0, info.bounds.1)).unwrap();
    }
    let folder = Folder::new();
    let path = folder.write("gemms.csv", &table(&truth));
    let mut data = Dataset::new();
    data.add_mapped(path, &[gemm_mapping()]).unwrap();
    let mut options = FitOptions::default();
    options.starts = 3;
    let run = || fit(&data, &topology, &start, &options, &mut |_, _, _| {}).unwrap();
    let found = run();

    // Not all coefficients are seen well in these few rows, so the law is found, not its every digit.
    let held_out = found.parts[0].held_out.unwrap();
    let before = score(&data, &topology, &start, Rows::HeldOut(options.held_out)).unwrap();
    let before = before.tables[0].errors.unwrap();
    assert!(held_out.points > 10 && held_out.median_ape < 0.025, "{held_out:?}");
    assert!(held_out.median_ape < before.median_ape / 5.0, "{held_out:?} after {before:?}");
    let mut theta = start.clone();
    found.calibration.apply(topology.gpu(), &mut theta).unwrap();
    let again = score(&data, &topology, &theta, Rows::HeldOut(found.calibration.held_out)).unwrap();
    assert_eq!(again.tables[0].errors, Some(held_out), "a held-out score can be repeated");
    let kept = found.calibration.errors.first().unwrap();
    assert_eq!((kept.operator.as_str(), kept.points), ("gemm", held_out.points));

    // Only what the rows depend on is written, and the same input gives the same bytes.
    let written = &found.calibration.coefficients;
    assert!(written.keys().all(|name| name.starts_with("gemm_bf16_")), "{written:?}");
    let identified = |it: &&sglsim_calibrate::FittedCoefficient| it.remark != Remark::NotIdentified;
    assert_eq!(written.len(), found.parts[0].coefficients.iter().filter(identified).count());
    assert_eq!(run().calibration.to_ron(), found.calibration.to_ron());
}

#[test]
fn whole_shapes_are_held_out() {
    let (topology, theta) = h100();
    let folder = Folder::new();
    let path = folder.write("gemms.csv", &table(&theta));
    let mut data = Dataset::new();
    data.add_mapped(path, &[gemm_mapping()]).unwrap();
    let split = HeldOut { seed: 3, share: 0.3 };
    let shapes = |rows| {
        let score = score(&data, &topology, &theta, rows).unwrap();
        let points = score.tables.into_iter().flat_map(|table| table.points);
        let shape = |call: String| call[call.find("n=").unwrap()..].to_owned();
        points.map(|point| shape(point.call)).collect::<std::collections::BTreeSet<_>>()
    };
    let (out, fitted) = (shapes(Rows::HeldOut(split)), shapes(Rows::Fitted(split)));
    assert!(out.is_disjoint(&fitted));
    assert_eq!(out.len() + fitted.len(), 24);
    assert!((3..=12).contains(&out.len()), "{out:?}");
}

//! Scores as a person and as a program reads them.

use sglsim_calibrate::{Rows, plot, score};

use crate::files::{h100, read_gemms};

#[test]
fn json_has_one_entry_per_table_operator_and_format() {
    let (topology, theta) = h100();
    let data = read_gemms("m,n,k,t_us\n64,4096,4096,20\n4096,4096,4096,250\n0,64,64,1\n").unwrap();
    let scored = score(&data, &topology, &theta, Rows::All).unwrap();
    let json: serde_json::Value = serde_json::from_str(&scored.to_json()).unwrap();
    let tables = json["tables"].as_array().unwrap();
    assert_eq!(tables.len(), 1);
    let keys: Vec<&str> = tables[0].as_object().unwrap().keys().map(String::as_str).collect();
    let mut expected = ["file", "op", "dtype", "points", "median_ape", "p90_ape", "unsupported"];
    expected.sort_unstable();
    assert_eq!(keys, expected);
    assert_eq!(tables[0]["op"], "gemm");
    assert_eq!(
        (tables[0]["points"].as_u64(), tables[0]["unsupported"].as_u64()),
        (Some(2), Some(1))
    );
    let median = tables[0]["median_ape"].as_f64().unwrap();
    assert!((0.0..1.0).contains(&median), "a fraction, not per cent: {median}");
}

#[test]
fn large_products_are_bound_by_compute_and_small_ones_by_memory() {
    use sglsim_calibrate::Regime;
    let (topology, theta) = h100();
    let data =
        read_gemms("m,n,k,t_us\n1,16384,16384,200\n16384,8192,8192,3000\n1,64,64,4\n").unwrap();
    let scored = score(&data, &topology, &theta, Rows::All).unwrap();
    let regimes: Vec<Regime> = scored.tables[0].points.iter().map(|point| point.regime).collect();
    assert_eq!(regimes, [Regime::Memory, Regime::Compute, Regime::Launch]);
}

#[test]
fn a_plot_is_one_well_formed_picture() {
    let (topology, theta) = h100();
    let data = read_gemms("m,n,k,t_us\n64,4096,4096,20\n4096,4096,4096,250\n").unwrap();
    let svg = plot(&score(&data, &topology, &theta, Rows::All).unwrap(), "a < b & c");
    assert!(svg.starts_with("<svg ") && svg.trim_end().ends_with("</svg>"));
    assert!(svg.contains("a &lt; b &amp; c") && !svg.contains("NaN") && !svg.contains("inf"));
    assert_eq!(svg.matches("<g ").count(), svg.matches("</g>").count());
}

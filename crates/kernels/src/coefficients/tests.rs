//! Tests of θ.

use super::*;

#[test]
fn defaults_are_in_range() {
    use Architecture::{Ada, Ampere, Blackwell, Cdna3, Hopper};
    for architecture in [Ampere, Ada, Hopper, Blackwell, Cdna3] {
        let theta = Coefficients::for_architecture(architecture);
        theta.check().unwrap();
        assert_eq!(theta.provenance, "datasheet");
    }
}

#[test]
fn out_of_range_is_refused_and_changes_nothing() {
    let defaults = Coefficients::for_architecture(Architecture::Hopper);
    for info in Coefficients::TABLE {
        let mut theta = defaults.clone();
        for wrong in [-1.0, f64::NAN, f64::INFINITY] {
            let error = theta.set(info.name, wrong).unwrap_err().to_string();
            assert!(error.contains(info.name) && error.contains(info.range.as_str()), "{error}");
            assert_eq!(theta, defaults);
        }
    }
    let wrong = Coefficients { kv_read_efficiency: 1.5, ..defaults };
    assert_eq!(
        wrong.check().unwrap_err().to_string(),
        "coefficient `kv_read_efficiency` is 1.5, allowed is > 0 and <= 1"
    );
}

#[test]
fn every_coefficient_can_be_read_and_set() {
    let mut theta = Coefficients::for_architecture(Architecture::Hopper);
    for info in Coefficients::TABLE {
        theta.set(info.name, 1.0).unwrap();
        assert_eq!(theta.get(info.name), Some(1.0));
        assert!(!info.doc.is_empty());
    }
    assert_eq!(theta.get("nothing"), None);
}

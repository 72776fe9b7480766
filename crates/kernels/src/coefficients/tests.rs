//! Tests of θ.

use sglsim_hw::Architecture;

use super::*;

#[test]
fn defaults_are_in_bounds() {
    use Architecture::{Ada, Ampere, Blackwell, Cdna3, Hopper};
    for architecture in [Ampere, Ada, Hopper, Blackwell, Cdna3] {
        let theta = Coefficients::for_architecture(architecture);
        theta.check().unwrap();
        assert_eq!(theta.provenance, "datasheet");
    }
}

#[test]
fn out_of_bounds_is_refused_and_changes_nothing() {
    let defaults = Coefficients::for_architecture(Architecture::Hopper);
    for info in Coefficients::infos() {
        let mut theta = defaults.clone();
        for wrong in [-1e-9, info.bounds.1 * 1.001, f64::NAN, f64::INFINITY] {
            if info.bounds.0 <= wrong && wrong <= info.bounds.1 {
                continue;
            }
            let error = theta.set(&info.name(), wrong).unwrap_err().to_string();
            assert!(error.contains(&info.name()) && error.contains("allowed"), "{error}");
            assert_eq!(theta, defaults);
        }
    }
    let mut wrong = defaults;
    wrong.decode_attention_bf16.bandwidth_efficiency = 1.5;
    assert_eq!(
        wrong.check().unwrap_err().to_string(),
        "coefficient `decode_attention_bf16_bandwidth_efficiency` is 1.5, allowed is 0.02 to 1"
    );
}

#[test]
fn every_coefficient_can_be_read_and_set() {
    let mut theta = Coefficients::for_architecture(Architecture::Hopper);
    for info in Coefficients::infos() {
        let (low, high) = info.bounds;
        assert!(low < high && !info.doc.is_empty(), "{info:?}");
        for value in [low, high] {
            theta.set(&info.name(), value).unwrap();
            assert_eq!(theta.get(&info.name()), Some(value));
        }
    }
    assert_eq!(theta.get("nothing"), None);
}

#[test]
fn names_are_unique_and_a_family_has_at_most_twenty() {
    let names: Vec<String> = Coefficients::infos().map(|info| info.name()).collect();
    let mut sorted = names.clone();
    sorted.sort();
    sorted.dedup();
    assert_eq!(sorted.len(), names.len());
    for info in Coefficients::infos() {
        let of_family = Coefficients::infos().filter(|other| other.family == info.family);
        assert!(of_family.count() <= 20, "{}", info.family);
    }
}

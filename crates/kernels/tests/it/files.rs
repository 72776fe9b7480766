//! What can be written in a file.

use sglsim_hw::Architecture;
use sglsim_kernels::{Coefficients, MemoryOptions, MoeA2aBackend, ParallelPlan};

#[test]
fn plans_and_options_have_sglangs_names_and_defaults() {
    let plan: ParallelPlan =
        ron::from_str("(tp_size: 16, dp_size: 16, ep_size: 16, moe_a2a_backend: deepep)").unwrap();
    assert_eq!((plan.tp_size, plan.pp_size), (16, 1));
    assert_eq!(plan.moe_a2a_backend, MoeA2aBackend::DeepEp);
    let options: MemoryOptions =
        ron::from_str("(mem_fraction_static: Some(0.9), page_size: 64)").unwrap();
    assert_eq!(
        options,
        MemoryOptions { mem_fraction_static: Some(0.9), page_size: 64, ..Default::default() }
    );
}

#[test]
fn unknown_fields_are_refused() {
    let error = ron::from_str::<ParallelPlan>("(tp: 8)").unwrap_err().to_string();
    assert!(error.contains("`tp`") && error.contains("tp_size"), "{error}");
    assert!(ron::from_str::<MemoryOptions>("(mem_fraction: Some(0.9))").is_err());
}

#[test]
fn coefficients_survive_a_file() {
    let theta = Coefficients::for_architecture(Architecture::Blackwell);
    let text = ron::to_string(&theta).unwrap();
    assert_eq!(ron::from_str::<Coefficients>(&text).unwrap(), theta);
    assert!(
        ron::from_str::<Coefficients>("(gemm_bf16: (efficiency: 0.5))").is_err(),
        "all are needed"
    );
}

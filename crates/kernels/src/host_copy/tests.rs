//! Tests of the copy law.

use proptest::prelude::*;
use sglsim_hw::Architecture;

use super::*;

fn law(model: &str, plan: &ParallelPlan) -> HostCopyLaw {
    let model = ModelShape::preset(model).unwrap();
    let theta = Coefficients::for_architecture(Architecture::Hopper);
    let link = Link::preset("PCIe5").unwrap();
    HostCopyLaw::of(&Context::new(), "", &model, &link, &theta, plan).unwrap()
}

#[test]
fn ranks_share_heads_but_not_latents() {
    let bytes = |model, tp| {
        let law = law(model, &ParallelPlan::tensor(tp));
        law.bytes().evaluate(&law.values().clone().with("copy_tokens", 1.0)).unwrap()
    };
    assert_eq!(bytes("Llama-3.1-70B", 1), 327_680.0);
    assert_eq!(bytes("Llama-3.1-70B", 4), 81_920.0);
    assert_eq!(bytes("DeepSeek-V3", 8), bytes("DeepSeek-V3", 1));
}

/// Layer by layer, as it happens: a layer is computed once its copy and the layer before are done.
fn by_layers(step: f64, copy: f64, layers: u32) -> f64 {
    let n = f64::from(layers);
    (1..=layers).fold(0.0_f64, |done, layer| done.max(copy * f64::from(layer) / n) + step / n)
}

proptest! {
    #[test]
    fn a_step_waits_as_layer_by_layer(step in 1e-4_f64..1.0, tokens in 1_u64..1_000_000) {
        let mut program = law("Llama-3.1-8B", &ParallelPlan::tensor(1)).compile().unwrap();
        let expected = by_layers(step, program.seconds(tokens), 32);
        let found = program.step_seconds(step, tokens);
        prop_assert!((found - expected).abs() <= 1e-12 * expected, "{found} against {expected}");
    }
}

#[test]
fn nothing_to_copy_takes_no_time() {
    let mut program = law("Llama-3.1-8B", &ParallelPlan::tensor(1)).compile().unwrap();
    assert_eq!(program.seconds(0), 0.0);
    assert_eq!(program.step_seconds(0.0123, 0), 0.0123);
    assert!(program.seconds(2) > program.seconds(1));
}

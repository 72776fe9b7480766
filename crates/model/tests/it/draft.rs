//! Draft models against what their papers publish.

use sglsim_model::{DraftShape, ModelShape};

fn preset(name: &str) -> ModelShape {
    ModelShape::preset(name).unwrap()
}

#[test]
fn an_mtp_module_has_the_parameters_of_the_release() {
    let target = preset("DeepSeek-V3");
    let mtp = DraftShape::mtp(&target).unwrap();
    // The module counts two norms of its inputs more than a model of one layer has.
    let norms = 2 * u64::from(target.hidden_size);
    assert_eq!(mtp.parameters() + norms, target.mtp_parameters());
    assert_eq!((mtp.shape.moe_layers(), mtp.shape.dense_layers()), (1, 0));
}

#[test]
fn eagle_heads_are_as_large_as_published() {
    // EAGLE's table of weights: 0.25B for LLaMA3-Instruct 8B, 0.99B for 70B.
    for (name, published) in [("Llama-3.1-8B", 0.25e9), ("Llama-3.1-70B", 0.99e9)] {
        let own = DraftShape::eagle(&preset(name)).unwrap().parameters() as f64;
        assert!((own / published - 1.0).abs() < 0.02, "{name}: {own}");
    }
}

#[test]
fn eagle_3_attends_over_pairs_and_has_a_small_head() {
    let target = preset("Llama-3.1-8B");
    let draft = DraftShape::eagle3(&target, 32_000).unwrap();
    let plain = DraftShape::eagle(&target).unwrap();
    let (hidden, head) = (4096 * 4096, 32_000 * 4096);
    let wide = 4096 * (32 + 2 * 8) * 128;
    assert_eq!(draft.parameters(), plain.parameters() + hidden + wide + head);
}

#[test]
fn what_cannot_be_drafted_says_why() {
    let error = DraftShape::mtp(&preset("Llama-3.1-8B")).unwrap_err().to_string();
    assert!(error.contains("`Llama-3.1-8B` brings no MTP layer"), "{error}");
    let error = DraftShape::eagle(&preset("DeepSeek-V3")).unwrap_err().to_string();
    assert!(error.contains("give the draft of `DeepSeek-V3` as a model"), "{error}");
    assert!(DraftShape::eagle3(&preset("Llama-3.1-8B"), 0).is_err());
}

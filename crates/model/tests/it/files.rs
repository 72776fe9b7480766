//! Presets by name, and shapes that users write in RON.

use ron::extensions::Extensions;
use sglsim_model::{Dtype, ModelError, ModelShape};

const MINE: &str = r#"(
    name: "mine",
    layers: 4,
    hidden_size: 64,
    num_attention_heads: 8,
    attention: Gqa(kv_heads: 2, head_dim: 8),
    intermediate_size: 128,
    moe: (num_experts: 4, top_k: 2, moe_intermediate_size: 32, first_k_dense: 1, expert_weights: Int4),
    vocab_size: 1000,
    max_position_embeddings: 2048,
    weights: Bf16, activations: Bf16, kv_cache: Fp8,
    source: "a guess",
)"#;

fn refused(from: &str, to: &str) -> ModelError {
    assert!(MINE.contains(from));
    ModelShape::from_ron(&MINE.replacen(from, to, 1)).unwrap_err()
}

#[test]
fn every_preset_is_valid_and_says_where_it_is_from() {
    for name in ModelShape::names() {
        let shape = ModelShape::preset(name).unwrap();
        shape.check().unwrap();
        assert!(shape.source.starts_with("Hugging Face "), "{name}");
        let written = ron::Options::default()
            .with_default_extension(Extensions::UNWRAP_VARIANT_NEWTYPES)
            .to_string(&shape)
            .unwrap();
        assert_eq!(ModelShape::from_ron(&written).unwrap(), shape);
    }
}

#[test]
fn spellings() {
    for (spelling, name) in [
        ("llama-3.1-70b", "Llama-3.1-70B"),
        ("meta-llama/Llama-3.1-70B-Instruct", "Llama-3.1-70B"),
        ("Qwen/Qwen3-235B-A22B", "Qwen3-235B-A22B"),
        ("deepseek_v3", "DeepSeek-V3"),
        ("GPT OSS 120B", "gpt-oss-120b"),
    ] {
        assert_eq!(ModelShape::preset(spelling).unwrap().name, name);
    }
    let message = ModelShape::preset("Llama-3.1-7B").unwrap_err().to_string();
    assert!(message.starts_with("unknown model `Llama-3.1-7B`; did you mean `Llama-3.1-"));
    assert!(message.ends_with("gpt-oss-20b, gpt-oss-120b"));
}

#[test]
fn a_shape_of_ones_own() {
    let shape = ModelShape::from_ron(MINE).unwrap();
    assert_eq!(shape.moe_layers(), 3);
    assert_eq!(shape.moe.unwrap().expert_weights, Dtype::Int4);
}

#[test]
fn misspelt_names_get_a_hint() {
    for (from, to, place, says) in [
        ("top_k", "topk", (8, "moe.topk"), "did you mean `top_k`?"),
        ("layers: 4", "layer: 4", (3, "layer"), "did you mean `layers`?"),
        ("Gqa(", "Gqq(", (6, "attention"), "did you mean `Gqa`?"),
        ("kv_cache: Fp8", "kv_cache: Fp9", (11, "kv_cache"), "did you mean `Fp8`?"),
    ] {
        let error = refused(from, to);
        assert!(error.to_string().contains(says), "{error}");
        match error {
            ModelError::Syntax { line, field, .. } => assert_eq!((line, &*field), place),
            other => panic!("{other:?}"),
        }
    }
}

#[test]
fn contradictions_name_their_range() {
    for (from, to, says) in [
        ("layers: 4", "layers: 0", "`layers` is 0, allowed is 1 to 1024"),
        (
            "kv_heads: 2",
            "kv_heads: 3",
            "`num_attention_heads` is 8, allowed is a multiple of the 3 key-value heads",
        ),
        ("top_k: 2", "top_k: 5", "`top_k` is 5, allowed is 1 to 4"),
        ("first_k_dense: 1", "first_k_dense: 5", "`first_k_dense` is 5, allowed is 0 to 4"),
        ("    intermediate_size: 128,\n", "", "`intermediate_size` is 0, allowed is 1 to 262144"),
        ("kv_cache: Fp8", "kv_cache: Int4", "`kv_cache` is int4, allowed is bf16, fp16, fp8"),
        ("activations: Bf16", "activations: Fp8", "`activations` is fp8, allowed is bf16, fp16"),
    ] {
        assert_eq!(refused(from, to).to_string(), says);
    }
}

#[test]
fn files_are_named_in_errors() {
    let folder = std::env::temp_dir().join(format!("sglsim-model-{}", std::process::id()));
    std::fs::create_dir_all(&folder).unwrap();
    let path = folder.join("mine.ron");
    std::fs::write(&path, MINE).unwrap();
    assert_eq!(ModelShape::from_file(&path).unwrap().name, "mine");

    std::fs::write(folder.join("config.json"), "{\n  \"hidden_size\": }").unwrap();
    let message = ModelShape::from_hf_config(&folder).unwrap_err().to_string();
    assert!(message.contains("config.json: line 2, column 18: expected value"), "{message}");

    let message = ModelShape::from_file(folder.join("none.ron")).unwrap_err().to_string();
    assert!(message.contains("none.ron: cannot be read: "), "{message}");
    std::fs::remove_dir_all(&folder).unwrap();
}

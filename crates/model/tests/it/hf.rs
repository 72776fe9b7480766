//! Configs that state the facts of a preset give the preset.

use serde_json::{Value, json};
use sglsim_model::{Attention, Dtype, ModelShape, SlidingWindow};

fn read(config: &Value) -> ModelShape {
    ModelShape::from_hf_json("test", &config.to_string()).unwrap()
}

/// Checks that `config` is read as the preset, whose name and source it cannot know.
#[track_caller]
fn check(preset: &str, config: &Value) {
    let preset = ModelShape::preset(preset).unwrap();
    let mut shape = read(config);
    shape.name.clone_from(&preset.name);
    shape.aliases.clone_from(&preset.aliases);
    shape.source.clone_from(&preset.source);
    assert_eq!(shape, preset);
}

/// `base` with the fields of `more` added or replaced; null removes.
fn with(base: &Value, more: Value) -> Value {
    let mut config = base.clone();
    let Value::Object(more) = more else { panic!("an object") };
    config.as_object_mut().unwrap().extend(more);
    config
}

fn llama(layers: u32, hidden: u32, heads: u32, intermediate: u32) -> Value {
    json!({
        "architectures": ["LlamaForCausalLM"], "model_type": "llama", "hidden_act": "silu",
        "num_hidden_layers": layers, "hidden_size": hidden, "num_attention_heads": heads,
        "num_key_value_heads": 8, "intermediate_size": intermediate, "attention_bias": false,
        "vocab_size": 128256, "max_position_embeddings": 131072, "tie_word_embeddings": false,
        "rope_scaling": {"factor": 8.0, "original_max_position_embeddings": 8192, "rope_type": "llama3"},
        "torch_dtype": "bfloat16"
    })
}

fn deepseek_v3() -> Value {
    json!({
        "architectures": ["DeepseekV3ForCausalLM"], "model_type": "deepseek_v3",
        "num_hidden_layers": 61, "hidden_size": 7168, "num_attention_heads": 128,
        "num_key_value_heads": 128, "q_lora_rank": 1536, "kv_lora_rank": 512,
        "qk_nope_head_dim": 128, "qk_rope_head_dim": 64, "v_head_dim": 128,
        "intermediate_size": 18432, "moe_intermediate_size": 2048, "n_routed_experts": 256,
        "n_shared_experts": 1, "num_experts_per_tok": 8, "first_k_dense_replace": 3,
        "moe_layer_freq": 1, "topk_method": "noaux_tc", "num_nextn_predict_layers": 1,
        "vocab_size": 129280, "max_position_embeddings": 163840, "torch_dtype": "bfloat16",
        "rope_scaling": {"type": "yarn", "factor": 40, "original_max_position_embeddings": 4096},
        "quantization_config": {"quant_method": "fp8", "weight_block_size": [128, 128]}
    })
}

fn gpt_oss(layers: u32, experts: u32) -> Value {
    let kinds: Vec<&str> =
        (0..layers).map(|i| ["sliding_attention", "full_attention"][i as usize % 2]).collect();
    json!({
        "architectures": ["GptOssForCausalLM"], "model_type": "gpt_oss",
        "num_hidden_layers": layers, "hidden_size": 2880, "num_attention_heads": 64,
        "num_key_value_heads": 8, "head_dim": 64, "intermediate_size": 2880,
        "num_local_experts": experts, "num_experts_per_tok": 4, "attention_bias": true,
        "layer_types": kinds, "sliding_window": 128, "vocab_size": 201088,
        "max_position_embeddings": 131072,
        "quantization_config": {"quant_method": "mxfp4", "modules_to_not_convert": [
            "model.layers.*.self_attn", "model.layers.*.mlp.router", "model.embed_tokens", "lm_head"]}
    })
}

#[test]
fn llamas() {
    check("Llama-3.1-8B", &llama(32, 4096, 32, 14336));
    check("Llama-3.1-70B", &llama(80, 8192, 64, 28672));
    check("Llama-3.1-405B", &llama(126, 16384, 128, 53248));
}

#[test]
fn qwens() {
    check(
        "Qwen2.5-72B",
        &json!({
            "architectures": ["Qwen2ForCausalLM"], "num_hidden_layers": 80, "hidden_size": 8192,
            "num_attention_heads": 64, "num_key_value_heads": 8, "intermediate_size": 29568,
            "vocab_size": 152064, "max_position_embeddings": 131072, "sliding_window": 131072,
            "use_sliding_window": false, "max_window_layers": 80, "torch_dtype": "bfloat16"
        }),
    );
    let qwen3 = |layers, hidden, heads, intermediate| {
        json!({
            "architectures": ["Qwen3ForCausalLM"], "num_hidden_layers": layers, "hidden_size": hidden,
            "num_attention_heads": heads, "num_key_value_heads": 8, "head_dim": 128,
            "intermediate_size": intermediate, "vocab_size": 151936, "attention_bias": false,
            "max_position_embeddings": 40960, "sliding_window": null, "rope_scaling": null,
            "torch_dtype": "bfloat16"
        })
    };
    check("Qwen3-8B", &qwen3(36, 4096, 32, 12288));
    check("Qwen3-32B", &qwen3(64, 5120, 64, 25600));
    let moe = with(
        &qwen3(94, 4096, 64, 12288),
        json!({
            "architectures": ["Qwen3MoeForCausalLM"], "num_key_value_heads": 4, "num_experts": 128,
            "num_experts_per_tok": 8, "moe_intermediate_size": 1536, "decoder_sparse_step": 1,
            "mlp_only_layers": []
        }),
    );
    check("Qwen3-235B-A22B", &moe);

    let mixed = read(&with(&moe, json!({"decoder_sparse_step": 2, "mlp_only_layers": [0, 1]})));
    assert_eq!((mixed.moe_layers(), mixed.intermediate_size), (46, 12288));
}

#[test]
fn mixtrals() {
    let mixtral = |layers, hidden, heads, intermediate, context| {
        json!({
            "architectures": ["MixtralForCausalLM"], "num_hidden_layers": layers, "hidden_size": hidden,
            "num_attention_heads": heads, "num_key_value_heads": 8, "intermediate_size": intermediate,
            "num_local_experts": 8, "num_experts_per_tok": 2, "vocab_size": 32000, "head_dim": null,
            "max_position_embeddings": context, "sliding_window": null, "torch_dtype": "bfloat16"
        })
    };
    check("Mixtral-8x7B", &mixtral(32, 4096, 32, 14336, 32768));
    check("Mixtral-8x22B", &mixtral(56, 6144, 48, 16384, 65536));
}

#[test]
fn deepseeks() {
    check("DeepSeek-V3", &deepseek_v3());
    check("DeepSeek-R1", &deepseek_v3());
    let lite = read(&with(
        &deepseek_v3(),
        json!({
            "architectures": ["DeepseekV2ForCausalLM"], "q_lora_rank": null, "topk_method": "greedy",
            "n_shared_experts": 2, "quantization_config": null
        }),
    ));
    assert!(matches!(&lite.attention, Attention::Mla(mla) if mla.q_lora_rank.is_none()));
    assert_eq!(lite.moe.unwrap().shared_intermediate_size, 4096);
    assert_eq!(lite.weights, Dtype::Bf16);
}

#[test]
fn gpt_osses() {
    check("gpt-oss-20b", &gpt_oss(24, 32));
    check("gpt-oss-120b", &gpt_oss(36, 128));
    check("gpt-oss-120b", &with(&gpt_oss(36, 128), json!({"layer_types": null})));
}

#[test]
fn nested_in_a_text_config() {
    let text = with(&llama(32, 4096, 32, 14336), json!({"architectures": null}));
    check(
        "Llama-3.1-8B",
        &json!({
            "architectures": ["LlavaForConditionalGeneration"], "text_config": text,
            "vision_config": {"hidden_size": 1024}, "hidden_size": 5
        }),
    );
}

#[test]
fn unknown_architectures_are_read_as_llamas_with_extras() {
    let other = with(
        &deepseek_v3(),
        json!({
            "architectures": ["SomeMoeForCausalLM"], "model_type": "some_moe", "hidden_act": "silu",
            "tie_word_embeddings": false
        }),
    );
    check("DeepSeek-V3", &other);
    let sliding = read(&with(
        &llama(4, 64, 8, 128),
        json!({
            "architectures": ["SomeForCausalLM"], "model_type": "some", "sliding_window": 32,
            "layer_types": ["sliding_attention", "sliding_attention", "sliding_attention", "full_attention"]
        }),
    ));
    let Attention::Gqa(gqa) = sliding.attention else { panic!("grouped") };
    assert_eq!(gqa.sliding_window, Some(SlidingWindow { window: 32, layers: 3 }));
}

#[test]
fn quantised_checkpoints() {
    let groups = |kind: &str, bits: u32| {
        json!({"quant_method": "compressed-tensors",
        "config_groups": {"group_0": {"weights": {"type": kind, "num_bits": bits}}}})
    };
    for (quantization, dtype) in [
        (json!({"quant_method": "fp8"}), Dtype::Fp8),
        (json!({"quant_method": "gptq", "bits": 4}), Dtype::Int4),
        (json!({"quant_method": "gptq", "bits": 8}), Dtype::Int8),
        (json!({"quant_method": "awq", "bits": 4}), Dtype::Int4),
        (json!({"quant_method": "modelopt", "quant_algo": "NVFP4"}), Dtype::Fp4),
        (groups("float", 8), Dtype::Fp8),
        (groups("int", 8), Dtype::Int8),
        (groups("int", 4), Dtype::Int4),
    ] {
        let config =
            with(&llama(32, 4096, 32, 14336), json!({"quantization_config": quantization}));
        let shape = read(&config);
        assert_eq!((shape.weights, shape.kv_cache), (dtype, Dtype::Bf16), "{quantization}");
    }
    let experts_only = with(
        &deepseek_v3(),
        json!({"quantization_config":
        {"quant_method": "modelopt", "quant_algo": "NVFP4", "exclude_modules": ["model.layers.0.self_attn*"]}}),
    );
    let shape = read(&experts_only);
    assert_eq!((shape.weights, shape.moe.unwrap().expert_weights), (Dtype::Bf16, Dtype::Fp4));
}

#[test]
fn context_length_as_sglang_has_it() {
    let length = |scaling: Value| {
        read(&with(&llama(4, 64, 8, 128), json!({"rope_scaling": scaling}))).max_position_embeddings
    };
    assert_eq!(length(json!(null)), 131_072);
    assert_eq!(length(json!({"rope_type": "linear", "factor": 2.0})), 262_144);
    assert_eq!(length(json!({"rope_type": "llama3", "factor": 8.0})), 131_072);
    let yarn = json!({"type": "yarn", "factor": 4.0, "original_max_position_embeddings": 32768});
    assert_eq!(length(yarn), 131_072);
    let newer =
        json!({"rope_scaling": null, "rope_parameters": {"rope_type": "linear", "factor": 2}});
    assert_eq!(read(&with(&llama(4, 64, 8, 128), newer)).max_position_embeddings, 262_144);
}

#[test]
fn activations() {
    for (dtype, expected) in
        [("float16", Dtype::Fp16), ("float32", Dtype::Fp16), ("bfloat16", Dtype::Bf16)]
    {
        let shape =
            read(&with(&llama(4, 64, 8, 128), json!({"torch_dtype": null, "dtype": dtype})));
        assert_eq!(
            (shape.activations, shape.weights, shape.kv_cache),
            (expected, expected, expected)
        );
    }
}

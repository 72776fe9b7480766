//! Configs that cannot be right are refused with what to change.

use proptest::prelude::*;
use serde_json::{Value, json};
use sglsim_model::{ModelError, ModelShape};

fn config(more: &Value) -> String {
    let mut config = json!({
        "architectures": ["LlamaForCausalLM"], "num_hidden_layers": 4, "hidden_size": 64,
        "num_attention_heads": 8, "num_key_value_heads": 2, "intermediate_size": 128,
        "vocab_size": 1000, "max_position_embeddings": 2048, "hidden_act": "silu"
    });
    config.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
    config.to_string()
}

#[track_caller]
fn check(more: &Value, message: &str) {
    let error = ModelShape::from_hf_json("test", &config(more)).unwrap_err();
    assert_eq!(error.to_string(), message);
}

#[test]
fn values_out_of_range() {
    check(
        &json!({"num_hidden_layers": 0}),
        "`num_hidden_layers` is 0, allowed is the integers 1 to 1024",
    );
    check(
        &json!({"hidden_size": -64}),
        "`hidden_size` is -64, allowed is the integers 1 to 262144",
    );
    check(
        &json!({"vocab_size": 1e3}),
        "`vocab_size` is 1000.0, allowed is the integers 1 to 16777216",
    );
    check(
        &json!({"vocab_size": "1000"}),
        "`vocab_size` is \"1000\", allowed is the integers 1 to 16777216",
    );
    check(
        &json!({"tie_word_embeddings": 1}),
        "`tie_word_embeddings` is 1, allowed is true or false",
    );
    check(
        &json!({"torch_dtype": "int8"}),
        "`torch_dtype` is \"int8\", allowed is bfloat16, float16, float32",
    );
    check(
        &json!({"rope_scaling": {"factor": -1}}),
        "`rope_scaling.factor` is -1, allowed is a positive, credible factor",
    );
}

#[test]
fn values_that_contradict_each_other() {
    check(
        &json!({"num_key_value_heads": 3}),
        "`num_attention_heads` is 8, allowed is a multiple of the 3 key-value heads",
    );
    check(
        &json!({"hidden_size": 60}),
        "`hidden_size` is 60, allowed is a multiple of the 8 attention heads, as there is no `head_dim`",
    );
    check(
        &json!({"num_local_experts": 4, "num_experts_per_tok": 5}),
        "`top_k` is 5, allowed is 1 to 4",
    );
}

#[test]
fn missing_fields_and_misspelt_ones() {
    check(
        &json!({"num_hidden_layers": null, "num_hiden_layers": 4}),
        "`num_hidden_layers` is missing, LlamaForCausalLM needs it; did you mean `num_hiden_layers`?",
    );
    check(&json!({"hidden_size": null}), "`hidden_size` is missing, LlamaForCausalLM needs it");
    check(
        &json!({"architectures": ["BloomForCausalLM"]}),
        "`tie_word_embeddings` is missing, BloomForCausalLM needs it",
    );
    check(
        &json!({"architectures": ["GPTNeoXForCausalLM"], "hidden_act": "gelu"}),
        "`hidden_act` is \"gelu\", allowed is silu",
    );
    check(
        &json!({"architectures": ["DeepseekV3ForCausalLM"]}),
        "`kv_lora_rank` is missing, DeepseekV3ForCausalLM needs it",
    );
    let error = ModelShape::from_hf_json("test", "{}").unwrap_err();
    assert_eq!(error.to_string(), "`hidden_act` is missing, an unnamed architecture needs it");
}

#[test]
fn structures_without_a_shape() {
    check(
        &json!({"index_topk": 2048}),
        "`index_topk` is 2048, allowed is absent, there is no shape for it",
    );
    check(
        &json!({"moe_layer_freq": 2, "num_experts": 4}),
        "`moe_layer_freq` is 2, allowed is the integers 1",
    );
    check(
        &json!({"layer_types": ["full_attention", "linear_attention"]}),
        "`layer_types` is \"linear_attention\", allowed is full_attention, sliding_attention",
    );
    check(
        &json!({"num_experts": 4, "mlp_only_layers": [3], "num_experts_per_tok": 1}),
        "`mlp_only_layers` is [3], allowed is the list of the first few layers",
    );
    check(
        &json!({"quantization_config": {"quant_method": "gguf"}}),
        "`quantization_config.quant_method` is \"gguf\", allowed is fp8, fbgemm_fp8, w8a8_fp8, \
         w8a8_int8, mxfp4, gptq, awq, compressed-tensors, modelopt",
    );
    check(
        &json!({"quantization_config": {"quant_method": "gptq", "bits": 3}}),
        "`quantization_config.bits` is 3, allowed is 4, 8",
    );
}

#[test]
fn text_that_is_no_config() {
    for (text, place) in [("{", (1, 1)), ("{\n\"a\": 1,}", (2, 8)), ("[1]", (1, 0)), ("", (1, 0))] {
        match ModelShape::from_hf_json("test", text).unwrap_err() {
            ModelError::Syntax { line, column, reason, .. } => {
                assert_eq!((line, column), place, "{text}");
                assert!(!reason.contains("at line"), "{reason}");
            }
            other => panic!("{other:?}"),
        }
    }
}

proptest! {
    /// Whatever one field holds, the answer is a valid shape or an error, never a panic.
    #[test]
    fn any_value_of_any_field(
        field in prop::sample::select(vec![
            "architectures", "model_type", "num_hidden_layers", "hidden_size", "head_dim",
            "num_attention_heads", "num_key_value_heads", "intermediate_size", "vocab_size",
            "max_position_embeddings", "torch_dtype", "quantization_config", "rope_scaling",
            "num_experts", "num_experts_per_tok", "moe_intermediate_size", "n_shared_experts",
            "shared_expert_intermediate_size", "first_k_dense_replace", "mlp_only_layers",
            "decoder_sparse_step", "layer_types", "text_config", "num_nextn_predict_layers",
        ]),
        value in prop_oneof![
            any::<i64>().prop_map(Value::from),
            (0_u32..300).prop_map(Value::from),
            any::<f64>().prop_map(Value::from),
            any::<bool>().prop_map(Value::from),
            ".{0,9}".prop_map(Value::from),
            prop::collection::vec(0_u32..9, 0..9).prop_map(Value::from),
            prop::collection::vec(".{0,9}", 0..9).prop_map(Value::from),
            Just(json!({"quant_method": "compressed-tensors", "factor": 1e300})),
            Just(json!({})),
        ],
        experts in any::<bool>(),
    ) {
        let mut more = if experts {
            json!({"num_experts": 8, "num_experts_per_tok": 2, "moe_intermediate_size": 32})
        } else {
            json!({})
        };
        more[field] = value;
        if let Ok(shape) = ModelShape::from_hf_json("test", &config(&more)) {
            shape.check().unwrap();
            prop_assert!(shape.parameters().total() > 0);
            prop_assert!(shape.kv_bytes_per_token().get() > 0.0);
        }
    }
}

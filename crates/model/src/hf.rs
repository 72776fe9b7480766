//! Shapes from Hugging Face `config.json`.

mod config;
mod quantization;

use crate::check::{CONTEXT, EXPERTS, HEAD_DIM, HEADS, LAYERS, VOCABULARY, WIDTH};
use crate::{Attention, Gqa, Mla, ModelError, ModelShape, Moe, SlidingWindow};
use config::{Config, Family};

/// Fields of architectures whose layers this crate has no shape for. Reading them as something else
/// would give wrong numbers without a word.
const NOT_MODELLED: [&str; 10] = [
    "attn_type_list",          // linear attention (MiniMax)
    "block_configs",           // layers of different widths (Nemotron)
    "cross_attention_layers",  // encoder-decoder attention (Llama 3.2 Vision)
    "hybrid_override_pattern", // state-space layers (Nemotron-H)
    "index_topk",              // sparse attention (DeepSeek-V3.2)
    "intermediate_size_mlp",   // two FFN widths (Llama 4)
    "linear_attn_config",      // linear attention (Kimi-Linear)
    "linear_num_key_heads",    // linear attention (Qwen3-Next)
    "mamba_d_state",           // state-space layers (Jamba, Bamba)
    "num_kv_shared_layers",    // caches shared between layers (Gemma 3n)
];

impl ModelShape {
    /// Reads the text of a Hugging Face `config.json`.
    ///
    /// Understood are Llama, Mistral, Qwen2, Qwen2-MoE, Qwen3, Qwen3-MoE, Mixtral, DeepSeek-V2 and
    /// -V3 and gpt-oss (`…ForCausalLM`), also inside a `text_config`. Any other architecture is read
    /// as a Llama-like model, with latent attention or experts if it has the fields of those, and
    /// must have SiLU-gated FFNs and say whether embeddings are tied.
    ///
    /// Weights have the format of `quantization_config`, else that of the activations; the KV cache
    /// has that of the activations, as SGLang's `kv_cache_dtype = auto` does. Only gpt-oss, or an
    /// explicit `layer_types`, gets sliding windows: SGLang computes the others in full.
    ///
    /// ```
    /// use sglsim_model::ModelShape;
    ///
    /// let shape = ModelShape::from_hf_json("tiny", r#"{
    ///     "architectures": ["LlamaForCausalLM"], "num_hidden_layers": 2, "hidden_size": 64,
    ///     "num_attention_heads": 4, "num_key_value_heads": 2, "intermediate_size": 128,
    ///     "vocab_size": 1000, "max_position_embeddings": 2048, "torch_dtype": "bfloat16"
    /// }"#)?;
    /// assert_eq!(shape.kv_bytes_per_token().get(), 256.0); // 2 · 2 heads · 16 · 2 layers · 2 B
    /// # Ok::<(), sglsim_model::ModelError>(())
    /// ```
    ///
    /// # Errors
    ///
    /// [`ModelError::Syntax`] if it is no JSON object, [`ModelError::Missing`] with the nearest
    /// field that is there, [`ModelError::OutOfRange`] for a value that is no such thing, or that
    /// belongs to a kind of layer for which there is no shape.
    pub fn from_hf_json(name: &str, text: &str) -> Result<Self, ModelError> {
        let config = Config::parse(text)?;
        for field in NOT_MODELLED {
            if let Some(value) = config.get(field) {
                return Err(config::refused(field, value, "absent, there is no shape for it"));
            }
        }
        if config.family() == Family::Other {
            config.one_of("hidden_act", &["silu"])?;
            config.required("tie_word_embeddings")?;
        }

        let layers = config.count("num_hidden_layers", LAYERS)?;
        let activations = config.activations()?;
        let has_experts = config.experts_field().is_some();
        let formats = quantization::formats(&config, activations, has_experts)?;
        let mut shape = Self {
            name: name.to_owned(),
            aliases: Vec::new(),
            layers,
            hidden_size: config.count("hidden_size", WIDTH)?,
            num_attention_heads: config.count("num_attention_heads", HEADS)?,
            attention: attention(&config, layers)?,
            intermediate_size: 0,
            moe: moe(&config, layers, formats.experts)?,
            mtp_layers: config
                .optional("num_nextn_predict_layers", 0..=*LAYERS.end())?
                .unwrap_or(0),
            vocab_size: config.count("vocab_size", VOCABULARY)?,
            tie_word_embeddings: config.flag("tie_word_embeddings")?.unwrap_or(false),
            max_position_embeddings: context_length(&config)?,
            weights: formats.weights,
            activations,
            kv_cache: activations,
            source: format!("Hugging Face config.json of {name}"),
        };
        if shape.dense_layers() > 0 {
            shape.intermediate_size = config.count("intermediate_size", WIDTH)?;
        }
        shape.check()?;
        Ok(shape)
    }
}

fn attention(config: &Config, layers: u32) -> Result<Attention, ModelError> {
    if config.family() == Family::DeepSeek || config.get("kv_lora_rank").is_some() {
        return Ok(Attention::Mla(Mla {
            q_lora_rank: config.optional("q_lora_rank", WIDTH)?,
            kv_lora_rank: config.count("kv_lora_rank", WIDTH)?,
            qk_nope_head_dim: config.count("qk_nope_head_dim", HEAD_DIM)?,
            qk_rope_head_dim: config.count("qk_rope_head_dim", HEAD_DIM)?,
            v_head_dim: config.count("v_head_dim", HEAD_DIM)?,
        }));
    }
    let heads = config.count("num_attention_heads", HEADS)?;
    let qwen2 = matches!(config.family(), Family::Qwen2);
    let bias = config.flag("attention_bias")?.unwrap_or(false);
    Ok(Attention::Gqa(Gqa {
        kv_heads: config.optional("num_key_value_heads", HEADS)?.unwrap_or(heads),
        head_dim: head_dim(config, heads)?,
        qkv_bias: bias || qwen2 && config.flag("qkv_bias")?.unwrap_or(true),
        output_bias: bias && !qwen2,
        qk_norm: config.family() == Family::Qwen3,
        sinks: config.family() == Family::GptOss,
        sliding_window: sliding_window(config, layers)?,
    }))
}

/// `head_dim`, or the hidden size shared out among the heads where that is the default.
fn head_dim(config: &Config, heads: u32) -> Result<u32, ModelError> {
    // The defaults of these are numbers in their Python code; every published config states it.
    if matches!(config.family(), Family::Qwen3 | Family::GptOss) {
        return config.count("head_dim", HEAD_DIM);
    }
    if let Some(head_dim) = config.optional("head_dim", HEAD_DIM)? {
        return Ok(head_dim);
    }
    let hidden = config.count("hidden_size", WIDTH)?;
    if hidden.is_multiple_of(heads) {
        return Ok(hidden / heads);
    }
    Err(config::refused(
        "hidden_size",
        &hidden.into(),
        &format!("a multiple of the {heads} attention heads, as there is no `head_dim`"),
    ))
}

/// The layers that `layer_types` says slide; for gpt-oss every other one by default.
fn sliding_window(config: &Config, layers: u32) -> Result<Option<SlidingWindow>, ModelError> {
    let sliding = match config.kinds_of_layers()? {
        Some(kinds) => kinds.filter(|kind| *kind == "sliding_attention").count(),
        None if config.family() == Family::GptOss => layers.div_ceil(2) as usize,
        None => 0,
    };
    if sliding == 0 {
        return Ok(None);
    }
    let window = config.count("sliding_window", CONTEXT)?;
    // A list longer than the model is refused by the check of the shape.
    Ok(Some(SlidingWindow { window, layers: u32::try_from(sliding).unwrap_or(u32::MAX) }))
}

fn moe(
    config: &Config,
    layers: u32,
    expert_weights: crate::Dtype,
) -> Result<Option<Moe>, ModelError> {
    let Some(experts) = config.experts_field() else { return Ok(None) };
    // DeepSeek counts from the first layer and Qwen from the second: the same for a step of 1, the
    // only one that DeepSeek has published.
    config.optional("moe_layer_freq", 1..=1)?;
    let width = match config.get("moe_intermediate_size") {
        Some(_) => "moe_intermediate_size",
        None => "intermediate_size", // Mixtral, gpt-oss: there is no dense layer.
    };
    let moe_intermediate_size = config.count(width, WIDTH)?;
    let shared_widths = 0..=*WIDTH.end();
    let shared_intermediate_size =
        match config.optional("shared_expert_intermediate_size", shared_widths.clone())? {
            Some(width) => width,
            None => {
                let count = config.optional("n_shared_experts", 0..=*EXPERTS.end())?.unwrap_or(0);
                count.saturating_mul(moe_intermediate_size)
            }
        };
    let gpt_oss = config.family() == Family::GptOss;
    Ok(Some(Moe {
        num_experts: config.count(experts, EXPERTS)?,
        top_k: config.count("num_experts_per_tok", EXPERTS)?,
        moe_intermediate_size,
        shared_intermediate_size,
        first_k_dense: first_k_dense(config, layers)?,
        layer_step: config.optional("decoder_sparse_step", 1..=layers)?.unwrap_or(1),
        expert_weights,
        router_bias: gpt_oss || config.text("topk_method")? == Some("noaux_tc"),
        expert_bias: gpt_oss,
    }))
}

/// `first_k_dense_replace`, or the length of `mlp_only_layers` if those are the first ones.
fn first_k_dense(config: &Config, layers: u32) -> Result<u32, ModelError> {
    let Some(dense) = config.get("mlp_only_layers") else {
        return Ok(config.optional("first_k_dense_replace", 0..=layers)?.unwrap_or(0));
    };
    let first: Vec<serde_json::Value> =
        (0..layers).take(dense.as_array().map_or(0, Vec::len)).map(Into::into).collect();
    if dense.as_array() == Some(&first) {
        return Ok(u32::try_from(first.len()).unwrap_or(layers));
    }
    Err(config::refused("mlp_only_layers", dense, "the list of the first few layers"))
}

/// Longest context, as SGLang derives it: `max_position_embeddings`, times the factor of a
/// `rope_scaling` that does not say from which length it scales.
///
/// Source: SGLang 0.5.23, `get_context_length`. Newer configs say `rope_parameters`.
fn context_length(config: &Config) -> Result<u32, ModelError> {
    let length = config.count("max_position_embeddings", CONTEXT)?;
    let rope = config.get("rope_scaling").or_else(|| config.get("rope_parameters"));
    let scaling = rope.filter(|scaling| {
        scaling.get("original_max_position_embeddings").is_none()
            && scaling.get("rope_type").and_then(serde_json::Value::as_str) != Some("llama3")
    });
    let Some(factor) = scaling.and_then(|scaling| scaling.get("factor")) else {
        return Ok(length);
    };
    match factor.as_f64().map(|factor| (factor * f64::from(length)).floor()) {
        Some(scaled) if (1.0..=f64::from(*CONTEXT.end())).contains(&scaled) => Ok(scaled as u32),
        _ => Err(config::refused("rope_scaling.factor", factor, "a positive, credible factor")),
    }
}

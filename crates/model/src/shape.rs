//! The shape of a decoder-only transformer.

use std::path::Path;

use serde::{Deserialize, Serialize};
use sglsim_units::Bytes;

use crate::presets;
use crate::{Dtype, ModelError};

/// Dimensions and number formats of a decoder-only transformer with gated (SwiGLU) FFNs.
///
/// The fields are public so that a what-if is one assignment; [`ModelShape::check`] says whether
/// the result is still a model. Every way of loading one has called it; counts of a shape that
/// fails it may overflow.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
#[non_exhaustive]
pub struct ModelShape {
    /// Name, such as `"Llama-3.1-70B"`.
    pub name: String,
    /// Other spellings it is known by; case and punctuation never matter.
    #[serde(default)]
    pub aliases: Vec<String>,
    /// Transformer layers, without the MTP layers (`num_hidden_layers`).
    pub layers: u32,
    /// Width of the residual stream.
    pub hidden_size: u32,
    /// Query heads.
    pub num_attention_heads: u32,
    /// Attention: keys and values per group of heads, or one latent vector.
    pub attention: Attention,
    /// Inner width of the FFN of a dense layer; 0 if every layer is a mixture of experts.
    #[serde(default)]
    pub intermediate_size: u32,
    /// The mixture of experts, if any layer is one.
    #[serde(default)]
    pub moe: Option<Moe>,
    /// Multi-token-prediction layers that the checkpoint brings for speculation.
    #[serde(default)]
    pub mtp_layers: u32,
    /// Rows of the embedding and of the LM head.
    pub vocab_size: u32,
    /// Whether the LM head is the embedding.
    #[serde(default)]
    pub tie_word_embeddings: bool,
    /// Longest context, prompt and output together \[token\].
    pub max_position_embeddings: u32,
    /// Format of the attention, dense FFN and shared expert weights. Routed experts have their own;
    /// embedding, LM head, router and norms are never quantised and have that of `activations`.
    pub weights: Dtype,
    /// Format of activations: bf16 or fp16.
    pub activations: Dtype,
    /// Format of the KV cache: bf16, fp16 or fp8.
    pub kv_cache: Dtype,
    /// Where the figures come from.
    pub source: String,
}

/// How a layer attends.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Attention {
    /// Grouped-query attention; multi-head and multi-query are its two ends.
    Gqa(Gqa),
    /// Multi-head latent attention (DeepSeek-V2, arXiv:2405.04434, section 2.1).
    Mla(Mla),
}

/// Grouped-query attention.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Gqa {
    /// Key-value heads (`num_key_value_heads`); divides the query heads.
    pub kv_heads: u32,
    /// Width of a head, of keys and values alike.
    pub head_dim: u32,
    /// Whether the query, key and value projections add a bias.
    #[serde(default)]
    pub qkv_bias: bool,
    /// Whether the output projection adds a bias.
    #[serde(default)]
    pub output_bias: bool,
    /// Whether queries and keys are normalised per head.
    #[serde(default)]
    pub qk_norm: bool,
    /// Whether each head has a learnt sink (gpt-oss).
    #[serde(default)]
    pub sinks: bool,
    /// The layers that see only the last tokens, if there are any.
    #[serde(default)]
    pub sliding_window: Option<SlidingWindow>,
}

/// Layers whose attention sees only the last tokens; the others see all of the context.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SlidingWindow {
    /// How far back they see \[token\].
    pub window: u32,
    /// How many layers do.
    pub layers: u32,
}

/// Multi-head latent attention.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Mla {
    /// Rank of the query projection; `None` if it is one full matrix (DeepSeek-V2-Lite).
    #[serde(default)]
    pub q_lora_rank: Option<u32>,
    /// Width of the cached latent vector.
    pub kv_lora_rank: u32,
    /// Width of a head's query and key without position.
    pub qk_nope_head_dim: u32,
    /// Width of a head's query and key with position; the key part is cached, once for all heads.
    pub qk_rope_head_dim: u32,
    /// Width of a head's value.
    pub v_head_dim: u32,
}

/// A mixture of experts in place of the dense FFN.
///
/// Layer `i`, counted from 0, is one if `i >= first_k_dense` and `i + 1` is a multiple of
/// `layer_step`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Moe {
    /// Routed experts of a layer.
    pub num_experts: u32,
    /// Routed experts that see a token (`num_experts_per_tok`).
    pub top_k: u32,
    /// Inner width of a routed expert.
    pub moe_intermediate_size: u32,
    /// Inner width of the experts that see every token, all together; 0 if there are none.
    #[serde(default)]
    pub shared_intermediate_size: u32,
    /// Layers at the start that stay dense (`first_k_dense_replace`).
    #[serde(default)]
    pub first_k_dense: u32,
    /// Distance between mixture layers (`decoder_sparse_step`); 1 is every layer.
    #[serde(default = "one")]
    pub layer_step: u32,
    /// Format of the routed experts' weights.
    pub expert_weights: Dtype,
    /// Whether the router adds a bias per expert.
    #[serde(default)]
    pub router_bias: bool,
    /// Whether the experts' projections add a bias (gpt-oss).
    #[serde(default)]
    pub expert_bias: bool,
}

fn one() -> u32 {
    1
}

impl ModelShape {
    /// The preset called `name`; case and punctuation never matter.
    ///
    /// # Errors
    ///
    /// [`ModelError::UnknownPreset`], with the nearest name and all of them.
    pub fn preset(name: &str) -> Result<Self, ModelError> {
        presets::find(name)
    }

    /// The names of all presets.
    pub fn names() -> impl Iterator<Item = &'static str> {
        presets::names()
    }

    /// Reads a shape from RON text, in which `Some(…)` around a value and the inner brackets of
    /// `Gqa((…))` are left out, as in `attention: Gqa(kv_heads: 8, head_dim: 128)`.
    ///
    /// # Errors
    ///
    /// [`ModelError::Syntax`] with line, column and field; an unknown field is refused.
    /// [`ModelError::OutOfRange`] if it is no model.
    pub fn from_ron(text: &str) -> Result<Self, ModelError> {
        let shape: Self = presets::parse(text)?;
        shape.check()?;
        Ok(shape)
    }

    /// Reads a shape from a RON file.
    ///
    /// # Errors
    ///
    /// [`ModelError::File`] around what [`ModelShape::from_ron`] reports, or around the failure to
    /// read.
    pub fn from_file(path: impl AsRef<Path>) -> Result<Self, ModelError> {
        presets::read(path.as_ref(), Self::from_ron)
    }

    /// Reads a Hugging Face `config.json`, or the one in a model's folder. The shape is named after
    /// the folder.
    ///
    /// See [`ModelShape::from_hf_json`] for what is understood.
    ///
    /// # Errors
    ///
    /// [`ModelError::File`] around what [`ModelShape::from_hf_json`] reports, or around the failure
    /// to read.
    pub fn from_hf_config(path: impl AsRef<Path>) -> Result<Self, ModelError> {
        let path = path.as_ref();
        let file = if path.is_dir() { path.join("config.json") } else { path.to_owned() };
        let folder = file.parent().and_then(Path::file_name);
        let name = folder.unwrap_or(file.as_os_str()).to_string_lossy();
        presets::read(&file, |text| Self::from_hf_json(&name, text))
    }

    /// Layers that are a mixture of experts.
    #[must_use]
    pub fn moe_layers(&self) -> u32 {
        self.moe.as_ref().map_or(0, |moe| {
            let step = moe.layer_step.max(1);
            self.layers / step - moe.first_k_dense.min(self.layers) / step
        })
    }

    /// Layers with one dense FFN.
    #[must_use]
    pub fn dense_layers(&self) -> u32 {
        self.layers - self.moe_layers()
    }

    /// Layers whose attention sees only a window.
    #[must_use]
    pub fn windowed_layers(&self) -> u32 {
        match &self.attention {
            Attention::Gqa(gqa) => gqa.sliding_window.map_or(0, |sliding| sliding.layers),
            Attention::Mla(_) => 0,
        }
    }

    /// Numbers that one token leaves in the cache of one layer, over all ranks.
    ///
    /// # Formula
    ///
    /// `2 · kv_heads · head_dim` (keys and values), or `kv_lora_rank + qk_rope_head_dim` for MLA.
    ///
    /// # Source
    ///
    /// SGLang 0.5.23, `model_executor/pool_configurator.py`.
    #[must_use]
    pub fn kv_elements_per_layer(&self) -> u64 {
        match &self.attention {
            Attention::Gqa(gqa) => 2 * u64::from(gqa.kv_heads) * u64::from(gqa.head_dim),
            Attention::Mla(mla) => u64::from(mla.kv_lora_rank) + u64::from(mla.qk_rope_head_dim),
        }
    }

    /// What one token of context holds in the KV cache, over all layers and ranks \[B\].
    ///
    /// Layers with a sliding window count in full: they hold this much until their window is past.
    /// MTP layers do not count.
    #[must_use]
    pub fn kv_bytes_per_token(&self) -> Bytes {
        self.kv_cache.size_of(self.kv_elements_per_layer() * u64::from(self.layers))
    }
}

//! Whether a shape is a model.

use std::ops::RangeInclusive;

use crate::{Attention, Dtype, Gqa, Mla, ModelError, ModelShape, Moe};

// Bounds far above any model that exists, and low enough that no count overflows 64 bits.
pub(crate) const LAYERS: RangeInclusive<u32> = 1..=1024;
pub(crate) const WIDTH: RangeInclusive<u32> = 1..=262_144;
pub(crate) const HEADS: RangeInclusive<u32> = 1..=4096;
pub(crate) const HEAD_DIM: RangeInclusive<u32> = 1..=16_384;
pub(crate) const EXPERTS: RangeInclusive<u32> = 1..=8192;
pub(crate) const VOCABULARY: RangeInclusive<u32> = 1..=16_777_216;
pub(crate) const CONTEXT: RangeInclusive<u32> = 1..=1_073_741_824;

impl ModelShape {
    /// Checks that the dimensions are positive, of a credible size and agree with each other.
    ///
    /// # Errors
    ///
    /// [`ModelError::OutOfRange`] for the first field that does not.
    pub fn check(&self) -> Result<(), ModelError> {
        within("layers", self.layers, &LAYERS)?;
        within("hidden_size", self.hidden_size, &WIDTH)?;
        within("num_attention_heads", self.num_attention_heads, &HEADS)?;
        within("vocab_size", self.vocab_size, &VOCABULARY)?;
        within("max_position_embeddings", self.max_position_embeddings, &CONTEXT)?;
        within("mtp_layers", self.mtp_layers, &(0..=*LAYERS.end()))?;
        one_of("activations", self.activations, &[Dtype::Bf16, Dtype::Fp16])?;
        one_of("kv_cache", self.kv_cache, &[Dtype::Bf16, Dtype::Fp16, Dtype::Fp8])?;
        match &self.attention {
            Attention::Gqa(gqa) => gqa.check(self)?,
            Attention::Mla(mla) => mla.check()?,
        }
        if let Some(moe) = &self.moe {
            moe.check(self)?;
        }
        match self.dense_layers() {
            0 => within("intermediate_size", self.intermediate_size, &(0..=*WIDTH.end())),
            _ => within("intermediate_size", self.intermediate_size, &WIDTH),
        }
    }
}

impl Gqa {
    fn check(&self, shape: &ModelShape) -> Result<(), ModelError> {
        within("kv_heads", self.kv_heads, &HEADS)?;
        within("head_dim", self.head_dim, &HEAD_DIM)?;
        if !shape.num_attention_heads.is_multiple_of(self.kv_heads) {
            return Err(ModelError::OutOfRange {
                field: "num_attention_heads".to_owned(),
                value: shape.num_attention_heads.to_string(),
                allowed: format!("a multiple of the {} key-value heads", self.kv_heads),
            });
        }
        if let Some(sliding) = self.sliding_window {
            within("sliding_window.window", sliding.window, &CONTEXT)?;
            within("sliding_window.layers", sliding.layers, &(0..=shape.layers))?;
        }
        Ok(())
    }
}

impl Mla {
    fn check(&self) -> Result<(), ModelError> {
        if let Some(rank) = self.q_lora_rank {
            within("q_lora_rank", rank, &WIDTH)?;
        }
        within("kv_lora_rank", self.kv_lora_rank, &WIDTH)?;
        within("qk_nope_head_dim", self.qk_nope_head_dim, &HEAD_DIM)?;
        within("qk_rope_head_dim", self.qk_rope_head_dim, &HEAD_DIM)?;
        within("v_head_dim", self.v_head_dim, &HEAD_DIM)
    }
}

impl Moe {
    fn check(&self, shape: &ModelShape) -> Result<(), ModelError> {
        within("num_experts", self.num_experts, &EXPERTS)?;
        within("top_k", self.top_k, &(1..=self.num_experts))?;
        within("moe_intermediate_size", self.moe_intermediate_size, &WIDTH)?;
        within("shared_intermediate_size", self.shared_intermediate_size, &(0..=*WIDTH.end()))?;
        within("first_k_dense", self.first_k_dense, &(0..=shape.layers))?;
        within("layer_step", self.layer_step, &(1..=shape.layers))
    }
}

/// Refuses a value outside `allowed`.
pub(crate) fn within(
    field: &str,
    value: u32,
    allowed: &RangeInclusive<u32>,
) -> Result<(), ModelError> {
    if allowed.contains(&value) {
        return Ok(());
    }
    Err(ModelError::OutOfRange {
        field: field.to_owned(),
        value: value.to_string(),
        allowed: in_words(allowed),
    })
}

/// `1 to 1024`, or `1` if that is all.
pub(crate) fn in_words(allowed: &RangeInclusive<u32>) -> String {
    match (allowed.start(), allowed.end()) {
        (start, end) if start == end => start.to_string(),
        (start, end) => format!("{start} to {end}"),
    }
}

fn one_of(field: &str, value: Dtype, allowed: &[Dtype]) -> Result<(), ModelError> {
    if allowed.contains(&value) {
        return Ok(());
    }
    let allowed: Vec<String> = allowed.iter().map(Dtype::to_string).collect();
    Err(ModelError::OutOfRange {
        field: field.to_owned(),
        value: value.to_string(),
        allowed: allowed.join(", "),
    })
}

//! Draft models of speculative decoding.

use serde::{Deserialize, Serialize};
use sglsim_units::Bytes;

use crate::{Attention, ModelError, ModelShape, Part};

/// A model that proposes tokens for a larger one, its target.
///
/// ```
/// use sglsim_model::{DraftShape, ModelShape};
///
/// let target = ModelShape::preset("DeepSeek-V3")?;
/// let mtp = DraftShape::mtp(&target)?;
/// assert_eq!(mtp.shape.layers, 1);
/// // 11.6 billion parameters beside the embedding and the LM head, which are the target's.
/// assert!((11.5e9..11.7e9).contains(&(mtp.parameters() as f64)));
/// # Ok::<(), sglsim_model::ModelError>(())
/// ```
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
#[non_exhaustive]
pub struct DraftShape {
    /// Its layers.
    pub shape: ModelShape,
    /// Hidden vectors that a projection in front of the layers joins into one; 0 if there is none.
    pub joined: u32,
    /// Whether they are joined in every pass, or only where the target's hidden states come in.
    pub joins_every_pass: bool,
    /// Whether queries, keys and values are projected from two vectors, embedding and hidden state.
    pub wide_attention: bool,
    /// Whether the embedding is the target's.
    pub shares_embedding: bool,
    /// Whether the LM head is the target's.
    pub shares_lm_head: bool,
}

impl DraftShape {
    /// The multi-token-prediction module that the target's checkpoint brings (`NEXTN`): one layer
    /// like the last one, behind a projection of embedding and hidden state.
    ///
    /// Source: DeepSeek-V3 (arXiv:2412.19437), section 2.2; SGLang 0.5.23, `models/deepseek_nextn.py`.
    ///
    /// # Errors
    ///
    /// [`ModelError::OutOfRange`] if the checkpoint brings none.
    pub fn mtp(target: &ModelShape) -> Result<Self, ModelError> {
        if target.mtp_layers == 0 {
            return Err(ModelError::OutOfRange {
                field: "mtp_layers".to_owned(),
                value: "0".to_owned(),
                allowed: format!("at least 1, but `{}` brings no MTP layer", target.name),
            });
        }
        let mut shape = one_layer(target, "MTP");
        if let Some(moe) = &mut shape.moe {
            (moe.first_k_dense, moe.layer_step) = (0, 1);
        }
        Ok(Self { joined: 2, joins_every_pass: true, ..Self::alone(shape) }.sharing(true))
    }

    /// An EAGLE head for the target: one dense layer of the target's width, behind a projection of
    /// embedding and hidden state.
    ///
    /// Source: EAGLE (arXiv:2401.15077), section 3; SGLang 0.5.23, `models/llama_eagle.py`.
    ///
    /// # Errors
    ///
    /// [`ModelError::OutOfRange`] if the target has no dense layer of grouped-query attention to copy.
    pub fn eagle(target: &ModelShape) -> Result<Self, ModelError> {
        let shape = dense_layer(target, "EAGLE")?;
        Ok(Self { joined: 2, joins_every_pass: true, ..Self::alone(shape) }.sharing(true))
    }

    /// An EAGLE-3 head for the target: three of the target's hidden states are joined into one; the
    /// layer attends over pairs of embedding and hidden state; its LM head knows `vocab_size` tokens,
    /// 32,000 as published.
    ///
    /// Source: EAGLE-3 (arXiv:2503.01840), section 3; SGLang 0.5.23, `models/llama_eagle3.py`.
    ///
    /// # Errors
    ///
    /// [`ModelError::OutOfRange`] if the target has no dense layer of grouped-query attention to copy,
    /// or `vocab_size` is 0.
    pub fn eagle3(target: &ModelShape, vocab_size: u32) -> Result<Self, ModelError> {
        let mut shape = dense_layer(target, "EAGLE-3")?;
        shape.vocab_size = vocab_size;
        shape.check()?;
        let draft = Self { joined: 3, wide_attention: true, ..Self::alone(shape) };
        Ok(Self { shares_embedding: true, ..draft })
    }

    /// A small model of its own (`STANDALONE`).
    #[must_use]
    pub fn standalone(shape: ModelShape) -> Self {
        Self::alone(shape)
    }

    fn alone(shape: ModelShape) -> Self {
        Self {
            shape,
            joined: 0,
            joins_every_pass: false,
            wide_attention: false,
            shares_embedding: false,
            shares_lm_head: false,
        }
    }

    fn sharing(self, all: bool) -> Self {
        Self { shares_embedding: all, shares_lm_head: all, ..self }
    }

    /// Whether a part is not stored because it is the target's.
    #[must_use]
    pub fn shares(&self, part: Part) -> bool {
        match part {
            Part::Embedding => self.shares_embedding,
            Part::LmHead => self.shares_lm_head,
            _ => false,
        }
    }

    /// Parameters of the projections that only drafts have: of joined vectors, and of the second
    /// vector that attention sees \[1\].
    #[must_use]
    pub fn fusion_parameters(&self) -> u64 {
        let hidden = u64::from(self.shape.hidden_size);
        let wide = match (&self.shape.attention, self.wide_attention) {
            (Attention::Gqa(gqa), true) => {
                let heads = self.shape.num_attention_heads + 2 * gqa.kv_heads;
                hidden * u64::from(heads) * u64::from(gqa.head_dim)
            }
            _ => 0,
        };
        u64::from(self.joined) * hidden * hidden + wide
    }

    /// Parameters that the draft adds to its target \[1\].
    #[must_use]
    pub fn parameters(&self) -> u64 {
        let own = self.shape.parameters();
        let parts = Part::ALL.into_iter().filter(|part| !self.shares(*part));
        parts.map(|part| own.get(part)).sum::<u64>() + self.fusion_parameters()
    }

    /// Size of those projections \[B\]; they are not quantised.
    #[must_use]
    pub fn fusion_bytes(&self) -> Bytes {
        self.shape.activations.size_of(self.fusion_parameters())
    }
}

fn one_layer(target: &ModelShape, kind: &str) -> ModelShape {
    ModelShape {
        name: format!("{} {kind} draft", target.name),
        aliases: Vec::new(),
        layers: 1,
        mtp_layers: 0,
        ..target.clone()
    }
}

fn dense_layer(target: &ModelShape, kind: &str) -> Result<ModelShape, ModelError> {
    let Attention::Gqa(gqa) = &target.attention else {
        return Err(no_such_layer("attention", "latent", target));
    };
    if target.intermediate_size == 0 {
        return Err(no_such_layer("intermediate_size", "0", target));
    }
    let mut shape = one_layer(target, kind);
    shape.moe = None;
    shape.weights = target.activations;
    shape.attention = Attention::Gqa(crate::Gqa { sliding_window: None, ..gqa.clone() });
    Ok(shape)
}

fn no_such_layer(field: &str, value: &str, target: &ModelShape) -> ModelError {
    ModelError::OutOfRange {
        field: field.to_owned(),
        value: value.to_owned(),
        allowed: format!(
            "a dense layer of grouped-query attention, to make a draft of; give the draft of `{}` \
             as a model",
            target.name
        ),
    }
}

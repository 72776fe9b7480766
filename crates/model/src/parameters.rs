//! How many parameters a model has, and in which of its parts.

use sglsim_units::Bytes;

use crate::{Attention, Dtype, Gqa, Mla, ModelShape, Moe};

/// A part of a model that is sharded and stored in a way of its own.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Part {
    /// Projections of all attention layers, with their biases, sinks and inner norms.
    Attention,
    /// FFNs of the dense layers.
    DenseFfn,
    /// Routers of the mixture layers.
    Router,
    /// All routed experts.
    Experts,
    /// Experts that see every token.
    SharedExperts,
    /// Norms of the residual stream.
    Norms,
    /// Token embedding.
    Embedding,
    /// LM head; nothing if it is the embedding.
    LmHead,
}

/// Parameters by part, of a whole model \[1\].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Parameters([u64; Part::ALL.len()]);

impl Part {
    /// All of them, in the order in which a token meets them first.
    pub const ALL: [Part; 8] = [
        Part::Attention,
        Part::DenseFfn,
        Part::Router,
        Part::Experts,
        Part::SharedExperts,
        Part::Norms,
        Part::Embedding,
        Part::LmHead,
    ];
}

impl Parameters {
    /// Parameters of `part`.
    #[must_use]
    pub fn get(&self, part: Part) -> u64 {
        self.0[part as usize]
    }

    /// Parameters of all parts.
    #[must_use]
    pub fn total(&self) -> u64 {
        self.0.iter().sum()
    }
}

impl ModelShape {
    /// Parameters by part, without the MTP layers.
    ///
    /// Equal to the number of elements in the published checkpoint, quantisation scales aside.
    #[must_use]
    pub fn parameters(&self) -> Parameters {
        self.count(|moe| moe.num_experts)
    }

    /// Parameters that one token meets: as [`ModelShape::parameters`], with `top_k` experts.
    ///
    /// Publications differ in whether the embedding counts: Qwen's 22B for Qwen3-235B-A22B has it,
    /// DeepSeek's 37B for V3 and OpenAI's 5.1B for gpt-oss-120b do not.
    #[must_use]
    pub fn active_parameters(&self) -> Parameters {
        self.count(|moe| moe.top_k)
    }

    fn count(&self, experts: impl Fn(&Moe) -> u32) -> Parameters {
        let (layers, hidden) = (u64::from(self.layers), u64::from(self.hidden_size));
        let moe_layers = u64::from(self.moe_layers());
        let of_moe = |per_layer: &dyn Fn(&Moe) -> u64| {
            self.moe.as_ref().map_or(0, |moe| moe_layers * per_layer(moe))
        };
        Parameters(Part::ALL.map(|part| match part {
            Part::Attention => layers * self.attention_parameters(),
            Part::DenseFfn => u64::from(self.dense_layers()) * self.dense_ffn_parameters(),
            Part::Router => of_moe(&|moe| moe.router_parameters(hidden)),
            Part::Experts => of_moe(&|moe| u64::from(experts(moe)) * moe.expert_parameters(hidden)),
            Part::SharedExperts => of_moe(&|moe| moe.shared_expert_parameters(hidden)),
            Part::Norms => (2 * layers + 1) * hidden,
            Part::Embedding => self.embedding_parameters(),
            Part::LmHead if self.tie_word_embeddings => 0,
            Part::LmHead => self.embedding_parameters(),
        }))
    }

    /// Parameters of the attention of one layer \[1\].
    #[must_use]
    pub fn attention_parameters(&self) -> u64 {
        let (hidden, heads) = (u64::from(self.hidden_size), u64::from(self.num_attention_heads));
        match &self.attention {
            Attention::Gqa(gqa) => gqa.parameters(hidden, heads),
            Attention::Mla(mla) => mla.parameters(hidden, heads),
        }
    }

    /// Parameters of the FFN of one dense layer: gate, up and down, `3 · hidden · intermediate`.
    #[must_use]
    pub fn dense_ffn_parameters(&self) -> u64 {
        3 * u64::from(self.hidden_size) * u64::from(self.intermediate_size)
    }

    /// Parameters of the embedding, `vocab · hidden`; of the LM head too, even if it is the same.
    #[must_use]
    pub fn embedding_parameters(&self) -> u64 {
        u64::from(self.vocab_size) * u64::from(self.hidden_size)
    }

    /// Parameters that one MTP module adds: a layer like the last one, two norms of its inputs and
    /// one of its output, and the projection of both inputs, `2 · hidden²`. Embedding and LM head
    /// are the model's own.
    ///
    /// Source: DeepSeek-V3 (arXiv:2412.19437), section 2.2, and `README_WEIGHTS.md` of its release.
    #[must_use]
    pub fn mtp_parameters(&self) -> u64 {
        let hidden = u64::from(self.hidden_size);
        let ffn = match &self.moe {
            None => self.dense_ffn_parameters(),
            Some(moe) => {
                moe.router_parameters(hidden)
                    + u64::from(moe.num_experts) * moe.expert_parameters(hidden)
                    + moe.shared_expert_parameters(hidden)
            }
        };
        self.attention_parameters() + ffn + 2 * hidden + 3 * hidden + 2 * hidden * hidden
    }

    /// Number format of the weights of `part`.
    #[must_use]
    pub fn dtype(&self, part: Part) -> Dtype {
        match (part, &self.moe) {
            (Part::Attention | Part::DenseFfn | Part::SharedExperts, _) => self.weights,
            (Part::Experts, Some(moe)) => moe.expert_weights,
            (Part::Experts, None) => self.weights,
            (Part::Router | Part::Norms | Part::Embedding | Part::LmHead, _) => self.activations,
        }
    }

    /// Size of the weights of `part` over all ranks, each stored once \[B\].
    #[must_use]
    pub fn weight_bytes(&self, part: Part) -> Bytes {
        self.dtype(part).size_of(self.parameters().get(part))
    }
}

impl Gqa {
    /// Query and output over all heads, key and value over the key-value heads, and what is added.
    fn parameters(&self, hidden: u64, heads: u64) -> u64 {
        let head_dim = u64::from(self.head_dim);
        let (queries, keys) = (heads * head_dim, u64::from(self.kv_heads) * head_dim);
        2 * hidden * queries
            + 2 * hidden * keys
            + if self.qkv_bias { queries + 2 * keys } else { 0 }
            + if self.output_bias { hidden } else { 0 }
            + if self.qk_norm { 2 * head_dim } else { 0 }
            + if self.sinks { heads } else { 0 }
    }
}

impl Mla {
    /// Down- and up-projections of queries and of keys and values with their norms, and the output.
    fn parameters(&self, hidden: u64, heads: u64) -> u64 {
        let [latent, nope, rope, value] =
            [self.kv_lora_rank, self.qk_nope_head_dim, self.qk_rope_head_dim, self.v_head_dim]
                .map(u64::from);
        let queries = heads * (nope + rope);
        let query = match self.q_lora_rank.map(u64::from) {
            Some(rank) => hidden * rank + rank + rank * queries,
            None => hidden * queries,
        };
        query
            + hidden * (latent + rope)
            + latent
            + latent * heads * (nope + value)
            + heads * value * hidden
    }
}

impl Moe {
    /// Parameters of the router of one layer, `hidden · experts` \[1\].
    #[must_use]
    pub fn router_parameters(&self, hidden: u64) -> u64 {
        u64::from(self.num_experts) * (hidden + u64::from(self.router_bias))
    }

    /// Parameters of one routed expert: gate, up and down, `3 · hidden · moe_intermediate` \[1\].
    #[must_use]
    pub fn expert_parameters(&self, hidden: u64) -> u64 {
        let inner = u64::from(self.moe_intermediate_size);
        3 * hidden * inner + if self.expert_bias { 2 * inner + hidden } else { 0 }
    }

    /// Parameters of the experts of one layer that see every token \[1\].
    #[must_use]
    pub fn shared_expert_parameters(&self, hidden: u64) -> u64 {
        3 * hidden * u64::from(self.shared_intermediate_size)
    }
}

//! Operators of a layer's attention, for GQA and for MLA.

use sglsim_expr::{Expr, max, min};
use sglsim_model::{Gqa, Mla, Part};

use super::calls::{ACTIVATION, Place};
use super::layers::Layers;
use super::operators::{ATTENTION, At, ELEMENTWISE, Operator, PROJECTIONS, Phase};
use crate::operator::attention::{DecodeAttention, PrefillAttention};

impl Layers<'_> {
    /// Projections, rotary embedding and attention.
    pub(super) fn gqa(&self, gqa: &Gqa) -> Vec<Operator> {
        let f = self.f;
        let head_dim = gqa.head_dim;
        // Fewer key-value heads than ranks are replicated.
        let kv_heads = max(1, gqa.kv_heads / &self.attn_tp);
        let hidden = self.constant(self.model.hidden_size);
        let place = |name, part| Place::new(name, part, At::Layer);
        let width = (&self.heads + 2 * &kv_heads) * head_dim;
        let inputs = if self.fusion.wide_attention { 2 * &hidden } else { hidden.clone() };
        let sizes = [&f.tokens, &width, &inputs];
        let mut all: Vec<Operator> =
            self.gemm(place("qkv projection", PROJECTIONS), sizes, Part::Attention).collect();

        let kv_bytes = &kv_heads * (2 * head_dim) * self.model.kv_cache.bytes();
        let rotated = (&self.heads + &kv_heads) * (2 * ACTIVATION * head_dim);
        let rotary = place("rotary embedding and KV write", ELEMENTWISE);
        all.push(self.elementwise(rotary, &f.tokens, &rotated + &kv_bytes));
        if gqa.qk_norm {
            all.push(self.elementwise(place("qk norm", ELEMENTWISE), &f.tokens, rotated));
        }

        let sliding = gqa.sliding_window.filter(|sliding| sliding.layers > 0);
        let hybrid = sliding.is_some();
        let mut attend = |at, names: [&'static str; 2], window: Option<u32>| {
            let limit = |tokens: &Expr, count: &Expr| match window {
                Some(window) => min(tokens, count * window),
                None => tokens.clone(),
            };
            let prefill = PrefillAttention {
                seqs: f.extend_seqs.clone(),
                pairs: limit(&f.extend_pairs, &f.extend_tokens),
                tokens: f.extend_tokens.clone(),
                prefix: limit(&f.extend_prefix, &f.extend_seqs),
                heads: self.heads.clone(),
                kv_heads: kv_heads.clone(),
                head_dims: (head_dim, head_dim),
                kv_bytes_per_token: kv_bytes.clone(),
                kv_precision: self.kv_precision(),
                latent: false,
                window,
                hybrid,
            };
            let decode = DecodeAttention {
                seqs: f.decode_padded.clone(),
                context: limit(&f.decode_context, &f.decode_padded),
                query_tokens: f.query_tokens.clone(),
                heads: self.heads.clone(),
                kv_heads: kv_heads.clone(),
                head_dims: (head_dim, head_dim),
                kv_bytes_per_token: kv_bytes.clone(),
                kv_precision: self.kv_precision(),
                latent: false,
                repeated: false,
            };
            let place = |name, phase| Place::new(name, ATTENTION, at).phase(phase);
            all.push(self.prefill_attention(place(names[0], Phase::Extend), &prefill));
            all.push(self.decode_attention(place(names[1], Phase::Decode), &decode));
        };
        if At::Full.count(self.model) > 0 {
            attend(At::Full, ["prefill attention", "decode attention"], None);
        }
        if let Some(sliding) = sliding {
            let names = ["prefill attention, windowed", "decode attention, windowed"];
            attend(At::Windowed, names, Some(sliding.window));
        }
        let sizes = [&f.tokens, &hidden, &(&self.heads * head_dim)];
        all.extend(self.gemm(place("output projection", PROJECTIONS), sizes, Part::Attention));
        all
    }

    /// As [`Layers::gqa`], for latent attention: multi-head form for extending sequences, whose
    /// prefix is expanded again, and absorbed form for decoding ones.
    ///
    /// Source: SGLang 0.5.23, `models/deepseek_v2.py`, `attention_backends` "fa3"; DeepSeek-V2
    /// (arXiv:2405.04434), section 2.1 and appendix C.
    pub(super) fn mla(&self, mla: &Mla) -> Vec<Operator> {
        let f = self.f;
        let (latent, rope) = (mla.kv_lora_rank, mla.qk_rope_head_dim);
        let (nope, value) = (mla.qk_nope_head_dim, mla.v_head_dim);
        let hidden = self.constant(self.model.hidden_size);
        let heads = &self.heads;
        let place = |name, part| Place::new(name, part, At::Layer);
        let mut all = Vec::new();
        let mut gemm = |place, m: &Expr, n: &Expr, k: &Expr| {
            all.extend(self.gemm(place, [m, n, k], Part::Attention));
        };

        let queries = heads * (nope + rope);
        let down = place("down projections", PROJECTIONS);
        let up = place("query up projection", PROJECTIONS);
        let width = self.constant(mla.q_lora_rank.unwrap_or(0) + latent + rope);
        gemm(down, &f.tokens, &width, &hidden);
        match mla.q_lora_rank {
            Some(rank) => gemm(up, &f.tokens, &queries, &self.constant(rank)),
            None => gemm(up, &f.tokens, &queries, &hidden),
        }

        let expanded = &f.extend_tokens + &f.extend_prefix;
        let expand = place("expansion of the latent", ATTENTION).phase(Phase::Extend);
        gemm(expand, &expanded, &(heads * (nope + value)), &self.constant(latent));
        let rows = &f.decode_padded * &f.query_tokens;
        let absorb = |name| place(name, ATTENTION).phase(Phase::Decode);
        gemm(absorb("absorbed queries"), &rows, &(heads * latent), &self.constant(nope));
        gemm(absorb("absorbed values"), &rows, &(heads * value), &self.constant(latent));
        gemm(place("output projection", PROJECTIONS), &f.tokens, &hidden, &(heads * value));

        let norm_bytes = 2 * ACTIVATION * (mla.q_lora_rank.unwrap_or(0) + latent);
        let norms = place("norms of the latents", ELEMENTWISE);
        all.push(self.elementwise(norms, &f.tokens, self.constant(norm_bytes)));
        let cached = f64::from(latent + rope) * self.model.kv_cache.bytes();
        let rotated = (heads + 1) * (2 * ACTIVATION * rope);
        let rotary = place("rotary embedding and KV write", ELEMENTWISE);
        all.push(self.elementwise(rotary, &f.tokens, rotated + cached));

        let prefill = PrefillAttention {
            seqs: f.extend_seqs.clone(),
            pairs: f.extend_pairs.clone(),
            tokens: f.extend_tokens.clone(),
            prefix: f.extend_prefix.clone(),
            heads: heads.clone(),
            kv_heads: heads.clone(),
            head_dims: (nope + rope, value),
            kv_bytes_per_token: heads * (ACTIVATION * (nope + rope + value)),
            kv_precision: self.kv_precision(),
            latent: true,
            window: None,
            hybrid: false,
        };
        let decode = DecodeAttention {
            seqs: f.decode_padded.clone(),
            context: f.decode_context.clone(),
            query_tokens: f.query_tokens.clone(),
            heads: heads.clone(),
            kv_heads: self.constant(1),
            head_dims: (latent + rope, latent),
            kv_bytes_per_token: self.constant(0) + cached,
            kv_precision: self.kv_precision(),
            latent: true,
            repeated: false,
        };
        let place = |name, phase| Place::new(name, ATTENTION, At::Layer).phase(phase);
        all.push(self.prefill_attention(place("prefill attention", Phase::Extend), &prefill));
        all.push(self.decode_attention(place("decode attention", Phase::Decode), &decode));
        all
    }
}

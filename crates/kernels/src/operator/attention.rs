//! Attention of extending and of decoding sequences, for GQA and for MLA.

use sglsim_expr::{Expr, max};
use sglsim_hw::Precision;

use super::{OperatorLaw, present};
use crate::Hardware;

mod coefficients;

pub use coefficients::{
    DecodeAttentionCoefficients, DecodeAttentionTheta, PrefillAttentionCoefficients,
    PrefillAttentionTheta,
};

/// Attention of the new tokens of all extending sequences, one layer, one rank.
#[derive(Clone, Debug)]
pub struct PrefillAttention {
    /// Query-key pairs \[token²\].
    pub pairs: Expr,
    /// New tokens, the queries \[token\].
    pub tokens: Expr,
    /// Cached tokens in front of them \[token\].
    pub prefix: Expr,
    /// Query heads on this rank \[1\].
    pub heads: Expr,
    /// Width of a query and a key, and of a value, per head \[1\].
    pub head_dims: (u32, u32),
    /// Bytes of KV per token on this rank and layer \[B\].
    pub kv_bytes_per_token: Expr,
    /// Format of the KV cache, in which scores are computed.
    pub kv_precision: Precision,
    /// Whether keys and values are a common latent (MLA).
    pub latent: bool,
}

impl PrefillAttention {
    /// Coefficients of the kernel that runs.
    fn theta<'a>(&self, on: &'a Hardware) -> &'a PrefillAttentionTheta {
        match (self.latent, is_wide(self.kv_precision)) {
            (true, _) => &on.theta.mla_prefill,
            (false, true) => &on.theta.prefill_attention_bf16,
            (false, false) => &on.theta.prefill_attention_fp8,
        }
    }

    /// Arithmetic of a query-key pair \[FLOP\]: scores and weighted values.
    #[must_use]
    pub fn flops_per_pair(&self) -> Expr {
        let (qk, v) = self.head_dims;
        2 * (qk + v) * &self.heads
    }

    /// Queries and outputs of a new token, in 16 bits \[B\].
    #[must_use]
    pub fn query_bytes(&self) -> Expr {
        let (qk, v) = self.head_dims;
        2 * (qk + v) * &self.heads
    }
}

/// Tiled causal attention.
///
/// # Formula
///
/// ```text
/// t = [tokens>0]·t₀ + max( flops·(pairs + o·tokens) / (peak·η_c),
///                        (tokens·query_bytes + (prefix + tokens)·kv_bytes) / (BW·η_m) )
/// ```
///
/// `o` is `prefill_attention_…_overhead`: the keys that a query pays for without needing them (masked
/// part of the diagonal tiles), and softmax, prologue and epilogue in units of keys.
///
/// # Source
///
/// Shah et al., "FlashAttention-3", 2024, for the tiling; the form of the overhead is derived, its
/// size fitted (see [`Coefficients::for_architecture`](crate::Coefficients::for_architecture)).
#[derive(Clone, Copy, Debug)]
pub struct FlashPrefill;

impl OperatorLaw<PrefillAttention> for FlashPrefill {
    fn name(&self) -> &str {
        "flash prefill"
    }

    fn time(&self, call: &PrefillAttention, on: &Hardware) -> Expr {
        let theta = call.theta(on);
        let rate = on.peak_flops(Precision::Bf16) * &theta.efficiency;
        let pair = call.flops_per_pair() / rate;
        let compute = &call.pairs * &pair + &call.tokens * (&theta.overhead * pair);
        let bandwidth = &on.hbm_bandwidth * &theta.bandwidth_efficiency;
        let memory = &call.prefix * (&call.kv_bytes_per_token / &bandwidth)
            + &call.tokens * ((&call.kv_bytes_per_token + call.query_bytes()) / bandwidth);
        present(&call.tokens) * &theta.latency + max(compute, memory)
    }
}

/// Attention of all decoding sequences, one layer, one rank.
#[derive(Clone, Debug)]
pub struct DecodeAttention {
    /// Sequences, padding included \[1\].
    pub seqs: Expr,
    /// Σ context length \[token\].
    pub context: Expr,
    /// Queries per sequence \[token\].
    pub query_tokens: Expr,
    /// Query heads on this rank \[1\].
    pub heads: Expr,
    /// Width of a query and a key, and of a value, per head \[1\]; for MLA in its absorbed form both
    /// are widths of the latent.
    pub head_dims: (u32, u32),
    /// Bytes of KV per token on this rank and layer \[B\].
    pub kv_bytes_per_token: Expr,
    /// Format of the KV cache.
    pub kv_precision: Precision,
    /// Whether keys and values are a common latent (MLA), in its absorbed form.
    pub latent: bool,
}

impl DecodeAttention {
    /// Coefficients of the kernel that runs.
    fn theta<'a>(&self, on: &'a Hardware) -> &'a DecodeAttentionTheta {
        match (self.latent, is_wide(self.kv_precision)) {
            (true, true) => &on.theta.mla_decode_bf16,
            (true, false) => &on.theta.mla_decode_fp8,
            (false, true) => &on.theta.decode_attention_bf16,
            (false, false) => &on.theta.decode_attention_fp8,
        }
    }

    /// Arithmetic of a query and a token of context \[FLOP\]: scores and weighted values.
    #[must_use]
    pub fn flops_per_pair(&self) -> Expr {
        let (qk, v) = self.head_dims;
        2 * (qk + v) * &self.heads
    }

    /// Queries and outputs of a query token, in 16 bits \[B\].
    #[must_use]
    pub fn query_bytes(&self) -> Expr {
        let (qk, v) = self.head_dims;
        2 * (qk + v) * &self.heads
    }
}

/// KV read once, unless the arithmetic takes longer (MLA with many heads, verified drafts).
///
/// # Formula
///
/// ```text
/// c = context + o·seqs
/// t = [seqs>0]·t₀ + max( flops·query_tokens·c / (peak·η_c),
///                      (c·kv_bytes + seqs·query_tokens·query_bytes) / (BW·η_m) )
/// ```
///
/// `o` is `decode_attention_…_overhead`: a sequence's last tile is read whole.
///
/// # Source
///
/// Derived. MLA in absorbed form: DeepSeek-AI, "DeepSeek-V2", 2024, section 2.1.
#[derive(Clone, Copy, Debug)]
pub struct FlashDecode;

impl OperatorLaw<DecodeAttention> for FlashDecode {
    fn name(&self) -> &str {
        "flash decode"
    }

    fn time(&self, call: &DecodeAttention, on: &Hardware) -> Expr {
        let theta = call.theta(on);
        let context = &call.context + &theta.overhead * &call.seqs;
        let rate = on.peak_flops(Precision::Bf16) * &theta.efficiency;
        let bandwidth = &on.hbm_bandwidth * &theta.bandwidth_efficiency;
        let compute = &call.query_tokens * &context * (call.flops_per_pair() / rate);
        let memory = &context * (&call.kv_bytes_per_token / &bandwidth)
            + &call.seqs * &call.query_tokens * (call.query_bytes() / bandwidth);
        present(&call.seqs) * &theta.latency + max(compute, memory)
    }
}

fn is_wide(precision: Precision) -> bool {
    matches!(precision, Precision::Bf16 | Precision::Fp16)
}

//! Attention of extending and of decoding sequences, for GQA and for MLA.

use sglsim_expr::{Expr, max, min, sqrt};
use sglsim_hw::Precision;

use super::{OperatorLaw, present, side_by_side, twice_head_widths};
use crate::Hardware;

mod coefficients;
mod latent;
mod prefill;

pub(crate) use coefficients::{
    DECODE, DECODE_FP8, LATENT_DECODE, LATENT_DECODE_FP8, LATENT_PREFILL, LATENT_PREFILL_FP8,
    PREFILL, PREFILL_FP8,
};
pub use coefficients::{
    DecodeAttentionCoefficients, DecodeAttentionTheta, LatentPrefillCoefficients,
    LatentPrefillTheta, PrefillAttentionCoefficients, PrefillAttentionTheta,
};
pub use latent::LatentPrefill;
pub use prefill::{FlashPrefill, PrefillAttention};

/// Sum of the widths of a key and a value that latencies are given per \[1\].
const WIDTHS: f64 = 256.0;

/// Passes over an fp8 latent, in its own size, that widen it: read 1 B, write 2 B \[1\].
const WIDENING: u32 = 3;

/// Size of the widened copy over that of an fp8 latent \[1\].
const WIDENED: u32 = 2;

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
    /// Key and value heads on this rank \[1\]; 1 for MLA.
    pub kv_heads: Expr,
    /// Width of a query and a key, and of a value, per head \[1\]; for MLA in its absorbed form both
    /// are widths of the latent.
    pub head_dims: (u32, u32),
    /// Bytes of KV per token on this rank and layer \[B\].
    pub kv_bytes_per_token: Expr,
    /// Format of the KV cache.
    pub kv_precision: Precision,
    /// Whether keys and values are a common latent (MLA), in its absorbed form.
    pub latent: bool,
    /// Whether the same KV was read just before, as when a benchmark repeats a call: what fits is
    /// then read from the L2 cache. In a step other layers come between.
    pub repeated: bool,
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
        twice_head_widths(self.head_dims, &self.heads)
    }

    /// Queries and outputs of a query token, in 16 bits \[B\].
    #[must_use]
    pub fn query_bytes(&self) -> Expr {
        twice_head_widths(self.head_dims, &self.heads)
    }
}

/// KV read once by sequences and key-value heads that run in waves, unless the arithmetic takes
/// longer (MLA with many heads, verified drafts).
///
/// # Formula
///
/// ```text
/// units = seqs·max(kv_heads, heads·query_tokens/64),     w = (d_k + d_v)/256
/// waves = max(units/SM − x₁, 0)·(t_wave + max(w, 1)·t_wave,w)
/// kv    = max( flops·query_tokens·context / (peak·η_c),
///              (context·kv_bytes + seqs·query_tokens·query_bytes) / (BW·η_m) )
/// n     = context / seqs
/// t     = [seqs>0]·(t₀ + max(w − 1, 0)·t_w) + seqs·t_seq
///       + t_key·min(max(n·max(w, 1) − 128, 0), keys)
///       + (t_split + heads/64·t_head)·√(max(n − 512, 0)/1024)
///       + 3·context·kv_bytes / (BW·η_v)                         fp8 latents only, whose copy in
///                                                               16 bits is what is read
///       + max(waves, kv) + bare,         hidden = o·min(waves, kv),
///                                        bare = hidden·t_bare/(hidden + t_bare)
/// ```
///
/// A context of one tile (128 tokens, fewer of heads wider than 128) is walked by one multiprocessor;
/// longer ones take `t_key` per further token until, from four tiles on, they are split over idle
/// multiprocessors, whose parts are then added up. `w` is 1 in these for a latent. `t_bare` is
/// `overlap_limit`.
/// Exact for equal sequences: the mean length stands for all. SGLang's fa3 widens an fp8 latent into
/// a copy before it attends.
///
/// # Source
///
/// Dao et al., "Flash-Decoding", 2023, for the splits; form of the latencies chosen from the timings of
/// SGLang 0.5.14 in NVIDIA aiconfigurator-core 0.12.0. MLA in absorbed form: DeepSeek-AI,
/// "DeepSeek-V2", 2024, section 2.1.
#[derive(Clone, Copy, Debug)]
pub struct FlashDecode;

/// Query rows that one multiprocessor serves per tile \[1\].
const QUERY_ROWS: u32 = 64;

/// Tokens of context per tile \[token\].
const CONTEXT_TILE: u32 = 128;

/// Context that is never split: four tiles \[token\].
const UNSPLIT_CONTEXT: u32 = 4 * CONTEXT_TILE;

impl OperatorLaw<DecodeAttention> for FlashDecode {
    fn name(&self) -> &str {
        "flash decode"
    }

    fn time(&self, call: &DecodeAttention, on: &Hardware) -> Expr {
        let theta = call.theta(on);
        let widths = f64::from(call.head_dims.0 + call.head_dims.1) / WIDTHS;
        let seqs = &call.seqs;
        let units = max(&call.kv_heads, &call.heads * &call.query_tokens / QUERY_ROWS);
        let wide = widths.max(1.0);
        let wave = &theta.wave_latency + &theta.wave_width_latency * wide;
        let waves = max(seqs * (units / &on.sm_count) - &theta.first_wave, 0) * wave;

        let rate = on.peak_flops(Precision::Bf16) * &theta.efficiency;
        let bandwidth = &on.hbm_bandwidth * &theta.bandwidth_efficiency;
        let widened = call.latent && !is_wide(call.kv_precision);
        let kv_bytes = if widened { WIDENED } else { 1 } * &call.kv_bytes_per_token;
        let compute = &call.query_tokens * &call.context * (call.flops_per_pair() / rate);
        let mut read = &call.context * (kv_bytes / &bandwidth);
        if call.repeated {
            let beyond = &call.context * &call.kv_bytes_per_token - &theta.cached_bytes;
            let missed = &theta.cached_decline * (max(beyond, 0) / (&call.kv_bytes_per_token));
            let missed = min(missed / max(&call.context, 1), 1);
            read = read * (&theta.cached_share + (1 - &theta.cached_share) * missed);
        }
        let read = read + seqs * &call.query_tokens * (call.query_bytes() / bandwidth);
        let kv = max(compute, read);

        let length = &call.context / max(seqs, 1);
        let wide = if call.latent { 1.0 } else { wide };
        let walked = max(&length * wide - CONTEXT_TILE, 0);
        let serial = min(walked, &theta.key_limit) * &theta.key_latency;
        let parts = sqrt(max(length - UNSPLIT_CONTEXT, 0) / 1024);
        let splits =
            parts * (&theta.split_latency + &call.heads / QUERY_ROWS * &theta.split_head_latency);
        let mut start = &theta.latency + &theta.width_latency * (wide - 1.0);
        if call.head_dims.0 != call.head_dims.1 && !call.latent {
            start = start + &theta.uneven_latency;
        }
        let mut time = present(seqs) * start
            + seqs * &theta.sequence_latency
            + serial
            + splits
            + side_by_side(&waves, &kv, &theta.overlap, &theta.overlap_limit);
        if widened {
            let widening = &on.hbm_bandwidth * &theta.conversion_efficiency;
            time = time + &call.context * (WIDENING * &call.kv_bytes_per_token / widening);
        }
        time
    }
}

fn is_wide(precision: Precision) -> bool {
    matches!(precision, Precision::Bf16 | Precision::Fp16)
}

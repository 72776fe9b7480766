//! Attention of extending sequences.

use sglsim_expr::{Expr, max, min};
use sglsim_hw::Precision;

use super::{LatentPrefill, PrefillAttentionTheta, WIDTHS, is_wide};
use crate::Hardware;
use crate::operator::{OperatorLaw, present, throttled, twice_head_widths};

/// Attention of the new tokens of all extending sequences, one layer, one rank.
#[derive(Clone, Debug)]
pub struct PrefillAttention {
    /// Sequences \[1\].
    pub seqs: Expr,
    /// Query-key pairs \[token²\].
    pub pairs: Expr,
    /// New tokens, the queries \[token\].
    pub tokens: Expr,
    /// Cached tokens in front of them \[token\].
    pub prefix: Expr,
    /// Query heads on this rank \[1\].
    pub heads: Expr,
    /// Key and value heads on this rank \[1\].
    pub kv_heads: Expr,
    /// Width of a query and a key, and of a value, per head \[1\].
    pub head_dims: (u32, u32),
    /// Bytes of KV per token on this rank and layer \[B\].
    pub kv_bytes_per_token: Expr,
    /// Format of the KV cache, in which scores are computed unless keys and values are a latent.
    pub kv_precision: Precision,
    /// Whether keys and values come from a common latent (MLA).
    pub latent: bool,
    /// Tokens that a query sees at most, if that is limited \[token\].
    pub window: Option<u32>,
    /// Whether the KV cache has separate pools for windowed and for other layers, into which keys and
    /// values are scattered in more steps.
    pub hybrid: bool,
}

impl PrefillAttention {
    /// Coefficients of the kernel that runs, but for a latent.
    fn theta<'a>(&self, on: &'a Hardware) -> &'a PrefillAttentionTheta {
        match is_wide(self.kv_precision) {
            true => &on.theta.prefill_attention_bf16,
            false => &on.theta.prefill_attention_fp8,
        }
    }

    /// Format in which scores are computed.
    pub(super) fn precision(&self) -> Precision {
        if self.latent || is_wide(self.kv_precision) { Precision::Bf16 } else { Precision::Fp8 }
    }

    /// Arithmetic of a query-key pair \[FLOP\]: scores and weighted values.
    #[must_use]
    pub fn flops_per_pair(&self) -> Expr {
        twice_head_widths(self.head_dims, &self.heads)
    }

    /// Queries and outputs of a new token, in 16 bits \[B\].
    #[must_use]
    pub fn query_bytes(&self) -> Expr {
        twice_head_widths(self.head_dims, &self.heads)
    }
}

/// Tiles of 128 queries by blocks of 128 keys, spread over the multiprocessors; a latent (MLA) goes by
/// [`LatentPrefill`].
///
/// # Formula
///
/// ```text
/// tiles  = max(tokens·heads/128, seqs·kv_heads/2)       a tile holds the queries of all heads that
/// f      = min(tiles/(seqs·kv_heads), 1)                share a key; there are half tiles
/// block  = 128²·SM·(4·d_k/(peak·η) + t_pair)            products and softmax of a tile and a block
/// tile   = t_tile + w·t_tile,w,                         w = max((d_k + d_v)/256, 1)
/// extra  = masked_blocks, or in a window min(window_blocks, masked_blocks + max(n − window, 0)/128)
/// work   = tiles/SM·max(pairs/tokens/128 + extra, 1)·block
/// longest = f·(max(keys/128 + extra, 1)·block + tile)   the last tile of a sequence
/// whole  = max(work + tiles/SM·tile + last_wave·longest, longest)
/// split  = split_cost·work + block + tile               keys spread over idle multiprocessors
/// A      = min(whole, split)
/// arith  = A + g·max(A − t_hot, 0)
/// read   = (tokens·(query_bytes + kv_bytes) + prefix·kv_bytes) / BW
/// n      = (prefix + tokens)/seqs,   keys = min(n, window)
/// t      = [tokens>0]·t₀ + seqs·t_seq + tokens·kv_bytes·passes/BW + max(arith, read)
/// ```
///
/// New keys and values are stored by kernels of their own, `store_passes` or `hybrid_store_passes`. The kernels pad values to the width of keys.
/// Exact for equal sequences: the mean length stands for all.
///
/// # Source
///
/// Shah et al., "FlashAttention-3", 2024, for the tiling; its `num_splits_heuristic`, which splits keys
/// where tiles are fewer than multiprocessors, here as the faster of both. Chosen from the timings of
/// SGLang 0.5.14 in NVIDIA aiconfigurator-core 0.12.0.
#[derive(Clone, Copy, Debug)]
pub struct FlashPrefill;

/// Queries of a tile, and keys of a block \[1\].
const TILE: u32 = 128;

impl OperatorLaw<PrefillAttention> for FlashPrefill {
    fn name(&self) -> &str {
        "flash prefill"
    }

    fn time(&self, call: &PrefillAttention, on: &Hardware) -> Expr {
        if call.latent {
            return LatentPrefill.time(call, on);
        }
        let theta = call.theta(on);
        let (seqs, tokens) = (&call.seqs, &call.tokens);
        let (d_k, d_v) = call.head_dims;

        let tiles = max(tokens * (&call.heads / TILE), seqs * (&call.kv_heads / 2));
        let filled = min(&tiles / max(seqs * &call.kv_heads, 1), 1);
        let length = (&call.prefix + tokens) / max(seqs, 1);
        let (keys, extra) = match call.window {
            None => (length, theta.masked_blocks.clone()),
            Some(window) => {
                let beyond = max(&length - window, 0) / TILE;
                let extra = min(&theta.window_blocks, &theta.masked_blocks + beyond);
                (min(length, window), extra)
            }
        };

        let rate = on.peak_flops(call.precision()) * &theta.efficiency;
        // On the whole GPU and on one multiprocessor.
        let block = TILE * TILE * (4 * d_k / rate + &theta.pair_latency);
        let one_block = &block * &on.sm_count;
        let widths = (f64::from(d_k + d_v) / WIDTHS).max(1.0);
        let tile = &theta.tile_latency + &theta.tile_width_latency * widths;
        let mean = &call.pairs / max(tokens, 1);
        let work = &tiles * (max(mean / TILE + &extra, 1) * block);
        let longest = &filled * (max(keys / TILE + extra, 1) * &one_block + &tile);
        let turns = tiles / &on.sm_count * &tile;
        let whole = max(&work + turns + &theta.last_wave * &longest, longest);
        let arithmetic = min(whole, &theta.split_cost * work + one_block + tile);
        let arithmetic = throttled(arithmetic, &theta.throttle, &theta.throttle_onset);

        let per_token = (call.query_bytes() + &call.kv_bytes_per_token) / &on.hbm_bandwidth;
        let kv = &call.kv_bytes_per_token / &on.hbm_bandwidth;
        let read = tokens * per_token + &call.prefix * &kv;
        let passes = if call.hybrid { &theta.hybrid_store_passes } else { &theta.store_passes };
        let mut start = theta.latency.clone();
        if d_k != d_v {
            start = start + &theta.uneven_latency;
        }
        present(tokens) * start
            + seqs * &theta.sequence_latency
            + tokens * (passes * kv)
            + max(arithmetic, read)
    }
}

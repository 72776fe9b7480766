//! Attention of extending sequences over a common latent of keys and values (MLA).

use sglsim_expr::{Expr, ceil_div, max, min};

use super::{LatentPrefillTheta, PrefillAttention, WIDENED, WIDENING, is_wide};
use crate::Hardware;
use crate::operator::{OperatorLaw, present, throttled};

/// Tiles of 128 queries that run in waves, beside the reading of queries and latents.
///
/// # Formula
///
/// ```text
/// tiles = max(seqs·kv_heads, tokens·heads/128)
/// A     = ⌈tiles/SM⌉·t_tile + (pairs + overhead·tokens)·flops/(peak·η_c)
/// arith = A + g·max(A − t_hot, 0)
/// read  = (tokens·query_bytes + (prefix + p·tokens)·kv_bytes) / (BW·η_m)
/// keys  = (prefix + tokens)/seqs
/// t     = [tokens>0]·t₀ + seqs·t_seq + t_key·min(keys, key_limit)
///       + 3·(prefix + tokens)·kv_bytes / (BW·η_v)                    fp8 only
///       + max(arith, read) + o·min(arith, read)
/// ```
///
/// `p` is above 1 where the timings contain storing the new latents. Exact for equal sequences: the mean
/// length stands for all. SGLang's fa3 widens an fp8 latent into a copy before it attends.
///
/// # Source
///
/// Shah et al., "FlashAttention-3", 2024, for the tiling; MLA in absorbed form: DeepSeek-AI,
/// "DeepSeek-V2", 2024, section 2.1; form of the latencies chosen from the timings of SGLang 0.5.14 in
/// NVIDIA aiconfigurator-core 0.12.0.
#[derive(Clone, Copy, Debug)]
pub struct LatentPrefill;

/// Query rows of a tile \[1\].
const QUERY_TILE: u32 = 128;

impl OperatorLaw<PrefillAttention> for LatentPrefill {
    fn name(&self) -> &str {
        "latent prefill"
    }

    fn time(&self, call: &PrefillAttention, on: &Hardware) -> Expr {
        let narrow = !is_wide(call.kv_precision);
        let theta = theta(narrow, on);
        let (seqs, tokens) = (&call.seqs, &call.tokens);

        let tiles = max(seqs * &call.kv_heads, tokens * (&call.heads / QUERY_TILE));
        let rate = on.peak_flops(call.precision()) * &theta.efficiency;
        let pair = call.flops_per_pair() / rate;
        let arithmetic = ceil_div(tiles, &on.sm_count) * &theta.tile_latency
            + (&call.pairs + tokens * &theta.overhead) * pair;
        let arithmetic = throttled(arithmetic, &theta.throttle, &theta.throttle_onset);

        let bandwidth = &on.hbm_bandwidth * &theta.bandwidth_efficiency;
        let kv_bytes = if narrow { WIDENED } else { 1 } * &call.kv_bytes_per_token;
        let new = call.query_bytes() + &theta.new_kv_passes * &kv_bytes;
        let read = &call.prefix * (kv_bytes / &bandwidth) + tokens * (new / bandwidth);

        let all = &call.prefix + tokens;
        let keys = &all / max(seqs, 1);
        let time = present(tokens) * &theta.latency
            + seqs * &theta.sequence_latency
            + min(keys, &theta.key_limit) * &theta.key_latency
            + max(&arithmetic, &read)
            + &theta.overlap * min(arithmetic, read);
        if narrow {
            let widening = &on.hbm_bandwidth * &theta.conversion_efficiency;
            return time + all * (WIDENING * &call.kv_bytes_per_token / widening);
        }
        time
    }
}

fn theta(narrow: bool, on: &Hardware) -> &LatentPrefillTheta {
    if narrow { &on.theta.mla_prefill_fp8 } else { &on.theta.mla_prefill_bf16 }
}

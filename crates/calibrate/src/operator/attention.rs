//! Attention of extending and of decoding sequences, plain and latent.

use sglsim_expr::{Expr, max, min};
use sglsim_hw::Precision;
use sglsim_kernels::operator::attention::{DecodeAttention, PrefillAttention};

use super::{Argument, Call, Operator, count, or, size, word};

const BATCH: Argument = count("batch", "sequences, all alike [1]");
const HEADS: Argument = count("heads", "query heads on this rank [1]");
const KV_HEADS: Argument = count("kv_heads", "key and value heads on this rank [1]");
const HEAD_DIM: Argument = size("head_dim", "width of a head [1]");
const NEW: Argument = count("new_tokens", "new tokens of a sequence [token]");
const PREFIX: Argument = or(count("prefix", "cached tokens of a sequence [token]"), "0");
const CONTEXT: Argument = count("context", "context of a sequence, its new token included [token]");
const WINDOW: Argument = or(size("window", "sliding window, 0 for none [token]"), "0");
const KV_DTYPE: Argument = word("kv_dtype", "'bf16'", "number format of the KV cache");
const KERNEL: Argument = word("kernel", "'fa3'", "kernel");
const DTYPE: Argument = word("dtype", "'bf16'", "number format of queries and scores");
const CACHE: Argument = word(
    "cache",
    "'plain'",
    "KV cache: plain, or hybrid, with pools of their own for windowed layers",
);

pub(super) const PREFILL: Operator = Operator {
    name: "prefill_attention",
    doc: "causal attention of new tokens, one layer, one rank",
    arguments: &[
        BATCH, NEW, PREFIX, HEADS, KV_HEADS, HEAD_DIM, WINDOW, DTYPE, KV_DTYPE, CACHE, KERNEL,
    ],
    shapes: &[&["heads", "kv_heads"], &["batch"]],
    law: prefill,
};

pub(super) const DECODE: Operator = Operator {
    name: "decode_attention",
    doc: "attention of decoding sequences, one layer, one rank",
    arguments: &[BATCH, CONTEXT, HEADS, KV_HEADS, HEAD_DIM, WINDOW, DTYPE, KV_DTYPE, KERNEL],
    shapes: &[&["heads", "kv_heads"], &["batch"]],
    law: decode,
};

pub(super) const LATENT_PREFILL: Operator = Operator {
    name: "mla_prefill",
    doc: "latent attention of new tokens in absorbed form, one layer, one rank",
    arguments: &[BATCH, NEW, PREFIX, HEADS, KV_DTYPE, KERNEL],
    shapes: &[&["heads"], &["batch"]],
    law: latent_prefill,
};

pub(super) const LATENT_DECODE: Operator = Operator {
    name: "mla_decode",
    doc: "latent attention of decoding sequences in absorbed form, one layer, one rank",
    arguments: &[BATCH, CONTEXT, HEADS, KV_DTYPE, KERNEL],
    shapes: &[&["heads"], &["batch"]],
    law: latent_decode,
};

/// DeepSeek's widths: latent, and rotated part of a key.
const LATENT: (u32, u32) = (512, 64);

/// Widths of a key and a value: models with keys of 192 have values of 128 (DeepSeek, MiMo).
fn widths(head_dim: u32) -> (u32, u32) {
    if head_dim == 192 { (192, 128) } else { (head_dim, head_dim) }
}

fn prefill(call: &Call<'_>) -> Result<Expr, String> {
    kernel(call, &["fa3"])?;
    let (batch, new, prefix) =
        (call.count("batch"), call.count("new_tokens"), call.count("prefix"));
    let (key, value) = widths(call.size("head_dim")?);
    let (kv_precision, bytes) = format(call.word("kv_dtype"))?;
    let hybrid = match call.word("cache") {
        "plain" => false,
        "hybrid" => true,
        other => return Err(format!("no law for the cache {other}")),
    };
    let window = Some(call.size("window")?).filter(|window| *window > 0);
    let pairs = match window {
        None => &new * (&prefix + (&new + 1) / 2),
        Some(window) => {
            // Queries that do not see a full window yet, and the others.
            let early = min(&new, max(window - &prefix, 0));
            &early * (&prefix + (&early + 1) / 2) + (&new - early) * window
        }
    };
    let prefix = window.map_or(prefix.clone(), |window| min(prefix, window));
    let it = PrefillAttention {
        pairs: &batch * pairs,
        tokens: &batch * new,
        prefix: &batch * prefix,
        seqs: batch,
        heads: call.count("heads"),
        kv_heads: call.count("kv_heads"),
        head_dims: (key, value),
        kv_bytes_per_token: call.count("kv_heads") * (bytes * (key + value)),
        kv_precision,
        latent: false,
        window,
        hybrid,
    };
    Ok(call.laws.prefill_attention.time(&it, call.on))
}

fn decode(call: &Call<'_>) -> Result<Expr, String> {
    kernel(call, &["fa3"])?;
    let (batch, context) = (call.count("batch"), call.count("context"));
    let (key, value) = widths(call.size("head_dim")?);
    let (kv_precision, bytes) = format(call.word("kv_dtype"))?;
    let read = match call.size("window")? {
        0 => context,
        window => min(context, window),
    };
    let it = DecodeAttention {
        context: &batch * read,
        query_tokens: call.constant(1),
        seqs: batch,
        heads: call.count("heads"),
        kv_heads: call.count("kv_heads"),
        head_dims: (key, value),
        kv_bytes_per_token: call.count("kv_heads") * (bytes * (key + value)),
        kv_precision,
        latent: false,
        repeated: true,
    };
    Ok(call.laws.decode_attention.time(&it, call.on))
}

fn latent_prefill(call: &Call<'_>) -> Result<Expr, String> {
    kernel(call, &["fa3", "flash_attention"])?;
    let (batch, new, prefix) =
        (call.count("batch"), call.count("new_tokens"), call.count("prefix"));
    let (kv_precision, bytes) = format(call.word("kv_dtype"))?;
    let it = PrefillAttention {
        pairs: &batch * &new * (&prefix + (&new + 1) / 2),
        tokens: &batch * new,
        prefix: &batch * prefix,
        seqs: batch,
        heads: call.count("heads"),
        kv_heads: call.constant(1),
        head_dims: (LATENT.0 + LATENT.1, LATENT.0),
        kv_bytes_per_token: call.constant((LATENT.0 + LATENT.1) * bytes),
        kv_precision,
        latent: true,
        window: None,
        hybrid: false,
    };
    Ok(call.laws.prefill_attention.time(&it, call.on))
}

fn latent_decode(call: &Call<'_>) -> Result<Expr, String> {
    kernel(call, &["fa3", "flash_attention"])?;
    let (batch, context) = (call.count("batch"), call.count("context"));
    let (kv_precision, bytes) = format(call.word("kv_dtype"))?;
    let it = DecodeAttention {
        context: &batch * context,
        query_tokens: call.constant(1),
        seqs: batch,
        heads: call.count("heads"),
        kv_heads: call.constant(1),
        head_dims: (LATENT.0 + LATENT.1, LATENT.0),
        kv_bytes_per_token: call.constant((LATENT.0 + LATENT.1) * bytes),
        kv_precision,
        latent: true,
        repeated: true,
    };
    Ok(call.laws.decode_attention.time(&it, call.on))
}

fn kernel(call: &Call<'_>, known: &[&str]) -> Result<(), String> {
    match call.word("kernel") {
        kernel if known.contains(&kernel) => Ok(()),
        other => Err(format!("no law for the kernel {other}")),
    }
}

/// Format of a KV cache, and the size of one of its numbers \[B\].
fn format(word: &str) -> Result<(Precision, u32), String> {
    match word {
        "bf16" | "bfloat16" | "fp16" | "float16" => Ok((Precision::Bf16, 2)),
        "fp8" | "fp8_e4m3" => Ok((Precision::Fp8, 1)),
        other => Err(format!("no law for the number format {other}")),
    }
}

//! Coefficients of attention.

use crate::coefficients::family;

family! {
    /// Coefficients of a prefill attention kernel.
    PrefillAttentionCoefficients => PrefillAttentionTheta {
        efficiency: [0.02, 1.0] "1" "Share of the peak rate at which scores and values are multiplied";
        pair_latency: [0.0, 1e-11] "s" "Time of the softmax of a query-key pair of a head, on the whole GPU";
        latency: [0.0, 1e-2] "s" "Time of a call on almost nothing";
        uneven_latency: [0.0, 1e-3] "s" "Time that a call takes longer if keys and values differ in width";
        sequence_latency: [0.0, 1e-5] "s" "Time per sequence";
        tile_latency: [0.0, 1e-4] "s" "Time of a tile of 128 queries beside its products";
        tile_width_latency: [0.0, 1e-4] "s" "Time that a tile takes longer per 256 of the widths of a key and a value";
        last_wave: [0.0, 2.0] "1" "Share of the longest tile that the last wave waits for";
        masked_blocks: [0.0, 2.0] "1" "Blocks of 128 keys that a tile multiplies in vain, beyond the diagonal";
        window_blocks: [0.0, 10.0] "1" "As masked_blocks, inside a sliding window, whose tiles are masked on both sides";
        split_cost: [1.0, 10.0] "1" "Time of products that are split along the keys, over that of products that are not";
        store_passes: [0.0, 20.0] "1" "Times that the keys and values of new tokens are moved to store them";
        hybrid_store_passes: [0.0, 40.0] "1" "As store_passes, if windowed layers have a pool of their own";
        throttle: [0.0, 1.0] "1" "Additional time, as a share, beyond the onset: clocks fall under power";
        throttle_onset: [1e-5, 1e-1] "s" "Time of arithmetic after which clocks fall";
    }
}

family! {
    /// Coefficients of a prefill attention kernel over latents (MLA).
    LatentPrefillCoefficients => LatentPrefillTheta {
        efficiency: [0.02, 1.0] "1" "Share of the peak rate at which scores and values are multiplied";
        bandwidth_efficiency: [0.02, 1.0] "1" "Share of the memory bandwidth that it reaches";
        overlap: [0.0, 1.0] "1" "Share of the shorter of arithmetic and reading that is not hidden behind the longer";
        latency: [0.0, 1e-2] "s" "Time of a call on almost nothing";
        sequence_latency: [0.0, 1e-5] "s" "Time per sequence";
        key_latency: [0.0, 1e-6] "s" "Time that a call takes longer per key that a query sees, one after the other";
        key_limit: [1.0, 1e5] "token" "Keys after which their latency is hidden";
        tile_latency: [0.0, 1e-4] "s" "Time of a tile of 128 queries beside its products";
        overhead: [0.0, 1e4] "token" "Keys that a query costs in addition to its own, for masked parts of tiles";
        throttle: [0.0, 1.0] "1" "Additional time, as a share, beyond the onset: clocks fall under power";
        throttle_onset: [1e-5, 1e-1] "s" "Time of arithmetic after which clocks fall";
        new_kv_passes: [1.0, 8.0] "1" "Times that the latents of new tokens are moved: read, or stored as well";
        conversion_efficiency: [0.02, 1.0] "1" "Share of the memory bandwidth at which an fp8 latent is widened before it is used";
    }
}

family! {
    /// Coefficients of a decode attention kernel.
    DecodeAttentionCoefficients => DecodeAttentionTheta {
        efficiency: [0.02, 1.0] "1" "Share of the peak rate at which scores and values are multiplied";
        bandwidth_efficiency: [0.02, 1.0] "1" "Share of the memory bandwidth that reading the KV cache reaches";
        overlap: [0.0, 1.0] "1" "Share of the shorter of waves and reading that is not hidden behind the longer";
        overlap_limit: [1e-7, 1.0] "s" "Time of what is not hidden, at most";
        latency: [0.0, 1e-2] "s" "Time of a call on almost nothing";
        width_latency: [0.0, 1e-3] "s" "Time that a call takes longer per 256 of the widths of a key and a value beyond the first";
        uneven_latency: [0.0, 1e-3] "s" "Time that a call takes longer if keys and values differ in width";
        sequence_latency: [0.0, 1e-5] "s" "Time per sequence";
        wave_latency: [0.0, 1e-4] "s" "Time of a wave of sequences and key-value heads over the multiprocessors";
        wave_width_latency: [0.0, 1e-4] "s" "Time that a wave takes longer per 256 of the widths of a key and a value";
        first_wave: [0.0, 2.0] "1" "Waves that the latency of a call contains";
        key_latency: [0.0, 1e-6] "s" "Time that a call takes longer per token of context beyond the first tile, until it is split";
        key_limit: [1.0, 1e4] "token" "Context beyond the first tile from which it is split";
        split_latency: [0.0, 1e-4] "s" "Time of the parts of the first 1024 tokens of context that are split; it grows with the root";
        split_head_latency: [0.0, 1e-4] "s" "As split_latency, for each 64 heads: a part has a row of output per head";
        cached_bytes: [0.0, 1e9] "B" "KV that a repeated call finds in the L2 cache";
        cached_decline: [1.0, 1e3] "1" "KV that it does not find any more, for each byte beyond";
        cached_share: [0.0, 1.0] "1" "Time of reading KV from the L2 cache over that from memory";
        conversion_efficiency: [0.02, 1.0] "1" "Share of the memory bandwidth at which an fp8 latent is widened before it is used";
    }
}

/// FlashAttention-3 in 16 bits on Hopper.
pub(crate) const PREFILL: PrefillAttentionCoefficients = PrefillAttentionCoefficients {
    efficiency: 0.82,
    pair_latency: 0.122e-12,
    latency: 6.8e-6,
    uneven_latency: 7.1e-6,
    sequence_latency: 0.018e-6,
    tile_latency: 2.0e-6,
    tile_width_latency: 1.6e-6,
    last_wave: 0.23,
    masked_blocks: 0.43,
    window_blocks: 0.62,
    split_cost: 3.2,
    store_passes: 2.9,
    hybrid_store_passes: 7.7,
    throttle: 0.13,
    throttle_onset: 2.1e-3,
};

/// As [`PREFILL`], with fp8 operands.
pub(crate) const PREFILL_FP8: PrefillAttentionCoefficients = PrefillAttentionCoefficients {
    efficiency: 0.68,
    pair_latency: 0.256e-12,
    latency: 6.7e-6,
    uneven_latency: 7.9e-6,
    tile_latency: 2.4e-6,
    tile_width_latency: 2.0e-6,
    masked_blocks: 0.2,
    window_blocks: 0.6,
    split_cost: 4.0,
    hybrid_store_passes: 11.7,
    throttle: 0.044,
    throttle_onset: 4.8e-3,
    ..PREFILL
};

/// FlashAttention-3 over latents in 16 bits on Hopper.
pub(crate) const LATENT_PREFILL: LatentPrefillCoefficients = LatentPrefillCoefficients {
    efficiency: 0.66,
    bandwidth_efficiency: 0.65,
    overlap: 0.33,
    latency: 4.2e-6,
    sequence_latency: 0.006e-6,
    key_latency: 15e-9,
    key_limit: 1400.0,
    tile_latency: 8.1e-6,
    overhead: 0.0,
    throttle: 0.05,
    throttle_onset: 2.2e-3,
    new_kv_passes: 2.7,
    conversion_efficiency: 1.0,
};

/// As [`LATENT_PREFILL`], over an fp8 cache.
pub(crate) const LATENT_PREFILL_FP8: LatentPrefillCoefficients = LatentPrefillCoefficients {
    efficiency: 0.7,
    bandwidth_efficiency: 0.59,
    overlap: 0.16,
    latency: 11.6e-6,
    overhead: 92.0,
    tile_latency: 6.2e-6,
    new_kv_passes: 1.0,
    conversion_efficiency: 0.21,
    ..LATENT_PREFILL
};

/// FlashAttention-3 over a 16-bit KV cache on Hopper.
pub(crate) const DECODE: DecodeAttentionCoefficients = DecodeAttentionCoefficients {
    efficiency: 0.57,
    bandwidth_efficiency: 0.92,
    overlap: 0.6,
    overlap_limit: 100e-6,
    latency: 9.4e-6,
    width_latency: 1.9e-6,
    uneven_latency: 9.1e-6,
    sequence_latency: 0.012e-6,
    wave_latency: 1.34e-6,
    wave_width_latency: 1.4e-6,
    first_wave: 0.97,
    key_latency: 11.6e-9,
    key_limit: 215.0,
    split_latency: 0.61e-6,
    split_head_latency: 0.0,
    cached_bytes: 32e6,
    cached_decline: 5.0,
    cached_share: 0.21,
    conversion_efficiency: 1.0,
};

/// As [`DECODE`], over an fp8 KV cache.
pub(crate) const DECODE_FP8: DecodeAttentionCoefficients = DecodeAttentionCoefficients {
    bandwidth_efficiency: 0.71,
    overlap: 0.9,
    overlap_limit: 150e-6,
    latency: 12.8e-6,
    width_latency: 2.7e-6,
    uneven_latency: 10.3e-6,
    sequence_latency: 0.014e-6,
    wave_latency: 0.5e-6,
    wave_width_latency: 2.2e-6,
    key_latency: 7e-9,
    key_limit: 260.0,
    cached_bytes: 30e6,
    cached_decline: 3.3,
    cached_share: 0.44,
    split_latency: 0.96e-6,
    ..DECODE
};

/// As [`DECODE`], for MLA.
pub(crate) const LATENT_DECODE: DecodeAttentionCoefficients = DecodeAttentionCoefficients {
    bandwidth_efficiency: 0.91,
    overlap: 0.5,
    overlap_limit: 1.0,
    latency: 12.1e-6,
    width_latency: 0.0,
    uneven_latency: 0.0,
    sequence_latency: 0.0,
    wave_latency: 4.8e-6,
    wave_width_latency: 0.0,
    first_wave: 0.73,
    key_latency: 28e-9,
    key_limit: 127.0,
    split_latency: 0.84e-6,
    split_head_latency: 1.5e-6,
    cached_bytes: 0.0,
    cached_decline: 1.0,
    cached_share: 1.0,
    efficiency: 0.56,
    ..DECODE
};

/// As [`LATENT_DECODE`], over an fp8 KV cache.
pub(crate) const LATENT_DECODE_FP8: DecodeAttentionCoefficients = DecodeAttentionCoefficients {
    efficiency: 0.61,
    bandwidth_efficiency: 0.8,
    overlap: 0.64,
    latency: 17.3e-6,
    sequence_latency: 0.0,
    wave_latency: 6.1e-6,
    first_wave: 0.87,
    key_latency: 24e-9,
    key_limit: 103.0,
    split_latency: 0.78e-6,
    split_head_latency: 0.77e-6,
    conversion_efficiency: 0.3,
    ..LATENT_DECODE
};

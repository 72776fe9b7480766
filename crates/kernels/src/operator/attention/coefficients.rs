//! Coefficients of attention.

use crate::coefficients::family;

family! {
    /// Coefficients of a prefill attention kernel.
    PrefillAttentionCoefficients => PrefillAttentionTheta {
        efficiency: [0.02, 1.0] "1" "Share of the 16-bit peak rate that prefill attention reaches";
        bandwidth_efficiency: [0.02, 1.0] "1" "Share of the memory bandwidth that it reaches";
        overhead: [0.0, 1e4] "token" "Keys that a query costs in addition to its own, for masked tiles, softmax and epilogue";
        latency: [0.0, 1e-2] "s" "Time of a call on almost nothing";
    }
}

family! {
    /// Coefficients of a decode attention kernel.
    DecodeAttentionCoefficients => DecodeAttentionTheta {
        efficiency: [0.02, 1.0] "1" "Share of the 16-bit peak rate that decode attention reaches";
        bandwidth_efficiency: [0.02, 1.0] "1" "Share of the memory bandwidth that reading the KV cache reaches";
        overhead: [0.0, 1e4] "token" "Context that a sequence costs in addition to its own, for its last tile and its epilogue";
        latency: [0.0, 1e-2] "s" "Time of a call on almost nothing";
    }
}

//! Coefficients of routed experts.

use crate::coefficients::family;

family! {
    /// Coefficients of the fused Triton kernels of one number format.
    ///
    /// `efficiency` and `blocks_per_sm` are those of SGLang's default tiles; `tuned_…` of tiles from
    /// a configuration file for the shape, `small_…` of the small default tiles for few tokens.
    ExpertsCoefficients => ExpertsTheta {
        efficiency: [0.02, 1.0] "1" "Share of the peak rate with default tiles";
        blocks_per_sm: [1.0, 8.0] "1" "Thread blocks that an SM works on at once with default tiles";
        tuned_efficiency: [0.02, 1.0] "1" "Share of the peak rate with tuned tiles";
        tuned_blocks_per_sm: [1.0, 8.0] "1" "Thread blocks that an SM works on at once with tuned tiles";
        small_efficiency: [0.02, 1.0] "1" "Share of the peak rate with small default tiles";
        small_blocks_per_sm: [1.0, 8.0] "1" "Thread blocks that an SM works on at once with small default tiles";
        wave_quantisation: [0.0, 1.0] "1" "Share of a wave of thread blocks that the last one leaves idle";
        overlap: [0.0, 1.0] "1" "Share of the weights' reading that hides behind arithmetic";
        bandwidth_efficiency: [0.02, 1.0] "1" "Share of the memory bandwidth that reading weights reaches";
        activation_efficiency: [0.02, 1.0] "1" "Share of the memory bandwidth that moving activations reaches";
        latency: [0.0, 1e-3] "s" "Time of the kernels on almost nothing";
        sort_latency: [0.0, 1e-3] "s" "Time that sorting rows by expert takes at most";
        slot_latency: [0.0, 1e-5] "s" "Time of sorting one of few rows by expert";
    }
}

family! {
    /// Coefficients of DeepGEMM's grouped kernels behind an all-to-all.
    DeepGemmCoefficients => DeepGemmTheta {
        efficiency: [0.02, 1.0] "1" "Share of the peak rate that is reached";
        blocks_per_sm: [1.0, 8.0] "1" "Thread blocks that an SM works on at once";
        wave_quantisation: [0.0, 1.0] "1" "Share of a wave of thread blocks that the last one leaves idle";
        overlap: [0.0, 1.0] "1" "Share of the weights' reading that hides behind arithmetic";
        bandwidth_efficiency: [0.02, 1.0] "1" "Share of the memory bandwidth that reading weights reaches";
        activation_efficiency: [0.02, 1.0] "1" "Share of the memory bandwidth that moving activations reaches";
        latency: [0.0, 1e-3] "s" "Time of the masked kernels of pure decode on almost nothing";
        contiguous_latency: [0.0, 2e-3] "s" "Time of the contiguous kernels, launched one by one, on almost nothing";
    }
}

family! {
    /// Coefficients of the Marlin kernels for weights of 4 bits.
    MarlinCoefficients => MarlinTheta {
        efficiency: [0.02, 1.0] "1" "Share of the 16-bit peak rate that is reached";
        idle_rows: [0.0, 64.0] "token" "Rows that an expert's last tile computes in vain";
        reread: [0.0, 1.0] "1" "Share of an expert's weights that each further tile of rows reads again";
        step_latency: [0.0, 1e-7] "s" "Time of one element of the inner dimensions in a lone thread block";
        overlap: [0.0, 1.0] "1" "Share of the weights' reading that hides behind arithmetic";
        bandwidth_efficiency: [0.02, 1.0] "1" "Share of the memory bandwidth that reading weights reaches";
        activation_efficiency: [0.02, 1.0] "1" "Share of the memory bandwidth that moving activations reaches";
        latency: [0.0, 1e-3] "s" "Time of the kernels on almost nothing";
        sort_latency: [0.0, 1e-3] "s" "Time that sorting rows by expert takes at most";
        slot_latency: [0.0, 1e-5] "s" "Time of sorting one of few rows by expert";
    }
}

family! {
    /// How tokens spread over the experts.
    RoutingCoefficients => RoutingTheta {
        imbalance: [1.0, 1e3] "1" "Rows of the busiest expert-parallel rank over those of chance alone";
    }
}

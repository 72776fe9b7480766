//! Coefficients of dense matrix products.

use crate::coefficients::family;

family! {
    /// Coefficients of the dense GEMM kernels of one number format.
    GemmCoefficients => GemmTheta {
        efficiency: [0.02, 1.0] "1" "Share of the peak rate at which tiles are multiplied; in 8 and 4 bits, those of 128 rows";
        small_tile_efficiency: [0.02, 1.0] "1" "Share of the peak rate at which tiles of 64 rows are multiplied in 8 and 4 bits";
        bandwidth_efficiency: [0.02, 1.0] "1" "Share of the memory bandwidth that reading weights reaches";
        overlap: [0.0, 1.0] "1" "Share of the shorter of arithmetic and reading that is not hidden behind the longer";
        overlap_limit: [1e-7, 1.0] "s" "Time of what is not hidden, at most";
        wave_quantisation: [0.0, 1.0] "1" "Share of the tiles that wait for their wave to be full";
        latency: [0.0, 1e-2] "s" "Time of a kernel that neither computes nor reads";
        tile_latency: [0.0, 1e-4] "s" "Time of a tile of 128 by 128 before and after its products";
        step_latency: [0.0, 1e-8] "s" "Least time of one step of the inner dimension, however small the tile; in 16 bits, of reading it";
        split_latency: [0.0, 1e-3] "s" "Time of adding up an inner dimension that was split";
        split_limit: [1.0, 64.0] "1" "Parts into which an inner dimension can be split";
        large_tile_latency: [0.0, 1e-4] "s" "Time that a kernel with tiles of 128 rows takes longer to start";
        throttle: [0.0, 1.0] "1" "Additional time, as a share, beyond the onset: clocks fall under power";
        throttle_onset: [1e-5, 1e-2] "s" "Time of arithmetic after which clocks fall";
        input_passes: [0.0, 20.0] "1" "Times that the size of the input is moved at full bandwidth to quantise it";
    }
}

/// cuBLAS in 16 bits on Hopper.
pub(crate) const CUBLAS: GemmCoefficients = GemmCoefficients {
    efficiency: 0.88,
    small_tile_efficiency: 0.88,
    bandwidth_efficiency: 0.93,
    overlap: 0.51,
    overlap_limit: 97e-6,
    wave_quantisation: 0.17,
    latency: 2.5e-6,
    tile_latency: 0.54e-6,
    step_latency: 0.028e-9,
    split_latency: 3.4e-6,
    split_limit: 64.0,
    large_tile_latency: 0.0,
    throttle: 0.23,
    throttle_onset: 330e-6,
    input_passes: 0.0,
};

/// CUTLASS with 8-bit operands on Hopper.
pub(crate) const CUTLASS: GemmCoefficients = GemmCoefficients {
    efficiency: 0.98,
    small_tile_efficiency: 1.0,
    bandwidth_efficiency: 0.89,
    overlap: 0.73,
    overlap_limit: 66e-6,
    wave_quantisation: 1.0,
    latency: 4.7e-6,
    tile_latency: 0.7e-6,
    step_latency: 0.5e-9,
    split_latency: 0.0,
    split_limit: 1.0,
    large_tile_latency: 0.8e-6,
    throttle: 0.52,
    throttle_onset: 65e-6,
    input_passes: 4.8,
};

/// DeepGEMM with block scales on Hopper.
pub(crate) const DEEP_GEMM: GemmCoefficients = GemmCoefficients {
    efficiency: 0.76,
    small_tile_efficiency: 0.58,
    bandwidth_efficiency: 0.91,
    overlap: 1.0,
    overlap_limit: 9.6e-6,
    wave_quantisation: 0.76,
    latency: 3.3e-6,
    tile_latency: 0.98e-6,
    step_latency: 1.0e-9,
    large_tile_latency: 0.0,
    throttle: 0.16,
    throttle_onset: 580e-6,
    input_passes: 3.4,
    ..CUTLASS
};

//! Coefficients of dense matrix products.

use crate::coefficients::family;

family! {
    /// Coefficients of the dense GEMM kernels of one number format.
    GemmCoefficients => GemmTheta {
        efficiency: [0.02, 1.0] "1" "Share of the peak rate that a large GEMM reaches";
        bandwidth_efficiency: [0.02, 1.0] "1" "Share of the memory bandwidth that reading weights reaches";
        wave_quantisation: [0.0, 1.0] "1" "Share of the tiles that wait for their wave to be full: 1 without any split-K or stream-K";
        latency: [0.0, 1e-2] "s" "Time of a kernel that neither computes nor reads";
    }
}

//! Coefficients of element-wise kernels.

use crate::coefficients::family;

family! {
    /// Coefficients of norms, activations and copies.
    ElementwiseCoefficients => ElementwiseTheta {
        efficiency: [0.02, 1.0] "1" "Share of the memory bandwidth that is reached";
        latency: [0.0, 1e-2] "s" "Time of a kernel on almost nothing";
    }
}

//! Coefficients of routed experts.

use crate::coefficients::family;

family! {
    /// Coefficients of the experts' grouped GEMMs of one number format.
    ExpertsCoefficients => ExpertsTheta {
        efficiency: [0.02, 1.0] "1" "Share of the peak rate that the grouped GEMM reaches";
        bandwidth_efficiency: [0.02, 1.0] "1" "Share of the memory bandwidth that reading weights reaches";
        latency: [0.0, 1e-2] "s" "Time of the experts' kernels, routing and sorting included, that neither compute nor read";
    }
}

family! {
    /// How tokens spread over the experts.
    RoutingCoefficients => RoutingTheta {
        imbalance: [1.0, 1e3] "1" "Rows of the busiest expert-parallel rank over the mean";
    }
}

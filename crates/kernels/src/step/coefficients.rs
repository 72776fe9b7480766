//! Coefficients of the host.

use crate::coefficients::family;

family! {
    /// Coefficients of the CPU that drives a worker.
    HostCoefficients => HostTheta {
        step_latency: [0.0, 10.0] "s" "Time per step: scheduling, batch preparation, results";
        sequence_latency: [0.0, 1.0] "s" "Time per sequence of a step";
        launch_latency: [0.0, 1.0] "s" "Time per kernel launched outside a CUDA graph";
    }
}

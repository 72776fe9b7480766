//! Coefficients of copies between a GPU and the tiers below it.

use crate::coefficients::family;

family! {
    /// Coefficients of a copy of KV to or from the host.
    HostCopyCoefficients => HostCopyTheta {
        efficiency: [0.001, 1.0] "1" "Share of the link's bandwidth that is reached";
        latency: [0.0, 10.0] "s" "Time of a copy of almost nothing";
    }
}

//! Coefficients of KV transfers.

use crate::coefficients::family;

family! {
    /// Coefficients of a KV transfer.
    TransferCoefficients => TransferTheta {
        efficiency: [0.001, 1.0] "1" "Share of the NIC bandwidth that is reached";
        latency: [0.0, 10.0] "s" "Time of a transfer of almost nothing, hand-shake included";
        message: [0.0, 1.0] "s" "Time to post one message of a transfer";
    }
}

//! Coefficients of collectives.

use crate::coefficients::family;

family! {
    /// Coefficients of SGLang's custom all-reduce.
    AllReduceCoefficients => AllReduceTheta {
        bandwidth_efficiency: [0.02, 1.0] "1" "Share of the link bandwidth that it reaches";
        one_shot_latency: [0.0, 1e-2] "s" "Time of a one-shot all-reduce of almost nothing";
        two_shot_latency: [0.0, 1e-2] "s" "Time of a two-shot all-reduce of almost nothing";
    }
}

family! {
    /// Coefficients of NCCL.
    NcclCoefficients => NcclTheta {
        bandwidth_efficiency: [0.02, 1.0] "1" "Share of the link bandwidth that it reaches";
        latency: [0.0, 1e-2] "s" "Time of a collective before its first hop";
        hop_latency: [0.0, 1e-2] "s" "Time of one hop of a ring inside a node";
    }
}

family! {
    /// Coefficients of the expert exchange.
    AllToAllCoefficients => AllToAllTheta {
        bandwidth_efficiency: [0.02, 1.0] "1" "Share of the link bandwidth that it reaches inside a node";
        scale_out_efficiency: [0.02, 1.0] "1" "Share of the NIC bandwidth that it reaches across nodes";
        latency: [0.0, 1e-2] "s" "Time of a dispatch or combine of almost nothing inside a node";
        hop_latency: [0.0, 1e-2] "s" "Time that a dispatch or combine takes longer across nodes";
    }
}

//! Coefficients of collectives.

use crate::coefficients::family;

family! {
    /// Coefficients of SGLang's custom all-reduce.
    AllReduceCoefficients => AllReduceTheta {
        one_shot_efficiency: [0.02, 1.0] "1" "Share of the link bandwidth that one-shot reaches";
        one_shot_latency: [0.0, 1e-3] "s" "Time of a one-shot all-reduce of almost nothing, but for its ranks";
        one_shot_rank_latency: [0.0, 1e-4] "s" "Time that each rank adds to a one-shot all-reduce";
        two_shot_efficiency: [0.02, 1.0] "1" "Share of the link bandwidth that two-shot reaches";
        two_shot_latency: [0.0, 1e-3] "s" "Time of a two-shot all-reduce of almost nothing, but for its ranks";
        two_shot_rank_latency: [0.0, 1e-4] "s" "Time that each rank adds to a two-shot all-reduce";
        eager_latency: [0.0, 1e-3] "s" "Time to launch an all-reduce outside of a CUDA graph";
    }
}

family! {
    /// Coefficients of NCCL's rings.
    NcclCoefficients => NcclTheta {
        bandwidth_efficiency: [0.02, 1.0] "1" "Share of the link bandwidth that the simple protocol reaches";
        copy_share: [0.0, 4.0] "1" "Time to copy a rank's own share, over the time to send it";
        ramp: [0.0, 4.0] "1" "Time that filling the pipeline takes longer, as a share of the time to send";
        ramp_limit: [1e-7, 1.0] "s" "Time of filling the pipeline, at most";
        latency: [0.0, 1e-2] "s" "Time of the simple protocol before its first hop";
        hop_latency: [0.0, 1e-3] "s" "Time of one hop of the simple protocol inside a node";
        low_latency_efficiency: [1e-3, 1.0] "1" "Share of the link bandwidth that the low-latency protocol reaches";
        low_latency_start_efficiency: [1e-3, 1.0] "1" "Share of the link bandwidth at which low_latency_start passes";
        low_latency_start: [0.0, 1e-3] "s" "Time that the low-latency protocol takes longer once its words carry more data than flags";
        low_latency: [0.0, 1e-2] "s" "Time of the low-latency protocol before its first hop";
        low_latency_hop: [0.0, 1e-3] "s" "Time of one hop of the low-latency protocol inside a node";
        switch_efficiency: [0.02, 1.0] "1" "Share of the link bandwidth of an all-reduce inside the switch";
    }
}

family! {
    /// Coefficients of NCCL's exchange between pairs of ranks.
    NcclPairCoefficients => NcclPairTheta {
        bandwidth_efficiency: [0.02, 1.0] "1" "Share of the link bandwidth that the simple protocol reaches";
        scale_out_efficiency: [0.02, 1.0] "1" "Share of the NIC bandwidth that is reached across nodes";
        copy_share: [0.0, 4.0] "1" "Time to copy a rank's own share, over the time to send it";
        latency: [0.0, 1e-2] "s" "Time of the simple protocol on almost nothing";
        low_latency_efficiency: [1e-3, 1.0] "1" "Share of the link bandwidth that the low-latency protocol reaches";
        low_latency: [0.0, 1e-2] "s" "Time of the low-latency protocol on almost nothing";
        peer_latency: [0.0, 1e-3] "s" "Time that each further peer adds";
        scale_out_latency: [0.0, 1e-2] "s" "Time that an exchange across nodes takes longer";
    }
}

family! {
    /// Coefficients of one direction of the expert exchange.
    AllToAllCoefficients => AllToAllTheta {
        bandwidth_efficiency: [0.02, 1.0] "1" "Share of the link bandwidth that normal kernels reach inside a node";
        scale_out_efficiency: [0.02, 1.0] "1" "Share of the NIC bandwidth that normal kernels reach across nodes";
        latency: [0.0, 1e-2] "s" "Time of normal kernels on almost nothing inside a node";
        start_latency: [0.0, 1e-3] "s" "Time that normal kernels take longer once their channels are busy";
        row_latency: [0.0, 1e-5] "s" "Time of a token in a channel of normal kernels that is not yet busy";
        node_latency: [0.0, 1e-2] "s" "Time that normal kernels take longer each time the nodes double";
        low_latency_efficiency: [0.02, 1.0] "1" "Share of the link bandwidth that low-latency kernels reach inside a node";
        low_latency_scale_out_efficiency: [0.02, 1.0] "1" "Share of the NIC bandwidth that low-latency kernels reach across nodes";
        low_latency: [0.0, 1e-2] "s" "Time of low-latency kernels on almost nothing inside a node";
        low_latency_expert: [0.0, 1e-5] "s" "Time that each expert adds to low-latency kernels";
        low_latency_scale_out: [0.0, 1e-2] "s" "Time that low-latency kernels take longer across nodes";
        low_latency_node: [0.0, 1e-2] "s" "Time that low-latency kernels take longer each time the nodes double";
        pair_bandwidth: [1e8, 1e12] "B/s" "Rate at which one rank sends to one expert in low-latency kernels";
    }
}

//! Default coefficients by GPU generation.

use sglsim_hw::Architecture;

use super::Coefficients;
use crate::host_copy::HostCopyCoefficients;
use crate::operator::attention::{
    DECODE, DECODE_FP8, LATENT_DECODE, LATENT_DECODE_FP8, LATENT_PREFILL, LATENT_PREFILL_FP8,
    PREFILL, PREFILL_FP8,
};
use crate::operator::collective::{
    AllReduceCoefficients, AllToAllCoefficients, NcclCoefficients, NcclPairCoefficients,
};
use crate::operator::elementwise::ElementwiseCoefficients;
use crate::operator::gemm::{CUBLAS, CUTLASS, DEEP_GEMM, GemmCoefficients};
use crate::operator::moe::{
    DeepGemmCoefficients, ExpertsCoefficients, MarlinCoefficients, RoutingCoefficients,
};
use crate::step::HostCoefficients;
use crate::transfer::TransferCoefficients;

impl Coefficients {
    /// Default values for a GPU generation, for want of a calibration.
    ///
    /// # Source
    ///
    /// Hopper: fitted to public per-operator timings of SGLang 0.5.14 on H100 SXM (NVIDIA
    /// aiconfigurator-core 0.12.0) and rounded; KV transfer from the curve that Mooncake publishes for
    /// SGLang; the host's figures are assumed. The other generations are transferred, not measured:
    /// Hopper's laws and latencies, the hardware's own rates, and the shares of peak that public
    /// benchmarks of large GEMMs and of memory bandwidth report.
    #[must_use]
    pub fn for_architecture(architecture: Architecture) -> Self {
        let hopper = hopper();
        match architecture {
            Architecture::Ampere => hopper.reading(0.8, 0.8).prefilling(0.6),
            Architecture::Ada => hopper.reading(0.8, 0.8).prefilling(0.5),
            Architecture::Blackwell => {
                hopper.reading(0.8, 0.8).prefilling(0.55).multiplying(0.7, 0.6)
            }
            Architecture::Cdna3 => cdna3(hopper),
            // Hopper, and a generation this crate does not know yet.
            _ => hopper,
        }
    }

    /// The same but for the shares of bandwidth at which weights and a 16-bit KV cache are read.
    fn reading(mut self, weights: f64, kv: f64) -> Self {
        self.each_gemm(|gemm| gemm.bandwidth_efficiency = weights);
        self.each_experts(|experts| experts.bandwidth_efficiency = weights);
        self.experts_int4.bandwidth_efficiency = weights;
        self.experts_deep_gemm.bandwidth_efficiency = weights;
        self.mla_prefill_bf16.bandwidth_efficiency = weights;
        self.mla_prefill_fp8.bandwidth_efficiency = weights;
        self.decode_attention_bf16.bandwidth_efficiency = kv;
        self.mla_decode_bf16.bandwidth_efficiency = kv;
        self
    }

    /// The same but for the share of the peak that prefill attention reaches.
    fn prefilling(mut self, efficiency: f64) -> Self {
        self.prefill_attention_bf16.efficiency = efficiency;
        self.prefill_attention_fp8.efficiency = efficiency;
        self.mla_prefill_bf16.efficiency = efficiency;
        self.mla_prefill_fp8.efficiency = efficiency;
        self
    }

    /// The same but for the shares of the peak that GEMMs of 16 and of 8 bits reach.
    fn multiplying(mut self, wide: f64, narrow: f64) -> Self {
        for gemm in [&mut self.gemm_bf16, &mut self.gemm_int4] {
            gemm.efficiency = wide;
        }
        for gemm in [&mut self.gemm_fp8, &mut self.gemm_fp8_block, &mut self.gemm_int8] {
            gemm.efficiency = narrow;
        }
        self
    }

    fn each_gemm(&mut self, change: impl FnMut(&mut GemmCoefficients)) {
        [
            &mut self.gemm_bf16,
            &mut self.gemm_fp8,
            &mut self.gemm_fp8_block,
            &mut self.gemm_int8,
            &mut self.gemm_int4,
            &mut self.gemm_fp4,
        ]
        .into_iter()
        .for_each(change);
    }

    fn each_experts(&mut self, change: impl FnMut(&mut ExpertsCoefficients)) {
        [
            &mut self.experts_bf16,
            &mut self.experts_fp8,
            &mut self.experts_fp8_block,
            &mut self.experts_int8,
            &mut self.experts_fp4,
        ]
        .into_iter()
        .for_each(change);
    }
}

fn hopper() -> Coefficients {
    let experts = ExpertsCoefficients {
        efficiency: 0.33,
        blocks_per_sm: 2.7,
        tuned_efficiency: 0.95,
        tuned_blocks_per_sm: 1.4,
        small_efficiency: 0.2,
        small_blocks_per_sm: 6.0,
        wave_quantisation: 0.0,
        overlap: 0.22,
        bandwidth_efficiency: 0.85,
        activation_efficiency: 0.72,
        latency: 8e-6,
        sort_latency: 14e-6,
        slot_latency: 0.13e-6,
    };
    let experts_narrow = ExpertsCoefficients {
        efficiency: 0.53,
        blocks_per_sm: 1.1,
        tuned_efficiency: 0.47,
        tuned_blocks_per_sm: 1.0,
        wave_quantisation: 0.8,
        overlap: 0.35,
        activation_efficiency: 0.67,
        latency: 19e-6,
        sort_latency: 8e-6,
        slot_latency: 0.015e-6,
        ..experts
    };
    let experts_fp4 = ExpertsCoefficients {
        efficiency: 0.29,
        blocks_per_sm: 1.0,
        wave_quantisation: 0.83,
        overlap: 0.04,
        bandwidth_efficiency: 0.51,
        activation_efficiency: 0.62,
        latency: 0.0,
        sort_latency: 30e-6,
        slot_latency: 0.22e-6,
        ..experts
    };
    Coefficients {
        gemm_bf16: CUBLAS,
        gemm_fp8: CUTLASS,
        gemm_fp8_block: DEEP_GEMM,
        gemm_int8: CUTLASS,
        gemm_int4: CUBLAS,
        gemm_fp4: CUTLASS,
        prefill_attention_bf16: PREFILL,
        prefill_attention_fp8: PREFILL_FP8,
        decode_attention_bf16: DECODE,
        decode_attention_fp8: DECODE_FP8,
        mla_prefill_bf16: LATENT_PREFILL,
        mla_prefill_fp8: LATENT_PREFILL_FP8,
        mla_decode_bf16: LATENT_DECODE,
        mla_decode_fp8: LATENT_DECODE_FP8,
        experts_bf16: experts,
        experts_fp8: experts_narrow,
        experts_fp8_block: experts_narrow,
        experts_int8: experts_narrow,
        experts_int4: MarlinCoefficients {
            efficiency: 0.32,
            idle_rows: 20.0,
            reread: 0.15,
            step_latency: 2.4e-9,
            overlap: 0.4,
            bandwidth_efficiency: 0.78,
            activation_efficiency: 0.59,
            latency: 6e-6,
            sort_latency: 48e-6,
            slot_latency: 0.12e-6,
        },
        experts_fp4,
        experts_deep_gemm: DeepGemmCoefficients {
            efficiency: 0.92,
            blocks_per_sm: 1.0,
            wave_quantisation: 0.05,
            overlap: 0.53,
            bandwidth_efficiency: 0.76,
            activation_efficiency: 0.81,
            latency: 18e-6,
            contiguous_latency: 250e-6,
        },
        expert: RoutingCoefficients { imbalance: 1.0 },
        elementwise: ElementwiseCoefficients { efficiency: 0.7, latency: 2.5e-6 },
        all_reduce: AllReduceCoefficients {
            one_shot_efficiency: 0.68,
            one_shot_latency: 2.2e-6,
            one_shot_rank_latency: 0.15e-6,
            two_shot_efficiency: 0.67,
            two_shot_latency: 3.0e-6,
            two_shot_rank_latency: 0.6e-6,
            eager_latency: 29e-6,
        },
        nccl: NcclCoefficients {
            bandwidth_efficiency: 0.84,
            copy_share: 0.39,
            ramp: 0.37,
            ramp_limit: 55e-6,
            latency: 15.8e-6,
            hop_latency: 0.28e-6,
            low_latency_efficiency: 0.26,
            low_latency_start_efficiency: 0.023,
            low_latency_start: 1e-6,
            low_latency: 4.4e-6,
            low_latency_hop: 0.83e-6,
            switch_efficiency: 0.56,
        },
        nccl_pair: NcclPairCoefficients {
            bandwidth_efficiency: 0.67,
            scale_out_efficiency: 0.9,
            copy_share: 0.16,
            latency: 13e-6,
            low_latency_efficiency: 0.025,
            low_latency: 6.4e-6,
            peer_latency: 0.15e-6,
            scale_out_latency: 12e-6,
        },
        all_to_all_dispatch: AllToAllCoefficients {
            bandwidth_efficiency: 0.59,
            scale_out_efficiency: 0.7,
            latency: 26e-6,
            start_latency: 16e-6,
            row_latency: 35e-9,
            node_latency: 33e-6,
            low_latency_efficiency: 0.56,
            low_latency_scale_out_efficiency: 0.95,
            low_latency: 8.4e-6,
            low_latency_expert: 16e-9,
            low_latency_scale_out: 4e-6,
            low_latency_node: 3.7e-6,
            pair_bandwidth: 4.4e9,
        },
        all_to_all_combine: AllToAllCoefficients {
            bandwidth_efficiency: 0.67,
            scale_out_efficiency: 0.55,
            latency: 37e-6,
            start_latency: 75e-6,
            row_latency: 38e-9,
            node_latency: 40e-6,
            low_latency_efficiency: 0.49,
            low_latency_scale_out_efficiency: 0.93,
            low_latency: 10e-6,
            low_latency_expert: 5.3e-9,
            low_latency_scale_out: 12.6e-6,
            low_latency_node: 0.8e-6,
            pair_bandwidth: 23e9,
        },
        host: HostCoefficients { step_latency: 1e-3, sequence_latency: 5e-6, launch_latency: 8e-6 },
        // Mooncake's published curve: 1.5 ms, and 168 GB/s of 200 GB/s. The time of a message is assumed;
        // it makes per-token slices four times as slow as whole pages, in the middle of the factor of
        // two to five that SGLang gives for its staging buffer (pull request 19890).
        transfer: TransferCoefficients { efficiency: 0.84, latency: 1.5e-3, message: 20e-9 },
        host_copy: HostCopyCoefficients { efficiency: 0.8, latency: 20e-6 },
        provenance: "datasheet".to_owned(),
    }
}

fn cdna3(hopper: Coefficients) -> Coefficients {
    let mut theta = hopper.reading(0.75, 0.7).prefilling(0.4).multiplying(0.5, 0.4);
    theta.gemm_bf16.latency = 6e-6;
    theta.gemm_int4.latency = 6e-6;
    for gemm in
        [&mut theta.gemm_fp8, &mut theta.gemm_fp8_block, &mut theta.gemm_int8, &mut theta.gemm_fp4]
    {
        gemm.latency = 8e-6;
    }
    theta.experts_bf16.efficiency = 0.35;
    theta.experts_int4.efficiency = 0.35;
    theta.decode_attention_fp8.bandwidth_efficiency = 0.5;
    theta.mla_decode_fp8.bandwidth_efficiency = 0.5;
    theta.elementwise.latency = 4e-6;
    theta
}

//! Default coefficients by GPU generation.

use sglsim_hw::Architecture;

use super::Coefficients;
use crate::operator::attention::{DecodeAttentionCoefficients, PrefillAttentionCoefficients};
use crate::operator::collective::{AllReduceCoefficients, AllToAllCoefficients, NcclCoefficients};
use crate::operator::elementwise::ElementwiseCoefficients;
use crate::operator::gemm::GemmCoefficients;
use crate::operator::moe::{ExpertsCoefficients, RoutingCoefficients};
use crate::step::HostCoefficients;
use crate::transfer::TransferCoefficients;

impl Coefficients {
    /// Default values for a GPU generation, for want of a calibration.
    ///
    /// # Source
    ///
    /// Hopper: chosen by hand to two digits after looking at public per-operator timings of SGLang
    /// 0.5.14 on H100 SXM (NVIDIA aiconfigurator-core 0.12.0) and rounded; the host's figures are
    /// assumed. The other generations are assumed: Hopper's figures with the shares of peak that
    /// public benchmarks of large GEMMs and of memory bandwidth report.
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
        for prefill in self.prefills() {
            prefill.bandwidth_efficiency = weights;
        }
        self.decode_attention_bf16.bandwidth_efficiency = kv;
        self.mla_decode_bf16.bandwidth_efficiency = kv;
        self
    }

    /// The same but for the share of the peak that prefill attention reaches.
    fn prefilling(mut self, efficiency: f64) -> Self {
        for prefill in self.prefills() {
            prefill.efficiency = efficiency;
        }
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

    fn prefills(&mut self) -> [&mut PrefillAttentionCoefficients; 3] {
        [&mut self.prefill_attention_bf16, &mut self.prefill_attention_fp8, &mut self.mla_prefill]
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
            &mut self.experts_int4,
            &mut self.experts_fp4,
        ]
        .into_iter()
        .for_each(change);
    }
}

fn hopper() -> Coefficients {
    let gemm = GemmCoefficients {
        efficiency: 0.77,
        bandwidth_efficiency: 0.85,
        wave_quantisation: 0.2,
        latency: 3.5e-6,
    };
    let gemm_narrow = GemmCoefficients { efficiency: 0.5, latency: 5.5e-6, ..gemm };
    let prefill = PrefillAttentionCoefficients {
        efficiency: 0.65,
        bandwidth_efficiency: 0.85,
        overhead: 320.0,
        latency: 11e-6,
    };
    let decode = DecodeAttentionCoefficients {
        efficiency: 0.5,
        bandwidth_efficiency: 0.85,
        overhead: 96.0,
        latency: 10e-6,
    };
    let decode_fp8 = DecodeAttentionCoefficients { bandwidth_efficiency: 0.6, ..decode };
    let experts =
        ExpertsCoefficients { efficiency: 0.5, bandwidth_efficiency: 0.85, latency: 20e-6 };
    let experts_narrow = ExpertsCoefficients { efficiency: 0.35, ..experts };
    Coefficients {
        gemm_bf16: gemm,
        gemm_fp8: gemm_narrow,
        gemm_fp8_block: gemm_narrow,
        gemm_int8: gemm_narrow,
        gemm_int4: gemm,
        gemm_fp4: gemm_narrow,
        prefill_attention_bf16: prefill,
        prefill_attention_fp8: prefill,
        decode_attention_bf16: decode,
        decode_attention_fp8: decode_fp8,
        mla_prefill: prefill,
        mla_decode_bf16: decode,
        mla_decode_fp8: decode_fp8,
        experts_bf16: experts,
        experts_fp8: experts_narrow,
        experts_fp8_block: experts_narrow,
        experts_int8: experts_narrow,
        experts_int4: experts,
        experts_fp4: experts_narrow,
        expert: RoutingCoefficients { imbalance: 1.0 },
        elementwise: ElementwiseCoefficients { efficiency: 0.7, latency: 2.5e-6 },
        all_reduce: AllReduceCoefficients {
            bandwidth_efficiency: 0.7,
            one_shot_latency: 3e-6,
            two_shot_latency: 6e-6,
        },
        nccl: NcclCoefficients { bandwidth_efficiency: 0.7, latency: 4.5e-6, hop_latency: 0.85e-6 },
        all_to_all: AllToAllCoefficients {
            bandwidth_efficiency: 0.7,
            scale_out_efficiency: 0.9,
            latency: 11e-6,
            hop_latency: 15e-6,
        },
        host: HostCoefficients { step_latency: 1e-3, sequence_latency: 5e-6, launch_latency: 8e-6 },
        transfer: TransferCoefficients { efficiency: 0.8, latency: 2e-3 },
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

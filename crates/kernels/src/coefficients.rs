//! θ: what a datasheet does not say. Achieved shares of the peaks, and latencies.

use serde::{Deserialize, Serialize};
use sglsim_expr::Expr;
use sglsim_hw::Architecture;
use sglsim_units::Nearest;

use crate::KernelError;
use crate::scope::Scope;

/// Which values a coefficient may take.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum CoefficientRange {
    /// A share of a peak, in (0, 1].
    Share,
    /// A mixing weight, in [0, 1].
    Weight,
    /// A latency or an extent, finite and not negative.
    NonNegative,
    /// A factor, finite and at least 1.
    AtLeastOne,
}

impl CoefficientRange {
    /// Whether `value` lies in the range.
    #[must_use]
    pub fn contains(self, value: f64) -> bool {
        value.is_finite()
            && match self {
                Self::Share => 0.0 < value && value <= 1.0,
                Self::Weight => (0.0..=1.0).contains(&value),
                Self::NonNegative => value >= 0.0,
                Self::AtLeastOne => value >= 1.0,
            }
    }

    /// The range in words.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Share => "> 0 and <= 1",
            Self::Weight => ">= 0 and <= 1",
            Self::NonNegative => ">= 0 and finite",
            Self::AtLeastOne => ">= 1 and finite",
        }
    }
}

/// A coefficient's name, unit, range and meaning.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct CoefficientInfo {
    /// Name of the field of [`Coefficients`] and of the symbol in every law.
    pub name: &'static str,
    /// Unit, such as `"s"`.
    pub unit: &'static str,
    /// Allowed values.
    pub range: CoefficientRange,
    /// Meaning.
    pub doc: &'static str,
}

/// Declares the coefficients once: the values, their table, and their symbols.
macro_rules! coefficients {
    ($($name:ident: $range:ident [$unit:literal] $doc:literal;)+) => {
        /// The values of θ for one kind of GPU and one software stack.
        ///
        /// In a law each is a symbol of the same name, so that a formula can be fitted and
        /// differentiated in it. Uncalibrated hardware gets [`Coefficients::for_architecture`].
        ///
        /// ```
        /// use sglsim_hw::Architecture;
        /// use sglsim_kernels::Coefficients;
        ///
        /// let mut theta = Coefficients::for_architecture(Architecture::Hopper);
        /// theta.set("hbm_efficiency", 0.9)?;
        /// let error = theta.set("hbm_eficiency", 0.9).unwrap_err();
        /// assert!(error.to_string().contains("did you mean `hbm_efficiency`?"));
        /// assert!(theta.set("hbm_efficiency", 1.1).is_err());
        /// # Ok::<(), sglsim_kernels::KernelError>(())
        /// ```
        #[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
        #[serde(deny_unknown_fields)]
        pub struct Coefficients {
            $(#[doc = concat!($doc, " \\[", $unit, "\\].")] pub $name: f64,)+
            /// Where the values come from: `"datasheet"`, or the calibration that fitted them.
            pub provenance: String,
        }

        impl Coefficients {
            /// All coefficients, in the order in which they are declared as symbols.
            pub const TABLE: &[CoefficientInfo] = &[$(CoefficientInfo {
                name: stringify!($name),
                unit: $unit,
                range: CoefficientRange::$range,
                doc: $doc,
            }),+];

            /// The value of a coefficient by name.
            #[must_use]
            pub fn get(&self, name: &str) -> Option<f64> {
                match name {
                    $(stringify!($name) => Some(self.$name),)+
                    _ => None,
                }
            }

            fn as_array(&self) -> [f64; Self::TABLE.len()] {
                [$(self.$name),+]
            }

            fn slot(&mut self, name: &str) -> Option<&mut f64> {
                match name {
                    $(stringify!($name) => Some(&mut self.$name),)+
                    _ => None,
                }
            }
        }

        /// The coefficients as symbols, as laws see them.
        #[derive(Clone, Debug)]
        pub struct Theta {
            $(#[doc = concat!($doc, " \\[", $unit, "\\].")] pub $name: Expr,)+
        }

        impl Theta {
            pub(crate) fn declare(
                scope: &mut Scope<'_>,
                values: &Coefficients,
            ) -> Result<Self, KernelError> {
                Ok(Self {
                    $($name: scope.coefficient(
                        stringify!($name),
                        CoefficientRange::$range,
                        ($unit, $doc),
                        values.$name,
                    )?,)+
                })
            }
        }
    };
}

coefficients! {
    gemm_efficiency: Share["1"] "Share of the 16-bit peak rate that a large GEMM reaches";
    gemm_efficiency_8bit: Share["1"] "Share of the fp8 or int8 peak rate that a large GEMM reaches";
    gemm_efficiency_4bit: Share["1"] "Share of the fp4 peak rate that a large GEMM reaches";
    gemm_wave_quantisation: Weight["1"] "Share of a GEMM's tiles that wait for their wave to be full: 1 without any split-K or stream-K";
    gemm_latency: NonNegative["s"] "Time of a 16-bit GEMM kernel that neither computes nor reads";
    gemm_latency_8bit: NonNegative["s"] "Time of an fp8, int8 or fp4 GEMM kernel that neither computes nor reads";
    grouped_gemm_efficiency: Share["1"] "Share of the 16-bit peak rate that the experts' grouped GEMM reaches";
    grouped_gemm_efficiency_8bit: Share["1"] "Share of the fp8 or int8 peak rate that the experts' grouped GEMM reaches";
    grouped_gemm_efficiency_4bit: Share["1"] "Share of the fp4 peak rate that the experts' grouped GEMM reaches";
    grouped_gemm_latency: NonNegative["s"] "Time of the experts' kernels, routing and sorting included, that neither compute nor read";
    expert_imbalance: AtLeastOne["1"] "Rows of the busiest expert-parallel rank over the mean";
    hbm_efficiency: Share["1"] "Share of the memory bandwidth that reading weights reaches";
    prefill_attention_efficiency: Share["1"] "Share of the 16-bit peak rate that prefill attention reaches";
    prefill_attention_overhead: NonNegative["token"] "Keys that a query of prefill attention costs in addition to its own, for masked tiles, softmax and epilogue";
    prefill_attention_latency: NonNegative["s"] "Time of a prefill attention call on almost nothing";
    decode_attention_efficiency: Share["1"] "Share of the 16-bit peak rate that decode attention reaches";
    kv_read_efficiency: Share["1"] "Share of the memory bandwidth that reading the KV cache in decode reaches";
    kv_read_efficiency_8bit: Share["1"] "As kv_read_efficiency, for an fp8 KV cache";
    decode_attention_overhead: NonNegative["token"] "Context that a decoding sequence costs in addition to its own, for its last tile and its epilogue";
    decode_attention_latency: NonNegative["s"] "Time of a decode attention call on almost nothing";
    elementwise_efficiency: Share["1"] "Share of the memory bandwidth that norms, activations and copies reach";
    elementwise_latency: NonNegative["s"] "Time of an element-wise kernel on almost nothing";
    link_efficiency: Share["1"] "Share of the link bandwidth that collectives reach";
    scale_out_efficiency: Share["1"] "Share of the NIC bandwidth that an expert exchange across nodes reaches";
    one_shot_latency: NonNegative["s"] "Time of a one-shot all-reduce of almost nothing";
    two_shot_latency: NonNegative["s"] "Time of a two-shot all-reduce of almost nothing";
    nccl_latency: NonNegative["s"] "Time of a NCCL collective before its first hop";
    nccl_hop_latency: NonNegative["s"] "Time of one hop of a NCCL ring inside a node";
    all_to_all_latency: NonNegative["s"] "Time of an expert dispatch or combine of almost nothing inside a node";
    all_to_all_hop_latency: NonNegative["s"] "Time that an expert dispatch or combine takes longer across nodes";
    host_step_latency: NonNegative["s"] "Host time per step: scheduling, batch preparation, results";
    host_sequence_latency: NonNegative["s"] "Host time per sequence of a step";
    host_launch_latency: NonNegative["s"] "Host time per kernel launched outside a CUDA graph";
    transfer_efficiency: Share["1"] "Share of the NIC bandwidth that a KV transfer reaches";
    transfer_latency: NonNegative["s"] "Time of a KV transfer of almost nothing, hand-shake included";
}

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
        let hopper = Self {
            gemm_efficiency: 0.77,
            gemm_efficiency_8bit: 0.5,
            gemm_efficiency_4bit: 0.5,
            gemm_wave_quantisation: 0.2,
            gemm_latency: 3.5e-6,
            gemm_latency_8bit: 5.5e-6,
            grouped_gemm_efficiency: 0.5,
            grouped_gemm_efficiency_8bit: 0.35,
            grouped_gemm_efficiency_4bit: 0.35,
            grouped_gemm_latency: 20e-6,
            expert_imbalance: 1.0,
            hbm_efficiency: 0.85,
            prefill_attention_efficiency: 0.65,
            prefill_attention_overhead: 320.0,
            prefill_attention_latency: 11e-6,
            decode_attention_efficiency: 0.5,
            kv_read_efficiency: 0.85,
            kv_read_efficiency_8bit: 0.6,
            decode_attention_overhead: 96.0,
            decode_attention_latency: 10e-6,
            elementwise_efficiency: 0.7,
            elementwise_latency: 2.5e-6,
            link_efficiency: 0.7,
            scale_out_efficiency: 0.9,
            one_shot_latency: 3e-6,
            two_shot_latency: 6e-6,
            nccl_latency: 4.5e-6,
            nccl_hop_latency: 0.85e-6,
            all_to_all_latency: 11e-6,
            all_to_all_hop_latency: 15e-6,
            host_step_latency: 1e-3,
            host_sequence_latency: 5e-6,
            host_launch_latency: 8e-6,
            transfer_efficiency: 0.8,
            transfer_latency: 2e-3,
            provenance: "datasheet".to_owned(),
        };
        match architecture {
            Architecture::Ampere => Self {
                hbm_efficiency: 0.8,
                kv_read_efficiency: 0.8,
                prefill_attention_efficiency: 0.6,
                ..hopper
            },
            Architecture::Ada => Self {
                hbm_efficiency: 0.8,
                kv_read_efficiency: 0.8,
                prefill_attention_efficiency: 0.5,
                ..hopper
            },
            Architecture::Blackwell => Self {
                gemm_efficiency: 0.7,
                gemm_efficiency_8bit: 0.6,
                prefill_attention_efficiency: 0.55,
                hbm_efficiency: 0.8,
                kv_read_efficiency: 0.8,
                ..hopper
            },
            Architecture::Cdna3 => Self {
                gemm_efficiency: 0.5,
                gemm_efficiency_8bit: 0.4,
                prefill_attention_efficiency: 0.4,
                grouped_gemm_efficiency: 0.35,
                hbm_efficiency: 0.75,
                kv_read_efficiency: 0.7,
                kv_read_efficiency_8bit: 0.5,
                gemm_latency: 6e-6,
                gemm_latency_8bit: 8e-6,
                elementwise_latency: 4e-6,
                ..hopper
            },
            // Hopper, and a generation this crate does not know yet.
            _ => hopper,
        }
    }

    /// Sets one coefficient by name.
    ///
    /// # Errors
    ///
    /// [`KernelError::UnknownCoefficient`] with the nearest name, or
    /// [`KernelError::Coefficient`] if the value is out of range; nothing is changed then.
    pub fn set(&mut self, name: &str, value: f64) -> Result<(), KernelError> {
        let info = Self::TABLE.iter().find(|info| info.name == name);
        let (Some(info), Some(slot)) = (info, self.slot(name)) else {
            let names = Self::TABLE.iter().map(|info| info.name);
            return Err(KernelError::UnknownCoefficient {
                name: name.to_owned(),
                nearest: Nearest::to(name, names),
            });
        };
        check(info, value)?;
        *slot = value;
        Ok(())
    }

    /// Checks every value against its range.
    ///
    /// # Errors
    ///
    /// [`KernelError::Coefficient`] for the first that is out of range.
    pub fn check(&self) -> Result<(), KernelError> {
        let values = self.as_array();
        Self::TABLE.iter().zip(values).try_for_each(|(info, value)| check(info, value))
    }
}

fn check(info: &CoefficientInfo, value: f64) -> Result<(), KernelError> {
    if info.range.contains(value) {
        Ok(())
    } else {
        Err(KernelError::Coefficient {
            name: info.name,
            value,
            unit: info.unit,
            allowed: info.range.as_str(),
        })
    }
}

#[cfg(test)]
mod tests;

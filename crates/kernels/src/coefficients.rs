//! θ: what a datasheet does not say. Achieved shares of the peaks, and latencies.

use serde::{Deserialize, Serialize};
use sglsim_units::Nearest;

use crate::KernelError;
use crate::host_copy::{HostCopyCoefficients, HostCopyTheta};
use crate::operator::attention::{
    DecodeAttentionCoefficients, DecodeAttentionTheta, LatentPrefillCoefficients,
    LatentPrefillTheta, PrefillAttentionCoefficients, PrefillAttentionTheta,
};
use crate::operator::collective::{
    AllReduceCoefficients, AllReduceTheta, AllToAllCoefficients, AllToAllTheta, NcclCoefficients,
    NcclPairCoefficients, NcclPairTheta, NcclTheta,
};
use crate::operator::elementwise::{ElementwiseCoefficients, ElementwiseTheta};
use crate::operator::gemm::{GemmCoefficients, GemmTheta};
use crate::operator::moe::{
    DeepGemmCoefficients, DeepGemmTheta, ExpertsCoefficients, ExpertsTheta, MarlinCoefficients,
    MarlinTheta, RoutingCoefficients, RoutingTheta,
};
use crate::scope::Scope;
use crate::step::{HostCoefficients, HostTheta};
use crate::transfer::{TransferCoefficients, TransferTheta};

mod defaults;
mod family;

pub(crate) use family::{Family, Field, family};

/// A coefficient's name, unit, bounds and meaning.
#[derive(Clone, Copy, Debug, PartialEq)]
#[non_exhaustive]
pub struct CoefficientInfo {
    /// Name of the field of [`Coefficients`] that holds the kernel family, such as `"gemm_bf16"`.
    pub family: &'static str,
    /// Name of the field in the family, such as `"efficiency"`.
    pub field: &'static str,
    /// Unit, such as `"s"`.
    pub unit: &'static str,
    /// Least and greatest value, both allowed; the bounds of a fit.
    pub bounds: (f64, f64),
    /// Meaning.
    pub doc: &'static str,
}

impl CoefficientInfo {
    pub(crate) fn of(family: &'static str, field: &Field) -> Self {
        Self { family, field: field.name, unit: field.unit, bounds: field.bounds, doc: field.doc }
    }

    /// Name of the symbol in every law: family and field, such as `"gemm_bf16_efficiency"`.
    #[must_use]
    pub fn name(&self) -> String {
        format!("{}_{}", self.family, self.field)
    }

    /// Checks a value against the bounds.
    ///
    /// # Errors
    ///
    /// [`KernelError::Coefficient`] if the value is out of bounds or not a number.
    pub fn check(&self, value: f64) -> Result<(), KernelError> {
        let (low, high) = self.bounds;
        if (low..=high).contains(&value) {
            Ok(())
        } else {
            Err(KernelError::Coefficient { name: self.name(), value, unit: self.unit, low, high })
        }
    }
}

/// Declares the kernel families once: their values, their symbols, and access by name.
macro_rules! coefficients {
    ($($family:ident: $values:ident => $symbols:ident, $doc:literal;)+) => {
        /// The values of θ for one kind of GPU and one software stack, by kernel family.
        ///
        /// In a law each is a symbol, named by family and field (`gemm_bf16_efficiency`), so that
        /// a formula can be fitted and differentiated in it. Uncalibrated hardware gets
        /// [`Coefficients::for_architecture`].
        ///
        /// ```
        /// use sglsim_hw::Architecture;
        /// use sglsim_kernels::Coefficients;
        ///
        /// let mut theta = Coefficients::for_architecture(Architecture::Hopper);
        /// theta.set("gemm_bf16_efficiency", 0.9)?;
        /// assert_eq!(theta.gemm_bf16.efficiency, 0.9);
        /// let error = theta.set("gemm_bf16_eficiency", 0.9).unwrap_err();
        /// assert!(error.to_string().contains("did you mean `gemm_bf16_efficiency`?"));
        /// assert!(theta.set("gemm_bf16_efficiency", 1.1).is_err());
        /// # Ok::<(), sglsim_kernels::KernelError>(())
        /// ```
        #[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
        #[serde(deny_unknown_fields)]
        pub struct Coefficients {
            $(#[doc = concat!($doc, ".")] pub $family: $values,)+
            /// Where the values come from: `"datasheet"`, or the calibration that fitted them.
            pub provenance: String,
        }

        impl Coefficients {
            /// All coefficients, in the order in which they are declared as symbols.
            pub fn infos() -> impl Iterator<Item = CoefficientInfo> {
                let families: [(&'static str, &'static [Field]); _] =
                    [$((stringify!($family), $values::FIELDS)),+];
                families.into_iter().flat_map(|(family, fields)| {
                    fields.iter().map(move |field| CoefficientInfo::of(family, field))
                })
            }

            fn value(&self, info: &CoefficientInfo) -> Option<f64> {
                match info.family {
                    $(stringify!($family) => self.$family.field(info.field),)+
                    _ => None,
                }
            }

            fn slot(&mut self, info: &CoefficientInfo) -> Option<&mut f64> {
                match info.family {
                    $(stringify!($family) => self.$family.field_mut(info.field),)+
                    _ => None,
                }
            }
        }

        /// The coefficients as symbols, as laws see them.
        #[derive(Clone, Debug)]
        pub struct Theta {
            $(#[doc = concat!($doc, ".")] pub $family: $symbols,)+
        }

        impl Theta {
            pub(crate) fn declare(
                scope: &mut Scope<'_>,
                values: &Coefficients,
            ) -> Result<Self, KernelError> {
                Ok(Self {
                    $($family: $symbols::declare(
                        scope,
                        stringify!($family),
                        &values.$family,
                    )?,)+
                })
            }
        }
    };
}

coefficients! {
    gemm_bf16: GemmCoefficients => GemmTheta, "Dense GEMM in 16 bits";
    gemm_fp8: GemmCoefficients => GemmTheta, "Dense GEMM in fp8, one scale per tensor or row";
    gemm_fp8_block: GemmCoefficients => GemmTheta, "Dense GEMM in fp8, one scale per block of 128 values";
    gemm_int8: GemmCoefficients => GemmTheta, "Dense GEMM in int8";
    gemm_int4: GemmCoefficients => GemmTheta, "Dense GEMM in 16 bits with weights of 4 bits";
    gemm_fp4: GemmCoefficients => GemmTheta, "Dense GEMM in fp4";
    prefill_attention_bf16: PrefillAttentionCoefficients => PrefillAttentionTheta, "Attention of extending sequences in 16 bits";
    prefill_attention_fp8: PrefillAttentionCoefficients => PrefillAttentionTheta, "Attention of extending sequences in fp8";
    decode_attention_bf16: DecodeAttentionCoefficients => DecodeAttentionTheta, "Attention of decoding sequences over a 16-bit KV cache";
    decode_attention_fp8: DecodeAttentionCoefficients => DecodeAttentionTheta, "Attention of decoding sequences over an fp8 KV cache";
    mla_prefill_bf16: LatentPrefillCoefficients => LatentPrefillTheta, "Latent attention of extending sequences over a 16-bit KV cache";
    mla_prefill_fp8: LatentPrefillCoefficients => LatentPrefillTheta, "Latent attention of extending sequences over an fp8 KV cache";
    mla_decode_bf16: DecodeAttentionCoefficients => DecodeAttentionTheta, "Latent attention of decoding sequences over a 16-bit KV cache";
    mla_decode_fp8: DecodeAttentionCoefficients => DecodeAttentionTheta, "Latent attention of decoding sequences over an fp8 KV cache";
    experts_bf16: ExpertsCoefficients => ExpertsTheta, "Routed experts in 16 bits";
    experts_fp8: ExpertsCoefficients => ExpertsTheta, "Routed experts in fp8, one scale per tensor or row";
    experts_fp8_block: ExpertsCoefficients => ExpertsTheta, "Routed experts in fp8, one scale per block of 128 values";
    experts_int8: ExpertsCoefficients => ExpertsTheta, "Routed experts in int8";
    experts_int4: MarlinCoefficients => MarlinTheta, "Routed experts in 16 bits with weights of 4 bits";
    experts_fp4: ExpertsCoefficients => ExpertsTheta, "Routed experts in fp4";
    experts_deep_gemm: DeepGemmCoefficients => DeepGemmTheta, "Routed experts in fp8 behind an all-to-all";
    expert: RoutingCoefficients => RoutingTheta, "How tokens spread over the experts";
    elementwise: ElementwiseCoefficients => ElementwiseTheta, "Norms, activations, rotary embedding, copies";
    all_reduce: AllReduceCoefficients => AllReduceTheta, "SGLang's custom all-reduce";
    nccl: NcclCoefficients => NcclTheta, "NCCL's rings";
    nccl_pair: NcclPairCoefficients => NcclPairTheta, "NCCL's exchanges between pairs of ranks";
    all_to_all_dispatch: AllToAllCoefficients => AllToAllTheta, "Expert dispatch";
    all_to_all_combine: AllToAllCoefficients => AllToAllTheta, "Expert combine";
    host: HostCoefficients => HostTheta, "The worker's CPU";
    transfer: TransferCoefficients => TransferTheta, "KV from a prefill to a decode worker";
    host_copy: HostCopyCoefficients => HostCopyTheta, "KV between a GPU and the tiers below it";
}

impl Coefficients {
    /// The value of a coefficient by its symbol's name.
    #[must_use]
    pub fn get(&self, name: &str) -> Option<f64> {
        Self::info(name).and_then(|info| self.value(&info))
    }

    /// Unit, bounds and meaning of a coefficient by its symbol's name.
    #[must_use]
    pub fn info(name: &str) -> Option<CoefficientInfo> {
        Self::infos().find(|info| {
            let field = name.strip_prefix(info.family).and_then(|rest| rest.strip_prefix('_'));
            field == Some(info.field)
        })
    }

    /// Sets one coefficient by its symbol's name.
    ///
    /// # Errors
    ///
    /// [`KernelError::UnknownCoefficient`] with the nearest name, or
    /// [`KernelError::Coefficient`] if the value is out of bounds; nothing is changed then.
    pub fn set(&mut self, name: &str, value: f64) -> Result<(), KernelError> {
        let info = Self::info(name);
        let Some((info, slot)) = info.and_then(|info| Some((info, self.slot(&info)?))) else {
            let names: Vec<String> = Self::infos().map(|info| info.name()).collect();
            return Err(KernelError::UnknownCoefficient {
                name: name.to_owned(),
                nearest: Nearest::to(name, names.iter().map(String::as_str)),
            });
        };
        info.check(value)?;
        *slot = value;
        Ok(())
    }

    /// Checks every value against its bounds.
    ///
    /// # Errors
    ///
    /// [`KernelError::Coefficient`] for the first that is out of bounds.
    pub fn check(&self) -> Result<(), KernelError> {
        Self::infos().try_for_each(|info| info.check(self.value(&info).unwrap_or(f64::NAN)))
    }
}

#[cfg(test)]
mod tests;

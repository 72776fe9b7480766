//! Number formats of matrix products, as kernels distinguish them.

use sglsim_hw::Precision;

use super::gemm::GemmTheta;
use super::moe::ExpertsTheta;
use crate::coefficients::Theta;

/// What a matrix product multiplies, and how it is scaled: which kernel family runs.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[non_exhaustive]
pub enum MatrixFormat {
    /// 16 bits: bfloat16 or half.
    Bf16,
    /// fp8 with one scale per tensor or row.
    Fp8,
    /// fp8 with one scale per 128 inputs and per 128 × 128 weights, as DeepSeek-V3 has it.
    Fp8Block,
    /// 8-bit integers.
    Int8,
    /// Weights of 4 bits, widened to 16 bits before they are multiplied.
    Int4,
    /// fp4 with block scales.
    Fp4,
}

impl MatrixFormat {
    /// Format in which the matrix units multiply.
    #[must_use]
    pub fn precision(self) -> Precision {
        match self {
            Self::Bf16 | Self::Int4 => Precision::Bf16,
            Self::Fp8 | Self::Fp8Block => Precision::Fp8,
            Self::Int8 => Precision::Int8,
            Self::Fp4 => Precision::Fp4,
        }
    }
}

impl Theta {
    /// Coefficients of dense GEMMs in a format.
    #[must_use]
    pub fn gemm(&self, format: MatrixFormat) -> &GemmTheta {
        match format {
            MatrixFormat::Bf16 => &self.gemm_bf16,
            MatrixFormat::Fp8 => &self.gemm_fp8,
            MatrixFormat::Fp8Block => &self.gemm_fp8_block,
            MatrixFormat::Int8 => &self.gemm_int8,
            MatrixFormat::Int4 => &self.gemm_int4,
            MatrixFormat::Fp4 => &self.gemm_fp4,
        }
    }

    /// Coefficients of routed experts in a format, by the fused Triton kernels.
    #[must_use]
    pub fn experts(&self, format: MatrixFormat) -> &ExpertsTheta {
        match format {
            MatrixFormat::Bf16 | MatrixFormat::Int4 => &self.experts_bf16,
            MatrixFormat::Fp8 => &self.experts_fp8,
            MatrixFormat::Fp8Block => &self.experts_fp8_block,
            MatrixFormat::Int8 => &self.experts_int8,
            MatrixFormat::Fp4 => &self.experts_fp4,
        }
    }
}

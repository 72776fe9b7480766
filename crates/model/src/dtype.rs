//! Number formats of weights, activations and the KV cache.

use std::fmt;

use serde::{Deserialize, Serialize};
use sglsim_units::Bytes;

/// A number format in memory.
///
/// ```
/// use sglsim_model::Dtype;
/// assert_eq!(Dtype::Bf16.bytes(), 2.0);
/// assert_eq!(Dtype::Mxfp4.bytes(), 4.25 / 8.0);
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[non_exhaustive]
pub enum Dtype {
    /// bfloat16.
    Bf16,
    /// IEEE half.
    Fp16,
    /// fp8 (E4M3 or E5M2), with scales too few to count.
    Fp8,
    /// 8-bit integers, with scales too few to count.
    Int8,
    /// 4-bit integers in groups of 128 with a 16-bit scale and a 4-bit zero point (GPTQ, AWQ).
    Int4,
    /// NVFP4: 4-bit floats in groups of 16 with an fp8 scale.
    Fp4,
    /// OCP MXFP4: 4-bit floats in groups of 32 with an 8-bit scale.
    Mxfp4,
}

impl Dtype {
    /// All of them.
    pub const ALL: [Dtype; 7] =
        [Dtype::Bf16, Dtype::Fp16, Dtype::Fp8, Dtype::Int8, Dtype::Int4, Dtype::Fp4, Dtype::Mxfp4];

    /// Size of one element, its share of the group's scales included \[B\].
    #[must_use]
    pub fn bytes(self) -> f64 {
        match self {
            Dtype::Bf16 | Dtype::Fp16 => 2.0,
            Dtype::Fp8 | Dtype::Int8 => 1.0,
            Dtype::Int4 => (4.0 + (16.0 + 4.0) / 128.0) / 8.0,
            Dtype::Fp4 => (4.0 + 8.0 / 16.0) / 8.0,
            Dtype::Mxfp4 => (4.0 + 8.0 / 32.0) / 8.0,
        }
    }

    /// Size of `count` elements \[B\].
    pub(crate) fn size_of(self, count: u64) -> Bytes {
        Bytes::new(count as f64 * self.bytes()).expect("a count times a size is finite")
    }
}

impl fmt::Display for Dtype {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Dtype::Bf16 => "bf16",
            Dtype::Fp16 => "fp16",
            Dtype::Fp8 => "fp8",
            Dtype::Int8 => "int8",
            Dtype::Int4 => "int4",
            Dtype::Fp4 => "fp4",
            Dtype::Mxfp4 => "mxfp4",
        })
    }
}

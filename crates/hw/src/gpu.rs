//! One accelerator, as its datasheet describes it.

use std::fmt;
use std::path::Path;
use std::sync::LazyLock;

use serde::{Deserialize, Serialize};
use sglsim_units::{Bytes, BytesPerSec, FlopsPerSec};

use crate::HwError;
use crate::presets::{self, Described};

static PRESETS: LazyLock<Vec<Gpu>> = LazyLock::new(|| {
    presets::parse(include_str!("../presets/gpus.ron")).expect("the embedded presets are tested")
});

/// One GPU: peak rates, memory, and the node it usually sits in.
///
/// Every figure is the vendor's, without sparsity and without any efficiency; `source` says where
/// it stands. The fields are public so that a what-if is one assignment;
/// [`Topology::new`](crate::Topology::new) checks them again.
///
/// ```
/// use sglsim_hw::Gpu;
///
/// let gpu = Gpu::from_ron(r#"(
///     name: "half-an-H100", architecture: Hopper, sm_count: 66, boost_clock_hz: 1.83e9,
///     peak: (bf16: 494.7e12, fp8: 989.4e12),
///     hbm_capacity: 42e9, hbm_bandwidth: 1.675e12, l2_capacity: 25e6, shared_memory_per_sm: 233472,
///     tdp_watts: 350, gpus_per_node: 8, scale_up: "NVLink4", scale_out: "IB-NDR",
///     source: "assumed: half of everything",
/// )"#)?;
/// assert_eq!(gpu.sm_count, 66);
///
/// let error = Gpu::preset("H10O-SXM").unwrap_err();
/// assert!(error.to_string().contains("did you mean `H100-SXM`?"));
/// # Ok::<(), sglsim_hw::HwError>(())
/// ```
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
#[non_exhaustive]
pub struct Gpu {
    /// Name, such as `"H100-SXM"`.
    pub name: String,
    /// Other spellings it is known by; case and punctuation never matter.
    #[serde(default)]
    pub aliases: Vec<String>,
    /// Generation, which decides what kernels exist for it.
    pub architecture: Architecture,
    /// Streaming multiprocessors (compute units on AMD) that are enabled \[1\]. At least 1.
    pub sm_count: u32,
    /// Clock at which `peak` holds, or the highest boost clock where the vendor caps `peak` below
    /// it \[Hz\]. Positive.
    pub boost_clock_hz: f64,
    /// Dense matrix rates.
    pub peak: PeakFlops,
    /// Device memory as the driver reports it (`nvidia-smi`, total), which is what SGLang divides
    /// up; a little less than the chips hold \[B\]. Positive.
    pub hbm_capacity: Bytes,
    /// Peak bandwidth of the device memory, HBM or GDDR \[B/s\].
    pub hbm_bandwidth: BytesPerSec,
    /// Last cache before the device memory that is part of the compute dies \[B\].
    pub l2_capacity: Bytes,
    /// Shared memory (LDS on AMD) of one SM \[B\].
    pub shared_memory_per_sm: Bytes,
    /// Thermal design power \[W\]. Positive.
    pub tdp_watts: f64,
    /// GPUs that reach each other over `scale_up`: a server, or a rack for GB200 \[1\]. At least 1.
    pub gpus_per_node: u32,
    /// Preset name of the link inside a node.
    pub scale_up: String,
    /// Preset name of the link between nodes, one per GPU.
    pub scale_out: String,
    /// Preset name of the link to the memory of the host.
    #[serde(default = "pcie5")]
    pub host_link: String,
    /// Where the figures come from.
    pub source: String,
}

fn pcie5() -> String {
    "PCIe5-x16".to_owned()
}

/// Dense peak rate of the matrix units by number format \[FLOP/s\]; `None` where there are none.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct PeakFlops {
    /// bfloat16.
    pub bf16: FlopsPerSec,
    /// IEEE half.
    #[serde(default)]
    pub fp16: Option<FlopsPerSec>,
    /// fp8, E4M3 or E5M2.
    #[serde(default)]
    pub fp8: Option<FlopsPerSec>,
    /// 8-bit integers.
    #[serde(default)]
    pub int8: Option<FlopsPerSec>,
    /// fp4, E2M1 with block scales.
    #[serde(default)]
    pub fp4: Option<FlopsPerSec>,
}

/// A number format that matrix units multiply in.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub enum Precision {
    /// bfloat16.
    Bf16,
    /// IEEE half.
    Fp16,
    /// fp8, E4M3 or E5M2.
    Fp8,
    /// 8-bit integers.
    Int8,
    /// fp4, E2M1 with block scales.
    Fp4,
}

/// A GPU generation.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[non_exhaustive]
pub enum Architecture {
    /// NVIDIA A100 (SM80).
    Ampere,
    /// NVIDIA L40S (SM89).
    Ada,
    /// NVIDIA H100, H200, H20 (SM90).
    Hopper,
    /// NVIDIA B200, GB200 (SM100).
    Blackwell,
    /// AMD MI300X (gfx942).
    Cdna3,
}

impl Gpu {
    /// The preset called `name`; `"H100"`, `"h100_sxm"` and `"H100 SXM"` are all the same.
    ///
    /// # Errors
    ///
    /// [`HwError::UnknownPreset`], with the nearest name and all of them.
    pub fn preset(name: &str) -> Result<Self, HwError> {
        presets::find(&PRESETS, name).cloned()
    }

    /// The names of all presets.
    pub fn names() -> impl Iterator<Item = &'static str> {
        PRESETS.iter().map(|gpu| gpu.name.as_str())
    }

    /// Reads a GPU from RON text.
    ///
    /// # Errors
    ///
    /// [`HwError::Syntax`] with line, column and field; an unknown field is refused.
    /// [`HwError::OutOfRange`] if a figure cannot be.
    pub fn from_ron(text: &str) -> Result<Self, HwError> {
        presets::from_ron(text)
    }

    /// Reads a GPU from a RON file.
    ///
    /// # Errors
    ///
    /// [`HwError::File`] around what [`Gpu::from_ron`] reports, or around the failure to read.
    pub fn from_file(path: impl AsRef<Path>) -> Result<Self, HwError> {
        presets::from_file(path.as_ref())
    }

    /// Dense peak rate of the matrix units in `precision` \[FLOP/s\].
    ///
    /// # Errors
    ///
    /// [`HwError::NoPeak`] if the GPU has no matrix units for it.
    pub fn peak_flops(&self, precision: Precision) -> Result<FlopsPerSec, HwError> {
        self.peak.get(precision).ok_or_else(|| HwError::NoPeak {
            gpu: self.name.clone(),
            precision,
            has: Precision::ALL.into_iter().filter(|p| self.peak.get(*p).is_some()).collect(),
        })
    }

    /// Checks the figures that their types do not.
    ///
    /// # Errors
    ///
    /// [`HwError::OutOfRange`] for the first that cannot be.
    pub fn check(&self) -> Result<(), HwError> {
        let positive = [
            ("boost_clock_hz", self.boost_clock_hz),
            ("hbm_capacity", self.hbm_capacity.get()),
            ("l2_capacity", self.l2_capacity.get()),
            ("shared_memory_per_sm", self.shared_memory_per_sm.get()),
            ("tdp_watts", self.tdp_watts),
        ];
        let counts = [("sm_count", self.sm_count), ("gpus_per_node", self.gpus_per_node)];
        let wrong = |field, value, allowed| {
            Err(HwError::OutOfRange { of: self.name.clone(), field, value, allowed })
        };
        if let Some((field, value)) =
            positive.into_iter().find(|(_, v)| !(*v > 0.0 && v.is_finite()))
        {
            return wrong(field, value, "> 0 and finite");
        }
        match counts.into_iter().find(|(_, n)| *n == 0) {
            Some((field, _)) => wrong(field, 0.0, ">= 1"),
            None => Ok(()),
        }
    }
}

impl PeakFlops {
    /// The rate in `precision`, if there are matrix units for it \[FLOP/s\].
    #[must_use]
    pub fn get(&self, precision: Precision) -> Option<FlopsPerSec> {
        match precision {
            Precision::Bf16 => Some(self.bf16),
            Precision::Fp16 => self.fp16,
            Precision::Fp8 => self.fp8,
            Precision::Int8 => self.int8,
            Precision::Fp4 => self.fp4,
        }
    }
}

impl Precision {
    /// All of them.
    pub const ALL: [Precision; 5] =
        [Precision::Bf16, Precision::Fp16, Precision::Fp8, Precision::Int8, Precision::Fp4];
}

impl fmt::Display for Precision {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Precision::Bf16 => "bf16",
            Precision::Fp16 => "fp16",
            Precision::Fp8 => "fp8",
            Precision::Int8 => "int8",
            Precision::Fp4 => "fp4",
        })
    }
}

impl Described for Gpu {
    const KIND: &'static str = "GPU";

    fn name(&self) -> &str {
        &self.name
    }

    fn aliases(&self) -> &[String] {
        &self.aliases
    }

    fn check(&self) -> Result<(), HwError> {
        self.check()
    }
}

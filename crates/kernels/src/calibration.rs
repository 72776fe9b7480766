//! Calibration files: coefficients fitted to measurements, and where they come from.

mod shipped;

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

use ron::extensions::Extensions;
use ron::ser::PrettyConfig;
use serde::{Deserialize, Serialize};

use crate::{Coefficients, KernelError};

pub use shipped::DATASHEET;

/// Version of the file format that this crate reads and writes.
const VERSION: u32 = 1;

/// Coefficients fitted to the measurements of one GPU, with their provenance.
///
/// A RON file. It holds the coefficients that were fitted and no others: the rest stay as they are
/// in whatever it is applied to. `sglsim calibrate fit` writes it.
///
/// ```
/// use sglsim_hw::Gpu;
/// use sglsim_kernels::{Calibration, Coefficients};
///
/// let calibration = Calibration::from_ron(r#"(
///     version: 1,
///     gpu: "H100-SXM",
///     date: "2026-11-24",
///     coefficients: { "gemm_bf16_efficiency": 0.75 },
/// )"#)?;
/// let h100 = Gpu::preset("H100")?;
/// let mut theta = Coefficients::for_architecture(h100.architecture);
/// calibration.apply(&h100, &mut theta)?;
/// assert_eq!(theta.gemm_bf16.efficiency, 0.75);
/// assert_eq!(theta.provenance, "fitted to measurements of H100-SXM (2026-11-24)");
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Calibration {
    /// Version of the file format: 1.
    pub version: u32,
    /// Preset name of the GPU that was measured.
    pub gpu: String,
    /// Day of the fit, such as `2026-11-24`.
    pub date: String,
    /// What was fitted, by symbol name.
    pub coefficients: BTreeMap<String, f64>,
    /// Which measurements were kept out of the fit.
    #[serde(default)]
    pub held_out: HeldOut,
    /// The tables that it was fitted to.
    #[serde(default)]
    pub tables: Vec<CalibrationTable>,
    /// How far the laws are from the measurements that were kept out.
    #[serde(default)]
    pub errors: Vec<CalibrationError>,
    /// Whatever else a reader should know.
    #[serde(default)]
    pub notes: Vec<String>,
}

/// Which measurements are kept out of a fit: those with shapes whose hash, together with `seed`,
/// falls into `share` of all hashes.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct HeldOut {
    /// Seed of the hash.
    pub seed: u64,
    /// Share of the values of each shape that are kept out, in \[0, 1).
    pub share: f64,
}

impl Default for HeldOut {
    fn default() -> Self {
        Self { seed: 1, share: 0.2 }
    }
}

/// A table that coefficients were fitted to.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct CalibrationTable {
    /// Name of the file.
    pub file: String,
    /// Rows in it.
    pub rows: usize,
    /// Measured calls in it that the fit used.
    pub fitted: usize,
}

/// Absolute relative error of a law on measurements that were kept out of its fit.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct CalibrationError {
    /// The operator.
    pub operator: String,
    /// Its number format.
    pub dtype: String,
    /// Measurements.
    pub points: usize,
    /// Median, as a fraction.
    pub median_ape: f64,
    /// 90th percentile, as a fraction.
    pub p90_ape: f64,
}

impl Calibration {
    /// Reads a calibration from RON text.
    ///
    /// # Errors
    ///
    /// [`KernelError::CalibrationSyntax`] with line and column;
    /// [`KernelError::CalibrationVersion`]; as [`Coefficients::set`] for a coefficient that is not
    /// known or out of bounds.
    pub fn from_ron(text: &str) -> Result<Self, KernelError> {
        let it = Self::parse(text)?;
        let mut any = Coefficients::for_architecture(sglsim_hw::Architecture::Hopper);
        it.coefficients.iter().try_for_each(|(name, value)| any.set(name, *value))?;
        Ok(it)
    }

    /// The text without a look at the coefficients.
    fn parse(text: &str) -> Result<Self, KernelError> {
        let options = ron::Options::default().with_default_extension(Extensions::IMPLICIT_SOME);
        let it: Self = options.from_str(text).map_err(|error| KernelError::CalibrationSyntax {
            line: error.span.start.line,
            column: error.span.start.col,
            reason: error.code.to_string(),
        })?;
        if it.version == VERSION {
            Ok(it)
        } else {
            Err(KernelError::CalibrationVersion { found: it.version, known: VERSION })
        }
    }

    /// Reads a calibration file.
    ///
    /// # Errors
    ///
    /// [`KernelError::CalibrationFile`] around what [`Calibration::from_ron`] reports, or around the
    /// failure to read.
    pub fn from_file(path: impl AsRef<Path>) -> Result<Self, KernelError> {
        let path = path.as_ref();
        fs::read_to_string(path)
            .map_err(|source| KernelError::CalibrationRead { path: path.to_owned(), source })
            .and_then(|text| {
                Self::from_ron(&text).map_err(|problem| KernelError::CalibrationFile {
                    path: path.to_owned(),
                    problem: Box::new(problem),
                })
            })
    }

    /// The calibration as RON text.
    ///
    /// # Panics
    ///
    /// Never.
    #[must_use]
    pub fn to_ron(&self) -> String {
        let style = PrettyConfig::new().depth_limit(2).new_line("\n");
        let mut text = ron::ser::to_string_pretty(self, style).expect("plain data is RON");
        text.push('\n');
        text
    }
}

#[cfg(test)]
mod tests;

//! The calibrations that come with this crate, and how they carry over to other GPUs.

use std::collections::BTreeSet;
use std::path::Path;
use std::sync::LazyLock;

use sglsim_hw::Gpu;
use sglsim_units::Nearest;

use super::Calibration;
use crate::{CoefficientInfo, Coefficients, KernelError};

/// What users write for no calibration at all: the defaults of the GPU's generation.
pub const DATASHEET: &str = "datasheet";

/// Where the coefficients come from that a named calibration lacks.
const AS_SHIPPED: &str = "as shipped";

/// Made by `cargo xtask calibrate`. The first one is what GPUs without one of their own get.
const FILES: [&str; 3] = [
    include_str!("../../../../fixtures/calibration/h100.ron"),
    include_str!("../../../../fixtures/calibration/h200.ron"),
    include_str!("../../../../fixtures/calibration/a100.ron"),
];

static SHIPPED: LazyLock<Vec<Calibration>> =
    LazyLock::new(|| FILES.into_iter().map(read).collect());

/// A shipped file without coefficients that the laws have no more: so that they can be fitted anew
/// after a change of a law. A test sees to it that there are none.
fn read(text: &str) -> Calibration {
    let mut it = Calibration::parse(text).expect("the shipped calibrations are tested");
    let is_known = |name: &str, value: f64| {
        Coefficients::info(name).is_some_and(|info| info.check(value).is_ok())
    };
    it.coefficients.retain(|name, value| is_known(name, *value));
    it
}

impl Calibration {
    /// The calibrations that come with this crate.
    #[must_use]
    pub fn shipped() -> &'static [Self] {
        &SHIPPED
    }

    /// The calibration that comes with this crate for a GPU, by its preset name.
    ///
    /// # Errors
    ///
    /// [`KernelError::UnknownCalibration`] with the nearest name.
    pub fn preset(gpu: &str) -> Result<&'static Self, KernelError> {
        let names = || SHIPPED.iter().map(|it| it.gpu.as_str());
        let known = Gpu::preset(gpu).map_or_else(|_| gpu.to_owned(), |gpu| gpu.name);
        SHIPPED.iter().find(|it| it.gpu == known).ok_or_else(|| KernelError::UnknownCalibration {
            name: gpu.to_owned(),
            nearest: Nearest::to(gpu, names()),
            known: names().collect::<Vec<_>>().join(", "),
        })
    }

    /// The calibration in a file if the name ends in `.ron`, relative to `base`; else
    /// [`Calibration::preset`].
    ///
    /// # Errors
    ///
    /// As [`Calibration::from_file`] and [`Calibration::preset`].
    pub fn named(name: &str, base: &Path) -> Result<Self, KernelError> {
        if Path::new(name).extension().is_some_and(|extension| extension == "ron") {
            Self::from_file(base.join(name))
        } else {
            Self::preset(name).cloned()
        }
    }

    /// Replaces the coefficients that were fitted by those of `gpu`, and says so in `provenance`.
    ///
    /// On the GPU that was measured they are what was fitted. To another GPU they carry over:
    /// shares of a peak are shares of its own peaks. Where its generation differs, they are scaled by
    /// how the defaults of the two generations differ ([`Coefficients::for_architecture`]), inside
    /// each coefficient's bounds.
    ///
    /// # Errors
    ///
    /// As [`Coefficients::set`].
    pub fn apply(&self, gpu: &Gpu, to: &mut Coefficients) -> Result<(), KernelError> {
        let target = Coefficients::for_architecture(gpu.architecture);
        let own = self.gpu == gpu.name;
        // A GPU that is no preset is taken to be of the same generation.
        let measured = Gpu::preset(&self.gpu).map_or(gpu.architecture, |gpu| gpu.architecture);
        let source = Coefficients::for_architecture(measured);
        let families: BTreeSet<_> = (self.coefficients.keys())
            .filter_map(|name| Coefficients::info(name).map(|info| info.family))
            .collect();
        // Kernel families that were calibrated before and are not now.
        let rest =
            Coefficients::infos().filter(|info| !families.contains(info.family)).any(|info| {
                let name = info.name();
                to.get(&name) != target.get(&name)
            });
        for (name, value) in &self.coefficients {
            let ratio = match (target.get(name), source.get(name)) {
                (Some(target), Some(source)) if source > 0.0 => target / source,
                _ => 1.0,
            };
            let (low, high) = Coefficients::info(name)
                .map_or((*value, *value), |CoefficientInfo { bounds, .. }| bounds);
            let value = if ratio == 1.0 { *value } else { (value * ratio).clamp(low, high) };
            to.set(name, value)?;
        }
        let how = if own { "fitted to measurements of" } else { "transferred from" };
        let below = if rest { format!("; the rest {}", to.provenance) } else { String::new() };
        to.provenance = format!("{how} {} ({}){below}", self.gpu, self.date);
        Ok(())
    }
}

impl Coefficients {
    /// The best values that this crate has for a GPU: fitted to measurements of it, or else carried
    /// over from H100 ([`Calibration::apply`]). `provenance` says which.
    ///
    /// ```
    /// use sglsim_hw::Gpu;
    /// use sglsim_kernels::Coefficients;
    ///
    /// let provenance = |name| Gpu::preset(name).map(|gpu| Coefficients::for_gpu(&gpu).provenance);
    /// assert!(provenance("H200")?.starts_with("fitted to measurements of H200 ("));
    /// assert!(provenance("B200")?.starts_with("transferred from H100-SXM ("));
    /// # Ok::<(), sglsim_hw::HwError>(())
    /// ```
    ///
    /// # Panics
    ///
    /// Never: the calibrations that come with this crate are tested.
    #[must_use]
    pub fn for_gpu(gpu: &Gpu) -> Self {
        let mut theta = Self::for_architecture(gpu.architecture);
        let first = SHIPPED.first().filter(|it| it.gpu != gpu.name);
        let own = SHIPPED.iter().find(|it| it.gpu == gpu.name);
        for calibration in first.into_iter().chain(own) {
            calibration.apply(gpu, &mut theta).expect("the shipped calibrations are tested");
        }
        theta
    }

    /// The values for a GPU under a calibration named as users name it: the path of a file (it ends
    /// in `.ron` and is relative to `base`), a GPU whose calibration comes with this crate, or
    /// [`DATASHEET`] for [`Coefficients::for_architecture`]. What a file lacks, and everything if none
    /// is named, is as in [`Coefficients::for_gpu`].
    ///
    /// # Errors
    ///
    /// As [`Calibration::from_file`] and [`Calibration::preset`].
    pub fn calibrated(
        gpu: &Gpu,
        calibration: Option<&str>,
        base: &Path,
    ) -> Result<Self, KernelError> {
        let mut theta = Self::for_gpu(gpu);
        match calibration {
            None => {}
            Some(DATASHEET) => theta = Self::for_architecture(gpu.architecture),
            Some(name) => {
                AS_SHIPPED.clone_into(&mut theta.provenance);
                Calibration::named(name, base)?.apply(gpu, &mut theta)?;
            }
        }
        Ok(theta)
    }
}

#[cfg(test)]
mod tests {
    use sglsim_hw::Architecture;

    use super::*;

    #[test]
    fn every_preset_has_coefficients_in_bounds_that_say_where_they_come_from() {
        for name in Gpu::names() {
            let gpu = Gpu::preset(name).unwrap();
            let theta = Coefficients::for_gpu(&gpu);
            theta.check().unwrap();
            let own = Calibration::preset(name).is_ok();
            let says = if own {
                format!("fitted to measurements of {name} (")
            } else {
                "transferred from H100-SXM (".to_owned()
            };
            assert!(theta.provenance.starts_with(&says), "{}", theta.provenance);
        }
    }

    #[test]
    fn the_laws_have_every_coefficient_of_the_shipped_files() {
        for text in FILES {
            let checked = Calibration::from_ron(text);
            checked.unwrap_or_else(|error| panic!("run `cargo xtask calibrate`: {error}"));
        }
    }

    #[test]
    fn the_measured_gpu_gets_what_was_fitted() {
        for calibration in Calibration::shipped() {
            let theta = Coefficients::for_gpu(&Gpu::preset(&calibration.gpu).unwrap());
            assert!(calibration.coefficients.len() > 10, "{}", calibration.gpu);
            for (name, value) in &calibration.coefficients {
                assert_eq!(theta.get(name), Some(*value), "{} {name}", calibration.gpu);
            }
        }
    }

    #[test]
    fn shares_carry_over_by_the_ratio_of_the_generations() {
        let h100 = Calibration::preset("H100").unwrap();
        let value = |name: &str, gpu: &str| {
            Coefficients::for_gpu(&Gpu::preset(gpu).unwrap()).get(name).unwrap()
        };
        let name = "gemm_bf16_efficiency";
        let fitted = h100.coefficients[name];
        assert_eq!(value(name, "H20"), fitted, "the same generation");
        let of = |architecture| Coefficients::for_architecture(architecture).get(name).unwrap();
        let ratio = of(Architecture::Cdna3) / of(Architecture::Hopper);
        assert!((value(name, "MI300X") / (fitted * ratio) - 1.0).abs() < 1e-12);
    }

    #[test]
    fn what_a_calibration_lacks_is_said() {
        let a100 = Gpu::preset("A100").unwrap();
        let provenance = Coefficients::for_gpu(&a100).provenance;
        let parts: Vec<&str> = provenance.split("; ").collect();
        assert_eq!(parts.len(), 2, "{provenance}");
        assert!(parts[1].starts_with("the rest transferred from H100-SXM ("), "{provenance}");
    }

    #[test]
    fn an_unknown_name_is_refused_with_the_known_ones() {
        let error = Calibration::preset("H10O").unwrap_err().to_string();
        assert!(error.contains("did you mean") && error.contains("A100-80G-SXM"), "{error}");
    }
}

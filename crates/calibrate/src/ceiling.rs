//! Measured peaks: what a copy kernel or a large product reaches at best.

use std::collections::BTreeMap;

use sglsim_hw::{Gpu, Precision};
use sglsim_kernels::{CoefficientInfo, Coefficients};
use sglsim_units::Nearest;

use crate::CalibrateError;

/// Peaks that were measured on a machine, by the name of the datasheet's figure.
///
/// A ceiling is what the best kernel reaches. Coefficients that are shares of the figure are scaled so
/// that the largest of them is exactly that, and no fit goes beyond it.
///
/// ```
/// use sglsim_calibrate::Ceilings;
/// use sglsim_hw::{Architecture, Gpu};
/// use sglsim_kernels::Coefficients;
///
/// let mut ceilings = Ceilings::default();
/// ceilings.set("hbm_bandwidth", 3.0e12)?; // of 3.35e12 on the datasheet
/// let mut theta = Coefficients::for_architecture(Architecture::Hopper);
/// ceilings.scale(&Gpu::preset("H100")?, &mut theta)?;
/// let best = theta.decode_attention_bf16.bandwidth_efficiency.max(theta.gemm_bf16.bandwidth_efficiency);
/// assert!(best <= 3.0 / 3.35 + 1e-12);
///
/// let error = ceilings.set("hbm_bandwith", 3.0e12).unwrap_err();
/// assert!(error.to_string().contains("did you mean `hbm_bandwidth`?"));
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Ceilings(BTreeMap<&'static str, f64>);

/// Figures of the datasheet that can be measured.
const FIGURES: [&str; 5] =
    ["hbm_bandwidth", "peak_flops_bf16", "peak_flops_fp8", "peak_flops_int8", "peak_flops_fp4"];

impl Ceilings {
    /// Sets the measured value of a figure, such as `hbm_bandwidth` \[B/s\] or `peak_flops_bf16`
    /// \[FLOP/s\].
    ///
    /// # Errors
    ///
    /// [`CalibrateError::Mapping`] with the nearest name for another figure;
    /// [`CalibrateError::OutOfRange`] unless the value is finite and above 0.
    pub fn set(&mut self, figure: &str, value: f64) -> Result<(), CalibrateError> {
        let Some(known) = FIGURES.into_iter().find(|known| *known == figure) else {
            return Err(CalibrateError::Mapping {
                operator: String::new(),
                problem: format!("no ceiling `{figure}` (known: {})", FIGURES.join(", ")),
                nearest: Nearest::to(figure, FIGURES),
            });
        };
        if !(value > 0.0 && value.is_finite()) {
            return Err(CalibrateError::OutOfRange {
                field: known,
                value,
                allowed: "> 0 and finite",
            });
        }
        self.0.insert(known, value);
        Ok(())
    }

    /// Whether there are none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Scales the shares of every measured figure so that the largest of them reaches it.
    ///
    /// # Errors
    ///
    /// [`CalibrateError::OutOfRange`] if a ceiling is above the datasheet's peak, which no machine
    /// exceeds.
    pub fn scale(&self, gpu: &Gpu, theta: &mut Coefficients) -> Result<(), CalibrateError> {
        for (figure, measured) in &self.0 {
            let share = measured / datasheet(gpu, figure);
            if share > 1.0 {
                return Err(CalibrateError::OutOfRange {
                    field: figure,
                    value: *measured,
                    allowed: "at most the datasheet's peak",
                });
            }
            let of_figure = || Coefficients::infos().filter(|info| figure_of(info) == Some(figure));
            let value = |theta: &Coefficients, info: &CoefficientInfo| {
                theta.get(&info.name()).unwrap_or_default()
            };
            let best =
                of_figure().map(|info| value(theta, &info)).fold(f64::MIN_POSITIVE, f64::max);
            for info in of_figure() {
                let scaled = value(theta, &info) * share / best;
                theta.set(&info.name(), scaled.clamp(info.bounds.0, info.bounds.1))?;
            }
        }
        Ok(())
    }

    /// The bounds of a coefficient in a fit.
    pub(crate) fn bounds(&self, gpu: &Gpu, info: &CoefficientInfo) -> (f64, f64) {
        let (low, high) = info.bounds;
        let ceiling =
            figure_of(info).and_then(|figure| Some(self.0.get(figure)? / datasheet(gpu, figure)));
        (low, ceiling.map_or(high, |ceiling| high.min(ceiling).max(low)))
    }

    /// The coefficients that [`Ceilings::scale`] changed.
    pub(crate) fn changed(
        &self,
        before: &Coefficients,
        after: &Coefficients,
    ) -> BTreeMap<String, f64> {
        Coefficients::infos()
            .map(|info| info.name())
            .filter(|name| before.get(name) != after.get(name))
            .map(|name| (name.clone(), after.get(&name).unwrap_or_default()))
            .collect()
    }

    /// The ceilings in words, for a calibration file.
    pub(crate) fn notes(&self) -> Vec<String> {
        self.0
            .iter()
            .map(|(figure, value)| format!("ceiling {figure} {value:e}, measured"))
            .collect()
    }
}

/// The datasheet's value of a figure; the 16-bit rate where a GPU has no units for a format.
fn datasheet(gpu: &Gpu, figure: &str) -> f64 {
    let peak = |precision| gpu.peak.get(precision).unwrap_or(gpu.peak.bf16).get();
    match figure {
        "peak_flops_bf16" => peak(Precision::Bf16),
        "peak_flops_fp8" => peak(Precision::Fp8),
        "peak_flops_int8" => peak(Precision::Int8),
        "peak_flops_fp4" => peak(Precision::Fp4),
        _ => gpu.hbm_bandwidth.get(),
    }
}

/// The figure that a coefficient is a share of.
pub(crate) fn figure_of(info: &CoefficientInfo) -> Option<&'static str> {
    const LINKS: [&str; 5] = ["all_reduce", "nccl", "all_to_all", "transfer", "host_copy"];
    if LINKS.iter().any(|link| info.family.starts_with(link)) {
        return None;
    }
    let of_memory = matches!(info.family, "elementwise" | "quantise");
    match info.field.strip_suffix("efficiency")? {
        "bandwidth_" | "activation_" | "conversion_" => Some("hbm_bandwidth"),
        _ if of_memory => Some("hbm_bandwidth"),
        // Of the kernel's tiles: all, small ones, tuned ones.
        _ => Some(match info.family {
            "gemm_fp8" | "gemm_fp8_block" | "experts_fp8" | "experts_fp8_block"
            | "experts_deep_gemm" => "peak_flops_fp8",
            "gemm_int8" | "experts_int8" => "peak_flops_int8",
            "gemm_fp4" | "experts_fp4" => "peak_flops_fp4",
            _ => "peak_flops_bf16",
        }),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A law that gains a share would otherwise be forgotten by ceilings and levers.
    #[test]
    fn every_share_of_a_peak_has_its_figure() {
        let of_links =
            |info: &CoefficientInfo| info.doc.contains("link") || info.doc.contains("NIC");
        let shares = Coefficients::infos().filter(|info| info.doc.starts_with("Share of the "));
        let shares =
            shares.filter(|info| info.doc.contains("peak") || info.doc.contains("bandwidth"));
        for info in shares {
            assert_eq!(figure_of(&info).is_none(), of_links(&info), "{}", info.name());
        }
    }
}

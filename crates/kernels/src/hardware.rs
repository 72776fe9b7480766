//! The hardware as laws see it: symbols for the datasheet's figures and for θ.

use sglsim_expr::{Context, Expr, Symbol, Values};
use sglsim_hw::{Precision, Topology};

use crate::KernelError;
use crate::coefficients::{Coefficients, Theta};
use crate::operator::MatrixFormat;
use crate::scope::Scope;

/// One GPU and its links, as symbols.
///
/// Fields are expressions, so a law reads like its formula; their values of the scenario are kept
/// by the [`StepLaw`](crate::StepLaw) that declared them.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Hardware {
    /// Name of the GPU, by which SGLang looks up tuned kernels.
    pub gpu: String,
    /// Achieved shares and latencies.
    pub theta: Theta,
    /// Peak bandwidth of the device memory \[B/s\].
    pub hbm_bandwidth: Expr,
    /// Streaming multiprocessors \[1\].
    pub sm_count: Expr,
    /// Bandwidth of a GPU's link to its node, in each direction \[B/s\].
    pub scale_up_bandwidth: Expr,
    /// Bandwidth of a GPU's link to other nodes, in each direction \[B/s\].
    pub scale_out_bandwidth: Expr,
    /// Latency of the link to other nodes \[s\].
    pub scale_out_latency: Expr,
    /// GPUs that share the fast link \[1\].
    pub gpus_per_node: Expr,
    peaks: Vec<(Precision, Expr)>,
}

impl Hardware {
    /// The symbols of some hardware and their values, for laws that are used outside a
    /// [`StepLaw`](crate::StepLaw). `scope` is put in front of their names.
    ///
    /// # Errors
    ///
    /// [`KernelError::Coefficient`] if a coefficient is out of range, [`KernelError::Expr`] if a
    /// symbol of another declaration has one of the names.
    ///
    /// ```
    /// use sglsim_expr::{Context, Symbol};
    /// use sglsim_hw::{Gpu, Topology};
    /// use sglsim_kernels::operator::{MatrixFormat, OperatorLaw, gemm::{Gemm, TiledRoofline}};
    /// use sglsim_kernels::{Coefficients, Hardware};
    ///
    /// let cx = Context::new();
    /// let topology = Topology::of(Gpu::preset("H100")?)?;
    /// let theta = Coefficients::for_architecture(topology.gpu().architecture);
    /// let (on, values) = Hardware::of(&cx, "", &topology, &theta)?;
    /// let gemm = Gemm {
    ///     m: cx.symbol(Symbol::int("m").positive())?,
    ///     n: cx.constant(8192),
    ///     k: cx.constant(8192),
    ///     format: MatrixFormat::Bf16,
    ///     bytes_per_weight: 2.0,
    ///     bytes_per_input: 2.0,
    /// };
    /// let seconds = TiledRoofline.time(&gemm, &on).evaluate(&values.with("m", 8192.0))?;
    /// let peak = 2.0 * 8192.0_f64.powi(3) / 989.4e12;
    /// assert!((1.2..1.4).contains(&(seconds / peak)));
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn of(
        cx: &Context,
        scope: &str,
        topology: &Topology,
        coefficients: &Coefficients,
    ) -> Result<(Self, Values), KernelError> {
        let mut scope = Scope::new(cx, scope);
        let hardware = Self::declare(&mut scope, topology, coefficients)?;
        Ok((hardware, scope.values))
    }

    pub(crate) fn declare(
        scope: &mut Scope<'_>,
        topology: &Topology,
        coefficients: &Coefficients,
    ) -> Result<Self, KernelError> {
        coefficients.check()?;
        let gpu = topology.gpu();
        let mut rate = |name: &str, unit: &str, doc: &str, value: f64| {
            scope.valued(Symbol::real(name).positive().unit(unit).doc(doc), value)
        };
        let hbm_bandwidth =
            rate("hbm_bandwidth", "B/s", "peak device memory bandwidth", gpu.hbm_bandwidth.get())?;
        let scale_up_bandwidth = rate(
            "scale_up_bandwidth",
            "B/s",
            "bandwidth of a GPU's link inside its node, each direction",
            topology.scale_up().bandwidth.get(),
        )?;
        let scale_out_bandwidth = rate(
            "scale_out_bandwidth",
            "B/s",
            "bandwidth of a GPU's link to other nodes, each direction",
            topology.scale_out().bandwidth.get(),
        )?;
        let peaks = [Precision::Bf16, Precision::Fp8, Precision::Int8, Precision::Fp4]
            .into_iter()
            .filter_map(|precision| Some((precision, gpu.peak.get(precision)?)))
            .map(|(precision, peak)| {
                let name = format!("peak_flops_{precision}");
                Ok((precision, rate(&name, "FLOP/s", "dense peak matrix rate", peak.get())?))
            })
            .collect::<Result<Vec<_>, KernelError>>()?;
        let scale_out_latency = scope.valued(
            Symbol::real("scale_out_latency")
                .non_negative()
                .unit("s")
                .doc("latency of the link between nodes"),
            topology.scale_out().latency.get(),
        )?;
        let mut count = |name, doc, value| {
            scope.valued(Symbol::int(name).positive().doc(doc), f64::from(value))
        };
        Ok(Self {
            gpu: gpu.name.clone(),
            hbm_bandwidth,
            scale_up_bandwidth,
            scale_out_bandwidth,
            scale_out_latency,
            peaks,
            sm_count: count("sm_count", "streaming multiprocessors", gpu.sm_count)?,
            gpus_per_node: count(
                "gpus_per_node",
                "GPUs that share the fast link",
                topology.gpus_per_node(),
            )?,
            theta: Theta::declare(scope, coefficients)?,
        })
    }

    /// Whether the GPU multiplies in this format. The 16-bit formats count as one.
    #[must_use]
    pub fn supports(&self, precision: Precision) -> bool {
        self.peaks.iter().any(|(known, _)| *known == precision) || precision == Precision::Fp16
    }

    /// Peak matrix rate \[FLOP/s\] in `precision`; the 16-bit rate where the GPU has no units for
    /// it, because kernels then widen the operands first.
    #[must_use]
    pub fn peak_flops(&self, precision: Precision) -> &Expr {
        let found = self.peaks.iter().find(|(known, _)| *known == precision);
        &found.unwrap_or(&self.peaks[0]).1
    }

    /// `format`, or 16 bits where the GPU has no units for it.
    #[must_use]
    pub fn supported(&self, format: MatrixFormat) -> MatrixFormat {
        if self.supports(format.precision()) { format } else { MatrixFormat::Bf16 }
    }

    /// Rate at which element-wise kernels read and write \[B/s\].
    #[must_use]
    pub fn elementwise_bandwidth(&self) -> Expr {
        &self.hbm_bandwidth * &self.theta.elementwise.efficiency
    }
}

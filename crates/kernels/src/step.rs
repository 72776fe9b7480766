//! The step law: how long one step of a worker takes, as a function of its features, the parallel
//! sizes and θ.

use sglsim_expr::{
    Constraint, Context, Expr, IncrementalEvaluator, Limits, Program, Values, max, piecewise,
};
use sglsim_hw::Topology;
use sglsim_model::ModelShape;

use crate::features::Features;
use crate::operator::present;
use crate::scope::Scope;
use crate::{Coefficients, Hardware, KernelError, LawSet, ParallelPlan, StepFeatures};

mod attention;
mod breakdown;
mod calls;
mod coefficients;
mod knobs;
mod layers;
mod operators;
mod pass;
mod pipeline;
mod totals;

pub use breakdown::{Breakdown, OperatorTime, Regime};
pub use coefficients::{HostCoefficients, HostTheta};
pub use knobs::Knobs;
pub(crate) use layers::{Fusion, Setting};
pub(crate) use operators::At;
pub use operators::{Operator, Roofline};
pub(crate) use pass::Pass;
pub(crate) use pipeline::Stage;

/// How far a bound law is simplified: what more would give is not worth its time in a sweep.
const LIMITS: Limits = Limits { nodes: 1_000, iterations: 2 };

/// The time of one step of one worker, as an expression.
///
/// Symbolic in the batch ([`StepLaw::features`]), in the parallel sizes ([`StepLaw::knobs`]), in the
/// hardware's figures and in θ. The dimensions of the model are constants; the kind of attention,
/// the number formats and the expert backend decide which law it is.
///
/// # Formula
///
/// ```text
/// t_step = max(t_device, t_host − t_exposed) + t_exposed
/// t_device = t_embedding + t_projections + t_attention + t_elementwise + t_ffn + t_experts
///          + t_comm + t_logits
/// t_prepare = [tokens>0]·t_step₀ + t_seq·(extend_seqs + decode_seqs)
/// t_host = t_prepare + eager·kernels·t_launch
/// t_exposed = serial·t_prepare
/// ```
///
/// The host prepares a step, and takes in the results of the one before, while the device runs that
/// one: then the longer of the two counts. A step that finds the device idle (`serial`) waits for its
/// preparation; launching kernels overlaps with running them either way.
///
/// Layers of a kind are counted and multiplied, not unrolled. Without attention DP `t_attention` is
/// the sum of the extend and the decode part; with it a rank does one or the other, so it is the
/// greater of the two, and the FFNs run on the gathered tokens.
///
/// # Pipeline stages
///
/// With `pp_size` stages the worker takes in the next batch as soon as its slowest stage is done
/// with this one: that is [`StepLaw::step_time`]. The batch itself is done after
/// [`StepLaw::latency`]; without stages the two are equal.
///
/// ```text
/// t_step = max over the first and the last stage of t_step of its layers
/// t_latency = that of all layers, with (pp_size − 1)·t_hand_over on the device and t_prepare pp_size times
/// ```
///
/// # Source
///
/// SGLang 0.5.23: `layers/layer_boundary`, `layers/dp_attention.py` (collectives and padding of the
/// gathered buffer), `managers/scheduler.py:event_loop_normal` and `event_loop_overlap` (host and device).
///
/// # Examples
///
/// ```
/// use sglsim_expr::Context;
/// use sglsim_hw::{Gpu, Topology};
/// use sglsim_kernels::{Coefficients, ParallelPlan, RankFeatures, StepFeatures, StepLaw};
/// use sglsim_model::ModelShape;
///
/// let topology = Topology::of(Gpu::preset("H100")?)?;
/// let model = ModelShape::preset("Llama-3.1-70B")?;
/// let theta = Coefficients::for_architecture(topology.gpu().architecture);
/// let law =
///     StepLaw::of(&Context::new(), "", &model, &topology, &theta, &ParallelPlan::tensor(4))?;
///
/// let mut rank = RankFeatures::default();
/// rank.set_decode(1, 1, 1000, 1);
/// let seconds = law.compile()?.seconds(&StepFeatures::of_ranks([&rank]));
/// // Reading 141 GB of weights on four GPUs at 85 % of 3.35 TB/s takes 12.4 ms.
/// assert!((0.0124..0.018).contains(&seconds), "{seconds}");
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Debug)]
pub struct StepLaw {
    step_time: Expr,
    latency: Expr,
    features: Features,
    knobs: Knobs,
    hardware: Hardware,
    parts: Vec<(&'static str, Expr)>,
    device: Expr,
    host: Expr,
    operators: Vec<Operator>,
    constraints: Vec<Constraint>,
    values: Values,
    inputs: Vec<String>,
}

impl StepLaw {
    /// The law with this crate's kernels.
    ///
    /// `scope` is put in front of every symbol's name, such as `"decode_"`, so that two laws can
    /// share a context. The sizes in `plan` only become [`StepLaw::values`].
    ///
    /// # Errors
    ///
    /// [`KernelError`] if the plan does not fit the model, a coefficient is out of range, or a
    /// symbol of another declaration has one of the names.
    pub fn of(
        cx: &Context,
        scope: &str,
        model: &ModelShape,
        topology: &Topology,
        coefficients: &Coefficients,
        plan: &ParallelPlan,
    ) -> Result<Self, KernelError> {
        Self::with_laws(cx, scope, model, topology, coefficients, plan, &LawSet::default())
    }

    /// The law with kernels of the caller's choice.
    ///
    /// # Errors
    ///
    /// As [`StepLaw::of`]; and [`KernelError::Expr`] if one of `laws` built an invalid expression.
    pub fn with_laws(
        cx: &Context,
        scope: &str,
        model: &ModelShape,
        topology: &Topology,
        coefficients: &Coefficients,
        plan: &ParallelPlan,
        laws: &LawSet,
    ) -> Result<Self, KernelError> {
        plan.check(model, plan.gpus())?;
        let mut scope = Scope::new(cx, scope);
        let features = Features::declare(&mut scope)?;
        let knobs = Knobs::declare(&mut scope, plan)?;
        let hardware = Hardware::declare(&mut scope, topology, coefficients)?;

        let setting =
            Setting { model, laws, on: &hardware, knobs: &knobs, plan, fusion: Fusion::default() };
        let pass = Pass::new(setting, &features);
        let label = |name: &str, time: &Expr, doc| time.named(scope.name(name), "s", doc);
        let mut parts = Vec::new();
        for (name, doc, time) in &pass.parts {
            parts.push((*name, label(name, time, *doc)));
        }
        let device: Expr = parts.iter().map(|(_, time)| time.clone()).sum();
        let device = label("t_device", &device, "time of a step's kernels");
        let one = cx.constant(1);
        let stages = if plan.pp_size > 1 { &knobs.pp_size } else { &one };
        let exposed = exposed(&features, &hardware);
        let host =
            prepare(&features, &hardware) * stages + launch(&features, &pass.launches, &hardware);
        let host = label("t_host", &host, "host time of a step, behind which the kernels may hide");
        let mut latency = hidden(&device, &host, &exposed);
        let mut step_time = latency.clone();
        if plan.pp_size > 1 {
            latency = label("t_latency", &latency, "time of a batch through all stages");
            let of = |(device, launches): &(Expr, Expr)| {
                let launch = launch(&features, launches, &hardware);
                hidden(device, &(prepare(&features, &hardware) + launch), &exposed)
            };
            let slowest = max(of(&pass.stages[0]), of(&pass.stages[1]));
            step_time = piecewise([(knobs.pp_size.le(1), &latency)], slowest);
        }
        let step_time = label("t_step", &step_time, "time of one step of the worker");
        if plan.pp_size == 1 {
            latency = step_time.clone();
        }
        step_time.check()?;
        latency.check()?;
        parts.push(("t_host", host.clone()));

        Ok(Self {
            step_time,
            latency,
            device,
            host,
            operators: pass.operators,
            constraints: knobs::constraints(model, plan, &knobs, &scope),
            inputs: StepFeatures::NAMES.iter().map(|name| scope.name(name)).collect(),
            values: scope.values,
            features,
            knobs,
            hardware,
            parts,
        })
    }

    /// Time of one step \[s\], in features, knobs, hardware and θ.
    #[must_use]
    pub fn step_time(&self) -> &Expr {
        &self.step_time
    }

    /// Time of a batch through all pipeline stages \[s\]; the time of a step if there is one.
    #[must_use]
    pub fn latency(&self) -> &Expr {
        &self.latency
    }

    /// Time of the device, over all pipeline stages \[s\].
    #[must_use]
    pub fn device_time(&self) -> &Expr {
        &self.device
    }

    /// Time of the host, over all pipeline stages \[s\].
    #[must_use]
    pub fn host_time(&self) -> &Expr {
        &self.host
    }

    /// What a step is made of: kernels and collectives in the order in which they run.
    #[must_use]
    pub fn operators(&self) -> &[Operator] {
        &self.operators
    }

    /// The symbol of each feature.
    #[must_use]
    pub fn features(&self) -> &Features {
        &self.features
    }

    /// The symbols of the parallel sizes.
    #[must_use]
    pub fn knobs(&self) -> &Knobs {
        &self.knobs
    }

    /// The symbols of the hardware's figures and of θ.
    #[must_use]
    pub fn hardware(&self) -> &Hardware {
        &self.hardware
    }

    /// This scenario's value of every symbol that is not a feature.
    #[must_use]
    pub fn values(&self) -> &Values {
        &self.values
    }

    /// Where the time goes \[s\]: the device's parts, which add up to its time, and `t_host`; over
    /// all pipeline stages.
    #[must_use]
    pub fn parts(&self) -> &[(&'static str, Expr)] {
        &self.parts
    }

    /// What the parallel sizes must obey for the model: each holds at [`StepLaw::values`].
    #[must_use]
    pub fn constraints(&self) -> &[Constraint] {
        &self.constraints
    }

    /// The step's time as a function of the features alone, for this scenario.
    ///
    /// # Errors
    ///
    /// [`KernelError::Expr`] if the law cannot be compiled.
    pub fn compile(&self) -> Result<StepProgram, KernelError> {
        self.compile_for(&self.step_time, &self.values)
    }

    /// The same of [`StepLaw::latency`]: how long a batch takes through all pipeline stages.
    ///
    /// # Errors
    ///
    /// [`KernelError::Expr`] if the law cannot be compiled.
    pub fn compile_latency(&self) -> Result<StepProgram, KernelError> {
        self.compile_for(&self.latency, &self.values)
    }

    /// The same law with other values of the hardware's figures and of θ; names that are none of its
    /// symbols have no influence.
    #[must_use]
    pub fn with_values(mut self, values: &Values) -> Self {
        self.values.replace(values);
        self
    }

    /// Another time as a function of the same features.
    pub(crate) fn compile_for(
        &self,
        time: &Expr,
        values: &Values,
    ) -> Result<StepProgram, KernelError> {
        let bound = time.bind(values);
        bound.check()?;
        let law = bound.simplify(&LIMITS).expr;
        Ok(StepProgram::new(self.program(&[&law])?))
    }

    /// What stands in front of the names of the law's symbols.
    pub(crate) fn scope(&self) -> &str {
        self.inputs[0].strip_suffix(StepFeatures::NAMES[0]).unwrap_or_default()
    }

    /// As [`StepLaw::compile`], with one output per entry of [`StepLaw::parts`].
    ///
    /// # Errors
    ///
    /// [`KernelError::Expr`] if the law cannot be compiled.
    pub fn compile_parts(&self) -> Result<Program, KernelError> {
        let bound: Vec<Expr> = self.parts.iter().map(|(_, time)| time.bind(&self.values)).collect();
        self.program(&bound.iter().collect::<Vec<_>>())
    }

    /// Where the time of a step with these features goes, operator by operator, in this scenario.
    ///
    /// # Errors
    ///
    /// [`KernelError::Expr`] if a feature is not in its domain.
    pub fn breakdown(&self, features: &StepFeatures) -> Result<Breakdown, KernelError> {
        Breakdown::of(self, features)
    }

    fn program(&self, outputs: &[&Expr]) -> Result<Program, KernelError> {
        let inputs: Vec<&str> = self.inputs.iter().map(String::as_str).collect();
        Ok(Program::compile(outputs, &inputs)?)
    }
}

/// A compiled step law of one scenario.
///
/// Clones share the code and have registers of their own, so each thread takes a clone.
#[derive(Clone, Debug)]
pub struct StepProgram {
    program: Program,
    evaluator: IncrementalEvaluator,
}

impl StepProgram {
    fn new(program: Program) -> Self {
        Self { evaluator: program.incremental(), program }
    }

    /// Time of a step with these features \[s\]. Does not allocate.
    ///
    /// Only what depends on a feature that changed since the step before is computed again: of a
    /// decode step a tenth of the law.
    pub fn seconds(&mut self, features: &StepFeatures) -> f64 {
        self.evaluator.eval1(&features.as_array())
    }

    /// Instructions of one evaluation \[1\].
    #[must_use]
    pub fn instructions(&self) -> usize {
        self.program.instructions()
    }
}

/// Time in which the host prepares a step on one stage and takes in its results \[s\].
fn prepare(f: &Features, on: &Hardware) -> Expr {
    let theta = &on.theta.host;
    present(&f.tokens) * &theta.step_latency
        + (&f.extend_seqs + &f.decode_seqs) * &theta.sequence_latency
}

/// The part of the host's time for which the device waits \[s\].
pub(crate) fn exposed(f: &Features, on: &Hardware) -> Expr {
    &f.serial * prepare(f, on)
}

/// Time of a step whose host time hides behind its device time but for the part that is exposed \[s\].
pub(crate) fn hidden(device: &Expr, host: &Expr, exposed: &Expr) -> Expr {
    max(device, host - exposed) + exposed
}

/// Time in which the host launches kernels one by one; nothing where a CUDA graph is replayed \[s\].
pub(crate) fn launch(f: &Features, launches: &Expr, on: &Hardware) -> Expr {
    &f.eager * present(&f.tokens) * launches * &on.theta.host.launch_latency
}

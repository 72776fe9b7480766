//! The step law: how long one step of a worker takes, as a function of its features, the parallel
//! sizes and θ.

use sglsim_expr::{
    Constraint, Context, Evaluator, Expr, Limits, Program, Values, all_of, floor_div, max,
};
use sglsim_hw::Topology;
use sglsim_model::{Attention, ModelShape};

use crate::features::Features;
use crate::scope::Scope;
use crate::{
    Coefficients, Hardware, KernelError, LawSet, MoeA2aBackend, ParallelPlan, StepFeatures,
};

mod coefficients;
mod layers;
mod work;

pub use coefficients::{HostCoefficients, HostTheta};

/// How far a bound law is simplified: what more would give is not worth its time in a sweep.
const LIMITS: Limits = Limits { nodes: 1_000, iterations: 2 };

/// Parallel sizes as symbols.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Knobs {
    /// Tensor parallel ranks, the GPUs of one worker \[1\].
    pub tp_size: Expr,
    /// Attention replicas inside the worker \[1\].
    pub dp_size: Expr,
    /// Expert parallel ranks \[1\].
    pub ep_size: Expr,
}

impl Knobs {
    pub(crate) fn declare(scope: &mut Scope<'_>, plan: &ParallelPlan) -> Result<Self, KernelError> {
        let mut knob = |name, doc, value| scope.knob(name, doc, value);
        Ok(Self {
            tp_size: knob(
                "tp_size",
                "tensor parallel ranks, the GPUs of one worker",
                plan.tp_size,
            )?,
            dp_size: knob("dp_size", "attention replicas inside the worker", plan.dp_size)?,
            ep_size: knob("ep_size", "expert parallel ranks", plan.ep_size)?,
        })
    }

    /// Ranks that share one attention replica \[1\].
    #[must_use]
    pub fn attn_tp_size(&self) -> Expr {
        &self.tp_size / &self.dp_size
    }

    /// Ranks that share one expert \[1\].
    #[must_use]
    pub fn moe_tp_size(&self) -> Expr {
        &self.tp_size / &self.ep_size
    }
}

/// The time of one step of one worker, as an expression.
///
/// Symbolic in the batch ([`StepLaw::features`]), in the parallel sizes ([`StepLaw::knobs`]), in the
/// hardware's figures and in θ. The dimensions of the model are constants; the kind of attention,
/// the number formats and the expert backend decide which law it is.
///
/// # Formula
///
/// ```text
/// t_step = max(t_device, t_host)
/// t_device = t_embedding + t_projections + t_attention + t_elementwise + t_ffn + t_experts
///          + t_comm + t_logits
/// t_host = [tokens>0]·(t_step₀ + t_seq·(extend_seqs + decode_seqs) + eager·kernels·t_launch)
/// ```
///
/// Layers of a kind are counted and multiplied, not unrolled. Without attention DP `t_attention` is
/// the sum of the extend and the decode part; with it a rank does one or the other, so it is the
/// greater of the two, and the FFNs run on the gathered tokens.
///
/// # Source
///
/// SGLang 0.5.23: `layers/layer_boundary`, `layers/dp_attention.py` (collectives and padding of the
/// gathered buffer), `managers/scheduler.py:event_loop_overlap` (host and device overlap).
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
    features: Features,
    knobs: Knobs,
    hardware: Hardware,
    parts: Vec<(&'static str, Expr)>,
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

        let layers = layers::Layers::new(model, laws, &hardware, &features, &knobs, plan);
        let work = layers.work();
        let label = |name: &str, time: &Expr, doc| time.named(scope.name(name), "s", doc);
        let mut parts = Vec::new();
        let mut launches = cx.constant(0);
        for (name, doc, part) in &work {
            parts.push((*name, label(name, &part.time, *doc)));
            launches = launches + part.launches(&knobs.tp_size);
        }
        let device: Expr = parts.iter().map(|(_, time)| time.clone()).sum();
        let device = label("t_device", &device, "time of a step's kernels");
        let host = layers.host(&launches);
        let host = label("t_host", &host, "host time of a step, behind which the kernels may hide");
        let step_time = max(&device, &host);
        let step_time = label("t_step", &step_time, "time of one step of the worker");
        step_time.check()?;
        parts.push(("t_host", host));

        Ok(Self {
            step_time,
            constraints: constraints(model, plan, &knobs, &scope),
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

    /// Where the time goes \[s\]: the device's parts, which add up to its time, and `t_host`.
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
        let bound = self.step_time.bind(&self.values);
        bound.check()?;
        let law = bound.simplify(&LIMITS).expr;
        Ok(StepProgram::new(self.program(&[&law])?))
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

    fn program(&self, outputs: &[&Expr]) -> Result<Program, KernelError> {
        let inputs: Vec<&str> = self.inputs.iter().map(String::as_str).collect();
        Ok(Program::compile(outputs, &inputs)?)
    }
}

/// A compiled step law of one scenario.
///
/// Clones share the code and have registers of their own, so each thread takes a clone.
#[derive(Debug)]
pub struct StepProgram {
    program: Program,
    evaluator: Evaluator,
}

impl StepProgram {
    fn new(program: Program) -> Self {
        Self { evaluator: program.evaluator(), program }
    }

    /// Time of a step with these features \[s\]. Does not allocate.
    pub fn seconds(&mut self, features: &StepFeatures) -> f64 {
        self.evaluator.eval1(&features.as_array())
    }

    /// Instructions of one evaluation \[1\].
    #[must_use]
    pub fn instructions(&self) -> usize {
        self.program.instructions()
    }
}

impl Clone for StepProgram {
    fn clone(&self) -> Self {
        Self::new(self.program.clone())
    }
}

fn constraints(
    model: &ModelShape,
    plan: &ParallelPlan,
    knobs: &Knobs,
    scope: &Scope<'_>,
) -> Vec<Constraint> {
    let Knobs { tp_size, dp_size, ep_size } = knobs;
    let divides = |a: &Expr, b: &Expr| (a * floor_div(b, a)).equals(b);
    let of = |count: u32| scope.cx.constant(count);
    let mut all = Vec::new();
    let mut must = |name: &str, doc: &str, holds: Expr| {
        all.push(Constraint { name: scope.name(name), doc: doc.to_owned(), holds });
    };
    must("dp_divides_tp", "tp_size is a multiple of dp_size", divides(dp_size, tp_size));
    must(
        "tp_divides_heads",
        "attention heads are a multiple of tp_size / dp_size",
        divides(tp_size, &(of(model.num_attention_heads) * dp_size)),
    );
    if let Attention::Gqa(gqa) = &model.attention {
        let (kv, attn_tp) = (of(gqa.kv_heads), knobs.attn_tp_size());
        must(
            "tp_divides_kv_heads",
            "key-value heads divide, or are divided by, tp_size / dp_size",
            divides(tp_size, &(&kv * dp_size)).or(&divides(&kv, &attn_tp)),
        );
    }
    if model.dense_layers() > 0 {
        must(
            "tp_divides_ffn",
            "intermediate_size is a multiple of tp_size",
            divides(tp_size, &of(model.intermediate_size)),
        );
    }
    match &model.moe {
        None => must("ep_is_1", "there are no experts to spread", ep_size.equals(1)),
        Some(moe) => {
            must(
                "ep_divides_experts",
                "tp_size and the number of experts are multiples of ep_size",
                all_of([divides(ep_size, tp_size), divides(ep_size, &of(moe.num_experts))]),
            );
            must(
                "tp_divides_experts",
                "moe_intermediate_size is a multiple of tp_size / ep_size",
                divides(tp_size, &(moe.moe_intermediate_size * ep_size)),
            );
            if plan.moe_a2a_backend == MoeA2aBackend::DeepEp {
                must(
                    "ep_is_tp",
                    "DeepEP spreads the experts over all ranks",
                    ep_size.equals(tp_size),
                );
            }
        }
    }
    all
}

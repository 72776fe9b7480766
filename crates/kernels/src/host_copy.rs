//! Moving KV between a GPU and the tiers below it: host memory and storage.

use sglsim_expr::{Context, Evaluator, Expr, Symbol, Values, max, min};
use sglsim_hw::Link;
use sglsim_model::{Attention, ModelShape};
use sglsim_units::TokenCount;

use crate::coefficients::{Coefficients, Theta};
use crate::operator::present;
use crate::scope::Scope;
use crate::{KernelError, Knobs, ParallelPlan};

mod coefficients;

pub use coefficients::{HostCopyCoefficients, HostCopyTheta};

/// Time of a copy of KV between a GPU and a tier below it over an idle link, and of a step that waits for
/// one layer by layer, as expressions.
///
/// # Formula
///
/// ```text
/// bytes = tokens · kv_bytes_per_token / min(attn_tp, kv_heads)       not divided for MLA
/// t_copy = [tokens>0]·(t₀ + t_link) + bytes / (BW·η)
/// t_step' = t_step                                                   if tokens = 0
///         = max(t_step + t_copy/L, t_copy + t_step/L)                otherwise
/// ```
///
/// Each rank copies the heads it holds over its own link. A step computes layer *i* once the KV of layer
/// *i* is there: two machines that work *L* equal jobs off in the same order. Either the computation is
/// the slower one and waits for the first layer's copy, or the copies are and the last layer is computed
/// after them.
///
/// # Source
///
/// SGLang 0.5.23, `managers/cache_controller.py` (`LayerDoneCounter`, `start_loading`); the makespan of a
/// flow shop of two machines, derived.
///
/// ```
/// use sglsim_expr::Context;
/// use sglsim_hw::{Architecture, Link};
/// use sglsim_kernels::{Coefficients, HostCopyLaw, ParallelPlan};
/// use sglsim_model::ModelShape;
///
/// let model = ModelShape::preset("Llama-3.1-70B")?;
/// let theta = Coefficients::for_architecture(Architecture::Hopper);
/// let link = Link::preset("PCIe5-x16")?;
/// let plan = ParallelPlan::tensor(4);
/// let law = HostCopyLaw::of(&Context::new(), "hicache_", &model, &link, &theta, &plan)?;
/// let mut program = law.compile()?;
/// // 10⁴ tokens of 327 680 B over four links, each at 80 % of 63 GB/s.
/// let copy = program.seconds(10_000);
/// assert!((copy - 1e4 * 327_680.0 / (4.0 * 63.015e9 * 0.8)).abs() < 1e-3);
/// // A step of a second hides all of it but the first of 80 layers.
/// assert!((program.step_seconds(1.0, 10_000) - (1.0 + copy / 80.0)).abs() < 1e-12);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Debug)]
pub struct HostCopyLaw {
    tokens: Expr,
    step: Expr,
    bytes: Expr,
    time: Expr,
    step_time: Expr,
    values: Values,
}

impl HostCopyLaw {
    /// The law of the workers of `plan` over one `link` for each GPU; `scope` is put in front of the names
    /// of its symbols.
    ///
    /// # Errors
    ///
    /// The errors of [`ParallelPlan::check`], or [`KernelError::Coefficient`].
    pub fn of(
        cx: &Context,
        scope: &str,
        model: &ModelShape,
        link: &Link,
        coefficients: &Coefficients,
        plan: &ParallelPlan,
    ) -> Result<Self, KernelError> {
        coefficients.check()?;
        plan.check(model, plan.gpus())?;
        let mut scope = Scope::new(cx, scope);
        let theta = Theta::declare(&mut scope, coefficients)?.host_copy;
        let attn_tp = Knobs::declare(&mut scope, plan)?.attn_tp_size();
        let mut input = |symbol: Symbol| scope.input(symbol.non_negative());
        let tokens =
            input(Symbol::int("copy_tokens").unit("token").doc("tokens whose KV is copied"))?;
        let step =
            input(Symbol::real("copy_step").unit("s").doc("time of the step that needs them"))?;
        let bandwidth = scope.valued(
            Symbol::real("copy_bandwidth")
                .positive()
                .unit("B/s")
                .doc("bandwidth of one GPU's link"),
            link.bandwidth.get(),
        )?;
        let link_latency = scope.valued(
            Symbol::real("copy_link_latency").non_negative().unit("s").doc("latency of the link"),
            link.latency.get(),
        )?;
        let shards = match &model.attention {
            Attention::Gqa(gqa) => min(attn_tp, gqa.kv_heads),
            Attention::Mla(_) => cx.constant(1),
        };
        let label = |name, unit, doc, expr: Expr| expr.named(scope.name(name), unit, doc);
        let bytes = &tokens * model.kv_bytes_per_token().get() / shards;
        let bytes = label("copy_bytes", "B", "KV that one rank copies", bytes);
        let time = present(&tokens) * (theta.latency + link_latency)
            + &bytes / (bandwidth * theta.efficiency);
        let time = label("copy_time", "s", "time of a copy over an idle link", time);
        let layers = f64::from(model.layers);
        let waiting = max(&step + &time / layers, &time + &step / layers) - &step;
        let step_time = &step + present(&tokens) * waiting;
        let step_time =
            label("copy_step_time", "s", "time of a step that waits layer by layer", step_time);
        time.check()?;
        step_time.check()?;
        Ok(Self { tokens, step, bytes, time, step_time, values: scope.values })
    }

    /// The symbol of the number of tokens \[token\].
    #[must_use]
    pub fn tokens(&self) -> &Expr {
        &self.tokens
    }

    /// KV that one rank copies \[B\].
    #[must_use]
    pub fn bytes(&self) -> &Expr {
        &self.bytes
    }

    /// Time of a copy \[s\].
    #[must_use]
    pub fn time(&self) -> &Expr {
        &self.time
    }

    /// The symbol of the time that the step takes without a copy \[s\].
    #[must_use]
    pub fn step(&self) -> &Expr {
        &self.step
    }

    /// Time of the step with it \[s\].
    #[must_use]
    pub fn step_time(&self) -> &Expr {
        &self.step_time
    }

    /// This scenario's value of every symbol but the tokens and the step.
    #[must_use]
    pub fn values(&self) -> &Values {
        &self.values
    }

    /// Both times as functions of the tokens, and of the step, alone.
    ///
    /// # Errors
    ///
    /// [`KernelError::Expr`] if the law cannot be compiled.
    pub fn compile(&self) -> Result<HostCopyProgram, KernelError> {
        let name = |symbol: &Expr| symbol.name().unwrap_or_default();
        let (tokens, step) = (name(&self.tokens), name(&self.step));
        let copy = self.time.bind(&self.values).compile(&[tokens.as_str()])?;
        let waiting =
            self.step_time.bind(&self.values).compile(&[step.as_str(), tokens.as_str()])?;
        Ok(HostCopyProgram { copy: copy.evaluator(), step: waiting.evaluator() })
    }
}

/// A compiled copy law of one scenario. It does not allocate.
#[derive(Debug)]
pub struct HostCopyProgram {
    copy: Evaluator,
    step: Evaluator,
}

impl HostCopyProgram {
    /// Time of a copy of this many tokens over an idle link \[s\].
    pub fn seconds(&mut self, tokens: TokenCount) -> f64 {
        self.copy.eval1(&[tokens as f64])
    }

    /// Time of a step that takes `step` \[s\] by itself, and waits layer by layer for this many tokens \[s\].
    pub fn step_seconds(&mut self, step: f64, tokens: TokenCount) -> f64 {
        self.step.eval1(&[step, tokens as f64])
    }
}

#[cfg(test)]
mod tests;

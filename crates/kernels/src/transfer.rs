//! Moving a prompt's KV cache from a prefill worker to a decode worker.

use sglsim_expr::{Context, Evaluator, Expr, Symbol, Values, min};
use sglsim_hw::Link;
use sglsim_model::{Attention, ModelShape};
use sglsim_units::TokenCount;

use crate::coefficients::Coefficients;
use crate::operator::present;
use crate::scope::Scope;
use crate::{KernelError, Knobs, ParallelPlan};

mod coefficients;

pub use coefficients::{TransferCoefficients, TransferTheta};

/// Time of one KV transfer over idle links, as an expression in `transfer_tokens`.
///
/// # Formula
///
/// ```text
/// lanes = min(prefill attn_tp, decode attn_tp, kv_heads)      1 for MLA
/// bytes = tokens · kv_bytes_per_token
/// t = [tokens>0]·(t₀ + t_link) + bytes / (lanes·BW·η)
/// ```
///
/// Each rank sends its heads over its own NIC; ranks that hold the same heads do not help each
/// other. MLA's latent is one for all heads, so one rank's link carries all of it.
///
/// # Source
///
/// SGLang 0.5.23, `disaggregation/common/conn.py`; derived.
///
/// ```
/// use sglsim_expr::Context;
/// use sglsim_hw::{Architecture, Link};
/// use sglsim_kernels::{Coefficients, ParallelPlan, TransferLaw};
/// use sglsim_model::ModelShape;
///
/// let model = ModelShape::preset("Llama-3.1-70B")?;
/// let theta = Coefficients::for_architecture(Architecture::Hopper);
/// let tp4 = ParallelPlan::tensor(4);
/// let link = Link::preset("IB-NDR")?;
/// let law = TransferLaw::of(&Context::new(), &model, &link, &theta, [&tp4, &tp4])?;
/// // 10⁴ tokens of 327 680 B over four NICs of 50 GB/s at 84 %.
/// let streaming = 1e4 * 327_680.0 / (4.0 * 50e9 * 0.84);
/// let seconds = law.compile()?.seconds(10_000);
/// assert!((seconds - streaming - theta.transfer.latency).abs() < 1e-4);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Debug)]
pub struct TransferLaw {
    tokens: Expr,
    bytes: Expr,
    lanes: Expr,
    time: Expr,
    values: Values,
}

impl TransferLaw {
    /// The law between a prefill and a decode worker, joined by one `link` per GPU.
    ///
    /// The parallel sizes are the symbols of step laws whose scopes are `"prefill_"` and
    /// `"decode_"`; the law's own symbols start with `transfer_`.
    ///
    /// # Errors
    ///
    /// The errors of [`ParallelPlan::check`], or [`KernelError::Coefficient`].
    pub fn of(
        cx: &Context,
        model: &ModelShape,
        link: &Link,
        coefficients: &Coefficients,
        [prefill, decode]: [&ParallelPlan; 2],
    ) -> Result<Self, KernelError> {
        coefficients.check()?;
        let mut values = Values::new();
        let mut attn_tp = |scope: &str, plan: &ParallelPlan| {
            plan.check(model, plan.gpus())?;
            let mut scope = Scope::new(cx, scope);
            let knobs = Knobs::declare(&mut scope, plan)?;
            values.extend(scope.values);
            Ok::<Expr, KernelError>(knobs.attn_tp_size())
        };
        let (prefill, decode) = (attn_tp("prefill_", prefill)?, attn_tp("decode_", decode)?);

        let mut scope = Scope::new(cx, "transfer_");
        let tokens = scope.input(
            Symbol::int("tokens").non_negative().unit("token").doc("tokens whose KV is sent"),
        )?;
        let mut real = |symbol: Symbol, value| scope.valued(symbol, value);
        let bandwidth = real(
            Symbol::real("bandwidth").positive().unit("B/s").doc("bandwidth of one GPU's NIC"),
            link.bandwidth.get(),
        )?;
        let link_latency = real(
            Symbol::real("link_latency").non_negative().unit("s").doc("latency of the link"),
            link.latency.get(),
        )?;
        let efficiency = real(
            Symbol::real("efficiency")
                .positive()
                .at_most(1.0)
                .doc("share of the NIC bandwidth reached"),
            coefficients.transfer.efficiency,
        )?;
        let latency = real(
            Symbol::real("latency")
                .non_negative()
                .unit("s")
                .doc("time of a transfer of almost nothing"),
            coefficients.transfer.latency,
        )?;
        let lanes = match &model.attention {
            Attention::Gqa(gqa) => min(min(prefill, decode), gqa.kv_heads),
            Attention::Mla(_) => cx.constant(1),
        };
        let label = |name, unit, doc, expr: Expr| expr.named(scope.name(name), unit, doc);
        let bytes = &tokens * model.kv_bytes_per_token().get();
        let bytes = label("bytes", "B", "KV of the prompt", bytes);
        let lanes = label("lanes", "1", "NICs that send at once", lanes);
        let time = present(&tokens) * (latency + link_latency)
            + &bytes / (&lanes * (bandwidth * efficiency));
        let time = label("time", "s", "time of a KV transfer over idle links", time);
        time.check()?;
        values.extend(scope.values);
        Ok(Self { tokens, bytes, lanes, time, values })
    }

    /// The symbol of the number of tokens \[token\].
    #[must_use]
    pub fn tokens(&self) -> &Expr {
        &self.tokens
    }

    /// KV of the prompt, over all ranks, each head once \[B\].
    #[must_use]
    pub fn bytes(&self) -> &Expr {
        &self.bytes
    }

    /// NICs that send at once \[1\].
    #[must_use]
    pub fn lanes(&self) -> &Expr {
        &self.lanes
    }

    /// Time over idle links \[s\].
    #[must_use]
    pub fn time(&self) -> &Expr {
        &self.time
    }

    /// This scenario's value of every symbol but the tokens.
    #[must_use]
    pub fn values(&self) -> &Values {
        &self.values
    }

    /// The time as a function of the tokens alone, for this scenario.
    ///
    /// # Errors
    ///
    /// [`KernelError::Expr`] if the law cannot be compiled.
    pub fn compile(&self) -> Result<TransferProgram, KernelError> {
        let bound = self.time.bind(&self.values);
        bound.check()?;
        let program = bound.compile(&["transfer_tokens"])?;
        Ok(TransferProgram { evaluator: program.evaluator() })
    }

    /// The same law with other values; names that are none of its symbols have no influence.
    #[must_use]
    pub fn with_values(mut self, values: &Values) -> Self {
        self.values.replace(values);
        self
    }
}

/// A compiled transfer law of one scenario.
#[derive(Debug)]
pub struct TransferProgram {
    evaluator: Evaluator,
}

impl TransferProgram {
    /// Time of a transfer of this many tokens over idle links \[s\]. Does not allocate.
    pub fn seconds(&mut self, tokens: TokenCount) -> f64 {
        self.evaluator.eval1(&[tokens as f64])
    }
}

#[cfg(test)]
mod tests;

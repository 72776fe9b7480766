//! Moving a prompt's KV cache from a prefill worker to a decode worker.

use sglsim_expr::{Context, Evaluator, Expr, Program, Symbol, Values, max, min, piecewise};
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
/// With P and D the ranks of one attention replica on the prefill and the decode side, and K the KV heads
/// (1 under MLA, whose latent is one for all heads):
///
/// ```text
/// bytes    = tokens · kv_bytes_per_token
/// copies   = max(D/K, 1)                          ranks of the receiver with the same KV
/// nics     = max(min(P, D)/gpus_per_nic, 1)       adapters of the side that is slower
/// lanes    = nics / copies
/// messages = layers·parts                         parts: keys and values, or the latent
///            · tokens·max(D/P, 1)                 if P ≠ D, GQA, and there is no staging buffer
/// t = [tokens>0]·(t₀ + t_link + messages·t_message) + bytes / (lanes·BW·η)
/// ```
///
/// Every rank of the receiver gets the KV of its heads from the ranks of the sender that have them. With
/// as many ranks on both sides whole pages are sent, one message for a run of pages in a layer; else the
/// heads of every token are a message of their own.
///
/// # Source
///
/// SGLang 0.5.23, `disaggregation/common/conn.py:CommonKVReceiver`, `disaggregation/mooncake/conn.py:
/// send_kvcache`, `send_kvcache_slice`; derived.
///
/// ```
/// use sglsim_expr::Context;
/// use sglsim_hw::{Architecture, Link};
/// use sglsim_kernels::{Coefficients, KvPath, ParallelPlan, TransferLaw};
/// use sglsim_model::ModelShape;
///
/// let model = ModelShape::preset("Llama-3.1-70B")?;
/// let theta = Coefficients::for_architecture(Architecture::Hopper);
/// let tp4 = ParallelPlan::tensor(4);
/// let link = Link::preset("IB-NDR")?;
/// let path = KvPath::new(link);
/// let law = TransferLaw::of(&Context::new(), &model, &path, &theta, [&tp4, &tp4])?;
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
    /// Bytes on the network, copies included \[B\].
    sent: Expr,
    /// The part of the time in which bytes move \[s\].
    streaming: Expr,
    time: Expr,
    values: Values,
}

/// What KV travels over.
#[derive(Clone, Debug, PartialEq)]
pub struct KvPath {
    /// The link of one adapter.
    pub link: Link,
    /// GPUs that share an adapter, at least 1.
    pub gpus_per_nic: u32,
    /// Whether heads are gathered before they are sent, if both sides have them spread in different
    /// ways (`SGLANG_DISAGG_STAGING_BUFFER`).
    pub staging_buffer: bool,
}

impl KvPath {
    /// One adapter for each GPU, no staging buffer.
    #[must_use]
    pub fn new(link: Link) -> Self {
        Self { link, gpus_per_nic: 1, staging_buffer: false }
    }
}

impl TransferLaw {
    /// The law between a prefill and a decode worker, joined by a `path`.
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
        path: &KvPath,
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
            Symbol::real("bandwidth").positive().unit("B/s").doc("bandwidth of one NIC"),
            path.link.bandwidth.get(),
        )?;
        let link_latency = real(
            Symbol::real("link_latency").non_negative().unit("s").doc("latency of the link"),
            path.link.latency.get(),
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
        let message = real(
            Symbol::real("message").non_negative().unit("s").doc("time to post one message"),
            coefficients.transfer.message,
        )?;
        let (heads, parts) = match &model.attention {
            Attention::Gqa(gqa) => (gqa.kv_heads, 2),
            Attention::Mla(_) => (1, 1),
        };
        let label = |name, unit, doc, expr: Expr| expr.named(scope.name(name), unit, doc);
        let bytes = &tokens * model.kv_bytes_per_token().get();
        let bytes = label("bytes", "B", "KV of the prompt", bytes);
        let mut nics = min(&prefill, &decode);
        if path.gpus_per_nic > 1 {
            nics = max(nics / path.gpus_per_nic, 1);
        }
        let copies = max(&decode / heads, 1);
        let lanes = label("lanes", "1", "NICs that send at once", nics / &copies);
        let pages = cx.constant(model.layers * parts);
        let messages = if heads > 1 && !path.staging_buffer {
            let slices = &pages * &tokens * max(&decode / &prefill, 1);
            piecewise([(prefill.equals(&decode), pages)], slices)
        } else {
            pages
        };
        let set_up = present(&tokens) * (latency + link_latency + message * messages);
        let streaming = &bytes / (&lanes * (bandwidth * efficiency));
        let time = set_up + &streaming;
        let time = label("time", "s", "time of a KV transfer over idle links", time);
        let sent = &bytes * copies;
        time.check()?;
        values.extend(scope.values);
        Ok(Self { tokens, bytes, lanes, sent, streaming, time, values })
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

    /// What a transfer gets of one NIC, in this scenario \[B/s\].
    ///
    /// # Panics
    ///
    /// Never: the law declares both symbols.
    #[must_use]
    pub fn nic_bandwidth(&self) -> f64 {
        let value = |name| self.values.get(name).expect("the law declares its symbols");
        value("transfer_bandwidth") * value("transfer_efficiency")
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
        let bound = [&self.time, &self.streaming, &self.sent].map(|expr| expr.bind(&self.values));
        bound.iter().try_for_each(Expr::check)?;
        let [time, streaming, sent] = &bound;
        let program = Program::compile(&[time, streaming, sent], &["transfer_tokens"])?;
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

/// What a transfer comes to.
#[derive(Clone, Copy, Debug, PartialEq)]
#[non_exhaustive]
pub struct TransferCost {
    /// Time over idle links \[s\].
    pub seconds: f64,
    /// The part of it in which bytes move; the rest is set-up \[s\].
    pub streaming: f64,
    /// Bytes on the network: all that the receiver's ranks get \[B\].
    pub bytes: f64,
}

impl TransferProgram {
    /// Time of a transfer of this many tokens over idle links \[s\]. Does not allocate.
    pub fn seconds(&mut self, tokens: TokenCount) -> f64 {
        self.cost(tokens).seconds
    }

    /// What a transfer of this many tokens comes to. Does not allocate.
    pub fn cost(&mut self, tokens: TokenCount) -> TransferCost {
        let mut outputs = [0.0; 3];
        self.evaluator.eval(&[tokens as f64], &mut outputs);
        let [seconds, streaming, bytes] = outputs;
        TransferCost { seconds, streaming, bytes }
    }
}

#[cfg(test)]
mod tests;

//! The seam where a kernel is swapped: one law answers for one kind of call.

use std::fmt;

use sglsim_expr::{Expr, max, min, min_of_feasible};

use crate::Hardware;

pub mod attention;
pub mod collective;
pub mod elementwise;
mod format;
pub mod gemm;
pub mod moe;

pub use format::MatrixFormat;

/// How long one kind of call takes on one rank, and when the kernel can be used.
///
/// `Call` says what is asked: [`Gemm`](gemm::Gemm), [`DecodeAttention`](attention::DecodeAttention),
/// [`AllReduce`](collective::AllReduce) … Its sizes are expressions, so one law serves every batch
/// and every parallel size.
///
/// # Implementing
///
/// The time is in \[s\], finite and not negative on the whole domain of the symbols, zero if the
/// call has no work, and never shorter for more work. A law that reads a number instead of a symbol
/// hides it from whoever fits or differentiates the formula. `testing::conformance` (feature
/// `testing`) checks the first part in one call.
///
/// ```
/// use sglsim_expr::{Expr, max};
/// use sglsim_kernels::operator::{OperatorLaw, gemm::Gemm};
/// use sglsim_kernels::{Hardware, LawSet};
///
/// /// A GEMM that always reaches the datasheet.
/// #[derive(Debug)]
/// struct Ideal;
///
/// impl OperatorLaw<Gemm> for Ideal {
///     fn name(&self) -> &str {
///         "ideal"
///     }
///     fn time(&self, gemm: &Gemm, on: &Hardware) -> Expr {
///         max(gemm.flops() / on.peak_flops(gemm.format.precision()), gemm.weight_bytes() / &on.hbm_bandwidth)
///     }
/// }
///
/// let laws = LawSet { gemm: Box::new(Ideal), ..LawSet::default() };
/// ```
pub trait OperatorLaw<Call>: fmt::Debug + Send + Sync {
    /// Name for reports, such as `"fa3"`.
    fn name(&self) -> &str;
    /// Time of one call on one rank \[s\].
    fn time(&self, call: &Call, on: &Hardware) -> Expr;
    /// When the kernel can be used, as a Boolean expression; `None` if always.
    fn feasible(&self, _call: &Call, _on: &Hardware) -> Option<Expr> {
        None
    }
}

/// The fastest of several kernels that can be used for the call.
///
/// Real engines choose by a table of sizes that was tuned to be this minimum. The minimum of
/// growing times, some of which stop being available as the size grows, still grows.
#[derive(Debug)]
pub struct Fastest<Call> {
    fallback: Box<dyn OperatorLaw<Call>>,
    others: Vec<Box<dyn OperatorLaw<Call>>>,
}

impl<Call> Fastest<Call> {
    /// A choice that starts with a kernel that can always be used.
    #[must_use]
    pub fn or_else(fallback: impl OperatorLaw<Call> + 'static) -> Self {
        Self { fallback: Box::new(fallback), others: Vec::new() }
    }

    /// Adds a kernel to choose from.
    #[must_use]
    pub fn with(mut self, kernel: impl OperatorLaw<Call> + 'static) -> Self {
        self.others.push(Box::new(kernel));
        self
    }
}

impl<Call: fmt::Debug> OperatorLaw<Call> for Fastest<Call> {
    fn name(&self) -> &str {
        "fastest"
    }

    fn time(&self, call: &Call, on: &Hardware) -> Expr {
        let always = on.hbm_bandwidth.context().truth(true);
        let others = self.others.iter().map(|kernel| {
            let feasible = kernel.feasible(call, on).unwrap_or_else(|| always.clone());
            (kernel.name(), kernel.time(call, on), feasible)
        });
        let fallback = (self.fallback.name(), self.fallback.time(call, on), always.clone());
        min_of_feasible([fallback].into_iter().chain(others))
    }
}

/// The laws that a step is made of; replace a field to replace a kernel.
#[derive(Debug)]
pub struct LawSet {
    /// Dense matrix products.
    pub gemm: Box<dyn OperatorLaw<gemm::Gemm>>,
    /// Attention of extending sequences.
    pub prefill_attention: Box<dyn OperatorLaw<attention::PrefillAttention>>,
    /// Attention of decoding sequences.
    pub decode_attention: Box<dyn OperatorLaw<attention::DecodeAttention>>,
    /// Routed experts of one layer.
    pub experts: Box<dyn OperatorLaw<moe::Experts>>,
    /// Norms, activations, rotary embedding, copies.
    pub elementwise: Box<dyn OperatorLaw<elementwise::Elementwise>>,
    /// All-reduce inside a worker.
    pub all_reduce: Box<dyn OperatorLaw<collective::AllReduce>>,
    /// All-gather inside a worker.
    pub all_gather: Box<dyn OperatorLaw<collective::AllGather>>,
    /// Reduce-scatter inside a worker.
    pub reduce_scatter: Box<dyn OperatorLaw<collective::ReduceScatter>>,
    /// Expert dispatch and combine.
    pub all_to_all: Box<dyn OperatorLaw<collective::AllToAll>>,
}

impl Default for LawSet {
    fn default() -> Self {
        Self {
            gemm: Box::new(gemm::TiledRoofline),
            prefill_attention: Box::new(attention::FlashPrefill),
            decode_attention: Box::new(attention::FlashDecode),
            experts: Box::new(moe::AutoRunner),
            elementwise: Box::new(elementwise::MemoryBound),
            all_reduce: Box::new(
                Fastest::or_else(collective::NcclRing)
                    .with(collective::NcclSwitch)
                    .with(collective::OneShot)
                    .with(collective::TwoShot),
            ),
            all_gather: Box::new(collective::NcclRing),
            reduce_scatter: Box::new(collective::NcclRing),
            all_to_all: Box::new(collective::DeepEp),
        }
    }
}

/// 1 if there is any work, 0 if there is none, for an integer count of it.
///
/// Kernels that have nothing to do are not launched and read no weights; `min` says so without a
/// branch.
pub(crate) fn present(count: &Expr) -> Expr {
    min(count, 1)
}

/// Arithmetic under clocks that fall when it lasts: each second beyond `onset` \[s\] takes `throttle`
/// \[1\] seconds more \[s\].
pub(crate) fn throttled(time: Expr, throttle: &Expr, onset: &Expr) -> Expr {
    let beyond = max(&time - onset, 0);
    time + throttle * beyond
}

/// Time of two kinds of work that run side by side \[s\]: that of the longer, and of the shorter what
/// is not hidden: a share, and `limit` \[s\] at most, as pipelines that run for long are full.
pub(crate) fn side_by_side(one: &Expr, other: &Expr, share: &Expr, limit: &Expr) -> Expr {
    max(one, other) + saturating(min(one, other) * share, limit)
}

/// `x·l/(x + l)`: `x` while it is small, never more than `limit`.
pub(crate) fn saturating(x: Expr, limit: &Expr) -> Expr {
    let filled = 1 + &x / limit;
    x / filled
}

/// Widths of a query and its key, and of a value and its output, over all heads, twice: bytes of the
/// query and the output of a token in 16 bits \[B\], and arithmetic of a query-key pair, a product and
/// a sum for each \[FLOP\].
pub(crate) fn twice_head_widths((qk, v): (u32, u32), heads: &Expr) -> Expr {
    2 * (qk + v) * heads
}

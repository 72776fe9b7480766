//! Captured CUDA graphs: which batch sizes there are, and which one a batch is padded to.

use sglsim_expr::{Expr, ceil_div, min, piecewise};

/// Batch sizes for which SGLang captures a decode graph, ascending.
///
/// 1, 2, 4, 8, 12, then 16 to 256 in steps of 8, to 512 in steps of 16, and on in steps of 32, cut
/// at `max_bs`, which is always captured. Empty if `max_bs` is 0.
///
/// # Source
///
/// SGLang 0.5.23, `arg_groups/cuda_graph_hook.py`.
///
/// ```
/// assert_eq!(sglsim_kernels::cuda_graph_sizes(20), [1, 2, 4, 8, 12, 16, 20]);
/// ```
#[must_use]
pub fn cuda_graph_sizes(max_bs: u32) -> Vec<u32> {
    let steps = [1, 2, 4, 8, 12]
        .into_iter()
        .chain((16..=256).step_by(8))
        .chain((272..512).step_by(16))
        .chain((512..=u32::MAX).step_by(32));
    let mut sizes: Vec<u32> = steps.take_while(|size| *size < max_bs).collect();
    if max_bs > 0 {
        sizes.push(max_bs);
    }
    sizes
}

/// Batch sizes for which SGLang captures a graph that verifies drafts, ascending.
///
/// 1 to 8, then to 32 in steps of 2, to 64 in steps of 4, to 256 in steps of 8, and on in steps of 16,
/// cut at `max_bs`, which is always captured. Empty if `max_bs` is 0.
///
/// # Source
///
/// SGLang 0.5.23, `arg_groups/cuda_graph_hook.py`.
///
/// ```
/// assert_eq!(sglsim_kernels::speculative_cuda_graph_sizes(13), [1, 2, 3, 4, 5, 6, 7, 8, 10, 12, 13]);
/// ```
#[must_use]
pub fn speculative_cuda_graph_sizes(max_bs: u32) -> Vec<u32> {
    let steps = (1..=8)
        .chain((10..=32).step_by(2))
        .chain((40..=64).step_by(4))
        .chain((72..=256).step_by(8))
        .chain((272..=u32::MAX).step_by(16));
    let mut sizes: Vec<u32> = steps.take_while(|size| *size < max_bs).collect();
    if max_bs > 0 {
        sizes.push(max_bs);
    }
    sizes
}

/// The batch size that `seqs` decoding sequences run with when graphs up to `max_bs` are captured:
/// the smallest of [`cuda_graph_sizes`] that is large enough, or `seqs` itself, run eagerly, if none
/// is.
///
/// # Source
///
/// SGLang 0.5.23, `model_executor/cuda_graph_runner.py` (bisection in the list of sizes).
///
/// ```
/// use sglsim_expr::{Context, Symbol, Values};
/// use sglsim_kernels::padded_batch;
///
/// let cx = Context::new();
/// let seqs = cx.symbol(Symbol::int("seqs").non_negative())?;
/// let padded = padded_batch(&seqs, &cx.constant(512));
/// assert_eq!(padded.evaluate(&Values::from([("seqs", 257.0)]))?, 272.0);
/// # Ok::<(), sglsim_expr::ExprError>(())
/// ```
#[must_use]
pub fn padded_batch(seqs: &Expr, max_bs: &Expr) -> Expr {
    let multiple = |of: u32| of * ceil_div(seqs, of);
    let size = piecewise(
        [
            (seqs.le(2), seqs.clone()),
            (seqs.le(16), multiple(4)),
            (seqs.le(256), multiple(8)),
            (seqs.le(512), multiple(16)),
        ],
        multiple(32),
    );
    piecewise([(seqs.le(max_bs), min(size, max_bs))], seqs)
}

#[cfg(test)]
mod tests;

//! Captured CUDA graphs: which batch sizes there are.

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

#[cfg(test)]
mod tests;

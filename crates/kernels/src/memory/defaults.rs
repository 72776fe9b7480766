//! Defaults that depend on the GPU's memory.

use sglsim_hw::Gpu;

const GIB: f64 = 1_073_741_824.0;

/// Tokens of one prefill step if the user does not say \[token\].
///
/// # Source
///
/// SGLang 0.5.23, `arg_groups/memory_hook.py:handle_gpu_memory_settings`.
///
/// ```
/// use sglsim_hw::Gpu;
/// assert_eq!(sglsim_kernels::default_chunked_prefill_size(&Gpu::preset("H100")?), 8192);
/// # Ok::<(), sglsim_hw::HwError>(())
/// ```
#[must_use]
pub fn default_chunked_prefill_size(gpu: &Gpu) -> u32 {
    match gpu.hbm_capacity.get() / GIB {
        ..20.0 => 2048,
        20.0..60.0 => 4096,
        60.0..160.0 => 8192,
        _ => 16384,
    }
}

/// Largest captured decode batch if the user does not say \[1\].
///
/// # Source
///
/// SGLang 0.5.23, `arg_groups/memory_hook.py:handle_gpu_memory_settings`.
///
/// ```
/// use sglsim_hw::Gpu;
/// let h100 = Gpu::preset("H100")?;
/// assert_eq!(sglsim_kernels::default_cuda_graph_max_bs(&h100, 1), 256);
/// assert_eq!(sglsim_kernels::default_cuda_graph_max_bs(&h100, 4), 512);
/// # Ok::<(), sglsim_hw::HwError>(())
/// ```
#[must_use]
pub fn default_cuda_graph_max_bs(gpu: &Gpu, tp_size: u32) -> u32 {
    let wide = tp_size >= 4;
    match gpu.hbm_capacity.get() / GIB {
        ..20.0 => 8,
        20.0..60.0 if wide => 160,
        20.0..35.0 => 48,
        35.0..60.0 => 32,
        60.0..160.0 if !wide => 256,
        _ => 512,
    }
}

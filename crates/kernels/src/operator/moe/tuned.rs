//! For which shapes SGLang ships tuned tiles of its fused Triton kernels.

use sglsim_expr::Expr;

use super::Experts;
use crate::Hardware;
use crate::operator::MatrixFormat;

/// Experts of a rank, and the inner widths per rank for which there is a configuration file.
type Shapes = &'static [(u32, &'static [u32])];

// Source of the lists: names of the files in SGLang 0.5.23,
// `layers/moe/moe_runner/triton_utils/configs`, over all Triton versions, as SGLang falls back to
// the others' files. A GPU without a list of its own is treated as an H100.

const H100_BF16: Shapes = &[
    (1, &[3072]),
    (8, &[1792, 2048, 3584, 4096, 7168]),
    (16, &[1024, 1344, 1408, 1856, 2048, 2688]),
    (20, &[2048]),
    (24, &[1024]),
    (32, &[224, 448, 768, 896, 928, 1792, 1856]),
    (64, &[192, 320, 384, 464, 640, 768, 928, 1280, 1536, 1856, 2688]),
    (65, &[1536]),
    (128, &[192, 232, 352, 384, 464, 512, 704, 768, 928, 1344, 1856, 2688]),
    (144, &[512]),
    (256, &[672, 1344, 2688]),
    (512, &[64, 128, 336, 672, 1344, 2688]),
];

const H100_FP8_BLOCK: Shapes =
    &[(64, &[1024]), (128, &[384]), (256, &[128, 384]), (512, &[128, 256])];

const H100_FP8: Shapes = &[
    (8, &[2048, 3584, 4096, 7168, 8192, 14336]),
    (16, &[800, 3200, 6400]),
    (64, &[320, 640, 1280, 2560]),
    (128, &[1024]),
];

const H200_BF16: Shapes = &[
    (8, &[1792, 2048, 3584, 4096, 7168, 14336]),
    (16, &[1024, 4096]),
    (20, &[1536]),
    (32, &[4096]),
    (64, &[320, 640, 1280, 2560]),
    (128, &[192, 384, 704, 768]),
    (161, &[192]),
    (256, &[512]),
    (512, &[64, 80, 128, 160, 256, 320]),
];

const H200_FP8_BLOCK: Shapes = &[
    (64, &[512]),
    (72, &[2048]),
    (80, &[640]),
    (128, &[384, 768]),
    (160, &[640]),
    (256, &[256, 512]),
    (384, &[128]),
    (512, &[128]),
];

const H200_FP8: Shapes = &[
    (8, &[1792, 2048, 3584, 4096, 7168, 8192, 14336]),
    (64, &[320, 640, 1280, 2560]),
    (128, &[192]),
    (160, &[192, 384]),
];

/// Whether there are tuned tiles for the experts on a rank (Boolean, in the parallel sizes); `None`
/// if there are none for any way to spread them.
pub(super) fn is_tuned(call: &Experts, on: &Hardware) -> Option<Expr> {
    let h200 = on.gpu.starts_with("H200");
    let shapes = match call.format {
        MatrixFormat::Bf16 if h200 => H200_BF16,
        MatrixFormat::Bf16 => H100_BF16,
        MatrixFormat::Fp8Block if h200 => H200_FP8_BLOCK,
        MatrixFormat::Fp8Block => H100_FP8_BLOCK,
        MatrixFormat::Fp8 if h200 => H200_FP8,
        MatrixFormat::Fp8 => H100_FP8,
        _ => return None,
    };
    shapes
        .iter()
        .flat_map(|(experts, inner)| inner.iter().map(move |inner| (*experts, *inner)))
        .filter(|(experts, inner)| {
            call.num_experts.is_multiple_of(*experts)
                && call.intermediate_size.is_multiple_of(*inner)
        })
        .map(|(experts, inner)| {
            let spread = call.ep_size.equals(call.num_experts / experts);
            spread.and(&call.tp_size.equals(call.intermediate_size / inner))
        })
        .reduce(|one, other| one.or(&other))
}

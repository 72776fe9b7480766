//! Dense matrix products.

use sglsim_expr::{Expr, ceil, ceil_div, max, min, piecewise};

use super::{MatrixFormat, OperatorLaw, present, side_by_side, throttled};
use crate::Hardware;

mod coefficients;

pub(crate) use coefficients::{CUBLAS, CUTLASS, DEEP_GEMM};
pub use coefficients::{GemmCoefficients, GemmTheta};

/// `(m, k) × (k, n)`: `m` rows of activations through a weight matrix.
#[derive(Clone, Debug)]
pub struct Gemm {
    /// Rows of activations \[token\].
    pub m: Expr,
    /// Columns of the weight on this rank \[1\].
    pub n: Expr,
    /// Inner dimension \[1\].
    pub k: Expr,
    /// Number format of inputs and weights.
    pub format: MatrixFormat,
    /// Size of one weight \[B\]; a fraction for packed formats and their scales.
    pub bytes_per_weight: f64,
    /// Size of one input activation \[B\].
    pub bytes_per_input: f64,
}

/// Size of an output element: results are written in 16 bits whatever the inputs are \[B\].
const OUTPUT_BYTES: u32 = 2;

impl Gemm {
    /// Arithmetic \[FLOP\]: a multiply and an add per term.
    #[must_use]
    pub fn flops(&self) -> Expr {
        2 * &self.m * &self.n * &self.k
    }

    /// Size of the weights \[B\], read once if there are rows at all.
    #[must_use]
    pub fn weight_bytes(&self) -> Expr {
        &self.n * &self.k * self.bytes_per_weight
    }

    /// Traffic of a row \[B\]: inputs and outputs once.
    #[must_use]
    pub fn bytes_per_row(&self) -> Expr {
        &self.k * self.bytes_per_input + &self.n * OUTPUT_BYTES
    }
}

/// Tiles of the output that run in waves over the streaming multiprocessors, beside the reading of
/// weights.
///
/// # Formula
///
/// ```text
/// tile   = max( 2·r·c·k·SM / (peak·η_r), k·t_step ) + t_tile·r·c/128²     for a tile of r × c; without
///                                                                         k·t_step in 16 bits
/// waves  = q·⌈tiles/SM⌉ + (1−q)·max(tiles/SM, 1),     tiles = ⌈m/r⌉·⌈n/c⌉, in CUTLASS's kernel with
///                                                     tiles of 128 rows 2·⌈m/256⌉·⌈n/c⌉
/// a(r,c) = waves·tile
/// a'     = min( a, t_split + tile·max(tiles/SM, 1/split) )                 16 bits only
/// arith  = A + g·max(A − t_hot, 0)
/// read   = (weights + m·row) / (BW·η_m) + k·t_step                          the last in 16 bits only
/// hidden = o·min(arith, read),             bare = hidden·t_bare/(hidden + t_bare)
/// t      = t₀ + p·inputs/BW + max(arith, read) + bare
/// ```
///
/// `A` is by kernel:
///
/// | format | kernel | `A` |
/// |---|---|---|
/// | 16 bits, 4-bit weights | cuBLAS | 64 × 64, split along `k` or not, whichever is faster |
/// | fp8 per tensor, int8, fp4 | CUTLASS | 64 × 64 up to 64 rows, 64 × 128 up to 128, then 128 × 128 |
/// | fp8 by blocks | DeepGEMM | the faster of 64 × 64 and 128 × 128 |
///
/// | symbol | meaning | unit |
/// |---|---|---|
/// | `SM` | streaming multiprocessors | 1 |
/// | `η_r`, `η_m` | `small_tile_efficiency` (64 rows) or `efficiency` (128, and in 16 bits), `bandwidth_efficiency` | 1 |
/// | `q`, `o` | `wave_quantisation`, `overlap` | 1 |
/// | `t₀`, `t_tile`, `t_step`, `t_split` | `latency`, `tile_latency`, `step_latency`, `split_latency` | s |
/// | `t_bare` | `overlap_limit`: what arithmetic and reading do not hide of each other is that of the first and last tiles | s |
/// | `split` | `split_limit` | 1 |
/// | `g`, `t_hot` | `throttle`, `throttle_onset` | 1, s |
/// | `p` | `input_passes`: 8- and 4-bit kernels quantise their 16-bit input first | 1 |
///
/// # Source
///
/// Roofline: Williams, Waterman, Patterson, CACM 2009. Tile and wave quantisation and split-K: NVIDIA,
/// "Matrix Multiplication Background User's Guide". Which tiles a kernel has: chosen from the timings
/// of SGLang 0.5.14 in NVIDIA aiconfigurator-core 0.12.0, whose steps at 64 and 128 rows show them;
/// that its 8-bit rows contain the quantisation shows in their growth with `m·k` at small `n`.
#[derive(Clone, Copy, Debug)]
pub struct TiledRoofline;

/// Area of the tile that `tile_latency` is the time of \[1\].
const TILE_AREA: f64 = 128.0 * 128.0;

/// Rows and columns of a tile of the output \[1\].
type Tile = (u32, u32);

/// One GEMM on one GPU.
struct Tiling<'a> {
    gemm: &'a Gemm,
    on: &'a Hardware,
    theta: &'a GemmTheta,
    format: MatrixFormat,
}

impl Tiling<'_> {
    /// Time of one tile of the output, and the tiles over the multiprocessors.
    fn tile(&self, (rows, columns): Tile) -> (Expr, Expr) {
        let (gemm, theta) = (self.gemm, self.theta);
        let wide = is_wide(self.format);
        let efficiency =
            if wide || rows > 64 { &theta.efficiency } else { &theta.small_tile_efficiency };
        let rate = self.on.peak_flops(self.format.precision()) * efficiency;
        let products = 2 * rows * columns * &gemm.k * &self.on.sm_count / rate;
        let products = match wide {
            true => products,
            false => max(products, &gemm.k * &theta.step_latency),
        };
        let area = f64::from(rows * columns) / TILE_AREA;
        let along_rows = match self.format {
            // CUTLASS multiplies large tiles by pairs that share the weights (a cluster).
            MatrixFormat::Fp8 | MatrixFormat::Int8 | MatrixFormat::Fp4 if rows > 64 => {
                2 * ceil_div(&gemm.m, 2 * rows)
            }
            _ => ceil_div(&gemm.m, rows),
        };
        let tiles = along_rows * ceil_div(&gemm.n, columns);
        (products + &theta.tile_latency * area, tiles / &self.on.sm_count)
    }

    /// Time of the arithmetic with one shape of tile.
    fn waves(&self, shape: Tile) -> Expr {
        let (tile, waves) = self.tile(shape);
        let share = &self.theta.wave_quantisation;
        let fluid = max(&waves, present(&self.gemm.m));
        ceil(&waves) * (share * &tile) + fluid * ((1 - share) * tile)
    }

    /// As [`Tiling::waves`], with the inner dimension split over multiprocessors that would be idle.
    fn split(&self, shape: Tile) -> Expr {
        let (tile, waves) = self.tile(shape);
        let any = present(&self.gemm.m);
        &any * &self.theta.split_latency + max(waves, any / &self.theta.split_limit) * tile
    }

    fn arithmetic(&self) -> Expr {
        let (small, wide, large) = ((64, 64), (64, 128), (128, 128));
        let m = &self.gemm.m;
        let time = match self.format {
            MatrixFormat::Bf16 | MatrixFormat::Int4 => min(self.waves(small), self.split(small)),
            MatrixFormat::Fp8Block => min(self.waves(small), self.waves(large)),
            _ => {
                // A larger tile never saves time here: the kernel is chosen by the rows alone.
                let small = self.waves(small);
                let wide = max(&small, self.waves(wide));
                let large = max(&wide, self.waves(large)) + &self.theta.large_tile_latency;
                piecewise([(m.le(64), small), (m.le(128), wide)], large)
            }
        };
        throttled(time, &self.theta.throttle, &self.theta.throttle_onset)
    }
}

impl OperatorLaw<Gemm> for TiledRoofline {
    fn name(&self) -> &str {
        "tiled roofline"
    }

    fn time(&self, gemm: &Gemm, on: &Hardware) -> Expr {
        let format = on.supported(gemm.format);
        let theta = on.theta.gemm(format);
        let arithmetic = Tiling { gemm, on, theta, format }.arithmetic();
        let bandwidth = &on.hbm_bandwidth * &theta.bandwidth_efficiency;
        let mut weights = gemm.weight_bytes() / &bandwidth;
        if is_wide(format) {
            weights = weights + &gemm.k * &theta.step_latency;
        }
        let read = present(&gemm.m) * weights + &gemm.m * (gemm.bytes_per_row() / bandwidth);
        let time = present(&gemm.m) * &theta.latency
            + side_by_side(&arithmetic, &read, &theta.overlap, &theta.overlap_limit);
        if is_wide(format) {
            return time;
        }
        let input = &gemm.k * gemm.bytes_per_input / &on.hbm_bandwidth;
        time + &gemm.m * (&theta.input_passes * input)
    }
}

/// Whether the inputs have 16 bits.
fn is_wide(format: MatrixFormat) -> bool {
    matches!(format, MatrixFormat::Bf16 | MatrixFormat::Int4)
}

//! Dense matrix products.

use sglsim_expr::{Expr, ceil_div, max};

use super::{MatrixFormat, OperatorLaw, present};
use crate::Hardware;

mod coefficients;

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

/// Roofline over tiles that run in waves.
///
/// # Formula
///
/// ```text
/// tiles = ⌈m/64⌉·⌈n/128⌉
/// waves = (1−q)·tiles/SM + q·⌈tiles/SM⌉
/// t = [m>0]·t₀ + max( waves·SM·2·64·128·k / (peak·η_c),  ([m>0]·weights + m·row) / (BW·η_m) )
/// ```
///
/// | symbol | meaning | unit |
/// |---|---|---|
/// | `q` | `gemm_…_wave_quantisation` | 1 |
/// | `SM` | streaming multiprocessors | 1 |
/// | `η_c`, `η_m` | `gemm_…_efficiency`, `gemm_…_bandwidth_efficiency` | 1 |
/// | `t₀` | `gemm_…_latency` | s |
///
/// # Source
///
/// Roofline: Williams, Waterman, Patterson, CACM 2009. Tile and wave quantisation: NVIDIA, "Matrix
/// Multiplication Background User's Guide". That only a share `q` of it is seen is fitted: split-K
/// and stream-K kernels fill the last wave. 64×128 is the smallest tile that reaches the full rate
/// on Hopper.
#[derive(Clone, Copy, Debug)]
pub struct TiledRoofline;

/// Tile of the output that one SM works on, rows and columns \[1\].
const TILE: (u32, u32) = (64, 128);

impl OperatorLaw<Gemm> for TiledRoofline {
    fn name(&self) -> &str {
        "tiled roofline"
    }

    fn time(&self, gemm: &Gemm, on: &Hardware) -> Expr {
        let format = on.supported(gemm.format);
        let theta = on.theta.gemm(format);
        let rate = on.peak_flops(format.precision()) * &theta.efficiency;
        let share = &theta.wave_quantisation;
        let tiles = ceil_div(&gemm.m, TILE.0) * ceil_div(&gemm.n, TILE.1);
        let tile = 2 * TILE.0 * TILE.1 * &gemm.k / rate;
        // Waves × SMs are the tiles as if the last wave were full: paid by the share that waits.
        let compute = &tiles * ((1 - share) * &tile)
            + ceil_div(&tiles, &on.sm_count) * (share * &on.sm_count * tile);
        let bandwidth = &on.hbm_bandwidth * &theta.bandwidth_efficiency;
        let memory = present(&gemm.m) * (gemm.weight_bytes() / &bandwidth)
            + &gemm.m * (gemm.bytes_per_row() / bandwidth);
        present(&gemm.m) * &theta.latency + max(compute, memory)
    }
}

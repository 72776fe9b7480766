//! Which measurements are kept out of a fit, to score it on shapes that it has not seen.

use sglsim_kernels::HeldOut;

use crate::CalibrateError;
use crate::dataset::{Dataset, Sample};

/// Checks the share of a split.
pub(crate) fn check(split: &HeldOut) -> Result<(), CalibrateError> {
    if (0.0..1.0).contains(&split.share) {
        return Ok(());
    }
    Err(CalibrateError::OutOfRange {
        field: "holdout",
        value: split.share,
        allowed: "from 0, below 1",
    })
}

/// Whether a sample is held out.
///
/// It is if a hash of the seed and of one of its shapes (such as `(n, k)` of a GEMM, or the head
/// counts or the batch of attention; [`Operator::shapes`](crate::Operator::shapes)) falls into
/// `share` of all hashes. Nothing else counts, so the split can be repeated on the same table, on a
/// longer one, and on that of another GPU.
pub(crate) fn holds_out(split: &HeldOut, data: &Dataset, sample: &Sample) -> bool {
    let operator = data.variants[sample.variant].operator;
    let numbers = data.numbers(sample);
    operator.shapes.iter().any(|shape| {
        let values = operator
            .numbers()
            .zip(numbers)
            .filter(|(argument, _)| shape.contains(&argument.name))
            .map(|(_, value)| value.to_bits());
        let name = shape.iter().flat_map(|name| name.bytes()).map(u64::from);
        let hash = name.chain(values).fold(mix(split.seed), |hash, it| mix(hash ^ it));
        // 53 bits are a float in [0, 1) exactly.
        ((hash >> 11) as f64) < split.share * (1u64 << 53) as f64
    })
}

/// The finaliser of SplitMix64 (Steele, Lea, Flood, OOPSLA 2014): spreads every bit over all.
pub(crate) fn mix(value: u64) -> u64 {
    let mut z = value.wrapping_add(0x9e37_79b9_7f4a_7c15);
    z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    z ^ (z >> 31)
}

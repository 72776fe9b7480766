//! The scalar functions that folding, intervals and the tape share, so that they agree.

/// `base` to a small integer power, by repeated multiplication.
pub(crate) fn powi(base: f64, exponent: i32) -> f64 {
    let (mut square, mut rest, mut product) = (base, exponent.unsigned_abs(), 1.0);
    while rest != 0 {
        if rest & 1 == 1 {
            product *= square;
        }
        square *= square;
        rest >>= 1;
    }
    if exponent < 0 { 1.0 / product } else { product }
}

/// `base` to a real power.
pub(crate) fn pow(base: f64, exponent: f64) -> f64 {
    base.powf(exponent)
}

/// The greater of two; the second if either is NaN.
#[inline]
pub(crate) fn max(a: f64, b: f64) -> f64 {
    if a > b { a } else { b }
}

/// The smaller of two; the second if either is NaN.
#[inline]
pub(crate) fn min(a: f64, b: f64) -> f64 {
    if a < b { a } else { b }
}

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

/// Where a rising function crosses zero in `lo ..= hi`, to the last bits; NaN if it does not.
///
/// False position with halved weights (Illinois; Dowell and Jarratt 1971), every third step a
/// bisection, so that neither steps nor kinks of the function slow it down.
pub(crate) fn crossing(lo: f64, hi: f64, mut function: impl FnMut(f64) -> f64) -> f64 {
    const STEPS: u32 = 300;
    let (mut a, mut b) = (lo, hi);
    let (mut below, mut above) = (function(a), function(b));
    if !(a <= b && below <= 0.0 && above >= 0.0) {
        return f64::NAN;
    }
    // Nearest to zero so far, and the weights that both ends have in the secant.
    let mut best = if -below <= above { (a, -below) } else { (b, above) };
    let mut last = 0.0;
    for step in 0..STEPS {
        if best.1 == 0.0 || b - a <= 1e-15 * max(a.abs(), b.abs()) {
            break;
        }
        let middle = a + (b - a) / 2.0;
        let secant = a - below * ((b - a) / (above - below));
        let x = if step % 3 != 2 && a < secant && secant < b { secant } else { middle };
        if !(a < x && x < b) {
            break;
        }
        let value = function(x);
        if value.is_nan() {
            return f64::NAN;
        }
        if value.abs() < best.1 {
            best = (x, value.abs());
        }
        let side = value.signum();
        if value < 0.0 {
            (a, below) = (x, value);
            above = if side == last { above / 2.0 } else { above };
        } else {
            (b, above) = (x, value);
            below = if side == last { below / 2.0 } else { below };
        }
        last = side;
    }
    best.0
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

/// `f64::ceil` in arithmetic, which the baseline x86-64 does in line and in lanes, where it has to
/// call for `ceil`. Adding 2⁵² of the same sign rounds to an integer, one too low at worst.
#[inline]
pub(crate) fn ceil(x: f64) -> f64 {
    const LIMIT: f64 = 4_503_599_627_370_496.0;
    let magic = LIMIT.copysign(x);
    let rounded = (x + magic) - magic;
    let up = if rounded < x { rounded + 1.0 } else { rounded };
    if x.abs() < LIMIT { up.copysign(x) } else { x }
}

/// `f64::floor`, likewise.
#[inline]
pub(crate) fn floor(x: f64) -> f64 {
    -ceil(-x)
}

#[cfg(test)]
mod tests {
    use super::{ceil, floor};

    #[test]
    fn ceil_is_ceil_to_the_bit() {
        let mut values = vec![0.0, 0.5, 1.0, 1.5, 2.5, 1e-300, 4e15, 4.6e15, 1e300, f64::INFINITY];
        values.extend((0..2000).map(|k| (f64::from(k) * 0.37).exp() * 1e-9));
        values.extend((0..200).flat_map(|k| {
            let whole = f64::from(k) * 1e13 + f64::from(k);
            [whole, whole.next_up(), whole.next_down()]
        }));
        for value in values.into_iter().flat_map(|v| [v, -v]) {
            assert_eq!(ceil(value).to_bits(), value.ceil().to_bits(), "{value}");
            assert_eq!(floor(value).to_bits(), value.floor().to_bits(), "{value}");
        }
        assert!(ceil(f64::NAN).is_nan());
    }
}

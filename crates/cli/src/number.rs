//! Numbers as a person reads them.

use sglsim_units::Bytes;

/// What stands where there is no number.
pub(crate) const NONE: &str = "–";

/// A count with thousands separated.
pub(crate) fn count(n: u64) -> String {
    let digits = n.to_string();
    let mut out = String::new();
    for (i, digit) in digits.chars().enumerate() {
        if i > 0 && (digits.len() - i).is_multiple_of(3) {
            out.push(',');
        }
        out.push(digit);
    }
    out
}

/// A count and its noun: `1 GPU`, `16 GPUs`.
pub(crate) fn counted(n: u64, noun: &str) -> String {
    let plural = if n == 1 { "" } else { "s" };
    format!("{} {noun}{plural}", count(n))
}

/// A number that is not negative, with `decimals` digits after the point and thousands separated.
pub(crate) fn fixed(x: f64, decimals: usize) -> String {
    let text = format!("{x:.decimals$}");
    let (whole, rest) = text.split_at(text.find('.').unwrap_or(text.len()));
    match whole.parse() {
        Ok(whole) => count(whole) + rest,
        Err(_) => text,
    }
}

/// A rate or a mean: as many decimals as matter.
pub(crate) fn number(x: f64) -> String {
    let decimals = match x {
        x if x == 0.0 || x >= 1e3 => 0,
        x if x >= 1e2 => 1,
        x if x >= 1.0 => 2,
        _ => 4,
    };
    fixed(x, decimals)
}

pub(crate) fn percent(share: f64) -> String {
    format!("{:.1} %", share * 100.0)
}

/// A change as a share, with its sign.
pub(crate) fn signed_percent(share: f64) -> String {
    let text = format!("{:.1} %", share.abs() * 100.0);
    match text.as_str() {
        "0.0 %" => text,
        _ if share < 0.0 => format!("−{text}"),
        _ => format!("+{text}"),
    }
}

/// Four digits of a number of any size.
pub(crate) fn digits(x: f64) -> String {
    match x.abs() {
        size if size >= 1e7 || (size > 0.0 && size < 1e-4) => format!("{x:.3e}"),
        size if size >= 1e3 => fixed(x, 0),
        size if size >= 1e2 => fixed(x, 1),
        size if size >= 1.0 => fixed(x, 2),
        _ => fixed(x, 4),
    }
}

/// Bytes in binary gigabytes.
pub(crate) fn gib(bytes: Bytes) -> String {
    const GIB: f64 = 1_073_741_824.0;
    format!("{:.1} GiB", bytes.get() / GIB)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn thousands_are_separated() {
        let cases = [(0, "0"), (999, "999"), (1000, "1,000"), (144_793_823, "144,793,823")];
        for (n, text) in cases {
            assert_eq!(count(n), text);
        }
    }

    #[test]
    fn one_is_singular() {
        assert_eq!(counted(1, "GPU"), "1 GPU");
        assert_eq!(counted(16, "GPU"), "16 GPUs");
        assert_eq!(counted(0, "worker"), "0 workers");
    }

    #[test]
    fn numbers_have_the_digits_that_matter() {
        let cases = [
            (0.0, "0"),
            (0.01234, "0.0123"),
            (3.4015, "3.40"),
            (342.62, "342.6"),
            (999.99, "1,000.0"),
            (40_935.4, "40,935"),
        ];
        for (x, text) in cases {
            assert_eq!(number(x), text);
        }
        assert_eq!(fixed(1_234_567.891, 2), "1,234,567.89");
    }
}

//! Wall-clock timestamps, read strictly.

/// Nanoseconds since 1970-01-01 00:00:00 UTC of `YYYY-MM-DD HH:MM:SS[.fraction][zone]`.
///
/// The separator may be `T`, the fraction has one to nine digits, the zone is `Z` or `±HH:MM`;
/// without a zone the time is UTC. Years 1970 to 2261, the range of 64 bits. `None` for anything
/// else, a 30th of February included.
pub(crate) fn wall_clock(text: &str) -> Option<i64> {
    let bytes = text.as_bytes();
    let number = |from: usize, to: usize| -> Option<i64> {
        let digits = bytes.get(from..to)?;
        digits.iter().try_fold(0, |sum, digit| {
            digit.is_ascii_digit().then(|| sum * 10 + i64::from(digit - b'0'))
        })
    };
    let is = |at: usize, allowed: &[u8]| bytes.get(at).is_some_and(|byte| allowed.contains(byte));

    let (year, month, day) = (number(0, 4)?, number(5, 7)?, number(8, 10)?);
    let (hour, minute, second) = (number(11, 13)?, number(14, 16)?, number(17, 19)?);
    let separated = is(4, b"-") && is(7, b"-") && is(10, b" T") && is(13, b":") && is(16, b":");
    if !separated || hour > 23 || minute > 59 || second > 59 {
        return None;
    }

    let mut end = 19;
    let mut nanoseconds = 0;
    if is(end, b".") {
        let digits = bytes[end + 1..].iter().take_while(|byte| byte.is_ascii_digit()).count();
        if !(1..=9).contains(&digits) {
            return None;
        }
        let fraction = number(end + 1, end + 1 + digits)?;
        nanoseconds = fraction * 10_i64.pow(9 - u32::try_from(digits).ok()?);
        end += 1 + digits;
    }
    let offset_minutes = match bytes.get(end..)? {
        b"" | b"Z" => 0,
        [sign @ (b'+' | b'-'), rest @ ..] if rest.len() == 5 && rest[2] == b':' => {
            let (hours, minutes) = (number(end + 1, end + 3)?, number(end + 4, end + 6)?);
            if hours > 23 || minutes > 59 {
                return None;
            }
            let offset = hours * 60 + minutes;
            if *sign == b'-' { -offset } else { offset }
        }
        _ => return None,
    };

    let minutes = (days(year, month, day)? * 24 + hour) * 60 + minute - offset_minutes;
    (minutes * 60 + second).checked_mul(1_000_000_000)?.checked_add(nanoseconds)
}

/// Days from 1970-01-01 to a date of the Gregorian calendar.
fn days(year: i64, month: i64, day: i64) -> Option<i64> {
    let leap = year % 4 == 0 && (year % 100 != 0 || year % 400 == 0);
    let lengths = [31, if leap { 29 } else { 28 }, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31];
    let month = usize::try_from(month - 1).ok()?;
    let valid = (1970..=2261).contains(&year) && (1..=*lengths.get(month)?).contains(&day);
    // Leap days before the first of January of a year.
    let leap_days = |year: i64| {
        let years = year - 1;
        years / 4 - years / 100 + years / 400
    };
    let before_year = (year - 1970) * 365 + leap_days(year) - leap_days(1970);
    valid.then(|| before_year + lengths[..month].iter().sum::<i64>() + day - 1)
}

#[cfg(test)]
mod tests;

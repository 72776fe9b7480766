//! The known name closest to a misspelt one.

use std::fmt;

/// The name in `known` that is closest to `name`, if one is close enough to be a likely typo.
///
/// Close enough means a Damerau–Levenshtein distance of at most a third of the longer name,
/// rounded up; ties go to the first in `known`. Case and the difference between `-`, `_` and `.`
/// count as nothing.
///
/// ```
/// use sglsim_units::nearest;
/// assert_eq!(nearest("hbm_bandwidht", ["hbm_bandwidth", "hbm_capacity"]), Some("hbm_bandwidth"));
/// assert_eq!(nearest("colour", ["seed", "trace"]), None);
/// ```
#[must_use]
pub fn nearest<'a>(name: &str, known: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    let fold = |s: &str| s.to_lowercase().replace(['-', '.', ' '], "_");
    let wanted = fold(name);
    known
        .into_iter()
        .map(|candidate| {
            let folded = fold(candidate);
            let distance = strsim::damerau_levenshtein(&wanted, &folded);
            // Of equally near names the one that starts alike: slips are rare in a first letter.
            let strange = folded.chars().next() != wanted.chars().next();
            let longer = folded.chars().count().max(wanted.chars().count());
            (distance, longer, strange, candidate)
        })
        .filter(|(distance, longer, ..)| *distance <= longer.div_ceil(3))
        .min_by_key(|(distance, _, strange, _)| (*distance, *strange))
        .map(|(.., candidate)| candidate)
}

/// Prints `; did you mean `x`?` after a message, or nothing.
///
/// ```
/// use sglsim_units::Nearest;
/// assert_eq!(Nearest::to("sed", ["seed"]).to_string(), "; did you mean `seed`?");
/// assert_eq!(Nearest::to("qqq", ["seed"]).to_string(), "");
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Nearest(Option<String>);

impl Nearest {
    /// The hint for `name` among `known`.
    #[must_use]
    pub fn to<'a>(name: &str, known: impl IntoIterator<Item = &'a str>) -> Self {
        Self(nearest(name, known).map(str::to_owned))
    }
}

impl fmt::Display for Nearest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.0 {
            Some(name) => write!(f, "; did you mean `{name}`?"),
            None => Ok(()),
        }
    }
}

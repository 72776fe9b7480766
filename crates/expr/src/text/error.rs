//! What can be wrong with a text, and where.

use std::fmt;
use std::ops::Range;

use sglsim_units::Nearest;

use crate::ExprError;

/// Problems that are printed; a text may have many more.
const PRINTED: usize = 20;

/// Characters of a long line that are shown around a problem.
const SHOWN: usize = 90;

/// Everything that is wrong with a text, in order.
///
/// As text it is one excerpt for each problem, with the place underlined.
#[derive(Clone, Debug, PartialEq)]
pub struct Problems(pub(crate) Vec<Problem>);

impl Problems {
    /// The problems, at least one.
    #[must_use]
    pub fn as_slice(&self) -> &[Problem] {
        &self.0
    }
}

/// One thing that is wrong with a text.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub struct Problem {
    /// Line, counted from 1.
    pub line: usize,
    /// Column of the first character, counted from 1.
    pub column: usize,
    /// What is wrong.
    pub error: TextError,
    /// The line, or the part of it around the problem.
    excerpt: String,
    /// Characters of the excerpt that are underlined.
    underlined: Range<usize>,
}

/// What can be wrong with a text.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
#[non_exhaustive]
pub enum TextError {
    /// Something else should stand here.
    #[error("expected {expected}, found {found}")]
    Expected {
        /// What should stand here, in words.
        expected: &'static str,
        /// What does.
        found: String,
    },
    /// A name that nothing was declared as.
    #[error("unknown name `{name}`{hint}")]
    UnknownName {
        /// The name.
        name: String,
        /// The known name closest to it.
        hint: Nearest,
    },
    /// A function that there is not.
    #[error("unknown function `{name}`{hint}")]
    UnknownFunction {
        /// The name.
        name: String,
        /// The known function closest to it.
        hint: Nearest,
    },
    /// A function has too few or too many arguments.
    #[error("`{function}` takes {expected}, found {found}")]
    Arguments {
        /// The function.
        function: &'static str,
        /// What it takes, in words.
        expected: &'static str,
        /// How many there are.
        found: usize,
    },
    /// A case distinction has no last value without a guard.
    #[error("no value for when no guard holds; end with `; value}}`")]
    NoFallback,
    /// A name is declared twice.
    #[error("`{name}` is already declared")]
    Duplicate {
        /// The name.
        name: String,
    },
    /// Nesting beyond the limit.
    #[error("nested more than {limit} deep; name a part with `let`")]
    TooDeep {
        /// The limit.
        limit: usize,
    },
    /// What the text says cannot be built.
    #[error(transparent)]
    Invalid(#[from] Box<ExprError>),
}

impl Problem {
    /// A problem at a range of bytes of `source`.
    pub(super) fn at(source: &str, span: &Range<usize>, error: TextError) -> Problem {
        let start = source[..span.start].rfind('\n').map_or(0, |at| at + 1);
        let end = source[span.start..].find('\n').map_or(source.len(), |at| span.start + at);
        let line = source[..start].matches('\n').count() + 1;
        let before = source[start..span.start].chars().count();
        let width = source[span.start..span.end.min(end).max(span.start)].chars().count().max(1);
        // Of a long line only what is around the place.
        let skipped = if before + width > SHOWN { before.saturating_sub(SHOWN / 3) } else { 0 };
        let text = source[start..end].trim_end();
        let excerpt: String = text.chars().skip(skipped).take(SHOWN).collect();
        let first = before - skipped;
        let underlined = first..(first + width).min(SHOWN.max(first + 1));
        Problem { line, column: before + 1, error, excerpt, underlined }
    }
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Problem { line, column, error, excerpt, underlined } = self;
        let number = line.to_string();
        let margin = " ".repeat(number.len());
        writeln!(f, "{line}:{column}: {error}")?;
        writeln!(f, "{number} | {excerpt}")?;
        let space = " ".repeat(underlined.start);
        write!(f, "{margin} | {space}{}", "^".repeat(underlined.len()))
    }
}

impl fmt::Display for Problems {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (position, problem) in self.0.iter().take(PRINTED).enumerate() {
            f.write_str(if position == 0 { "" } else { "\n" })?;
            problem.fmt(f)?;
        }
        match self.0.len().saturating_sub(PRINTED) {
            0 => Ok(()),
            more => write!(f, "\nand {more} more problems"),
        }
    }
}

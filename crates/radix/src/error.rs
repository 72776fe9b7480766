//! What can be wrong with the input of this crate.

use sglsim_units::Nearest;

use crate::PageSize;

/// An input was refused.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum RadixError {
    /// A page size is outside its range.
    #[error("`page_size` is {value} tokens, allowed is 1 to {}", PageSize::MAX)]
    PageSize {
        /// The refused value \[token\].
        value: u32,
    },
    /// An eviction policy has an unknown name.
    #[error(
        "unknown eviction policy `{name}`, known are {}{}",
        known.join(", "),
        Nearest::to(name, known.iter().copied())
    )]
    UnknownEvictionPolicy {
        /// The name given.
        name: String,
        /// The names there are.
        known: Vec<&'static str>,
    },
    /// A write policy of the host tier has an unknown name.
    #[error(
        "unknown write policy `{name}`, known are {}{}",
        known.join(", "),
        Nearest::to(name, known.iter().copied())
    )]
    UnknownWritePolicy {
        /// The name given.
        name: String,
        /// The names there are.
        known: Vec<&'static str>,
    },
    /// The page pool cannot serve an allocation.
    #[error(
        "{requested_tokens} tokens ({requested_pages} pages of {page_size}) requested, \
         {available_tokens} tokens ({available_pages} pages) available"
    )]
    OutOfPages {
        /// Tokens asked for \[token\].
        requested_tokens: u64,
        /// Whole pages that this takes.
        requested_pages: u64,
        /// Tokens in free pages \[token\].
        available_tokens: u64,
        /// Free pages.
        available_pages: u64,
        /// Tokens of one page \[token\].
        page_size: PageSize,
    },
}

//! The page size, checked once, with the roundings that everyone needs.

use std::fmt;

use serde::{Deserialize, Serialize};

use crate::RadixError;

/// Tokens of one KV page \[token\]: at least 1, at most [`PageSize::MAX`].
///
/// ```
/// use sglsim_radix::PageSize;
/// let page = PageSize::new(16)?;
/// assert_eq!((page.floor(31), page.ceil(17), page.pages(17)), (16, 32, 2));
/// assert!(PageSize::new(0).is_err());
/// # Ok::<(), sglsim_radix::RadixError>(())
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "u32", into = "u32")]
pub struct PageSize(u32);

impl PageSize {
    /// A page of one token: every token is cached by itself.
    pub const ONE: PageSize = PageSize(1);
    /// The largest page \[token\]; real ones have 1 to 128 tokens, hashed trace blocks 512.
    pub const MAX: u32 = 1 << 20;

    /// Checks and wraps a page size.
    ///
    /// # Errors
    ///
    /// [`RadixError::PageSize`] for 0 and above [`PageSize::MAX`].
    pub fn new(tokens: u32) -> Result<Self, RadixError> {
        if (1..=Self::MAX).contains(&tokens) {
            Ok(Self(tokens))
        } else {
            Err(RadixError::PageSize { value: tokens })
        }
    }

    /// Tokens of one page \[token\].
    #[must_use]
    pub fn get(self) -> u32 {
        self.0
    }

    /// `tokens` rounded down to whole pages \[token\].
    #[must_use]
    pub fn floor(self, tokens: u64) -> u64 {
        tokens - tokens % u64::from(self.0)
    }

    /// `tokens` rounded up to whole pages \[token\]; `u64::MAX` where that is more than fits.
    #[must_use]
    pub fn ceil(self, tokens: u64) -> u64 {
        self.pages(tokens).saturating_mul(u64::from(self.0))
    }

    /// Pages needed for `tokens`.
    #[must_use]
    pub fn pages(self, tokens: u64) -> u64 {
        tokens.div_ceil(u64::from(self.0))
    }
}

impl Default for PageSize {
    fn default() -> Self {
        Self::ONE
    }
}

impl TryFrom<u32> for PageSize {
    type Error = RadixError;

    fn try_from(tokens: u32) -> Result<Self, RadixError> {
        Self::new(tokens)
    }
}

impl From<PageSize> for u32 {
    fn from(page: PageSize) -> u32 {
        page.0
    }
}

impl fmt::Display for PageSize {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

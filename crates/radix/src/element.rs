//! What a token sequence is made of: runs of tokens that can be compared and cut.

use std::fmt;
use std::hash::Hash;

use serde::{Deserialize, Serialize};

/// A run of one or more tokens: the letter of the alphabet that trees are built over.
///
/// [`Span`] is a long run in 16 bytes; `u32` is one real token id. Two elements are equal if and
/// only if all their tokens are. Open: implement it for your own token identity.
pub trait Element: Copy + Eq + Hash + fmt::Debug + Send + Sync + 'static {
    /// Number of tokens \[token\].
    fn tokens(&self) -> u32;

    /// Length of the common prefix with `other` \[token\], at most the shorter of the two.
    fn common_prefix(&self, other: &Self) -> u32;

    /// The first `at` tokens and the rest.
    ///
    /// `at` is at most `self.tokens()`. One side may be empty; empty elements carry no tokens and
    /// are skipped everywhere.
    #[must_use]
    fn split(self, at: u32) -> (Self, Self);

    /// The one element that stands for `self` followed by `next`, if there is one.
    ///
    /// Must give one answer for every way to cut the same tokens: joining from left to right leads
    /// to the same list wherever the cuts were.
    #[must_use]
    fn join(self, next: Self) -> Option<Self>;
}

/// Tokens `[offset, offset + len)` of the text called `content`.
///
/// Two tokens are equal if and only if content and position in it are. Nothing is said about the
/// tokens themselves: a block of a hashed trace, a system prompt or one request's answer is a
/// content. Positions are below 2³²: `offset + len` is at most that.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Span {
    /// Which text.
    pub content: u64,
    /// First token in it \[token\].
    pub offset: u32,
    /// Number of tokens \[token\].
    pub len: u32,
}

impl Span {
    /// The first `len` tokens of `content`.
    #[must_use]
    pub fn new(content: u64, len: u32) -> Self {
        Self { content, offset: 0, len }
    }
}

impl Element for Span {
    fn tokens(&self) -> u32 {
        self.len
    }

    fn common_prefix(&self, other: &Self) -> u32 {
        if self.content == other.content && self.offset == other.offset {
            self.len.min(other.len)
        } else {
            0
        }
    }

    fn split(self, at: u32) -> (Self, Self) {
        let at = at.min(self.len);
        let rest = Self { offset: self.offset.wrapping_add(at), len: self.len - at, ..self };
        (Self { len: at, ..self }, rest)
    }

    fn join(self, next: Self) -> Option<Self> {
        let touches =
            self.content == next.content && self.offset.checked_add(self.len) == Some(next.offset);
        let len = self.len.checked_add(next.len)?;
        touches.then_some(Self { len, ..self })
    }
}

/// A real token id.
impl Element for u32 {
    fn tokens(&self) -> u32 {
        1
    }

    fn common_prefix(&self, other: &Self) -> u32 {
        u32::from(self == other)
    }

    /// A token cannot be cut: the pair holds it twice, and callers use the side that has tokens.
    fn split(self, _at: u32) -> (Self, Self) {
        (self, self)
    }

    fn join(self, _next: Self) -> Option<Self> {
        None
    }
}

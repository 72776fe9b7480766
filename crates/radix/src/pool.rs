//! How much KV memory is free, in whole pages.

use crate::{PageSize, RadixError};

/// The KV pool of one worker: counts of pages, without their identity, which no timing depends on.
///
/// Both [`allocate`](PagePool::allocate) and [`release`](PagePool::release) round up to whole
/// pages, so a caller that returns what it took, request by request, comes out even.
///
/// # Source
///
/// SGLang 0.5.23, `mem_cache/allocator/`: a page belongs to one request or to the tree.
///
/// ```
/// use sglsim_radix::{PagePool, PageSize};
/// let mut pool = PagePool::new(100, PageSize::new(16)?);
/// assert_eq!(pool.capacity(), 96);
/// assert_eq!(pool.allocate(17)?, 32);
/// assert_eq!(pool.available(), 64);
/// assert_eq!(
///     pool.allocate(65).unwrap_err().to_string(),
///     "65 tokens (5 pages of 16) requested, 64 tokens (4 pages) available",
/// );
/// pool.release(17);
/// assert_eq!(pool.available(), 96);
/// # Ok::<(), sglsim_radix::RadixError>(())
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PagePool {
    page_size: PageSize,
    capacity: u64,
    available: u64,
}

impl PagePool {
    /// A free pool of as many whole pages as `capacity` tokens hold.
    #[must_use]
    pub fn new(capacity: u64, page_size: PageSize) -> Self {
        let capacity = page_size.floor(capacity);
        Self { page_size, capacity, available: capacity }
    }

    /// Tokens of one page \[token\].
    #[must_use]
    pub fn page_size(&self) -> PageSize {
        self.page_size
    }

    /// All tokens, free or not \[token\].
    #[must_use]
    pub fn capacity(&self) -> u64 {
        self.capacity
    }

    /// Tokens in free pages \[token\].
    #[must_use]
    pub fn available(&self) -> u64 {
        self.available
    }

    /// Tokens in pages that are taken \[token\].
    #[must_use]
    pub fn in_use(&self) -> u64 {
        self.capacity - self.available
    }

    /// Takes whole pages for `tokens` and returns their size \[token\]; all or nothing.
    ///
    /// # Errors
    ///
    /// [`RadixError::OutOfPages`], and nothing is taken, if fewer pages are free.
    pub fn allocate(&mut self, tokens: u64) -> Result<u64, RadixError> {
        let pages = self.page_size.pages(tokens);
        let page = u64::from(self.page_size.get());
        match pages.checked_mul(page) {
            Some(taken) if taken <= self.available => {
                self.available -= taken;
                Ok(taken)
            }
            _ => Err(RadixError::OutOfPages {
                requested_tokens: tokens,
                requested_pages: pages,
                available_tokens: self.available,
                available_pages: self.available / page,
                page_size: self.page_size,
            }),
        }
    }

    /// Gives back whole pages of `tokens` and returns their size \[token\].
    ///
    /// # Panics
    ///
    /// If more is given back than was taken: someone counts a page twice.
    pub fn release(&mut self, tokens: u64) -> u64 {
        let given = self.page_size.ceil(tokens);
        assert!(
            given <= self.in_use(),
            "{given} tokens given back to a pool that has {} in use",
            self.in_use()
        );
        self.available += given;
        given
    }
}

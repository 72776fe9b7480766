//! Token sequences, prefix caches and page accounting, as in SGLang's `mem_cache`.
//!
//! This crate knows tokens, pages and recency. It knows nothing of requests, time or hardware:
//! a scheduler asks it what of a prompt is already there, and what may go.
//!
//! * [`Sequence`] and [`Key`]: a prompt as a short list of [`Span`]s (or real `u32` token ids), and
//!   a cheap view of a part of it;
//! * [`PrefixCache`]: the seam. [`RadixCache`] is SGLang's tree, [`BlockLru`] a plain LRU over
//!   fixed-size blocks as in vLLM, [`NoCache`] is `--disable-radix-cache`; a radix cache
//!   [`with_host_tier`](RadixCache::with_host_tier) is SGLang's HiCache;
//! * [`PagePool`]: how many tokens of KV are free, in whole pages;
//! * [`Holding`]: a request's share of a cache, published at every checkpoint of its life;
//! * `testing` (feature `testing`): a conformance suite for your own [`PrefixCache`].
//!
//! ```
//! use sglsim_radix::{EvictionPolicy, Key, PageSize, PrefixCache, Prompt, RadixCache, Span};
//!
//! let system = Span::new(7, 100); // 100 tokens that many prompts share
//! let first = Prompt::new(vec![system, Span::new(1, 50)]);
//! let second = Prompt::new(vec![system, Span::new(2, 80)]);
//!
//! let mut cache = RadixCache::new(PageSize::new(16)?, EvictionPolicy::Lru);
//! cache.insert(Key::new(&first), 0);
//! assert_eq!(cache.evictable_tokens(), 144); // 150 tokens are nine whole pages
//!
//! let hit = cache.match_prefix(Key::new(&second));
//! assert_eq!(hit.tokens, 96); // 100 shared tokens are six whole pages
//! # Ok::<(), sglsim_radix::RadixError>(())
//! ```

mod arena;
mod block_lru;
mod cache;
mod checkpoint;
mod element;
mod error;
mod eviction;
mod key;
mod no_cache;
mod page;
mod pool;
mod sequence;
#[cfg(feature = "testing")]
pub mod testing;
mod tree;

pub use arena::NodeId;
pub use block_lru::BlockLru;
pub use cache::{Backup, Inserted, PrefixCache, PrefixMatch};
pub use checkpoint::Holding;
pub use element::{Element, Span};
pub use error::RadixError;
pub use eviction::EvictionPolicy;
pub use key::{Cursor, Key};
pub use no_cache::NoCache;
pub use page::PageSize;
pub use pool::PagePool;
pub use sequence::{Prompt, Sequence};
pub use tree::{LOAD_BACK_THRESHOLD, RadixCache, WritePolicy};

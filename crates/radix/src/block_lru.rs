//! A plain LRU over fixed-size blocks.

use hashbrown::HashTable;
use smallvec::SmallVec;

use crate::arena::Arena;
use crate::element::Span;
use crate::{Cursor, Element, Inserted, Key, NodeId, PageSize, PrefixCache, PrefixMatch};

/// A prefix cache of single pages, as vLLM keeps them: each known by its tokens and all before it,
/// evicted one by one, least recently used first, the end of a prompt before its head.
///
/// Unlike [`RadixCache`](crate::RadixCache) it never frees more than a page too many, and it has
/// no nodes whose cuts matter. Every operation is O(1) per page.
///
/// Recency is that of vLLM's free list: a page leaves it when locked and goes to its young end when
/// the last lock is gone; a match or an insert moves unlocked pages there too. Each walks from the
/// end of the prompt to its head, so that no page ever goes before one that follows it.
///
/// # Source
///
/// vLLM, `v1/core/block_pool.py` and `v1/core/kv_cache_manager.py`: free blocks in eviction order,
/// a request's blocks returned last block first.
#[derive(Clone, Debug)]
pub struct BlockLru<E: Element = Span> {
    page_size: PageSize,
    blocks: Arena<Block<E>>,
    /// All blocks but the root, by parent, namespace and tokens.
    children: HashTable<u32>,
    evictable: u64,
    protected: u64,
}

/// The root, which is also the sentinel of the circular list of unlocked blocks: the oldest follows
/// it, the youngest precedes it.
const ROOT: u32 = 0;

#[derive(Clone, Debug)]
struct Block<E> {
    run: SmallVec<[E; 1]>,
    hash: u64,
    namespace: u32,
    parent: u32,
    locks: u32,
    older: u32,
    younger: u32,
}

impl<E: Element> BlockLru<E> {
    /// An empty cache of blocks of `page_size` tokens.
    #[must_use]
    pub fn new(page_size: PageSize) -> Self {
        let root = Block {
            run: SmallVec::new(),
            hash: 0,
            namespace: 0,
            parent: ROOT,
            locks: 0,
            older: ROOT,
            younger: ROOT,
        };
        Self {
            page_size,
            blocks: Arena::new(root),
            children: HashTable::new(),
            evictable: 0,
            protected: 0,
        }
    }

    /// Number of blocks kept.
    #[must_use]
    pub fn blocks(&self) -> usize {
        self.blocks.len() - 1
    }

    fn page(&self) -> u64 {
        u64::from(self.page_size.get())
    }

    /// The block that follows `at` with the tokens at `cursor`.
    fn child(&self, at: u32, hash: u64, cursor: Cursor<'_, E>, namespace: u32) -> Option<u32> {
        let found = self.children.find(hash, |&child| {
            let block = &self.blocks[child];
            block.hash == hash
                && block.parent == at
                && block.namespace == namespace
                && Cursor::over(&block.run).common_prefix(&mut cursor.clone()) == self.page()
        });
        found.copied()
    }

    /// Keeps the page at `cursor` as a new block after `parent`, not yet in the list.
    fn add(&mut self, parent: u32, hash: u64, mut cursor: Cursor<'_, E>, namespace: u32) -> u32 {
        let mut run = SmallVec::new();
        cursor.for_each_run(self.page(), |part| run.push(part));
        let block = self.blocks.insert(Block {
            run,
            hash,
            namespace,
            parent,
            locks: 0,
            older: ROOT,
            younger: ROOT,
        });
        let blocks = &self.blocks;
        self.children.insert_unique(hash, block, |&child| blocks[child].hash);
        self.link(block);
        self.evictable += self.page();
        block
    }

    /// Makes `block` the youngest.
    fn link(&mut self, block: u32) {
        let youngest = self.blocks[ROOT].older;
        let entry = &mut self.blocks[block];
        (entry.older, entry.younger) = (youngest, ROOT);
        self.blocks[youngest].younger = block;
        self.blocks[ROOT].older = block;
    }

    /// Takes `block` out of the list.
    fn unlink(&mut self, block: u32) {
        let Block { older, younger, .. } = self.blocks[block];
        self.blocks[older].younger = younger;
        self.blocks[younger].older = older;
    }

    /// Makes all unlocked blocks up to `last` the youngest, the head of the prompt last.
    fn refresh(&mut self, last: u32) {
        let mut at = last;
        while at != ROOT {
            if self.blocks[at].locks == 0 {
                self.unlink(at);
                self.link(at);
            }
            at = self.blocks[at].parent;
        }
    }

    /// Goes along `cursor` from block to block as far as they are kept.
    fn walk(&self, cursor: &mut Cursor<'_, E>, namespace: u32) -> u32 {
        let mut last = ROOT;
        while cursor.left() >= self.page() {
            let hash = cursor.hash_of_next(self.page(), seed(last, namespace));
            let Some(next) = self.child(last, hash, *cursor, namespace) else { break };
            cursor.skip(self.page());
            last = next;
        }
        last
    }
}

fn seed(parent: u32, namespace: u32) -> u64 {
    u64::from(parent) << 32 | u64::from(namespace)
}

impl<E: Element> PrefixCache<E> for BlockLru<E> {
    fn name(&self) -> &str {
        "block-lru"
    }

    fn page_size(&self) -> PageSize {
        self.page_size
    }

    fn match_prefix(&mut self, key: Key<'_, E>) -> PrefixMatch {
        let mut cursor = key.whole_pages(self.page_size).cursor();
        let all = cursor.left();
        let last = self.walk(&mut cursor, key.namespace());
        self.refresh(last);
        PrefixMatch::on_device(all - cursor.left(), self.blocks.id(last))
    }

    fn insert(&mut self, key: Key<'_, E>, _inserted_len: u64) -> Inserted {
        let mut cursor = key.whole_pages(self.page_size).cursor();
        let tokens = cursor.left();
        let mut last = self.walk(&mut cursor, key.namespace());
        let present = tokens - cursor.left();
        while cursor.left() > 0 {
            let hash = cursor.hash_of_next(self.page(), seed(last, key.namespace()));
            last = self.add(last, hash, cursor, key.namespace());
            cursor.skip(self.page());
        }
        self.refresh(last);
        Inserted { present, tokens, node: self.blocks.id(last) }
    }

    fn lock(&mut self, node: NodeId) {
        let mut at = self.blocks.resolve(node);
        while at != ROOT {
            if self.blocks[at].locks == 0 {
                self.unlink(at);
                self.evictable -= self.page();
                self.protected += self.page();
            }
            self.blocks[at].locks += 1;
            at = self.blocks[at].parent;
        }
    }

    fn unlock(&mut self, node: NodeId) {
        let mut at = self.blocks.resolve(node);
        while at != ROOT {
            let block = &mut self.blocks[at];
            block.locks = block.locks.checked_sub(1).expect("a node is unlocked only when locked");
            if block.locks == 0 {
                self.link(at);
                self.evictable += self.page();
                self.protected -= self.page();
            }
            at = self.blocks[at].parent;
        }
    }

    fn evict(&mut self, tokens: u64) -> u64 {
        let mut freed = 0;
        while freed < tokens {
            let oldest = self.blocks[ROOT].younger;
            if oldest == ROOT {
                break;
            }
            self.unlink(oldest);
            self.children
                .find_entry(self.blocks[oldest].hash, |&child| child == oldest)
                .expect("every block is a child")
                .remove();
            self.blocks.remove(oldest);
            freed += self.page();
        }
        self.evictable -= freed;
        freed
    }

    fn evictable_tokens(&self) -> u64 {
        self.evictable
    }

    fn protected_tokens(&self) -> u64 {
        self.protected
    }
}

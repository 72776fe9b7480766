//! Node storage: dense slots, reused after removal, with ids that know their generation.

use std::ops::{Index, IndexMut};

/// A place in a prefix cache, as handed out by it.
///
/// Knows when its node was evicted and the slot reused: using it then is a panic, not a wrong
/// answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct NodeId {
    index: u32,
    generation: u32,
}

impl NodeId {
    /// The root: the empty prefix. It is never evicted.
    pub const ROOT: NodeId = NodeId { index: 0, generation: 0 };
}

/// Slots of `T`, addressed by index inside a cache and by [`NodeId`] outside.
#[derive(Clone, Debug)]
pub(crate) struct Arena<T> {
    slots: Vec<Slot<T>>,
    free: Vec<u32>,
}

#[derive(Clone, Debug)]
struct Slot<T> {
    generation: u32,
    value: Option<T>,
}

impl<T> Arena<T> {
    /// An arena that holds `root` as [`NodeId::ROOT`].
    pub(crate) fn new(root: T) -> Self {
        Self { slots: vec![Slot { generation: 0, value: Some(root) }], free: Vec::new() }
    }

    pub(crate) fn insert(&mut self, value: T) -> u32 {
        if let Some(index) = self.free.pop() {
            self.slots[index as usize].value = Some(value);
            return index;
        }
        let index = u32::try_from(self.slots.len()).expect("a cache has fewer than 2^32 nodes");
        self.slots.push(Slot { generation: 0, value: Some(value) });
        index
    }

    pub(crate) fn remove(&mut self, index: u32) -> T {
        let slot = &mut self.slots[index as usize];
        slot.generation = slot.generation.wrapping_add(1);
        self.free.push(index);
        slot.value.take().expect("only live nodes are removed")
    }

    pub(crate) fn id(&self, index: u32) -> NodeId {
        NodeId { index, generation: self.slots[index as usize].generation }
    }

    /// The index of `id`, unless its node is gone.
    pub(crate) fn find(&self, id: NodeId) -> Option<u32> {
        let slot = self.slots.get(id.index as usize)?;
        (slot.generation == id.generation && slot.value.is_some()).then_some(id.index)
    }

    /// The index of `id`; panics if its node is gone.
    pub(crate) fn resolve(&self, id: NodeId) -> u32 {
        self.find(id).unwrap_or_else(|| {
            panic!("{id:?} is not in this cache: it was evicted, or belongs to another one")
        })
    }

    /// Number of live nodes, the root included.
    pub(crate) fn len(&self) -> usize {
        self.slots.len() - self.free.len()
    }
}

impl<T> Index<u32> for Arena<T> {
    type Output = T;

    fn index(&self, index: u32) -> &T {
        self.slots[index as usize].value.as_ref().expect("links lead to live nodes")
    }
}

impl<T> IndexMut<u32> for Arena<T> {
    fn index_mut(&mut self, index: u32) -> &mut T {
        self.slots[index as usize].value.as_mut().expect("links lead to live nodes")
    }
}

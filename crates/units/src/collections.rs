//! Hash maps with a fixed hasher. Iterating one is linted: no result may depend on hash order.

use rustc_hash::FxBuildHasher;

/// A hash map whose hasher is the same in every process.
pub type HashMap<K, V> = hashbrown::HashMap<K, V, FxBuildHasher>;

/// A hash set whose hasher is the same in every process.
pub type HashSet<K> = hashbrown::HashSet<K, FxBuildHasher>;

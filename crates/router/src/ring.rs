//! A consistent hash ring of workers.

use sglsim_units::WorkerId;

use crate::{RoutingKey, WorkerView};

/// Workers at many places each on a ring of 2^64.
///
/// # Source
///
/// sglang-router 0.3.2, `core/worker_registry.rs:HashRing`: 150 places a worker, the BLAKE3 hash
/// of its name with the number of the place. The name there is the worker's URL, here its id.
#[derive(Clone, Debug, Default)]
pub(crate) struct HashRing {
    /// Sorted.
    places: Vec<(u64, WorkerId)>,
}

const PLACES_OF_A_WORKER: u32 = 150;

impl HashRing {
    /// Adds those of `workers` that are missing.
    pub(crate) fn learn(&mut self, workers: &[WorkerView]) {
        let new = |worker: &&WorkerView| !self.places.iter().any(|(_, id)| *id == worker.id());
        let new: Vec<WorkerId> = workers.iter().filter(new).map(WorkerView::id).collect();
        for id in &new {
            let place = |place| (RoutingKey::of(&format!("{id}#{place}")).position(), *id);
            self.places.extend((0..PLACES_OF_A_WORKER).map(place));
        }
        if !new.is_empty() {
            self.places.sort_unstable();
        }
    }

    /// Takes `worker` off the ring.
    pub(crate) fn remove(&mut self, worker: WorkerId) {
        self.places.retain(|(_, id)| *id != worker);
    }

    /// Position in `workers` of the first one at or after `key`; one of them is on the ring.
    pub(crate) fn find(&self, key: RoutingKey, workers: &[WorkerView]) -> Option<usize> {
        let start = self.places.partition_point(|(place, _)| *place < key.position());
        let (before, after) = self.places.split_at(start);
        let is_it = |id: WorkerId| workers.iter().position(|worker| worker.id() == id);
        after.iter().chain(before).find_map(|(_, id)| is_it(*id))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn workers(ids: &[u32]) -> Vec<WorkerView> {
        ids.iter().map(|id| WorkerView::new(WorkerId(*id))).collect()
    }

    fn owners(ring: &HashRing, workers: &[WorkerView]) -> Vec<WorkerId> {
        let owner = |key: u32| ring.find(RoutingKey::of(&key.to_string()), workers);
        (0..2000).map(|key| workers[owner(key).expect("some worker is there")].id()).collect()
    }

    #[test]
    fn a_worker_that_vanishes_moves_its_own_keys_only() {
        let (all, fewer) = (workers(&[0, 1, 2, 3]), workers(&[0, 1, 3]));
        let mut ring = HashRing::default();
        ring.learn(&all);
        let (before, hidden) = (owners(&ring, &all), owners(&ring, &fewer));
        ring.remove(WorkerId(2));
        assert_eq!(hidden, owners(&ring, &fewer), "hidden or gone is the same");
        for (before, after) in before.iter().zip(&hidden) {
            assert!(before == after || *before == WorkerId(2));
        }
        for worker in &all {
            let keys = before.iter().filter(|owner| **owner == worker.id()).count();
            // A quarter of 2000; with 150 places the share of a worker spreads by a tenth.
            assert!((350..650).contains(&keys), "{keys}");
        }
    }

    #[test]
    fn a_ring_without_workers_finds_nobody() {
        assert_eq!(HashRing::default().find(RoutingKey::of("a"), &workers(&[0])), None);
    }
}

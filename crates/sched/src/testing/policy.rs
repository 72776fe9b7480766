//! The laws of a queue order.

use sglsim_units::{RequestId, SimTime};

use super::case::Draw;
use crate::{QueueEntry, SchedulePolicy};

/// Queues that the suite tries.
const QUEUES: u64 = 200;

/// Hands random queues to a queue order and checks that the result is a permutation (`POLICY-1`)
/// and that two of its kind with one history agree (`POLICY-2`).
///
/// # Panics
///
/// If a law is broken.
pub fn policy_conformance(make: impl Fn() -> Box<dyn SchedulePolicy>) {
    let (mut first, mut second) = (make(), make());
    let mut draw = Draw::new(0, "sched/policy-conformance");
    for queue in 0..QUEUES {
        let entries = draw_queue(&mut draw);
        let identity: Vec<usize> = (0..entries.len()).collect();
        let (mut order, mut again) = (identity.clone(), identity.clone());
        let needs = (first.needs(entries.len()), second.needs(entries.len()));
        first.order(&entries, &mut order);
        second.order(&entries, &mut again);
        let mut sorted = order.clone();
        sorted.sort_unstable();
        let name = first.name();
        assert!(
            sorted == identity,
            "POLICY-1 permutation: `{name}` orders {} entries as {order:?} (queue {queue})",
            entries.len()
        );
        assert!(
            order == again && needs.0 == needs.1,
            "POLICY-2 determinism: `{name}` orders one queue as {order:?} and as {again:?}, \
             needs {needs:?} (queue {queue})"
        );
    }
}

fn draw_queue(draw: &mut Draw) -> Vec<QueueEntry> {
    let count = draw.one_of(&[0, 1, 2, 10, 40, 200]);
    let entry = |at: u64| {
        let id = RequestId::from_index(usize::try_from(at).expect("few requests"));
        let queued = SimTime::new(draw.between(0, 5) as f64).expect("finite");
        let tokens = draw.between(1, 300);
        QueueEntry {
            matched: draw.between(0, tokens - 1),
            deprioritized: draw.between(0, 3) == 0,
            ..QueueEntry::new(id, tokens, draw.between(1, 5), queued)
        }
    };
    (0..count).map(entry).collect()
}

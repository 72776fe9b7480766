//! Memory over time when the length of every answer is known: who holds how much, and until when.

use sglsim_units::TokenCount;

use crate::batch::BatchState;
use crate::request::Slot;

/// Slots kept free for each request that still runs (SGLang 0.5.23, `IGNORE_EOS_RESERVE_TOKENS`).
const RESERVE: f64 = 1.0;

/// Requests as (tokens still to come, slots held), those that end first at the front.
#[derive(Debug)]
pub(crate) struct FixedLength(Vec<(f64, TokenCount)>);

/// A request's entry, unless it is done.
fn occupant(batch: &BatchState, slot: Slot, new_token_ratio: f64) -> Option<(f64, TokenCount)> {
    let view = batch.view(slot);
    let ratio = if view.ignore_eos { 1.0 } else { new_token_ratio };
    let left = view.max_new_tokens as f64 * ratio - view.generated as f64;
    (left > 0.0).then_some((left, view.prompt_tokens + view.generated))
}

impl FixedLength {
    /// A candidate, and everybody who runs or was admitted before it.
    pub(crate) fn with_candidate(batch: &BatchState, slot: Slot, ratio: f64) -> Self {
        let mut running = batch.running().members().to_vec();
        running.sort_by_key(|slot| batch.req(*slot).join_order);
        let admitted = batch.extend_batch().iter().map(|slice| slice.slot);
        let everybody = std::iter::once(slot).chain(running).chain(admitted);
        let mut occupants: Vec<_> =
            everybody.filter_map(|slot| occupant(batch, slot, ratio)).collect();
        occupants.sort_by(|a, b| a.0.total_cmp(&b.0));
        Self(occupants)
    }

    /// A further candidate. One that outlasts everybody is put before the last, as in SGLang.
    pub(crate) fn insert(&mut self, batch: &BatchState, slot: Slot, ratio: f64) {
        let Some(new) = occupant(batch, slot, ratio) else { return };
        let before = self.0.iter().position(|other| new.0 <= other.0);
        let at = before.unwrap_or(self.0.len().saturating_sub(1));
        self.0.insert(at, new);
    }

    /// Whether `free` slots last until everybody has ended.
    pub(crate) fn fits(&self, free: i64) -> bool {
        let mut freed = 0;
        self.0.iter().enumerate().all(|(ended, (left, held))| {
            let running = (self.0.len() - ended) as f64;
            let spare = (free as f64 + freed as f64) - left * running;
            freed += held;
            spare > RESERVE * running
        })
    }
}

//! What a rank does with the host tier of its cache, if it has one.

use sglsim_radix::{Backup, LOAD_BACK_THRESHOLD, PrefixMatch};
use sglsim_units::TokenCount;

use crate::batch::BatchState;
use crate::request::Slot;

impl BatchState {
    /// Brings the part of a waiting request's match that is on the host back to the device, all of it or
    /// nothing, and says what the match is then. A short part is computed again, and so is one there is no memory for.
    ///
    /// # Source
    ///
    /// SGLang 0.5.23, `mem_cache/unified_radix_cache.py:load_back`.
    pub fn load_back(&mut self, slot: Slot, found: PrefixMatch) -> PrefixMatch {
        let tokens = found.host_tokens;
        let without = PrefixMatch::on_device(found.tokens, found.node);
        if tokens < LOAD_BACK_THRESHOLD {
            return without;
        }
        // Neither tier may let go of any of it while room is made.
        self.memory.cache().lock(found.end);
        let free = self.memory.allocatable().saturating_sub(self.extend_slots);
        if tokens <= free {
            self.memory.make_room(tokens);
        }
        let has_room = tokens <= free && self.memory.allocate(tokens);
        let loaded = if has_room { self.memory.cache().load_back(found.end) } else { 0 };
        self.memory.cache().unlock(found.end);
        self.loaded += loaded;
        self.req_mut(slot).loaded = loaded;
        if has_room { PrefixMatch::on_device(found.tokens + loaded, found.end) } else { without }
    }

    /// Tokens that were brought back for the step that was chosen, told once \[token\].
    pub fn take_loaded(&mut self) -> TokenCount {
        std::mem::take(&mut self.loaded)
    }

    /// What was brought back for earlier steps has arrived.
    pub fn finish_loads(&mut self) {
        self.memory.cache().finish_loads();
    }

    /// The next copy to the host that has begun and was not told yet.
    pub fn next_backup(&mut self) -> Option<Backup> {
        self.memory.cache().next_backup()
    }

    /// A copy to the host is done.
    pub fn finish_backup(&mut self, backup: Backup) {
        self.memory.cache().finish_backup(backup);
    }
}

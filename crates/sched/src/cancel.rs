//! Requests that nobody waits for any more.

use crate::batch::BatchState;
use crate::notice::Notice;
use crate::request::{Slot, Stage};

impl BatchState {
    /// Gives a request up. While it waits or its KV travels it is gone at once; one that a step works on
    /// leaves when the next step is chosen, with [`Notice::Cancelled`]. Its slot means nothing afterwards.
    ///
    /// # Source
    ///
    /// SGLang 0.5.23, `managers/scheduler.py:Scheduler.abort_request`.
    pub fn cancel(&mut self, slot: Slot) {
        match self.req(slot).stage {
            Stage::Waiting => {
                for queue in [&mut self.waiting, &mut self.prealloc, &mut self.retracted] {
                    queue.retain(|waiting| *waiting != slot);
                }
                self.forget(slot);
            }
            Stage::Receiving => {
                self.receiving -= 1;
                self.drop_out(slot);
            }
            Stage::Received => {
                let before = self.received.len();
                self.received.retain(|received| *received != slot);
                self.receiving -= before - self.received.len();
                self.waiting.retain(|waiting| *waiting != slot);
                self.drop_out(slot);
            }
            Stage::Inflight => {
                self.inflight -= 1;
                self.drop_out(slot);
            }
            Stage::Extending | Stage::Chunked | Stage::Running | Stage::Finishing => {
                self.cancelled.push(slot);
            }
            Stage::Gone => {}
        }
    }

    /// Lets those go that were cancelled while a step worked on them, as far as none does any more. Call
    /// it before a scheduler chooses a step.
    pub fn leave_cancelled(&mut self) {
        for slot in std::mem::take(&mut self.cancelled) {
            let id = self.id(slot);
            match self.req(slot).stage {
                Stage::Running => {
                    let position = self.req(slot).position as usize;
                    // With pipeline stages it may run in another micro-batch.
                    if self.running.members().get(position) != Some(&slot) {
                        self.cancelled.push(slot);
                        continue;
                    }
                    self.leave_running(slot);
                    self.req_mut(slot).pending = 0;
                }
                Stage::Chunked if self.chunked == Some(slot) => self.chunked = None,
                Stage::Chunked | Stage::Extending | Stage::Finishing => {
                    self.cancelled.push(slot);
                    continue;
                }
                _ => {
                    self.cancel(slot);
                    continue;
                }
            }
            self.drop_out(slot);
            self.notify(Notice::Cancelled { slot, id });
        }
    }

    fn drop_out(&mut self, slot: Slot) {
        self.release(slot, false);
        self.shrank = true;
        self.forget(slot);
    }
}

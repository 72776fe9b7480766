//! Pipeline stages: a rank keeps as many batches in flight as there are stages, one *micro-batch* each.
//!
//! Every micro-batch has a running batch of its own; the queues, the memory and the prompt that is being
//! chunked belong to all. A rank works on one of them at a time: what the others have is parked.
//!
//! # Source
//!
//! SGLang 0.5.23, `managers/scheduler_pp_mixin.py:SchedulerPPMixin.event_loop_pp`.

use std::mem::swap;

use crate::batch::BatchState;
use crate::request::Slot;
use crate::running::RunningBatch;
use crate::step::ForwardBatch;

/// What a micro-batch has to itself while another one is worked on.
#[derive(Debug)]
pub(crate) struct Parked {
    running: RunningBatch,
    launched: ForwardBatch,
    launches: u64,
    epochs: Vec<u32>,
    finishing: Vec<Slot>,
    stopping: Vec<(Slot, u32)>,
    shrank: bool,
}

impl Parked {
    pub(crate) fn new(running: RunningBatch) -> Self {
        Self {
            running,
            launched: ForwardBatch::default(),
            launches: 0,
            epochs: Vec::new(),
            finishing: Vec::new(),
            stopping: Vec::new(),
            shrank: false,
        }
    }
}

impl BatchState {
    /// The micro-batch that is worked on, from 0; without pipeline stages there is no other.
    #[must_use]
    pub fn micro_batch(&self) -> usize {
        self.micro_batch
    }

    /// Goes on with another micro-batch, below `pp_size`. The engine calls it before a step is chosen and
    /// before the results of one come in.
    ///
    /// # Panics
    ///
    /// If there is no such micro-batch.
    pub fn enter_micro_batch(&mut self, micro_batch: usize) {
        if micro_batch == self.micro_batch {
            return;
        }
        // The place of the one that is worked on holds nothing.
        let (old, new) = (self.micro_batch, micro_batch);
        self.parked.swap(old, new);
        let parked = &mut self.parked[old];
        swap(&mut self.running, &mut parked.running);
        swap(&mut self.launched, &mut parked.launched);
        swap(&mut self.launches, &mut parked.launches);
        swap(&mut self.epochs, &mut parked.epochs);
        swap(&mut self.finishing, &mut parked.finishing);
        swap(&mut self.stopping, &mut parked.stopping);
        swap(&mut self.shrank, &mut parked.shrank);
        self.micro_batch = new;
    }

    /// Rows of requests in the other micro-batches.
    pub(crate) fn parked_rows(&self) -> usize {
        let parked = self.parked.iter().enumerate();
        let others = parked.filter(|(index, _)| *index != self.micro_batch);
        others.map(|(_, parked)| parked.running.len() + parked.finishing.len()).sum()
    }
}

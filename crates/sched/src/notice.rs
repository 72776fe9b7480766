//! What happened on a rank, told to the engine in order.

use sglsim_units::{RequestId, TokenCount};

use crate::request::Slot;

/// One thing that happened to a request on a rank.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Notice {
    /// Taken into an extend batch.
    Admitted {
        /// Its place.
        slot: Slot,
        /// The request.
        id: RequestId,
        /// Leading tokens found in the prefix cache.
        cached: TokenCount,
        /// How many of them came from the host.
        host: TokenCount,
        /// Whether it was here before and had been retracted.
        again: bool,
    },
    /// A slice of its prompt was computed; after the last one it has a new token.
    Extended {
        /// Its place.
        slot: Slot,
        /// The request.
        id: RequestId,
        /// Tokens of the slice.
        tokens: TokenCount,
        /// Whether the prompt is complete.
        last: bool,
    },
    /// A step that verified drafts gave it tokens.
    Accepted {
        /// Its place.
        slot: Slot,
        /// The request.
        id: RequestId,
        /// Tokens that it has more, those beyond its end not counted.
        tokens: TokenCount,
    },
    /// Pushed out of the running batch for lack of memory.
    Retracted {
        /// Its place.
        slot: Slot,
        /// The request.
        id: RequestId,
        /// Tokens generated until then.
        generated: TokenCount,
    },
    /// A decode worker reserved memory for its prompt.
    Preallocated {
        /// Its place.
        slot: Slot,
        /// The request.
        id: RequestId,
    },
    /// A decode worker took it into the running batch: its first token, made by the prefill worker,
    /// goes out.
    Prebuilt {
        /// Its place.
        slot: Slot,
        /// The request.
        id: RequestId,
    },
    /// A decode worker took it back into the running batch after a retraction.
    Resumed {
        /// Its place.
        slot: Slot,
        /// The request.
        id: RequestId,
    },
    /// It was given up and left: the queue was full, or memory ran out with nobody left to push out.
    Aborted {
        /// Its place, free again.
        slot: Slot,
        /// The request.
        id: RequestId,
    },
    /// It was cancelled while a step worked on it, and left now.
    Cancelled {
        /// Its place, free again.
        slot: Slot,
        /// The request.
        id: RequestId,
    },
    /// It has all its tokens and left.
    Finished {
        /// Its place, free again.
        slot: Slot,
        /// The request.
        id: RequestId,
        /// Tokens generated.
        generated: TokenCount,
    },
}

impl Notice {
    /// The request, and its place.
    #[must_use]
    pub fn subject(&self) -> (Slot, RequestId) {
        match *self {
            Self::Admitted { slot, id, .. }
            | Self::Extended { slot, id, .. }
            | Self::Retracted { slot, id, .. }
            | Self::Preallocated { slot, id }
            | Self::Prebuilt { slot, id }
            | Self::Resumed { slot, id }
            | Self::Aborted { slot, id }
            | Self::Cancelled { slot, id }
            | Self::Accepted { slot, id, .. }
            | Self::Finished { slot, id, .. } => (slot, id),
        }
    }
}

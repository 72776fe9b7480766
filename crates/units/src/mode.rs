//! What a worker does in a deployment.

use serde::{Deserialize, Serialize};

/// What a worker does in a deployment (SGLang's `disaggregation_mode`).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum DisaggregationMode {
    /// Prefill and decode on the same worker.
    #[default]
    Null,
    /// Prefill only: the KV of a finished prompt leaves for a decode worker.
    Prefill,
    /// Decode only: the KV of a prompt arrives from a prefill worker.
    Decode,
}

//! How a model is spread over the GPUs of one worker.

use serde::{Deserialize, Serialize};

/// Parallel sizes of one worker, under SGLang's names.
///
/// `tp_size` is the number of GPUs of the worker; attention DP and expert parallelism re-use them,
/// they do not add any (SGLang 0.5.23, `distributed/parallel_state.py`).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct ParallelPlan {
    /// Tensor parallel ranks, the GPUs of one worker.
    pub tp_size: u32,
    /// Attention replicas inside the worker (`--enable-dp-attention`), 1 if attention is sharded
    /// over all of `tp_size`.
    pub dp_size: u32,
    /// Expert parallel ranks; the rest of `tp_size` splits each expert.
    pub ep_size: u32,
    /// Pipeline stages.
    pub pp_size: u32,
}

impl Default for ParallelPlan {
    fn default() -> Self {
        Self { tp_size: 1, dp_size: 1, ep_size: 1, pp_size: 1 }
    }
}

impl ParallelPlan {
    /// Plain tensor parallelism over `tp_size` GPUs.
    #[must_use]
    pub fn tensor(tp_size: u32) -> Self {
        Self { tp_size, ..Self::default() }
    }

    /// GPUs that one worker holds.
    #[must_use]
    pub fn gpus(&self) -> u32 {
        self.tp_size * self.pp_size
    }

    /// Ranks that share one attention replica, `tp_size / dp_size`.
    #[must_use]
    pub fn attn_tp_size(&self) -> u32 {
        self.tp_size / self.dp_size.max(1)
    }

    /// Ranks that share one expert, `tp_size / ep_size`.
    #[must_use]
    pub fn moe_tp_size(&self) -> u32 {
        self.tp_size / self.ep_size.max(1)
    }
}

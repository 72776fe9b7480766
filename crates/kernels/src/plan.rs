//! How a model is spread over the GPUs of one worker.

use std::fmt;

use serde::{Deserialize, Serialize};
use sglsim_model::{Attention, ModelShape};

use crate::KernelError;

/// Parallel sizes of one worker, under SGLang's names.
///
/// `tp_size` is the number of GPUs of the worker, or of each of its pipeline stages; attention DP and
/// expert parallelism re-use them, they do not add any (SGLang 0.5.23, `distributed/parallel_state.py`).
///
/// ```
/// use sglsim_kernels::ParallelPlan;
/// use sglsim_model::ModelShape;
///
/// let model = ModelShape::preset("Llama-3.1-70B")?;
/// assert!(ParallelPlan::tensor(8).check(&model, 8).is_ok());
/// let error = ParallelPlan::tensor(6).check(&model, 8).unwrap_err();
/// assert_eq!(
///     error.to_string(),
///     "`tp_size` is 6, but num_attention_heads (64) must be a multiple of tp_size / dp_size; \
///      allowed: 1, 2, 4, 8; nearest: 4"
/// );
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct ParallelPlan {
    /// Tensor parallel ranks, the GPUs of one pipeline stage.
    pub tp_size: u32,
    /// Attention replicas inside the worker (`--enable-dp-attention`), 1 if attention is sharded
    /// over all of `tp_size`.
    pub dp_size: u32,
    /// Expert parallel ranks; the rest of `tp_size` splits each expert.
    pub ep_size: u32,
    /// Pipeline stages.
    pub pp_size: u32,
    /// How tokens reach their experts.
    pub moe_a2a_backend: MoeA2aBackend,
    /// Ranks that share the FFN of a dense layer of a model with experts; `None` is all of
    /// `tp_size`, and 1 the only other value.
    pub moe_dense_tp_size: Option<u32>,
    /// Whether layers with experts work on two halves of the batch, so that one half's collectives
    /// hide behind the other's kernels.
    pub enable_two_batch_overlap: bool,
}

/// How tokens reach the experts of other ranks (`--moe-a2a-backend`).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum MoeA2aBackend {
    /// Every rank sees every token; an all-reduce adds the experts' results.
    #[default]
    None,
    /// DeepEP's dispatch and combine; forces `ep_size = tp_size`.
    DeepEp,
}

impl fmt::Display for MoeA2aBackend {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::None => "none",
            Self::DeepEp => "deepep",
        })
    }
}

impl Default for ParallelPlan {
    fn default() -> Self {
        Self {
            tp_size: 1,
            dp_size: 1,
            ep_size: 1,
            pp_size: 1,
            moe_a2a_backend: MoeA2aBackend::None,
            moe_dense_tp_size: None,
            enable_two_batch_overlap: false,
        }
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
        self.tp_size.saturating_mul(self.pp_size)
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

    /// Whether `model` can be spread this way over at most `gpus` GPUs.
    ///
    /// # Source
    ///
    /// SGLang 0.5.23, `distributed/parallel_state.py`, `layers/dp_attention.py`,
    /// `arg_groups/parallel_hook.py`, and the divisions in its parallel linear layers.
    ///
    /// # Errors
    ///
    /// [`KernelError::ParallelSize`] for the first size that does not divide what it must, with the
    /// sizes that would; [`KernelError::Unsupported`] for what cannot be together, such as DeepEP and
    /// a model without experts.
    pub fn check(&self, model: &ModelShape, gpus: u32) -> Result<(), KernelError> {
        let Self { tp_size: tp, dp_size: dp, ep_size: ep, pp_size: pp, .. } = *self;
        let size = |field, value| Size { field, value, most: gpus.max(1) };
        let layers = model.layers;
        size("pp_size", pp).must(format!("there are {layers} layers and {gpus} GPUs"), |pp| {
            pp <= layers && pp <= gpus.max(1)
        })?;
        let tp_size = size("tp_size", tp);
        tp_size.must(format!("the deployment has {gpus} GPUs"), |tp| {
            tp.saturating_mul(pp) <= gpus.max(1)
        })?;
        size("dp_size", dp)
            .must(format!("tp_size ({tp}) must be a multiple of it"), |dp| tp.is_multiple_of(dp))?;
        size("ep_size", ep)
            .must(format!("tp_size ({tp}) must be a multiple of it"), |ep| tp.is_multiple_of(ep))?;

        let heads = model.num_attention_heads;
        tp_size.must(
            format!("num_attention_heads ({heads}) must be a multiple of tp_size / dp_size"),
            |tp| tp.is_multiple_of(dp) && heads.is_multiple_of(tp / dp),
        )?;
        if let Attention::Gqa(gqa) = &model.attention {
            let kv = gqa.kv_heads;
            tp_size.must(
                format!(
                    "num_key_value_heads ({kv}) must divide, or be divided by, tp_size / dp_size"
                ),
                |tp| {
                    tp.is_multiple_of(dp)
                        && (kv.is_multiple_of(tp / dp) || (tp / dp).is_multiple_of(kv))
                },
            )?;
        }
        self.check_options(model)?;
        if model.dense_layers() > 0 && self.moe_dense_tp_size.is_none() {
            let inner = model.intermediate_size;
            tp_size
                .must(format!("intermediate_size ({inner}) must be a multiple of it"), |tp| {
                    inner.is_multiple_of(tp)
                })?;
        }
        let Some(moe) = &model.moe else {
            if self.moe_a2a_backend != MoeA2aBackend::None {
                return Err(KernelError::Unsupported {
                    field: "moe_a2a_backend",
                    value: self.moe_a2a_backend.to_string(),
                    reason: format!("`{}` has no experts; allowed is none", model.name),
                });
            }
            return size("ep_size", ep)
                .must(format!("`{}` has no experts", model.name), |ep| ep == 1);
        };
        let experts = moe.num_experts;
        size("ep_size", ep).must(
            format!("tp_size ({tp}) and num_experts ({experts}) must be multiples of it"),
            |ep| tp.is_multiple_of(ep) && experts.is_multiple_of(ep),
        )?;
        let inner = moe.moe_intermediate_size;
        tp_size.must(
            format!("moe_intermediate_size ({inner}) must be a multiple of tp_size / ep_size"),
            |tp| tp.is_multiple_of(ep) && inner.is_multiple_of(tp / ep),
        )?;
        if self.moe_a2a_backend == MoeA2aBackend::DeepEp {
            size("ep_size", ep)
                .must(format!("deepep needs it equal to tp_size ({tp})"), |ep| ep == tp)?;
        }
        Ok(())
    }

    /// What goes with what.
    fn check_options(&self, model: &ModelShape) -> Result<(), KernelError> {
        let unsupported = |field, value: String, reason: &str| {
            Err(KernelError::Unsupported { field, value, reason: reason.to_owned() })
        };
        if let Some(size) = self.moe_dense_tp_size
            && (size != 1 || model.moe_layers() == 0)
        {
            let reason = "allowed is 1, for a model with experts, or nothing";
            return unsupported("moe_dense_tp_size", size.to_string(), reason);
        }
        if self.enable_two_batch_overlap {
            let refuse =
                |reason| unsupported("enable_two_batch_overlap", "true".to_owned(), reason);
            if model.moe_layers() == 0 {
                return refuse("only layers with experts overlap; allowed is false");
            }
            if self.moe_a2a_backend == MoeA2aBackend::None && self.dp_size == 1 {
                return refuse("it needs moe_a2a_backend deepep, or dp_size > 1");
            }
            if self.pp_size > 1 {
                return refuse("not simulated together with pp_size > 1");
            }
        }
        Ok(())
    }
}

/// A parallel size under test.
#[derive(Clone, Copy)]
struct Size {
    field: &'static str,
    value: u32,
    most: u32,
}

impl Size {
    fn must(self, rule: String, holds: impl Fn(u32) -> bool) -> Result<(), KernelError> {
        if self.value > 0 && holds(self.value) {
            return Ok(());
        }
        let allowed: Vec<u32> = (1..=self.most).filter(|size| holds(*size)).collect();
        let nearest = allowed.iter().copied().min_by_key(|size| size.abs_diff(self.value));
        let rule = if self.value == 0 { "a size is at least 1".to_owned() } else { rule };
        Err(KernelError::ParallelSize {
            field: self.field,
            value: self.value,
            rule,
            nearest: nearest.unwrap_or(1),
            allowed,
        })
    }
}

#[cfg(test)]
mod tests;

//! Speculative decoding: which tokens are drafted, how many are accepted, what an iteration costs.

use std::fmt;

use serde::{Deserialize, Serialize};
use sglsim_model::{DraftShape, ModelShape};

use crate::{KernelError, ParallelPlan};

mod acceptance;
mod law;

pub use acceptance::Acceptance;
pub use law::{SpeculativeKnobs, SpeculativeLaw};

/// How tokens are drafted (`--speculative-algorithm`).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "UPPERCASE")]
pub enum SpeculativeAlgorithm {
    /// A head on the target's last hidden state (arXiv:2401.15077).
    Eagle,
    /// A head on three of the target's hidden states (arXiv:2503.01840).
    Eagle3,
    /// The multi-token-prediction layer of the target's checkpoint.
    NextN,
    /// A small model of its own.
    Standalone,
    /// A look-up of what followed the last tokens before, on the host.
    Ngram,
}

impl fmt::Display for SpeculativeAlgorithm {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Eagle => "EAGLE",
            Self::Eagle3 => "EAGLE3",
            Self::NextN => "NEXTN",
            Self::Standalone => "STANDALONE",
            Self::Ngram => "NGRAM",
        })
    }
}

/// Server arguments of speculative decoding, under SGLang's names; `None` is SGLang's default.
///
/// ```
/// use sglsim_kernels::{ParallelPlan, SpeculativeAlgorithm, SpeculativeConfig};
/// use sglsim_model::ModelShape;
///
/// let model = ModelShape::preset("DeepSeek-V3")?;
/// let config = SpeculativeConfig::new(SpeculativeAlgorithm::NextN);
/// let speculation = config.resolve(&model, None, &ParallelPlan::tensor(8))?;
/// assert_eq!((speculation.num_steps, speculation.eagle_topk), (3, 1));
/// assert_eq!(speculation.num_draft_tokens, 4);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SpeculativeConfig {
    /// How tokens are drafted.
    pub speculative_algorithm: SpeculativeAlgorithm,
    /// Tokens drafted one after the other \[token\].
    #[serde(default)]
    pub speculative_num_steps: Option<u32>,
    /// Candidates kept at every step; 1 drafts a chain, more a tree.
    #[serde(default)]
    pub speculative_eagle_topk: Option<u32>,
    /// Tokens that the target verifies per sequence, the last accepted one included \[token\].
    #[serde(default)]
    pub speculative_num_draft_tokens: Option<u32>,
}

/// Speculative decoding with every default filled in.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
#[non_exhaustive]
pub struct Speculation {
    /// How tokens are drafted.
    pub algorithm: SpeculativeAlgorithm,
    /// Tokens drafted one after the other, `s` \[token\].
    pub num_steps: u32,
    /// Candidates kept at every step, `k`.
    pub eagle_topk: u32,
    /// Tokens that the target verifies per sequence, `d` \[token\].
    pub num_draft_tokens: u32,
    /// The draft model; `None` if tokens are looked up.
    pub draft: Option<DraftShape>,
}

/// Most running requests where the user does not say, with any speculation (SGLang 0.5.23,
/// `arg_groups/speculative_hook.py`).
pub(crate) const MAX_RUNNING_REQUESTS: u32 = 48;

/// Most steps and candidates that are looked at; far beyond what is ever of use.
const MOST: u32 = 64;

impl SpeculativeConfig {
    /// An algorithm with SGLang's defaults.
    #[must_use]
    pub fn new(speculative_algorithm: SpeculativeAlgorithm) -> Self {
        Self {
            speculative_algorithm,
            speculative_num_steps: None,
            speculative_eagle_topk: None,
            speculative_num_draft_tokens: None,
        }
    }

    /// Fills in SGLang's defaults and finds the draft model: the one given, or what the algorithm
    /// usually has for `target`.
    ///
    /// # Source
    ///
    /// SGLang 0.5.23, `arg_groups/speculative_hook.py:_auto_choose_speculative_params`: 5 steps, 4
    /// candidates and 8 draft tokens for dense Llama models, else 3, 1 and 4; a chain always verifies
    /// `s + 1` tokens. An n-gram look-up verifies 12 tokens of a tree of breadth 10.
    ///
    /// # Errors
    ///
    /// [`KernelError::Speculation`] for a size out of range, [`KernelError::Unsupported`] for what
    /// does not go together, [`KernelError::Model`] if there is no usual draft model.
    pub fn resolve(
        &self,
        target: &ModelShape,
        draft: Option<DraftShape>,
        plan: &ParallelPlan,
    ) -> Result<Speculation, KernelError> {
        let algorithm = self.speculative_algorithm;
        let llama = target.moe.is_none() && target.name.to_lowercase().contains("llama");
        let (steps, topk, tokens) = match algorithm {
            SpeculativeAlgorithm::Ngram => (1, 10, 12),
            SpeculativeAlgorithm::Standalone => (3, 1, 4),
            _ if llama => (5, 4, 8),
            _ => (3, 1, 4),
        };
        let within = |field, value: u32, most: u32| {
            if (1..=most).contains(&value) {
                return Ok(value);
            }
            let allowed = format!("1 to {most}");
            Err(KernelError::Speculation { field, value, allowed })
        };
        let given = self.speculative_num_steps.is_some();
        let eagle_topk = self.speculative_eagle_topk.unwrap_or(if given { 1 } else { topk });
        let eagle_topk = within("speculative_eagle_topk", eagle_topk, MOST)?;
        let mut num_draft_tokens = self.speculative_num_draft_tokens.unwrap_or(tokens);
        let num_steps = match algorithm {
            SpeculativeAlgorithm::Ngram => (num_draft_tokens / eagle_topk).max(1),
            _ => self.speculative_num_steps.unwrap_or(steps),
        };
        let num_steps = within("speculative_num_steps", num_steps, MOST)?;
        if eagle_topk == 1 && algorithm != SpeculativeAlgorithm::Ngram {
            num_draft_tokens = num_steps + 1;
        }
        // The first step keeps k of the candidates, each further one looks at k·k.
        let candidates = match algorithm {
            SpeculativeAlgorithm::Ngram => MOST,
            _ => eagle_topk + (num_steps - 1) * eagle_topk * eagle_topk,
        };
        within("speculative_num_draft_tokens", num_draft_tokens, candidates + 1)?;
        if algorithm == SpeculativeAlgorithm::Standalone && plan.dp_size > 1 {
            return Err(KernelError::Unsupported {
                field: "speculative_algorithm",
                value: algorithm.to_string(),
                reason: "a draft model of its own needs dp_size 1".to_owned(),
            });
        }
        if plan.pp_size > 1 {
            return Err(KernelError::Unsupported {
                field: "speculative_algorithm",
                value: algorithm.to_string(),
                reason: "not simulated together with pp_size > 1".to_owned(),
            });
        }
        let draft = match (algorithm, draft) {
            (SpeculativeAlgorithm::Ngram, _) => None,
            (_, Some(draft)) => Some(draft),
            (SpeculativeAlgorithm::Eagle, None) if target.mtp_layers > 0 => {
                Some(DraftShape::mtp(target)?)
            }
            (SpeculativeAlgorithm::Eagle, None) => Some(DraftShape::eagle(target)?),
            (SpeculativeAlgorithm::Eagle3, None) => {
                Some(DraftShape::eagle3(target, EAGLE3_VOCABULARY)?)
            }
            (SpeculativeAlgorithm::NextN, None) => Some(DraftShape::mtp(target)?),
            (SpeculativeAlgorithm::Standalone, None) => {
                return Err(KernelError::Unsupported {
                    field: "speculative_algorithm",
                    value: algorithm.to_string(),
                    reason: "it needs a draft model".to_owned(),
                });
            }
        };
        if let Some(draft) = &draft {
            plan.for_draft(draft).check(&draft.shape, plan.gpus())?;
        }
        Ok(Speculation { algorithm, num_steps, eagle_topk, num_draft_tokens, draft })
    }
}

/// Tokens that the LM head of a published EAGLE-3 draft knows.
const EAGLE3_VOCABULARY: u32 = 32_000;

impl Speculation {
    /// KV slots that a running request holds beyond its accepted tokens \[token\].
    ///
    /// # Formula
    ///
    /// `2·max(s·k, d)`; with pages of `p > 1` and `k > 1`, `2·max(k·p·⌈(p − 1 + s)/p⌉, d)`: every
    /// branch of the tree starts in a page of its own. Twice, because the next iteration is prepared
    /// while this one runs.
    ///
    /// # Source
    ///
    /// SGLang 0.5.23, `mem_cache/allocation_sizing.py`.
    #[must_use]
    pub fn reserved_tokens(&self, page_size: u32) -> u32 {
        let (s, k, d) = (self.num_steps, self.eagle_topk, self.num_draft_tokens);
        let branches = if page_size == 1 || k == 1 {
            s * k
        } else {
            k * page_size * (page_size - 1 + s).div_ceil(page_size)
        };
        2 * branches.max(d)
    }
}

impl ParallelPlan {
    /// The plan of a draft model beside a target with this plan: the same ranks.
    pub(crate) fn for_draft(&self, draft: &DraftShape) -> Self {
        let dense = draft.shape.moe.is_none();
        Self {
            ep_size: if dense { 1 } else { self.ep_size },
            moe_a2a_backend: if dense { Default::default() } else { self.moe_a2a_backend },
            moe_dense_tp_size: None,
            enable_two_batch_overlap: false,
            ..*self
        }
    }
}

#[cfg(test)]
mod tests;

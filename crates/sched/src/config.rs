//! Settings of one scheduler, under SGLang's names and with SGLang's defaults.

use serde::{Deserialize, Serialize};
use sglsim_units::{DisaggregationMode, RequestId, Seconds, TokenCount};

use crate::{SchedError, SpeculativeDecoding};

/// Estimates of a request's future tokens are clipped at this many (SGLang 0.5.23,
/// `SGLANG_CLIP_MAX_NEW_TOKENS_ESTIMATION`).
pub const CLIP_MAX_NEW_TOKENS: u64 = 4096;

/// Decode steps of room that a retraction makes for each remaining request (SGLang 0.5.23,
/// `SGLANG_RETRACT_DECODE_STEPS`).
pub const RETRACT_DECODE_STEPS: u64 = 20;

/// Tokens a decode worker of a disaggregated deployment keeps free for each request (SGLang
/// 0.5.23, `num_reserved_decode_tokens`).
pub const NUM_RESERVED_DECODE_TOKENS: u64 = 512;

/// Input budget of one prefill pass, unless a scenario says otherwise \[token\] (SGLang 0.5.23,
/// `max_prefill_tokens`).
pub const DEFAULT_MAX_PREFILL_TOKENS: u32 = 16384;

/// Settings of one scheduler: one attention-DP rank of one worker.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub struct SchedulerConfig {
    /// What the worker does.
    pub mode: DisaggregationMode,
    /// KV slots of the rank \[token\], a multiple of `page_size`.
    pub max_total_num_tokens: TokenCount,
    /// Tokens a page of KV holds.
    pub page_size: u32,
    /// Longest prompt plus output the model takes \[token\].
    pub context_length: TokenCount,
    /// Most requests that may run at once on the rank.
    pub max_running_requests: u32,
    /// Tokens one prefill step may compute \[token\]; `None` switches chunking off.
    pub chunked_prefill_size: Option<u32>,
    /// Input budget of one prefill pass \[token\].
    pub max_prefill_tokens: u32,
    /// Scales the initial `new_token_ratio`; above 1 is more cautious.
    pub schedule_conservativeness: f64,
    /// Most requests of one prefill step, if there is such a limit.
    pub prefill_max_requests: Option<u32>,
    /// Whether a prefill step takes the running batch along, one token each.
    pub enable_mixed_chunk: bool,
    /// Most requests that may wait, if there is such a limit.
    pub max_queued_requests: Option<u32>,
    /// Whether priorities order the queue and may push running requests out.
    pub enable_priority_scheduling: bool,
    /// Whether a smaller priority is the more urgent one.
    pub schedule_low_priority_values_first: bool,
    /// A request is pushed out only for one that is more urgent by more than this.
    pub priority_scheduling_preemption_threshold: i64,
    /// Decode steps between two prefill steps, once `prefill_decode_interval_min_bs` requests run.
    pub prefill_decode_interval: u32,
    /// Requests from which on `prefill_decode_interval` holds.
    pub prefill_decode_interval_min_bs: u32,
    /// Rows that must be free before new prompts are taken while others run; below 2 is no limit.
    pub min_free_slots: u32,
    /// Who is pushed out first when decode runs out of memory.
    pub retraction_policy: RetractionPolicy,
    /// Holds prefill back until it is worth a step of its own, if switched on.
    pub prefill_delayer: Option<PrefillDelayerConfig>,
    /// Pipeline stages: so many micro-batches take turns, each with a running batch of its own.
    pub pp_size: u32,
    /// Most requests of one micro-batch; by default an equal share of `max_running_requests`.
    pub pp_max_micro_batch_size: Option<u32>,
    /// Speculative decoding, if it is switched on.
    pub speculative: Option<SpeculativeDecoding>,
}

/// Who is pushed out first when decode runs out of memory (SGLang 0.5.23, `--retraction-policy`).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum RetractionPolicy {
    /// Who has generated least, then who has the longest prompt.
    #[default]
    Length,
    /// The least urgent, and among them as by length; needs `enable_priority_scheduling`.
    Priority,
}

/// When prefill is held back (SGLang 0.5.23, `enable_prefill_delayer` and the options beside it).
#[derive(Clone, Copy, Debug, PartialEq)]
#[non_exhaustive]
pub struct PrefillDelayerConfig {
    /// A prefill is held back for fewer passes than this.
    pub max_delay_passes: u32,
    /// Below this share of the KV pool in use nothing is held back, if set.
    pub token_usage_low_watermark: Option<f64>,
    /// Holds prefill back until this share of the running requests waits, if set.
    pub queue_min_ratio: Option<f64>,
    /// Longest that `queue_min_ratio` holds back \[s\].
    pub max_delay: Seconds,
}

impl Default for PrefillDelayerConfig {
    fn default() -> Self {
        Self {
            max_delay_passes: 30,
            token_usage_low_watermark: None,
            queue_min_ratio: None,
            max_delay: Seconds::new(5.0).expect("finite"),
        }
    }
}

impl SchedulerConfig {
    /// SGLang's defaults for a rank with the given KV pool and request limit.
    #[must_use]
    pub fn new(max_total_num_tokens: TokenCount, max_running_requests: u32) -> Self {
        Self {
            mode: DisaggregationMode::Null,
            max_total_num_tokens,
            page_size: 1,
            context_length: TokenCount::MAX,
            max_running_requests,
            chunked_prefill_size: Some(8192),
            max_prefill_tokens: DEFAULT_MAX_PREFILL_TOKENS,
            schedule_conservativeness: 1.0,
            prefill_max_requests: None,
            enable_mixed_chunk: false,
            max_queued_requests: None,
            enable_priority_scheduling: false,
            schedule_low_priority_values_first: false,
            priority_scheduling_preemption_threshold: 10,
            prefill_decode_interval: 0,
            prefill_decode_interval_min_bs: 0,
            min_free_slots: 0,
            retraction_policy: RetractionPolicy::Length,
            prefill_delayer: None,
            pp_size: 1,
            pp_max_micro_batch_size: None,
            speculative: None,
        }
    }

    /// Most requests of one micro-batch: `pp_max_micro_batch_size`, or an equal share.
    #[must_use]
    pub fn micro_batch_size(&self) -> u32 {
        let share = self.max_running_requests / self.pp_size.max(1);
        self.pp_max_micro_batch_size.unwrap_or(share.max(1))
    }

    /// How urgent a request is; the larger, the more. Without a priority it is the least urgent.
    #[must_use]
    pub fn urgency(&self, priority: Option<i64>) -> i64 {
        let sign = if self.schedule_low_priority_values_first { -1 } else { 1 };
        priority.map_or(i64::MIN, |priority| priority.saturating_mul(sign))
    }

    /// Checks every field.
    ///
    /// # Errors
    ///
    /// [`SchedError::Config`] naming the first field that is out of range.
    pub fn validated(self) -> Result<Self, SchedError> {
        let page = TokenCount::from(self.page_size);
        let refuse = |field, value: String, allowed: String| {
            Err(SchedError::Config { field, value, allowed })
        };
        if page == 0 {
            return refuse("page_size", "0".into(), ">= 1".into());
        }
        if self.max_total_num_tokens < page || !self.max_total_num_tokens.is_multiple_of(page) {
            return refuse(
                "max_total_num_tokens",
                self.max_total_num_tokens.to_string(),
                format!("a positive multiple of page_size {page}"),
            );
        }
        if self.max_running_requests == 0 {
            return refuse("max_running_requests", "0".into(), ">= 1".into());
        }
        if let Some(chunk) = self.chunked_prefill_size
            && TokenCount::from(chunk) < page
        {
            return refuse(
                "chunked_prefill_size",
                chunk.to_string(),
                format!(">= page_size {page}, or None to switch chunking off"),
            );
        }
        for (field, limit) in [
            ("prefill_max_requests", self.prefill_max_requests),
            ("max_queued_requests", self.max_queued_requests),
        ] {
            if limit == Some(0) {
                return refuse(field, "0".into(), ">= 1, or None for no limit".into());
            }
        }
        if let Some(speculative) = &self.speculative {
            let sum: f64 = speculative.accept_probabilities.iter().sum();
            let sane = speculative.accept_probabilities.iter().all(|p| (0.0..=1.0).contains(p));
            if !sane || (sum - 1.0).abs() > 1e-9 {
                let allowed = "from 0 to 1 each, 1 together".to_owned();
                return refuse("accept_probabilities", format!("{sum} together"), allowed);
            }
        }
        for (field, value) in [
            ("pp_size", Some(self.pp_size)),
            ("pp_max_micro_batch_size", self.pp_max_micro_batch_size),
        ] {
            if value == Some(0) {
                return refuse(field, "0".into(), ">= 1".into());
            }
        }
        if self.retraction_policy == RetractionPolicy::Priority && !self.enable_priority_scheduling
        {
            let allowed = "length, unless `enable_priority_scheduling`".to_owned();
            return refuse("retraction_policy", "priority".into(), allowed);
        }
        if self.max_prefill_tokens == 0 {
            return refuse("max_prefill_tokens", "0".into(), ">= 1".into());
        }
        if !(self.schedule_conservativeness > 0.0 && self.schedule_conservativeness.is_finite()) {
            return refuse(
                "schedule_conservativeness",
                self.schedule_conservativeness.to_string(),
                "> 0 and finite".into(),
            );
        }
        Ok(self)
    }

    /// Longest prompt a request may have \[token\] (SGLang 0.5.23, `max_req_input_len`): six less
    /// than the context and the pool allow.
    #[must_use]
    pub fn max_req_input_len(&self) -> TokenCount {
        self.max_req_len().saturating_sub(5)
    }

    /// Longest prompt plus output \[token\] (SGLang 0.5.23, `max_req_len`).
    #[must_use]
    pub fn max_req_len(&self) -> TokenCount {
        let pool = match self.mode {
            // A decode worker reserves some room beside every prompt, so a request that leaves none
            // would wait for ever.
            DisaggregationMode::Decode => {
                self.max_total_num_tokens.saturating_sub(NUM_RESERVED_DECODE_TOKENS)
            }
            DisaggregationMode::Null | DisaggregationMode::Prefill => self.max_total_num_tokens,
        };
        self.context_length.saturating_sub(1).min(pool.saturating_sub(1))
    }

    /// Whether a prompt of `tokens` tokens can ever be scheduled here.
    ///
    /// # Errors
    ///
    /// [`SchedError::EmptyPrompt`]; [`SchedError::PromptTooLong`] with what is allowed.
    pub fn check_prompt(&self, request: RequestId, tokens: TokenCount) -> Result<(), SchedError> {
        if tokens == 0 {
            return Err(SchedError::EmptyPrompt { request });
        }
        let allowed = self.max_req_input_len();
        if tokens <= allowed && self.max_new_tokens(tokens) > 0 {
            return Ok(());
        }
        Err(SchedError::PromptTooLong {
            request,
            tokens,
            allowed,
            context_length: self.context_length,
            pool: self.max_total_num_tokens,
        })
    }

    /// Most tokens a request with this prompt can be given \[token\].
    #[must_use]
    pub fn max_new_tokens(&self, prompt_tokens: TokenCount) -> TokenCount {
        let page = TokenCount::from(self.page_size);
        let by_length = self.max_req_len().saturating_sub(prompt_tokens + 1);
        let by_pool = (self.max_req_len() + 1)
            .saturating_sub(prompt_tokens.next_multiple_of(page) + page + 1);
        by_length.min(by_pool)
    }
}

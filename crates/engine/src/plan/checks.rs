//! Fields of a pool that no law checks.

use sglsim_sched::{DisaggregationMode, SchedulePolicyName, SchedulerName};

use super::PoolPlan;
use crate::balance::LoadBalanceMethod;
use crate::scaling::AutoscaleConfig;
use crate::scenario::{PoolConfig, ScenarioError};

/// Refuses what a pool cannot have.
pub(super) fn check_pool(
    path: &str,
    mode: DisaggregationMode,
    config: &PoolConfig,
) -> Result<(), ScenarioError> {
    const MOST_WORKERS: u32 = 100_000;
    const MOST_GPUS: u32 = 10_000;
    let refuse = |field: &str, value: String, allowed: &str| {
        Err(ScenarioError::OutOfRange {
            field: format!("{path}.{field}"),
            value,
            allowed: allowed.to_owned(),
        })
    };
    if config.standby > MOST_WORKERS {
        return refuse("standby", config.standby.to_string(), "from 0 to 100000");
    }
    if !(1..=MOST_WORKERS).contains(&config.workers) {
        return refuse("workers", config.workers.to_string(), "from 1 to 100000");
    }
    if config.load_balance_method == LoadBalanceMethod::FollowBootstrapRoom
        && mode == DisaggregationMode::Null
    {
        let value = "follow_bootstrap_room".to_owned();
        return refuse("load_balance_method", value, "another one; there are no rooms in one pool");
    }
    // Sizes that would divide are looked for one by one.
    if config.tp_size > MOST_GPUS {
        return refuse("tp_size", config.tp_size.to_string(), "from 1 to 10000");
    }
    if let Some(tokens) = config.max_total_tokens
        && tokens < u64::from(config.page_size)
    {
        let allowed = format!("at least one page ({} tokens)", config.page_size);
        return refuse("max_total_tokens", tokens.to_string(), &allowed);
    }
    if config.speculative_algorithm.is_none() {
        let given = [
            ("speculative_num_steps", config.speculative_num_steps.is_some()),
            ("speculative_eagle_topk", config.speculative_eagle_topk.is_some()),
            ("speculative_num_draft_tokens", config.speculative_num_draft_tokens.is_some()),
            ("speculative_draft_model_path", config.speculative_draft_model_path.is_some()),
            ("speculative_acceptance", config.speculative_acceptance.is_some()),
        ];
        if let Some((field, _)) = given.into_iter().find(|(_, is_given)| *is_given) {
            return refuse(field, "given".to_owned(), "only with `speculative_algorithm`");
        }
    } else if config.speculative_acceptance.is_none() {
        return refuse(
            "speculative_acceptance",
            "None".to_owned(),
            "needed with `speculative_algorithm`, such as Geometric(rate: 0.7), \
             PerPosition(rates: [0.8, 0.7, 0.6]) or Histogram(counts: [20, 30, 25, 25])",
        );
    } else if config.scheduler != SchedulerName::Sglang {
        let value = config.scheduler.name().to_owned();
        return refuse("scheduler", value, "sglang, with `speculative_algorithm`");
    }
    if config.scheduler != SchedulerName::Sglang {
        if mode == DisaggregationMode::Decode {
            return refuse(
                "scheduler",
                config.scheduler.name().to_owned(),
                "sglang in a pool that only decodes",
            );
        }
        if config.schedule_policy != SchedulePolicyName::Fcfs {
            let value = config.schedule_policy.name().to_owned();
            return refuse("schedule_policy", value, "fcfs, unless `scheduler` is sglang");
        }
    }
    for (field, value) in
        [("hicache_ratio", config.hicache_ratio), ("hicache_size", config.hicache_size)]
    {
        if !(0.0..=1e6).contains(&value) {
            return refuse(field, value.to_string(), "from 0 to 1000000");
        }
    }
    if config.enable_hierarchical_cache {
        let because = match () {
            () if mode == DisaggregationMode::Decode => "false in a pool that only decodes",
            () if config.disable_radix_cache => "false with disable_radix_cache",
            () if config.scheduler != SchedulerName::Sglang => {
                "false, unless `scheduler` is sglang"
            }
            () => "",
        };
        if !because.is_empty() {
            return refuse("enable_hierarchical_cache", "true".to_owned(), because);
        }
    }
    if config.pp_max_micro_batch_size == Some(0) {
        return refuse("pp_max_micro_batch_size", "0".to_owned(), "from 1, or None");
    }
    if config.pp_size > 1 {
        let because = match () {
            () if config.scheduler != SchedulerName::Sglang => "1, unless `scheduler` is sglang",
            () if config.enable_hierarchical_cache => {
                "1 with enable_hierarchical_cache; not simulated together"
            }
            () if config.enable_eplb => "1 with enable_eplb; not simulated together",
            // SGLang asserts that the overlap loop runs, which pipeline stages switch off.
            () if config.enable_prefill_delayer => "1 with enable_prefill_delayer",
            () => "",
        };
        if !because.is_empty() {
            return refuse("pp_size", config.pp_size.to_string(), because);
        }
    }
    if config.enable_prefill_delayer && config.disable_overlap_schedule {
        let allowed = "false with disable_overlap_schedule";
        return refuse("enable_prefill_delayer", "true".to_owned(), allowed);
    }
    match config.chunked_prefill_size {
        Some(chunk) if chunk != -1 && !(1..=i64::from(u32::MAX)).contains(&chunk) => refuse(
            "chunked_prefill_size",
            chunk.to_string(),
            "from 1 to 4294967295, or -1 to switch chunking off",
        ),
        _ => Ok(()),
    }
}

/// What is wrong with the settings of autoscaling.
pub(super) fn check_scaling(
    config: Option<&AutoscaleConfig>,
    pools: &[PoolPlan],
) -> Vec<ScenarioError> {
    let Some(config) = config else { return Vec::new() };
    let mut wrong = Vec::new();
    let mut refuse = |field: &str, value: String, allowed: &str| {
        let field = format!("autoscale{field}");
        wrong.push(ScenarioError::OutOfRange { field, value, allowed: allowed.to_owned() });
    };
    if config.interval.get() < 1e-3 {
        refuse(".interval", config.interval.to_string(), "at least 0.001 s");
    }
    if !(1e-3..=1e9).contains(&config.target_load) {
        refuse(".target_load", config.target_load.to_string(), "from 0.001 to 1000000000");
    }
    if pools.iter().all(|pool| pool.config.standby == 0) {
        refuse("", "there".to_owned(), "only with workers on `standby` in some pool");
    }
    wrong
}

//! Options of a pool that are worked out before its laws: where experts are, how tokens are drafted.

use std::path::Path;

use sglsim_kernels::{
    ExpertPlacement, ParallelPlan, Speculation, SpeculativeAlgorithm, SpeculativeConfig,
};
use sglsim_model::{DraftShape, ModelShape};

use super::load::load_model;
use crate::scenario::{PoolConfig, Scenario, ScenarioError};

/// Where the experts are, in the order of time, if their loads are given.
pub(super) fn placements(
    path: &str,
    model: &ModelShape,
    (config, plan): (&PoolConfig, &ParallelPlan),
) -> Result<Vec<ExpertPlacement>, ScenarioError> {
    let experts = model.moe.as_ref().map_or(0, |moe| moe.num_experts);
    let refuse = |field: &str, value: String, allowed: String| {
        Err(ScenarioError::OutOfRange { field: format!("{path}.{field}"), value, allowed })
    };
    let Some(loads) = &config.expert_loads else {
        if config.enable_eplb {
            let allowed = "true only with `expert_loads`".to_owned();
            return refuse("enable_eplb", "true".to_owned(), allowed);
        }
        return Ok(Vec::new());
    };
    if loads.len() != experts as usize {
        let allowed = format!("one load for each of the {experts} routed experts of the model");
        return refuse("expert_loads", format!("{} loads", loads.len()), allowed);
    }
    if let Some(load) = loads.iter().find(|load| !(0.0..=1e12).contains(*load)) {
        return refuse("expert_loads", load.to_string(), "from 0 to 1e12 each".to_owned());
    }
    let before = ExpertPlacement::trivial(experts, plan.ep_size);
    if !config.enable_eplb || plan.ep_size == 1 {
        return Ok(vec![before]);
    }
    if config.speculative_algorithm.is_some() {
        let allowed = "false with `speculative_algorithm`; not simulated together".to_owned();
        return refuse("enable_eplb", "true".to_owned(), allowed);
    }
    Ok(vec![before, ExpertPlacement::balanced(loads, plan.ep_size)])
}

/// How a pool drafts tokens, if it does.
pub(super) fn speculation(
    path: &str,
    scenario: &Scenario,
    base: &Path,
    model: &ModelShape,
    (config, plan): (&PoolConfig, &ParallelPlan),
) -> Result<Option<Speculation>, ScenarioError> {
    let Some(algorithm) = config.speculative_algorithm else { return Ok(None) };
    let draft = match &config.speculative_draft_model_path {
        None => None,
        Some(_) if algorithm != SpeculativeAlgorithm::Standalone => {
            return Err(ScenarioError::OutOfRange {
                field: format!("{path}.speculative_draft_model_path"),
                value: "given".to_owned(),
                allowed: format!("only with STANDALONE; {algorithm} has the usual draft model"),
            });
        }
        Some(name) => {
            let draft = Scenario { model: name.clone(), quantization: None, ..scenario.clone() };
            Some(DraftShape::standalone(load_model(&draft, base)?))
        }
    };
    let given = SpeculativeConfig {
        speculative_algorithm: algorithm,
        speculative_num_steps: config.speculative_num_steps,
        speculative_eagle_topk: config.speculative_eagle_topk,
        speculative_num_draft_tokens: config.speculative_num_draft_tokens,
    };
    let resolved = given.resolve(model, draft, plan);
    resolved.map(Some).map_err(|source| ScenarioError::Pool { pool: "speculation", source })
}

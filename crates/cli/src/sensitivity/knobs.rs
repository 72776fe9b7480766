//! The nearest other settings of a deployment, each simulated.

use std::path::Path;

use sglsim_engine::{
    Deployment, DeploymentPlan, DisaggregationMode, PoolPlan, Scenario, Simulation,
};
use sglsim_formula::Metric;

use crate::failure::{Failure, chain};

/// A setting, another value of it, and what that gives.
pub(super) struct Tried {
    pub(super) path: String,
    pub(super) now: String,
    pub(super) to: String,
    /// GPUs of the deployment then.
    pub(super) gpus: Option<u32>,
    /// The metric, or why it cannot be.
    pub(super) value: Result<f64, String>,
}

/// One setting less and one more of everything that a planner decides.
pub(super) fn tried(
    metric: Metric,
    scenario: &Scenario,
    folder: &Path,
) -> Result<Vec<Tried>, Failure> {
    let plan = DeploymentPlan::of(scenario, folder)?;
    let mut settings = Vec::new();
    for pool in &plan.pools {
        let at = match &scenario.deployment {
            Deployment::Aggregated(_) => "deployment".to_owned(),
            Deployment::Disaggregated { .. } => format!("deployment.{}", pool.name),
        };
        settings.extend(
            of_pool(pool)
                .into_iter()
                .map(|(name, now, others)| (format!("{at}.{name}"), now, others)),
        );
    }
    let runs = settings.iter().map(|(.., others)| others.len() as u64).sum();
    let progress = crate::progress::runs(runs);
    let mut all = Vec::new();
    for (path, now, others) in settings {
        for to in others {
            let simulated = simulate(metric, scenario, folder, &path, to);
            let gpus = simulated.as_ref().ok().map(|(gpus, _)| *gpus);
            let value = simulated.map(|(_, value)| value);
            let (now, to) = (now.to_string(), to.to_string());
            all.push(Tried { path: path.clone(), now, to, gpus, value });
            progress.inc(1);
        }
    }
    progress.finish_and_clear();
    Ok(all)
}

/// Name, value and other values of each setting of a pool.
fn of_pool(pool: &PoolPlan) -> Vec<(&'static str, u64, Vec<u64>)> {
    let mut settings = Vec::new();
    let workers = u64::from(pool.workers);
    let fewer = (workers > 1).then(|| workers - 1);
    settings.push(("workers", workers, fewer.into_iter().chain([workers + 1]).collect()));
    let halved_and_doubled = |now: u64| {
        let half = (now > 1).then_some(now / 2);
        half.into_iter().chain([now * 2]).collect::<Vec<u64>>()
    };
    let tp_size = u64::from(pool.plan.tp_size);
    if pool.plan.dp_size == 1 {
        settings.push(("tp_size", tp_size, halved_and_doubled(tp_size)));
    }
    if pool.scheduler.mode != DisaggregationMode::Decode
        && pool.scheduler.chunked_prefill_size.is_some()
    {
        let chunk = u64::from(pool.fit.settings.chunked_prefill_size);
        settings.push(("chunked_prefill_size", chunk, halved_and_doubled(chunk)));
    }
    if pool.scheduler.mode != DisaggregationMode::Prefill {
        let most = pool.fit.max_running_requests * u64::from(pool.plan.dp_size);
        settings.push(("max_running_requests", most, halved_and_doubled(most)));
    }
    settings
}

fn simulate(
    metric: Metric,
    scenario: &Scenario,
    folder: &Path,
    path: &str,
    to: u64,
) -> Result<(u32, f64), String> {
    let scenario = scenario.with(path, &to.to_string()).map_err(|error| chain(&error))?;
    let simulation = Simulation::in_folder(scenario, folder).map_err(|error| chain(&error))?;
    let gpus = simulation.plan().gpus();
    let report = simulation.run().map_err(|error| chain(&error))?;
    let value = metric.reported(&report).filter(|value| value.is_finite());
    value.map(|value| (gpus, value)).ok_or_else(|| format!("the run has no {metric}"))
}

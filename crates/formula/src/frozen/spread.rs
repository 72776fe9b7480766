//! What recorded runs tell beside the means, and how much it differs from seed to seed.

use serde::{Deserialize, Serialize};
use sglsim_engine::{Report, Scenario};

use super::{Frozen, Load};
use crate::{FormulaError, History};

/// A quantity of the runs that were frozen, with its spread over seeds.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
#[non_exhaustive]
pub struct Observed {
    /// Its name: a parameter of formulas, or what else is worth knowing of the runs.
    pub name: String,
    /// Its unit.
    pub unit: String,
    /// Mean over the seeds.
    pub mean: f64,
    /// Where the true mean lies with 95 % confidence, by Student's t distribution; `None` with one
    /// seed.
    pub interval: Option<(f64, f64)>,
}

impl Observed {
    fn once(name: impl Into<String>, unit: &str, value: f64) -> Self {
        Self { name: name.into(), unit: unit.to_owned(), mean: value, interval: None }
    }

    /// The same quantity of several runs.
    fn pooled(&self, sample: &[f64]) -> Self {
        let n = sample.len() as f64;
        let mean = sample.iter().sum::<f64>() / n;
        let interval = student_t(sample.len()).map(|t| {
            let variance = sample.iter().map(|x| (x - mean) * (x - mean)).sum::<f64>() / (n - 1.0);
            let half = t * (variance / n).sqrt();
            (mean - half, mean + half)
        });
        Self { mean, interval, ..self.clone() }
    }
}

/// 97.5 % quantile of Student's t distribution for the mean of a sample of this size (any table);
/// `None` for a single value.
fn student_t(size: usize) -> Option<f64> {
    const T: [f64; 30] = [
        12.706, 4.303, 3.182, 2.776, 2.571, 2.447, 2.365, 2.306, 2.262, 2.228, 2.201, 2.179, 2.160,
        2.145, 2.131, 2.120, 2.110, 2.101, 2.093, 2.086, 2.080, 2.074, 2.069, 2.064, 2.060, 2.056,
        2.052, 2.048, 2.045, 2.042,
    ];
    let freedom = size.checked_sub(2)?;
    // Beyond the table the normal distribution is within 2 %.
    Some(T.get(freedom).copied().unwrap_or(1.96))
}

impl Frozen {
    /// As [`Frozen::of`], of a run that was recorded: with cache hits, batches, padding and
    /// retractions as [`Frozen::observed`].
    ///
    /// # Errors
    ///
    /// [`FormulaError::NothingFinished`].
    pub fn of_run(
        report: &Report,
        scenario: &Scenario,
        history: &History,
    ) -> Result<Self, FormulaError> {
        let mut frozen = Self::of(report, scenario)?;
        let parameters = frozen.parameters().into_iter();
        let mut observed: Vec<Observed> = parameters
            .map(|one| Observed::once(one.symbol.name, &one.symbol.unit, one.value))
            .collect();
        let mut add = |name: String, unit: &str, value: f64| {
            observed.push(Observed::once(name, unit, value));
        };
        let retractions = report.retractions as f64 / report.completed.max(1) as f64;
        add("cache_hit_rate".to_owned(), "1", report.cache_hit_rate());
        add("retractions_per_request".to_owned(), "1", retractions);
        for (pool, mix) in report.pools.iter().zip(history.batches()) {
            let named = |name: &str| format!("{}_{name}", pool.name);
            add(named("busy_share"), "1", pool.busy_share);
            add(named("kv_usage"), "1", pool.kv_usage);
            if pool.decode_tokens > 0 {
                add(named("decode_batch"), "1", pool.decode_batch);
                add(named("padding_share"), "1", mix.padding_share);
            }
            if pool.prefill_tokens > 0 {
                add(named("tokens_per_prefill_step"), "token", mix.extend_tokens);
                add(named("prompts_per_prefill_step"), "1", mix.extend_seqs);
            }
        }
        frozen.observed = observed;
        Ok(frozen)
    }

    /// Several runs of one scenario, each with another seed, as one: the means of all values, with
    /// confidence intervals.
    ///
    /// # Errors
    ///
    /// [`FormulaError::NothingFinished`] if there is no run.
    pub fn pooled(runs: &[Self]) -> Result<Self, FormulaError> {
        let [first, .., last] = runs else {
            return runs.first().cloned().ok_or(FormulaError::NothingFinished);
        };
        let mean = |of: fn(&Self) -> f64| runs.iter().map(of).sum::<f64>() / runs.len() as f64;
        let observed = first.observed.iter().map(|one| {
            let same =
                |run: &Self| run.observed.iter().find(|other| other.name == one.name).cloned();
            let sample: Vec<f64> = runs.iter().filter_map(same).map(|one| one.mean).collect();
            one.pooled(&sample)
        });
        let rate = mean(|run| match run.load {
            Load::Open { request_rate } => request_rate,
            Load::Unlimited | Load::Closed { .. } => 0.0,
        });
        Ok(Self {
            source: format!("{}; to {}", first.source, last.source),
            seeds: runs.iter().map(|run| run.seeds).sum(),
            requests: runs.iter().map(|run| run.requests).sum(),
            mean_prompt_tokens: mean(|run| run.mean_prompt_tokens),
            mean_cached_tokens: mean(|run| run.mean_cached_tokens),
            mean_extend_pairs: mean(|run| run.mean_extend_pairs),
            mean_output_tokens: mean(|run| run.mean_output_tokens),
            mean_decode_context: mean(|run| run.mean_decode_context),
            mean_reserved_tokens: mean(|run| run.mean_reserved_tokens),
            short_prompt_ratio: mean(|run| run.short_prompt_ratio),
            long_prompt_ratio: mean(|run| run.long_prompt_ratio),
            long_prompt_share: mean(|run| run.long_prompt_share),
            output_scv: mean(|run| run.output_scv),
            mean_gap_share: mean(|run| run.mean_gap_share),
            gap_scv: mean(|run| run.gap_scv),
            routing_scv: mean(|run| run.routing_scv),
            load: match first.load {
                Load::Open { .. } => Load::Open { request_rate: rate },
                // Users and their time to think are the scenario's.
                same @ (Load::Unlimited | Load::Closed { .. }) => same,
            },
            observed: observed.collect(),
            ..first.clone()
        })
    }
}

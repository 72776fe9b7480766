//! Simulates a point and compares the formulas with it.

use sglsim_engine::{DeploymentPlan, Report, RequestRecord, Scenario, Simulation};
use sglsim_expr::Values;
use sglsim_formula::{Formula, Frozen, Metric};

use crate::point::{Offered, Point};

/// A metric at a point, by formula and by simulation.
#[derive(Clone, Debug)]
pub(crate) struct Score {
    /// The point.
    pub(crate) number: usize,
    /// What was compared.
    pub(crate) kind: Kind,
    /// Value of the formula; `None` if it says that the load cannot be served.
    pub(crate) formula: Option<f64>,
    /// Value of the simulation.
    pub(crate) simulated: f64,
    /// Share of the saturated rate that was served \[1\].
    pub(crate) load: f64,
}

/// What is compared.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    /// Output tokens per second while requests never run out \[token/s\].
    Saturated,
    /// Output tokens per second of a closed loop \[token/s\].
    ClosedLoop,
    /// Mean time per output token \[s\].
    Tpot,
    /// Mean time to first token \[s\].
    Ttft,
}

impl Kind {
    /// All kinds, in the order of the table.
    pub(crate) const ALL: [Self; 4] = [Self::Saturated, Self::ClosedLoop, Self::Tpot, Self::Ttft];

    /// Its name.
    #[must_use]
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Saturated => "saturated throughput",
            Self::ClosedLoop => "closed-loop throughput",
            Self::Tpot => "TPOT",
            Self::Ttft => "TTFT",
        }
    }
}

impl Score {
    /// formula / simulation − 1; −1 where the formula has no value.
    #[must_use]
    pub(crate) fn error(&self) -> f64 {
        self.formula.map_or(-1.0, |formula| formula / self.simulated - 1.0)
    }
}

/// Any error of a point.
pub(crate) type Failure = Box<dyn std::error::Error + Send + Sync>;

/// Simulates the point at saturation and under its load, and evaluates the formulas.
///
/// # Errors
///
/// A run that fails, or a formula that cannot be made.
pub(crate) fn score(point: &Point) -> Result<Vec<Score>, Failure> {
    let report = run(&point.scenario)?;
    let frozen = Frozen::of(&report, &point.scenario)?;
    let plan = DeploymentPlan::of(&point.scenario, ".".as_ref())?;
    let formula = |scenario: &Scenario, metric: &str, frozen: &Frozen| -> Result<_, Failure> {
        let plan = DeploymentPlan::of(scenario, ".".as_ref())?;
        let Ok(formula) = Formula::of(&plan, metric.parse::<Metric>()?, frozen) else {
            return Ok(None);
        };
        Ok(formula.evaluate(&Values::new()).ok())
    };
    let (from, to) = (0.25, 0.75);
    let saturated = full_throughput(&report, from, to);
    let mut scores = vec![Score {
        number: point.number,
        kind: Kind::Saturated,
        formula: formula(&point.scenario, "max_output_throughput", &frozen)?,
        simulated: saturated,
        load: 1.0,
    }];
    let rate = saturated * report.completed as f64 / report.total_output_tokens as f64;
    let ranks = plan.pools.last().map_or(1, |pool| pool.workers * pool.plan.dp_size);
    let batch = report.pools.last().map_or(1.0, |pool| pool.decode_batch);
    let batch = batch * f64::from(ranks) / f64::from(plan.pools[0].plan.dp_size.max(1));
    let alone = report.tpot.p50 * report.total_output_tokens as f64 / report.completed as f64;
    let scenario = point.loaded(rate, batch.max(1.0), alone)?;
    let report = run(&scenario)?;
    let frozen = Frozen::of(&report, &scenario)?;
    let served = full_throughput(&report, 0.2, 0.9);
    let load = served / saturated;
    let mut add = |kind, metric, simulated| -> Result<(), Failure> {
        let formula = formula(&scenario, metric, &frozen)?;
        scores.push(Score { number: point.number, kind, formula, simulated, load });
        Ok(())
    };
    if matches!(point.load, Offered::Closed { .. }) {
        add(Kind::ClosedLoop, "output_throughput", served)?;
    }
    let skip = report.requests.len() / 5;
    let window = &report.requests[skip..report.requests.len() - skip / 2];
    let mean = |of: fn(&RequestRecord) -> Option<f64>| {
        let sample: Vec<f64> = window.iter().filter_map(of).collect();
        sample.iter().sum::<f64>() / sample.len() as f64
    };
    add(Kind::Tpot, "mean_tpot", mean(|request| Some(request.tpot()?.get())))?;
    add(Kind::Ttft, "mean_ttft", mean(|request| Some(request.ttft()?.get())))?;
    Ok(scores)
}

fn run(scenario: &Scenario) -> Result<Report, Failure> {
    Ok(Simulation::new(scenario.clone())?.run()?)
}

/// Output tokens per second between two shares of the finishes.
fn full_throughput(report: &Report, from: f64, to: f64) -> f64 {
    let mut finished: Vec<f64> =
        report.requests.iter().filter_map(|request| Some(request.finished?.seconds())).collect();
    finished.sort_by(f64::total_cmp);
    let at = |share: f64| (share * (finished.len() - 1) as f64) as usize;
    let (from, to) = (at(from), at(to));
    let rate = (to - from) as f64 / (finished[to] - finished[from]);
    rate * report.total_output_tokens as f64 / report.completed as f64
}

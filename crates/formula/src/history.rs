//! The run level: metrics of one simulated run, with its decisions frozen, as formulas.

mod expression;
mod graph;
mod reading;
mod recorder;

use std::sync::{Arc, Mutex, PoisonError};

use sglsim_engine::{
    DeploymentPlan, EngineError, Event, Observer, PoolPlan, Report, SimTime, Simulation,
};
use sglsim_expr::Values;

use self::graph::{Durations, Graph};
use self::reading::Reading;
pub(crate) use self::reading::reported;
use self::recorder::{Recorder, Trail};
use crate::formula::{Formula, RUN};
use crate::symbols::Symbols;
use crate::{FormulaError, Level, Metric};

/// Largest relative difference between what a history says and what the run's report says.
const TOLERANCE: f64 = 1e-9;

/// A simulated run as a function of hardware and law coefficients, its decisions frozen.
///
/// # Formula
///
/// The instants of a run obey a max-plus recursion. A step *k* of a worker ends at
///
/// ```text
/// end(k) = max( end(k−1), queued(r) and transferred(r) of the requests r that it took in ) + t(x_k; θ)
/// ```
///
/// with its features `x_k`; a piece of KV arrives at `max(sent, piece before it at its sender, at its
/// receiver) + t_transfer(tokens; θ)`; an arrival is a constant, or in a closed loop the end of another
/// request and a time to think. Walking back from an instant along what decided each maximum gives
/// `constant + Σ t(x_k; θ) + Σ t_transfer(tokens; θ)` over the steps and transfers on the way. Means,
/// percentiles and durations are weighted sums of instants, throughputs are counts over a duration.
///
/// # How far it holds
///
/// At the run's own θ the formula *is* the report, to rounding. Its derivative there is the derivative
/// of the simulation, as long as the scheduler, the router and the caches decide the same. Away from
/// there it is a first-order answer with exact laws: the steps on the way keep their weights.
/// [`History::replay`] decides the maxima anew; for durations, and for TTFT and end-to-end latencies in
/// an open loop, it is never below the formula, because a maximum of sums is at least each of them.
///
/// # Source
///
/// Baccelli, Cohen, Olsder, Quadrat: *Synchronization and Linearity* (1992), chapter 2; derived.
///
/// ```
/// use sglsim_engine::{Scenario, Simulation};
/// use sglsim_expr::Values;
/// use sglsim_formula::{History, Metric};
///
/// let scenario = Scenario::from_ron(r#"(
///     model: "Llama-3.1-8B",
///     hardware: (gpu: "H100-SXM"),
///     deployment: Aggregated(workers: 1),
///     workload: Synthetic(
///         arrivals: Poisson(rate: 5.0),
///         input_len: LogNormal(mean: 1000, cv: 0.8, max: 8000),
///         output_len: Fixed(50),
///         requests: 40,
///     ),
/// )"#)?;
/// let (report, history) = History::record(Simulation::new(scenario)?)?;
/// let ttft = history.formula("mean_ttft".parse()?)?;
/// assert!((ttft.evaluate(&Values::new())? / report.ttft.mean - 1.0).abs() < 1e-9);
///
/// // Tokens come one by one as fast as the memory is read.
/// let itl = history.formula("mean_itl".parse()?)?;
/// let by = itl.module.sensitivities(&Values::new())?;
/// let by_bandwidth = by.iter().find(|one| one.name == "hbm_bandwidth").and_then(|one| one.elasticity);
/// assert!(by_bandwidth < Some(-0.5));
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Debug)]
pub struct History {
    record: Arc<Record>,
    /// The instant of each node \[s\].
    at: Vec<f64>,
    /// What differs from the scenario.
    values: Values,
}

/// What the steps of a pool were like, of the rank with the most in each.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
#[non_exhaustive]
pub struct BatchMix {
    /// Share of the rows of decode steps that were padding to a captured CUDA graph.
    pub padding_share: f64,
    /// Mean new tokens of a step that extends \[token\].
    pub extend_tokens: f64,
    /// Mean sequences of a step that extends \[1\].
    pub extend_seqs: f64,
}

impl BatchMix {
    fn of(graph: &Graph, pool: usize) -> Self {
        let steps = graph.steps.iter().filter(|step| step.pool == pool).map(|step| &step.features);
        let (mut seqs, mut padded) = (0.0, 0.0);
        let (mut extends, mut tokens, mut prompts) = (0.0, 0.0, 0.0);
        for step in steps {
            seqs += step.decode_seqs;
            padded += step.decode_padded;
            if step.extend_tokens > 0.0 {
                extends += 1.0;
                tokens += step.extend_tokens;
                prompts += step.extend_seqs;
            }
        }
        let ratio = |a: f64, b: f64| if b > 0.0 { a / b } else { 0.0 };
        Self {
            padding_share: ratio(padded - seqs, padded),
            extend_tokens: ratio(tokens, extends),
            extend_seqs: ratio(prompts, extends),
        }
    }
}

/// What does not depend on θ.
#[derive(Debug)]
struct Record {
    plan: DeploymentPlan,
    report: Report,
    graph: Graph,
    trails: Vec<Trail>,
}

/// Hands a recorder back when the run is over.
#[derive(Debug)]
struct Shared(Arc<Mutex<Recorder>>);

impl Observer for Shared {
    fn on_event(&mut self, at: SimTime, event: &Event<'_>) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).on_event(at, event);
    }
}

impl History {
    /// Runs a simulation to its end and keeps what each instant waited for: about 150 bytes a step.
    ///
    /// # Errors
    ///
    /// [`FormulaError::Engine`] if the run fails, [`FormulaError::OpaqueCost`] if a step was costed
    /// by anything but a law, [`FormulaError::Unexplained`] if something in the run is not of the
    /// form above.
    pub fn record(simulation: Simulation) -> Result<(Report, Self), FormulaError> {
        let plan = simulation.plan().clone();
        let pools = plan.pools.iter().enumerate();
        let pools = pools.flat_map(|(number, pool)| (0..pool.workers).map(move |_| number));
        let recorder = Arc::new(Mutex::new(Recorder::new(pools.collect())));
        let report = simulation.observer(Box::new(Shared(Arc::clone(&recorder)))).run()?;
        let mut recorder = recorder.lock().unwrap_or_else(PoisonError::into_inner);
        let recorder = std::mem::take(&mut *recorder).finished();
        if !report.formula_available {
            return Err(FormulaError::OpaqueCost { cost: report.latency_source });
        }
        if let Some((at, worker)) = recorder.unexplained {
            return Err(FormulaError::Unexplained { at, worker });
        }
        let Recorder { graph, at, requests: trails, .. } = recorder;
        let record = Record { plan, report: report.clone(), graph, trails };
        let history = Self { record: Arc::new(record), at, values: Values::new() };
        history.check()?;
        Ok((report, history))
    }

    /// The same decisions at other values of hardware and θ, with the maxima decided anew.
    ///
    /// ```
    /// # use sglsim_engine::{Scenario, Simulation};
    /// # use sglsim_expr::Values;
    /// # use sglsim_formula::{History, Metric};
    /// # let scenario = Scenario::from_ron(r#"(
    /// #     model: "Llama-3.1-8B",
    /// #     hardware: (gpu: "H100-SXM"),
    /// #     deployment: Aggregated(workers: 1),
    /// #     workload: Synthetic(arrivals: Poisson(rate: 5.0), input_len: Fixed(1000),
    /// #         output_len: Fixed(50), requests: 20),
    /// # )"#)?;
    /// let (_, history) = History::record(Simulation::new(scenario)?)?;
    /// let faster = history.replay(&Values::from([("hbm_bandwidth", 4.0e12)]))?;
    /// assert!(faster.value(Metric::MeanItl)? < history.value(Metric::MeanItl)?);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    ///
    /// # Errors
    ///
    /// [`FormulaError::Engine`] for an unknown name, with the nearest one, or a value out of its domain;
    /// [`FormulaError::NotFinite`] if an instant is not.
    pub fn replay(&self, values: &Values) -> Result<Self, FormulaError> {
        let mut all = self.values.clone();
        all.extend(values.iter());
        let durations = self.durations(&all)?;
        let at = self.record.graph.run(&durations);
        if let Some(at) = at.iter().find(|at| !at.is_finite()) {
            return Err(FormulaError::NotFinite { value: *at });
        }
        Ok(Self { record: Arc::clone(&self.record), at, values: all })
    }

    /// The value of a metric at this history's θ.
    ///
    /// # Errors
    ///
    /// [`FormulaError::Unavailable`] if it is no metric of a run, [`FormulaError::EmptySample`] if
    /// no request has such a latency.
    pub fn value(&self, metric: Metric) -> Result<f64, FormulaError> {
        Ok(self.reading(metric)?.value(&self.at))
    }

    /// A metric as a formula of hardware and θ, as decided here.
    ///
    /// # Errors
    ///
    /// As [`History::value`]; [`FormulaError::Disagrees`] if it is not what the report says.
    pub fn formula(&self, metric: Metric) -> Result<Formula, FormulaError> {
        let mut symbols = Symbols::new();
        let reading = self.reading(metric)?;
        let value = reading.value(&self.at);
        let at_home = self.values.is_empty();
        if let Some(report) = reported(metric, &self.record.report).filter(|_| at_home)
            && (value - report).abs() > TOLERANCE * report.abs()
        {
            return Err(FormulaError::Disagrees { metric, value, report });
        }
        let (expr, constraints) = self.express(&mut symbols, &reading)?;
        symbols.values.extend(self.values.iter());
        let mut formula = Formula::assemble(metric, symbols, &expr, constraints, RUN)?;
        formula.level = Level::Run;
        let report = &self.record.report;
        formula.source =
            format!("run of {} with {}, seed {}", report.model, report.workload, report.seed);
        Ok(formula)
    }

    /// All symbols of the laws that ran, with their values.
    #[must_use]
    pub fn parameters(&self) -> Values {
        let mut all = self.record.plan.parameters();
        all.extend(self.values.iter());
        all
    }

    /// Steps that ran, and how many of them decide a metric.
    ///
    /// # Errors
    ///
    /// As [`History::value`].
    pub fn deciding_steps(&self, metric: Metric) -> Result<(usize, usize), FormulaError> {
        let Reading { above, below } = self.reading(metric)?;
        let mut decides = vec![false; self.record.graph.steps.len()];
        for part in [above, below] {
            if let reading::Part::Time(ends) = part {
                let weights = self.record.graph.walk_back(&ends, &self.at).steps;
                for (decides, weight) in decides.iter_mut().zip(weights) {
                    *decides |= weight != 0.0;
                }
            }
        }
        Ok((decides.len(), decides.into_iter().filter(|decides| *decides).count()))
    }

    /// What the time of a metric is made of, as shares of it: the steps of each pool and the
    /// transfers that decide it, and `arrivals` (when requests came, and times to think), which are
    /// negative where a latency counts from an arrival amid a busy period. Of a throughput, shares of
    /// the run's duration.
    ///
    /// # Errors
    ///
    /// As [`History::value`].
    pub fn parts(&self, metric: Metric) -> Result<Vec<(String, f64)>, FormulaError> {
        let Record { plan, graph, .. } = &*self.record;
        let Reading { above, below } = self.reading(metric)?;
        let time = match (above, below) {
            (reading::Part::Time(ends), _) | (_, reading::Part::Time(ends)) => ends,
            _ => Vec::new(),
        };
        let weights = graph.walk_back(&time, &self.at);
        let durations = self.durations(&self.values)?;
        let mut parts: Vec<(String, f64)> =
            plan.pools.iter().map(|pool| (format!("{} steps", pool.name), 0.0)).collect();
        for (number, step) in graph.steps.iter().enumerate() {
            parts[step.pool].1 += weights.steps[number] * durations.steps[number];
        }
        if plan.transfer.is_some() {
            let pairs = weights.transfers.iter().zip(&durations.transfers);
            parts.push(("transfers".to_owned(), pairs.map(|(weight, time)| weight * time).sum()));
        }
        parts.push(("arrivals".to_owned(), weights.constant));
        let whole: f64 = parts.iter().map(|(_, time)| time).sum();
        for (_, share) in &mut parts {
            *share /= whole;
        }
        Ok(parts)
    }

    /// What the steps of each pool were like, in the order of the pools.
    #[must_use]
    pub fn batches(&self) -> Vec<BatchMix> {
        let pools = 0..self.record.plan.pools.len();
        pools.map(|pool| BatchMix::of(&self.record.graph, pool)).collect()
    }

    fn reading(&self, metric: Metric) -> Result<Reading, FormulaError> {
        Reading::of(metric, &self.record.report, &self.record.trails, &self.at)
    }

    fn durations(&self, values: &Values) -> Result<Durations, FormulaError> {
        let Record { plan, graph, .. } = &*self.record;
        let plan = plan.clone().with_parameters(values).map_err(EngineError::from)?;
        let mut programs: Vec<_> = plan.pools.iter().map(PoolPlan::program).collect();
        let steps =
            graph.steps.iter().map(|step| programs[step.pool].seconds(&step.features)).collect();
        let transfers = match &plan.transfer {
            None => Vec::new(),
            Some(law) => {
                let mut program = law.compile()?;
                let seconds = graph.transfers.iter();
                seconds.map(|one| one.stretch * program.seconds(one.tokens)).collect()
            }
        };
        Ok(Durations { steps, transfers })
    }

    /// The laws explain every instant of the run.
    fn check(&self) -> Result<(), FormulaError> {
        let replayed = self.record.graph.run(&self.durations(&Values::new())?);
        for (found, at) in replayed.iter().zip(&self.at) {
            if (found - at).abs() > TOLERANCE * at.abs() {
                return Err(FormulaError::NotTheLaw { at: *at, replayed: *found });
            }
        }
        Ok(())
    }
}

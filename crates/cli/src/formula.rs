//! `sglsim formula`.

use std::path::PathBuf;

use sglsim_engine::{DeploymentPlan, Report};
use sglsim_expr::Sense;
use sglsim_formula::{Formula, Frozen, History, Level, Metric};

use crate::failure::Failure;
use crate::number::{count, counted};
use crate::output;
use crate::progress::{self, Progress};
use crate::scenario::ScenarioArguments;

/// Arguments of `formula`.
#[derive(Debug, clap::Args)]
#[command(after_help = metrics())]
pub(crate) struct Arguments {
    #[command(flatten)]
    scenario: ScenarioArguments,
    /// The metric, see the list below
    #[arg(long, value_name = "NAME")]
    metric: String,
    /// What the metric is of: the configuration, or one simulated run with its decisions frozen. By
    /// default the configuration, if the metric is defined for it
    #[arg(long, value_enum)]
    level: Option<Of>,
    /// Form of the formula
    #[arg(long, value_enum, default_value_t = Form::Sympy)]
    to: Form,
    /// Symbols that may be decided; all others have the scenario's values. By default all numbers
    /// of workers, parallel sizes, chunks and batch caps
    #[arg(long, value_name = "NAMES", value_delimiter = ',')]
    knobs: Vec<String>,
    /// Narrower ranges of symbols; a solver needs one for every knob without
    #[arg(long, value_name = "NAME=LEAST..MOST", value_delimiter = ',', value_parser = range)]
    within: Vec<(String, f64, f64)>,
    /// Take the workload's means from this file instead of simulating the scenario once
    #[arg(long, value_name = "FILE")]
    freeze: Option<PathBuf>,
    /// Simulate so many configurations around the scenario and tell how far the formula is from them,
    /// in the formula's description
    #[arg(long, value_name = "COUNT", value_parser = clap::value_parser!(u16).range(1..))]
    validate: Option<u16>,
    /// Save the workload's means for `--freeze`
    #[arg(long, value_name = "FILE")]
    save_frozen: Option<PathBuf>,
}

/// What a metric is of.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
enum Of {
    /// A function of the configuration
    Configuration,
    /// The run of the scenario, as a function of hardware and law coefficients
    Run,
}

/// How a formula is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
enum Form {
    /// A Python module with SymPy expressions, which also runs by itself
    Sympy,
    /// One equation for each named part
    Latex,
    /// The expression with its value, variables and constraints
    Json,
    /// A Python module that needs nothing but Python
    Python,
    /// A Python module for whole arrays, by NumPy or what is called alike
    Numpy,
    /// A C function
    C,
    /// A Python module for CasADi
    Casadi,
    /// Content MathML
    Mathml,
    /// A mixed-integer program in AMPL's format: rates as large as can be, times as small
    Nl,
    /// The same program as a Python module that builds a Pyomo model
    Pyomo,
}

/// The metrics by name, as `--help` shows them.
fn metrics() -> String {
    let of_run = |metric: &Metric| metric.level() == Level::Run;
    let lines = Metric::all().filter(|metric| !of_run(metric));
    let lines = lines.map(|metric| format!("  {:<30}{}\n", metric.name(), metric.doc()));
    format!(
        "Metrics:\n{}
Metrics of one simulated run (--level run), as functions of hardware and law coefficients:
  all throughputs but the largest, duration, mean_itl, and of ttft, tpot, e2e_latency, queue_time and
  transfer_time each the mean_, p50_, p90_, p95_, p99_ and max_, such as p99_ttft\n",
        lines.collect::<String>()
    )
}

/// A range such as `N_p=1..64`.
fn range(text: &str) -> Result<(String, f64, f64), String> {
    let parsed = text.split_once('=').and_then(|(name, range)| {
        let (least, most) = range.split_once("..")?;
        Some((name.trim().to_owned(), least.trim().parse().ok()?, most.trim().parse().ok()?))
    });
    parsed.ok_or_else(|| "it is written NAME=LEAST..MOST, such as N_p=1..64".to_owned())
}

/// Runs a scenario and keeps its history.
pub(crate) fn record(scenario: &ScenarioArguments) -> Result<(Report, History), Failure> {
    let mut simulation = scenario.prepare()?;
    let requests = simulation.prepare_workload()?.total();
    Ok(History::record(simulation.observer(Box::new(Progress::new(requests))))?)
}

/// Whether a planner wants more of it: yes of a rate, no of a time.
fn sense(metric: Metric) -> Sense {
    if metric.unit() == "s" { Sense::Minimise } else { Sense::Maximise }
}

pub(crate) fn run(arguments: &Arguments) -> Result<(), Failure> {
    let metric: Metric = arguments.metric.parse()?;
    let of_run = arguments.level.map_or(metric.level() == Level::Run, |level| level == Of::Run);
    let mut formula =
        if of_run { arguments.of_run(metric)? } else { arguments.of_configuration(metric)? };
    if let Some(points) = arguments.validate {
        let scenario = arguments.scenario.load()?;
        let bar = progress::runs(u64::from(points));
        let folder = arguments.scenario.folder();
        formula.measure(&scenario, folder, usize::from(points), || bar.inc(1))?;
        bar.finish_and_clear();
        if let Some(measured) = &formula.measured {
            eprintln!("{measured}");
        }
    }
    if !arguments.knobs.is_empty() {
        let names: Vec<&str> = arguments.knobs.iter().map(|name| name.trim()).collect();
        formula = formula.with_knobs(&names)?;
    }
    if !arguments.within.is_empty() {
        let ranges: Vec<(&str, f64, f64)> =
            arguments.within.iter().map(|(name, lo, hi)| (name.as_str(), *lo, *hi)).collect();
        formula.module = formula.module.within(&ranges)?;
    }
    output::print(&match arguments.to {
        Form::Sympy => formula.to_sympy()?,
        Form::Latex => formula.to_latex()?,
        Form::Json => serde_json::to_string_pretty(&formula.to_json()?)? + "\n",
        Form::Python => formula.module.to_python()?,
        Form::Numpy => formula.module.to_numpy()?,
        Form::C => formula.module.to_c()?,
        Form::Casadi => formula.module.to_casadi()?,
        Form::Mathml => formula.module.to_mathml()?,
        Form::Nl => formula.module.to_nl(sense(metric))?.nl,
        Form::Pyomo => formula.module.to_pyomo(sense(metric))?,
    })
}

/// A metric is asked for where there is none.
#[derive(Debug, thiserror::Error)]
#[error(
    "`{metric}` is no metric of a {level}; ask for mean_ttft, p99_tpot, mean_e2e_latency or output_throughput"
)]
pub(crate) struct WrongLevel {
    pub(crate) metric: Metric,
    pub(crate) level: Level,
}

/// A run freezes itself.
#[derive(Debug, thiserror::Error)]
#[error("`{0}` does not go with a metric of a run, which is frozen as it was simulated")]
struct FrozenRun(&'static str);

impl Arguments {
    /// The metric of the scenario's run.
    fn of_run(&self, metric: Metric) -> Result<Formula, Failure> {
        for (option, given) in [("--freeze", &self.freeze), ("--save-frozen", &self.save_frozen)] {
            if given.is_some() {
                return Err(FrozenRun(option).into());
            }
        }
        let (_, history) = record(&self.scenario)?;
        let formula = history.formula(metric)?;
        let (steps, deciding) = history.deciding_steps(metric)?;
        eprintln!(
            "{} of {} decide {metric}",
            count(deciding as u64),
            counted(steps as u64, "simulated step")
        );
        Ok(formula)
    }

    /// The metric as a function of the configuration.
    fn of_configuration(&self, metric: Metric) -> Result<Formula, Failure> {
        let (plan, frozen) = self.freeze(metric)?;
        if let Some(frozen) = frozen.as_ref().filter(|_| self.freeze.is_none()) {
            let parameters = counted(frozen.parameters().len() as u64, "parameter");
            let requests = counted(frozen.requests, "request");
            eprintln!("froze {parameters} from a run of {requests}");
        }
        if let (Some(frozen), Some(file)) = (&frozen, &self.save_frozen) {
            frozen.write_to(file)?;
        }
        Ok(match &frozen {
            Some(frozen) => Formula::of(&plan, metric, frozen)?,
            None => Formula::of_step(&plan, metric)?,
        })
    }

    /// The deployment, and what is frozen of its workload: from a file, from a run, or nothing where
    /// nothing is needed.
    fn freeze(&self, metric: Metric) -> Result<(DeploymentPlan, Option<Frozen>), Failure> {
        let wanted = metric.needs_run() || self.save_frozen.is_some();
        if self.freeze.is_some() || !wanted {
            let scenario = self.scenario.load()?;
            let plan = DeploymentPlan::of(&scenario, self.scenario.folder())?;
            let frozen = self.freeze.as_ref().map(Frozen::from_file).transpose()?;
            if let Some(frozen) = &frozen {
                frozen.check_scenario(&scenario)?;
            }
            return Ok((plan, frozen));
        }
        let mut simulation = self.scenario.prepare()?;
        let requests = simulation.prepare_workload()?.total();
        let scenario = simulation.scenario().clone();
        let plan = simulation.plan().clone();
        let report = simulation.observer(Box::new(Progress::new(requests))).run()?;
        let frozen = Frozen::of(&report, &scenario)?;
        Ok((plan, Some(frozen)))
    }
}

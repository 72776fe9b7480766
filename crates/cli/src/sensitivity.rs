//! `sglsim sensitivity`.

use std::path::PathBuf;

use serde_json::{Value, json};
use sglsim_engine::{DeploymentPlan, Report, Scenario, Simulation};
use sglsim_expr::{Sensitivity, Values};
use sglsim_formula::{History, Level, Metric};

use crate::failure::Failure;
use crate::formula::{WrongLevel, record};
use crate::number::{NONE, count, counted, digits, fixed, signed_percent};
use crate::output;
use crate::scenario::ScenarioArguments;
use crate::table::{headline, table, text};

mod knobs;
mod plot;

/// Arguments of `sensitivity`.
#[derive(Debug, clap::Args)]
#[command(after_help = COLUMNS)]
pub(crate) struct Arguments {
    #[command(flatten)]
    scenario: ScenarioArguments,
    /// The metric of the run, such as mean_ttft, p99_tpot or output_throughput
    #[arg(long, value_name = "NAME", default_value = "output_throughput")]
    metric: String,
    /// How much more and less of a parameter is simulated [%]
    #[arg(long, value_name = "PERCENT", default_value_t = 10.0, value_parser = share)]
    by: f64,
    /// How many parameters to show; so many of each pool, those with the greatest elasticity, are
    /// simulated
    #[arg(long, value_name = "COUNT", default_value_t = 8)]
    top: usize,
    /// Leave out what other settings of the deployment would give
    #[arg(long)]
    no_knobs: bool,
    /// Print JSON instead of tables
    #[arg(long)]
    json: bool,
    /// Draw what each change gives into this file
    #[arg(long, value_name = "FILE.svg")]
    plot: Option<PathBuf>,
}

const COLUMNS: &str = "\
Columns:
  elasticity  percent of change in the metric per percent of change in the parameter: the exact
              derivative of the run, as long as all decisions (batches, routes, cache hits) stay;
              large and of little meaning for a latency amid the steps of others, which a request
              would join elsewhere
  simulated   what a new simulation with more or less of it gives, decisions included";

fn share(text: &str) -> Result<f64, String> {
    let parsed = text.trim_end_matches('%').trim().parse().ok();
    parsed
        .filter(|by| (0.001..=90.0).contains(by))
        .ok_or("it is from 0.001 to 90 percent".to_owned())
}

/// `--plot` names a file that cannot be written.
#[derive(Debug, thiserror::Error)]
#[error("cannot write the plot into `{}`", .0.display())]
struct BadPlot(PathBuf, #[source] std::io::Error);

/// How names of symbols begin; all do with the last.
const SCOPES: [&str; 4] = ["prefill_", "decode_", "transfer_", ""];

/// A parameter of the laws.
struct Parameter {
    at: Sensitivity,
    unit: String,
    doc: String,
    /// The metric with less and with more of it; `None` where it cannot be.
    simulated: Option<[Option<f64>; 2]>,
}

/// What was found.
struct Found {
    metric: Metric,
    value: f64,
    by: f64,
    top: usize,
    parts: Vec<(String, f64)>,
    steps: (usize, usize),
    parameters: Vec<Parameter>,
    knobs: Vec<knobs::Tried>,
}

pub(crate) fn run(arguments: &Arguments) -> Result<(), Failure> {
    let metric: Metric = arguments.metric.parse()?;
    if !metric.is_of_run() {
        return Err(WrongLevel { metric, level: Level::Run }.into());
    }
    let (_, history) = record(&arguments.scenario)?;
    let scenario = arguments.scenario.load()?;
    let found = arguments.find(metric, &history, &scenario)?;
    if let Some(file) = &arguments.plot {
        std::fs::write(file, plot::svg(&found)).map_err(|error| BadPlot(file.clone(), error))?;
    }
    if arguments.json {
        return output::print(&(serde_json::to_string_pretty(&found.json())? + "\n"));
    }
    let plan = DeploymentPlan::of(&scenario, arguments.scenario.folder())?;
    output::print(&found.words(&plan))
}

impl Arguments {
    fn find(
        &self,
        metric: Metric,
        history: &History,
        scenario: &Scenario,
    ) -> Result<Found, Failure> {
        let value = history.value(metric)?;
        let formula = history.formula(metric)?;
        let declared = formula.module.objective.free_symbols();
        let mut slopes = formula.module.sensitivities(&Values::new())?;
        // What is counted cannot be a little more; settings are tried as such.
        let is_real = |slope: &Sensitivity| {
            let symbol = declared.iter().find(|symbol| symbol.name == slope.name);
            symbol.is_some_and(|symbol| symbol.sort == sglsim_expr::Sort::Real)
        };
        slopes.retain(|slope| is_real(slope) && slope.derivative != 0.0);
        let weight = |slope: &Sensitivity| slope.elasticity.unwrap_or(0.0).abs();
        slopes.sort_by(|a, b| weight(b).total_cmp(&weight(a)));
        // Gradients of latencies are large where a request waits for steps of others, and say little
        // there, so that each pool and the transfers have candidates of their own.
        let mut taken = [0; SCOPES.len()];
        let mut is_top = Vec::with_capacity(slopes.len());
        for slope in &slopes {
            let scope = SCOPES.iter().position(|scope| slope.name.starts_with(scope));
            let count = scope.map(|scope| &mut taken[scope]);
            is_top.push(count.is_some_and(|count| {
                *count += 1;
                *count <= self.top
            }));
        }
        let runs = 2 * is_top.iter().filter(|is_top| **is_top).count() as u64;
        let progress = crate::progress::runs(runs);
        let mut parameters = Vec::with_capacity(slopes.len());
        for (at, is_top) in slopes.into_iter().zip(is_top) {
            let mut simulated = None;
            if is_top {
                let with = |factor: f64| {
                    progress.inc(1);
                    self.simulate(metric, scenario, &at.name, at.value * factor)
                };
                simulated = Some([with(1.0 - self.by / 100.0)?, with(1.0 + self.by / 100.0)?]);
            }
            let symbol = declared.iter().find(|symbol| symbol.name == at.name);
            let (unit, doc) =
                symbol.map(|symbol| (symbol.unit.clone(), symbol.doc.clone())).unwrap_or_default();
            parameters.push(Parameter { at, unit, doc, simulated });
        }
        progress.finish_and_clear();
        let tried = if self.no_knobs {
            Vec::new()
        } else {
            knobs::tried(metric, scenario, self.scenario.folder())?
        };
        Ok(Found {
            metric,
            value,
            by: self.by,
            top: self.top,
            parts: history.parts(metric)?,
            steps: history.deciding_steps(metric)?,
            parameters,
            knobs: tried,
        })
    }

    /// The metric with another value of a parameter; `None` if that is out of its domain.
    fn simulate(
        &self,
        metric: Metric,
        scenario: &Scenario,
        name: &str,
        value: f64,
    ) -> Result<Option<f64>, Failure> {
        let simulation = Simulation::in_folder(scenario.clone(), self.scenario.folder())?;
        let Ok(simulation) = simulation.parameters(&Values::from([(name, value)])) else {
            return Ok(None);
        };
        let report: Report = simulation.run()?;
        Ok(metric.reported(&report))
    }
}

impl Found {
    fn change(&self, value: f64) -> f64 {
        value / self.value - 1.0
    }

    /// The greatest change that more or less of a parameter was simulated to give.
    fn effect(&self, parameter: &Parameter) -> f64 {
        let values = parameter.simulated.into_iter().flatten().flatten();
        values.map(|value| self.change(value).abs()).fold(0.0, f64::max)
    }

    fn words(&self, plan: &DeploymentPlan) -> String {
        let mut out = headline(plan) + "\n\n";
        out += &format!("{} {}\n", self.metric, reading(self.metric, self.value));
        // Of a latency amid the steps of others the shares are those of the others, too.
        if self.parts.iter().all(|(_, share)| (-1.0..=2.0).contains(share)) {
            let parts = self.parts.iter().filter(|(_, share)| share.abs() >= 0.0005);
            let parts: Vec<String> =
                parts.map(|(name, share)| format!("{} {name}", signed_share(*share))).collect();
            out += &format!("  its time is {}\n", parts.join(", "));
        }
        let (all, deciding) = self.steps;
        let deciding = count(deciding as u64);
        out += &format!("  {deciding} of {} decide it\n", counted(all as u64, "step"));
        let mut simulated: Vec<&Parameter> =
            self.parameters.iter().filter(|one| one.simulated.is_some()).collect();
        simulated.sort_by(|a, b| self.effect(b).total_cmp(&self.effect(a)));
        simulated.truncate(self.top);
        if let Some(first) = simulated.first() {
            out += &format!("  most sensitive to {} ({})\n", first.at.name, first.doc);
        }
        let (less, more) = (format!("-{} %", self.by), format!("+{} %", self.by));
        let header = ["parameter", "value", "unit", "elasticity", &less, &more];
        let mut rows = table(&header, &["parameter", "unit"]);
        for parameter in simulated {
            let simulated = parameter.simulated.unwrap_or_default();
            let [down, up] = simulated.map(|value| match value {
                Some(value) => changed(self.change(value)),
                None => NONE.to_owned(),
            });
            rows.add_row([
                parameter.at.name.clone(),
                digits(parameter.at.value),
                parameter.unit.clone(),
                parameter.at.elasticity.map_or(NONE.to_owned(), |e| signed(e, 3)),
                down,
                up,
            ]);
        }
        out += &format!("\nsimulated with less and more of a parameter\n{}", text(&rows));
        if !self.knobs.is_empty() {
            let header = ["setting", "now", "tried", "GPUs", self.metric.name(), "change"];
            let mut rows = table(&header, &["setting"]);
            for tried in &self.knobs {
                let (value, change) = match &tried.value {
                    Ok(value) => (reading(self.metric, *value), changed(self.change(*value))),
                    Err(_) => (NONE.to_owned(), "cannot be".to_owned()),
                };
                rows.add_row([
                    tried.path.clone(),
                    tried.now.clone(),
                    tried.to.clone(),
                    tried.gpus.map_or(NONE.to_owned(), |gpus| count(u64::from(gpus))),
                    value,
                    change,
                ]);
            }
            out += &format!("\nsimulated with another setting\n{}", text(&rows));
            for tried in &self.knobs {
                if let Err(why) = &tried.value {
                    out += &format!("{}={} cannot be: {why}\n", tried.path, tried.to);
                }
            }
        }
        out
    }

    fn json(&self) -> Value {
        let parameters: Vec<Value> = (self.parameters.iter())
            .map(|parameter| {
                let [less, more] = parameter.simulated.unwrap_or_default();
                json!({
                    "name": parameter.at.name,
                    "value": parameter.at.value,
                    "unit": parameter.unit,
                    "doc": parameter.doc,
                    "derivative": parameter.at.derivative,
                    "elasticity": parameter.at.elasticity,
                    "simulated": parameter.simulated.map(|_| json!({ "less": less, "more": more })),
                })
            })
            .collect();
        let knobs: Vec<Value> = (self.knobs.iter())
            .map(|tried| {
                json!({
                    "setting": tried.path,
                    "now": tried.now,
                    "tried": tried.to,
                    "gpus": tried.gpus,
                    "value": tried.value.as_ref().ok(),
                    "infeasible": tried.value.as_ref().err(),
                })
            })
            .collect();
        let parts = self.parts.iter().map(|(name, share)| (name.clone(), json!(share)));
        json!({
            "metric": self.metric.name(),
            "value": self.value,
            "unit": self.metric.unit(),
            "by_percent": self.by,
            "time_shares": parts.collect::<serde_json::Map<_, _>>(),
            "steps": self.steps.0,
            "deciding_steps": self.steps.1,
            "parameters": parameters,
            "settings": knobs,
        })
    }
}

/// A change in words: a factor where it is a multiple.
fn changed(change: f64) -> String {
    if change > 9.0 { format!("×{}", fixed(change + 1.0, 0)) } else { signed_percent(change) }
}

/// A value of the metric with its unit.
pub(crate) fn reading(metric: Metric, value: f64) -> String {
    match metric.unit() {
        "s" if value.abs() < 10.0 => format!("{} ms", fixed(value * 1e3, 2)),
        unit => format!("{} {unit}", crate::number::number(value)),
    }
}

fn signed(value: f64, decimals: usize) -> String {
    format!("{value:+.decimals$}").replace('-', "−")
}

fn signed_share(share: f64) -> String {
    if share < 0.0 { signed_percent(share) } else { crate::number::percent(share) }
}

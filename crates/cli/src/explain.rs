//! `sglsim explain`.

use std::path::PathBuf;

use serde_json::{Value, json};
use sglsim_engine::{DeploymentPlan, DisaggregationMode, PoolPlan};
use sglsim_kernels::{Breakdown, OperatorTime, Regime};

use crate::failure::Failure;
use crate::number::{fixed, percent};
use crate::output;
use crate::scenario::ScenarioArguments;
use crate::table::{headline, noun, table, text};
use crate::workload::Facts;

mod batch;
mod plot;

use batch::Batch;

/// Arguments of `explain`.
#[derive(Debug, clap::Args)]
#[command(after_help = COLUMNS)]
pub(crate) struct Arguments {
    #[command(flatten)]
    scenario: ScenarioArguments,
    /// The batch of each attention rank, such as `extend=2048,prefix=4096` or
    /// `decode=64,context=3000`; by default batches as the workload would make them
    #[arg(long, value_name = "SIZES")]
    batch: Option<Batch>,
    /// Only the steps of this pool; of workers that do both, only this kind of step
    #[arg(long, value_enum)]
    pool: Option<Kind>,
    /// Print JSON instead of tables
    #[arg(long)]
    json: bool,
    /// Draw the steps into this file
    #[arg(long, value_name = "FILE.svg")]
    plot: Option<PathBuf>,
}

const COLUMNS: &str = "\
Batch:
  extend    new tokens of each extending sequence      seqs      how many of them, 1 by default
  prefix    cached tokens in front of them             decode    sequences that decode
  context   their mean length                          query     their tokens per step, 1 by default

Columns:
  calls     how often the operator runs in a step, over all layers
  share     of the device's time
  bound by  what most of its time is spent on: arithmetic (compute), device memory, links between
            GPUs (communication), or starting and waiting (launch)
  of peak   the least time that the datasheet allows over its time";

/// Kinds of steps.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
enum Kind {
    /// Steps that extend
    Prefill,
    /// Steps that decode
    Decode,
}

/// `--plot` names a file that cannot be written.
#[derive(Debug, thiserror::Error)]
#[error("cannot write the plot into `{}`", .0.display())]
struct BadPlot(PathBuf, #[source] std::io::Error);

/// The deployment has no pool for such a batch.
#[derive(Debug, thiserror::Error)]
#[error(
    "`--batch` {0}, which no worker of `--pool {1}` does; leave `--pool` out or give `{2}=COUNT`"
)]
struct WrongPool(&'static str, &'static str, &'static str);

/// One step, explained.
struct Step {
    title: String,
    batch: String,
    breakdown: Breakdown,
    pool: &'static str,
    latencies: String,
}

pub(crate) fn run(arguments: &Arguments) -> Result<(), Failure> {
    let (plan, lengths) = arguments.prepare()?;
    let mut steps = Vec::new();
    for (kind, pool, batch) in arguments.batches(&plan, lengths)? {
        let what = if kind == Kind::Prefill { "prefill" } else { "decode" };
        let of = if pool.name == what { "worker".to_owned() } else { noun(pool) };
        steps.push(Step {
            title: format!("{what} step of a {of}"),
            batch: batch.words(pool),
            breakdown: pool.law.breakdown(&batch.features(pool))?,
            pool: pool.name,
            latencies: pool.coefficients.provenance.clone(),
        });
    }
    if let Some(file) = &arguments.plot {
        let svg = plot::svg(&plan.model.name, &steps);
        std::fs::write(file, svg).map_err(|error| BadPlot(file.clone(), error))?;
    }
    if arguments.json {
        let all: Vec<Value> = steps.iter().map(json).collect();
        return output::print(&(serde_json::to_string_pretty(&json!({ "steps": all }))? + "\n"));
    }
    let mut out = headline(&plan) + "\n";
    for step in &steps {
        out.push('\n');
        out.push_str(&words(step));
    }
    output::print(&out)
}

impl Arguments {
    /// The deployment, and unless a batch is given the mean lengths of prompts and answers.
    fn prepare(&self) -> Result<(DeploymentPlan, (u64, u64)), Failure> {
        if self.batch.is_some() {
            let scenario = self.scenario.load()?;
            return Ok((DeploymentPlan::of(&scenario, self.scenario.folder())?, (0, 0)));
        }
        let mut simulation = self.scenario.prepare()?;
        let plan = simulation.plan().clone();
        let facts = Facts::of(simulation.prepare_workload()?, &plan);
        Ok((plan, facts.mean_lengths()))
    }

    /// The steps to explain: their kind, pool and batch.
    fn batches<'a>(
        &self,
        plan: &'a DeploymentPlan,
        (input, output): (u64, u64),
    ) -> Result<Vec<(Kind, &'a PoolPlan, Batch)>, Failure> {
        let does = |pool: &PoolPlan, kind| match pool.scheduler.mode {
            DisaggregationMode::Null => true,
            DisaggregationMode::Prefill => kind == Kind::Prefill,
            DisaggregationMode::Decode => kind == Kind::Decode,
        };
        let mut all = Vec::new();
        for kind in [Kind::Prefill, Kind::Decode] {
            for pool in plan.pools.iter().filter(|pool| does(pool, kind)) {
                let wanted = self.pool.is_none_or(|only| only == kind);
                let batch = match (self.batch, kind) {
                    (Some(batch), Kind::Prefill) if batch.extends() => batch,
                    (Some(batch), Kind::Decode) if !batch.extends() => batch,
                    (Some(_), _) => continue,
                    (None, Kind::Prefill) => Batch::of_prompts(pool, input),
                    (None, Kind::Decode) => Batch::of_answers(pool, input, output),
                };
                if wanted {
                    all.push((kind, pool, batch));
                }
            }
        }
        match self.batch {
            Some(batch) if all.is_empty() => {
                // Every deployment has workers of both kinds.
                Err(match batch.extends() {
                    true => WrongPool("extends", "decode", "decode"),
                    false => WrongPool("decodes", "prefill", "extend"),
                }
                .into())
            }
            _ => Ok(all),
        }
    }
}

/// A step's operators, the slowest first; those that do the same in several parts together.
fn rows(breakdown: &Breakdown) -> Vec<OperatorTime> {
    let mut rows: Vec<OperatorTime> = Vec::new();
    for operator in &breakdown.operators {
        match rows.iter_mut().find(|row| row.name == operator.name && row.kernel == operator.kernel)
        {
            Some(row) => row.merge(operator),
            None => rows.push(operator.clone()),
        }
    }
    rows.sort_by(|a, b| b.time.total_cmp(&a.time));
    rows
}

/// A step as a table, with what it comes to above it.
fn words(step: &Step) -> String {
    let breakdown = &step.breakdown;
    let ms = |seconds: f64| fixed(seconds * 1e3, 3);
    let mut out = format!("{}: {} ms\n", step.title, ms(breakdown.step_time));
    out.push_str(&format!("  {}\n  {}\n\n", step.batch, summary(breakdown)));
    let header = ["operator", "calls", "time [ms]", "share", "bound by", "kernel", "of peak"];
    let mut operators = table(&header, &["operator", "bound by", "kernel"]);
    for row in rows(breakdown) {
        operators.add_row([
            row.name.to_owned(),
            row.calls.to_string(),
            ms(row.time),
            percent(row.time / breakdown.device_time),
            format!("{} {:.0} %", row.regime(), 100.0 * row.shares[row.regime() as usize]),
            row.kernel.clone(),
            percent(row.achieved()),
        ]);
    }
    out + &text(&operators)
}

/// What the step's time is.
fn summary(breakdown: &Breakdown) -> String {
    let ms = |seconds: f64| fixed(seconds * 1e3, 3);
    let (device, host) = (breakdown.device_time, breakdown.host_time);
    let hidden = if host <= device { "behind it" } else { "in front of it" };
    let mut text = format!("device {} ms, host {} ms {hidden}", ms(device), ms(host));
    if breakdown.overlap() > 1e-9 * device {
        text.push_str(&format!(", {} ms overlapped", ms(breakdown.overlap())));
    }
    let by = |regime: Regime| -> f64 {
        breakdown.operators.iter().map(|row| row.time * row.shares[regime as usize]).sum()
    };
    let all: f64 = Regime::ALL.into_iter().map(by).sum();
    let shares = Regime::ALL.map(|regime| format!("{regime} {}", percent(by(regime) / all)));
    format!("{text}\n  {}", shares.join(", "))
}

fn json(step: &Step) -> Value {
    let breakdown = &step.breakdown;
    let operators: Vec<Value> = breakdown.operators.iter().map(operator).collect();
    json!({
        "step": step.title,
        "pool": step.pool,
        "batch": step.batch,
        "latencies": step.latencies,
        "step_time": breakdown.step_time,
        "device_time": breakdown.device_time,
        "host_time": breakdown.host_time,
        "latency": breakdown.latency,
        "overlap": breakdown.overlap(),
        "operators": operators,
    })
}

fn operator(row: &OperatorTime) -> Value {
    let [compute, memory, communication, launch] = row.shares;
    json!({
        "name": row.name,
        "part": row.part,
        "kernel": row.kernel,
        "calls": row.calls,
        "time": row.time,
        "roofline": row.roofline,
        "regime": row.regime().to_string(),
        "shares": {
            "compute": compute,
            "memory": memory,
            "communication": communication,
            "launch": launch,
        },
    })
}

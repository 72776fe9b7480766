//! `sglsim sweep`.

use std::path::{Path, PathBuf};

use sglsim_engine::Scenario;

use crate::failure::Failure;
use crate::output;
use crate::scenario::{ScenarioArguments, relocated};

mod aim;
mod files;
mod grid;
mod plot;
mod point;
mod show;

use aim::{Aim, Bound, Objective};
use grid::{Axis, Point};
use point::Outcome;

/// Arguments of `sweep`.
#[derive(Debug, clap::Args)]
#[command(after_help = MORE)]
pub(crate) struct Arguments {
    #[command(flatten)]
    scenario: ScenarioArguments,
    /// Sweep a field, or fields that change together; given again, every combination is simulated
    #[arg(long, value_name = "PATH=VALUES", value_parser = Axis::parse)]
    over: Vec<Axis>,
    /// Sweep how so many workers are split into prefill and decode: 1:7, 2:6, …, 7:1
    #[arg(long, value_name = "COUNT", value_parser = clap::value_parser!(u32).range(2..=10_000))]
    pd_workers: Option<u32>,
    /// Longest latencies, such as `ttft=2s,tpot=50ms`; of each request, which decides the goodput, or
    /// of the run, such as `p99_ttft=5s`, which every point must keep to be the best
    #[arg(long, value_name = "LATENCY=TIME", value_delimiter = ',', value_parser = Bound::parse)]
    slo: Vec<Bound>,
    /// Share of the requests that must keep the SLO for a point to be the best
    #[arg(long, value_name = "PERCENT", default_value = "0", value_parser = percent)]
    attain: f64,
    /// What the best point has most of (rates) or least of (latencies, gpus): goodput,
    /// goodput_per_gpu, gpus, or a metric such as p99_ttft; by default goodput where there is an SLO,
    /// otherwise output_throughput_per_gpu
    #[arg(long, value_name = "NAME", value_parser = Objective::parse)]
    objective: Option<Objective>,
    /// The two numbers of the Pareto front; by default a rate and mean_e2e_latency
    #[arg(long, value_name = "NAME,NAME", value_delimiter = ',', num_args = 1, value_parser = Objective::parse)]
    front: Vec<Objective>,
    /// Write sweep.json, sweep.csv, sweep.svg and best.ron, the best point's scenario, into this folder
    #[arg(long, value_name = "DIR")]
    out: Option<PathBuf>,
    /// Print JSON instead of a table
    #[arg(long)]
    json: bool,
    /// Draw the points into this file
    #[arg(long, value_name = "FILE.svg")]
    plot: Option<PathBuf>,
    /// Simulations at once, by default one for each core; changes no result
    #[arg(long, value_name = "COUNT", value_parser = clap::value_parser!(u16).range(1..=1024))]
    threads: Option<u16>,
}

const MORE: &str = "\
Values:
  --over deployment.decode.workers=1,2,4      a list
  --over deployment.decode.workers=1..8       1, 2, …, 8
  --over workload.speed=0.5..2+0.25           0.5, 0.75, …, 2
  --over deployment.chunked_prefill_size=1024..16384*2
                                              1024, 2048, …, 16384
  --over 'router.policy=RoundRobin,CacheAware()'
                                              whatever a scenario can say
  --over deployment.prefill.tp_size:deployment.prefill.workers=1:8,2:4,4:2
                                              fields that change together

Columns:
  in SLO      share of the requests that keep it
  limited by  what most of the requests that miss the SLO lose their time at; without an SLO what
              requests wait for most; – if hardly any does
  *, +        the best point; others on the Pareto front";

fn percent(text: &str) -> Result<f64, String> {
    let parsed = text.trim_end_matches('%').trim().parse().ok();
    let share = parsed.filter(|share: &f64| (0.0..=100.0).contains(share));
    share.map(|share| share / 100.0).ok_or("it is from 0 to 100 percent".to_owned())
}

/// `--front` with another number of names than two.
#[derive(Debug, thiserror::Error)]
#[error("`--front` takes two names with a comma between them, but there are {0}")]
struct BadFront(usize);

/// None of the points could be simulated.
#[derive(Debug, thiserror::Error)]
#[error("none of the {points} points can be simulated; the first: {first}")]
struct NothingWorks {
    points: usize,
    first: String,
}

/// A finished sweep.
struct Sweep {
    /// Names of the axes.
    axes: Vec<String>,
    aim: Aim,
    points: Vec<Point>,
    outcomes: Vec<Result<Outcome, String>>,
    best: Option<usize>,
    /// Whether each point is on the Pareto front.
    front: Vec<bool>,
}

pub(crate) fn run(arguments: &Arguments) -> Result<(), Failure> {
    let scenario = arguments.scenario.load()?;
    let folder = arguments.scenario.folder();
    if let Some(out) = &arguments.out {
        output::check_folder(out)?;
    }
    if let Some(file) = &arguments.plot {
        output::check_file(file)?;
    }
    let sweep = arguments.sweep(&scenario, folder)?;
    if let Some(file) = &arguments.plot {
        output::write_file(file, plot::svg(&sweep))?;
    }
    if let Some(out) = &arguments.out {
        let best = sweep.best.map(|best| relocated(sweep.points[best].scenario.clone(), folder));
        files::write(out, &sweep, best.transpose()?.as_ref())?;
    }
    if arguments.json {
        return output::print(&(serde_json::to_string_pretty(&files::json(&sweep))? + "\n"));
    }
    let mut text = show::text(&sweep);
    if let Some(out) = &arguments.out {
        text.push_str(&format!("\nwritten to {}\n", out.display()));
    }
    output::print(&text)
}

impl Arguments {
    fn sweep(&self, scenario: &Scenario, folder: &Path) -> Result<Sweep, Failure> {
        let front = match *self.front.as_slice() {
            [] => None,
            [x, y] => Some([x, y]),
            _ => return Err(BadFront(self.front.len()).into()),
        };
        let aim = Aim::new(self.objective, &self.slo, self.attain, front);
        let axes: Vec<Axis> =
            self.over.iter().cloned().chain(self.pd_workers.map(Axis::pd_workers)).collect();
        let points = grid::points(scenario, &axes)?;
        let cores = || std::thread::available_parallelism().map_or(1, usize::from);
        let threads = self.threads.map_or_else(cores, usize::from);
        let outcomes = point::simulate(&points, folder, &aim, threads)?;
        let done: Vec<Option<&Outcome>> =
            outcomes.iter().map(|outcome| outcome.as_ref().ok()).collect();
        if done.iter().all(Option::is_none) {
            let first = outcomes.into_iter().find_map(Result::err).unwrap_or_default();
            return Err(NothingWorks { points: points.len(), first }.into());
        }
        let (best, front) = (aim.best(&done), aim.front(&done));
        let axes = axes.iter().map(Axis::name).collect();
        Ok(Sweep { axes, aim, points, outcomes, best, front })
    }
}

impl Sweep {
    /// The points, what they gave, and whether they are the best or on the front.
    fn rows(&self) -> impl Iterator<Item = (&Point, &Result<Outcome, String>, bool, bool)> {
        let rows = self.points.iter().zip(&self.outcomes).zip(&self.front).enumerate();
        rows.map(|(at, ((point, outcome), front))| (point, outcome, self.best == Some(at), *front))
    }

    fn done(&self) -> impl Iterator<Item = &Outcome> {
        self.outcomes.iter().flatten()
    }
}

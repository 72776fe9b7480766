//! `sglsim freeze`.

use std::path::PathBuf;

use sglsim_engine::Simulation;
use sglsim_formula::{Frozen, History};

use crate::failure::Failure;
use crate::number::{NONE, counted, digits};
use crate::output;
use crate::progress;
use crate::scenario::ScenarioArguments;
use crate::table::{table, text};

/// Arguments of `freeze`.
#[derive(Debug, clap::Args)]
pub(crate) struct Arguments {
    #[command(flatten)]
    scenario: ScenarioArguments,
    /// Write what was measured into this file, for `sglsim formula --freeze`
    #[arg(short, long, value_name = "FILE")]
    out: PathBuf,
    /// Simulate with so many seeds, the scenario's and those after it, and take the means; from two
    /// on they have confidence intervals
    #[arg(long, value_name = "COUNT", default_value_t = 1, value_parser = clap::value_parser!(u64).range(1..=1000))]
    seeds: u64,
}

pub(crate) fn run(arguments: &Arguments) -> Result<(), Failure> {
    let scenario = arguments.scenario.load()?;
    let progress = progress::runs(arguments.seeds);
    let mut runs = Vec::new();
    for seed in 0..arguments.seeds {
        let mut scenario = scenario.clone();
        scenario.seed = scenario.seed.wrapping_add(seed);
        let simulation = Simulation::in_folder(scenario.clone(), arguments.scenario.folder())?;
        let (report, history) = History::record(simulation)?;
        runs.push(Frozen::of_run(&report, &scenario, &history)?);
        progress.inc(1);
    }
    progress.finish_and_clear();
    let frozen = Frozen::pooled(&runs)?;
    frozen.write_to(&arguments.out)?;
    let mut rows = table(&["frozen", "mean", "95 % confidence", "unit"], &["frozen", "unit"]);
    for one in &frozen.observed {
        let interval = one
            .interval
            .map_or(NONE.to_owned(), |(low, high)| format!("{} to {}", digits(low), digits(high)));
        rows.add_row([one.name.clone(), digits(one.mean), interval, one.unit.clone()]);
    }
    let runs = counted(arguments.seeds, "run");
    let requests = counted(frozen.requests, "request");
    output::print(&format!(
        "{runs}, {requests}\n\n{}\nwritten to {}\n",
        text(&rows),
        arguments.out.display()
    ))
}

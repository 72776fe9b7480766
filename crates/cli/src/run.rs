//! `sglsim run`.

use std::path::PathBuf;

use crate::failure::Failure;
use crate::progress::Progress;
use crate::scenario::ScenarioArguments;
use crate::table;

/// Arguments of `run`.
#[derive(Debug, clap::Args)]
pub(crate) struct Arguments {
    #[command(flatten)]
    scenario: ScenarioArguments,
    /// Write report.json, requests.csv and the resolved scenario into this folder
    #[arg(long, value_name = "DIR")]
    out: Option<PathBuf>,
    /// Print the report as JSON instead of a table
    #[arg(long)]
    json: bool,
}

pub(crate) fn run(arguments: &Arguments) -> Result<(), Failure> {
    let mut simulation = arguments.scenario.prepare()?;
    let requests = simulation.prepare_workload()?.total();
    let scenario = simulation.scenario().clone();
    let plan = simulation.plan().clone();
    let report = simulation.observer(Box::new(Progress::new(requests))).run()?;
    if let Some(folder) = &arguments.out {
        report.write_to(folder, &scenario)?;
    }
    if arguments.json {
        let json = serde_json::to_string_pretty(&report.to_json())?;
        println!("{json}");
    } else {
        print!("{}", table::report(&plan, &report));
        if let Some(folder) = &arguments.out {
            println!("written to {}", folder.display());
        }
    }
    Ok(())
}

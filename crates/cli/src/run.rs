//! `sglsim run`.

use std::path::PathBuf;

use sglsim_engine::ReportFolder;

use crate::failure::Failure;
use crate::output;
use crate::progress::Progress;
use crate::scenario::{ScenarioArguments, relocated};
use crate::table;

/// Arguments of `run`.
#[derive(Debug, clap::Args)]
#[command(after_help = LATENCIES)]
pub(crate) struct Arguments {
    #[command(flatten)]
    scenario: ScenarioArguments,
    /// Write report.json, requests.csv and the resolved scenario.ron into this folder
    #[arg(long, value_name = "DIR")]
    out: Option<PathBuf>,
    /// Print the report as JSON instead of tables
    #[arg(long)]
    json: bool,
}

const LATENCIES: &str = "\
Latencies:
  TTFT         from arrival to the first token
  ITL          gaps between tokens, every gap counted
  TPOT         mean gap of a request after its first token, every request counted
  E2E          from arrival to the last token
  queue        from the waiting queue to the first prefill step
  KV transfer  from the computed prompt to its KV on the decode worker";

pub(crate) fn run(arguments: &Arguments) -> Result<(), Failure> {
    let mut simulation = arguments.scenario.prepare()?;
    if let Some(folder) = &arguments.out {
        output::check_folder(folder)?;
    }
    let requests = simulation.prepare_workload()?.total();
    let scenario = relocated(simulation.scenario().clone(), arguments.scenario.folder())?;
    let plan = simulation.plan().clone();
    let folder = arguments.out.as_deref().map(ReportFolder::create).transpose()?;
    let simulation = match &folder {
        Some(folder) => simulation.on_record(folder.records()?),
        None => simulation.on_record(|_, _| ()),
    };
    let report = simulation.observer(Box::new(Progress::new(requests))).run()?;
    if let Some(folder) = folder {
        folder.finish(&report, &scenario)?;
    }
    if arguments.json {
        let json = serde_json::to_string_pretty(&report.to_json())?;
        return output::print(&(json + "\n"));
    }
    let mut text = table::report(&plan, &report);
    if let Some(folder) = &arguments.out {
        text.push_str(&format!("\nwritten to {}\n", folder.display()));
    }
    output::print(&text)
}

//! `sglsim run`.

use std::io::{self, ErrorKind};
use std::path::{Path, PathBuf};

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

/// `--out` names a place where no folder can be written.
#[derive(Debug, thiserror::Error)]
#[error("cannot write the report into `{}`: `{}` {what}", out.display(), place.display())]
struct BadOut {
    out: PathBuf,
    place: PathBuf,
    what: &'static str,
    #[source]
    source: Option<io::Error>,
}

pub(crate) fn run(arguments: &Arguments) -> Result<(), Failure> {
    let mut simulation = arguments.scenario.prepare()?;
    if let Some(folder) = &arguments.out {
        check_out(folder)?;
    }
    let requests = simulation.prepare_workload()?.total();
    let scenario = relocated(simulation.scenario().clone(), arguments.scenario.folder())?;
    let plan = simulation.plan().clone();
    let report = simulation.observer(Box::new(Progress::new(requests))).run()?;
    if let Some(folder) = &arguments.out {
        report.write_to(folder, &scenario)?;
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

/// Finds out before a long run, and without leaving a trace, whether its report can be written.
fn check_out(out: &Path) -> Result<(), BadOut> {
    let whole = std::path::absolute(out).unwrap_or_else(|_| out.to_owned());
    let place = whole.ancestors().find(|place| place.exists()).unwrap_or(Path::new("/"));
    let bad = |what, source| BadOut { out: out.to_owned(), place: place.to_owned(), what, source };
    if !place.is_dir() {
        return Err(bad("is not a folder", None));
    }
    match tempfile::tempfile_in(place) {
        Err(error) if error.kind() != ErrorKind::Unsupported => {
            Err(bad("cannot be written", Some(error)))
        }
        _ => Ok(()),
    }
}

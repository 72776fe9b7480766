//! `sglsim run`.

use std::path::{Path, PathBuf};

use sglsim_engine::{Keep, ReportFolder, SimTime, Timeline};

use crate::failure::Failure;
use crate::number::counted;
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
    /// Write the lives of some requests, and the steps and transfers around them, as Chrome trace events,
    /// for ui.perfetto.dev
    #[arg(long, value_name = "FILE.json")]
    timeline: Option<PathBuf>,
    /// How many requests the timeline shows, the first ones
    #[arg(long, value_name = "COUNT", default_value_t = 100, requires = "timeline")]
    timeline_requests: u32,
    /// The part of the run that the timeline shows in seconds, such as 600..660; by default from the
    /// start to the end of its last request
    #[arg(long, value_name = "FROM..TO", requires = "timeline", value_parser = window)]
    timeline_window: Option<(SimTime, SimTime)>,
}

fn window(text: &str) -> Result<(SimTime, SimTime), String> {
    let instant = |text: &str| text.trim().parse().ok().and_then(|at| SimTime::new(at).ok());
    let ends = text.split_once("..").and_then(|(from, to)| Some((instant(from)?, instant(to)?)));
    ends.filter(|(from, to)| from < to)
        .ok_or("it is written as FROM..TO in seconds, such as 600..660".to_owned())
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
    if let Some(file) = &arguments.timeline {
        output::check_file(file)?;
    }
    let requests = simulation.prepare_workload()?.total();
    let scenario = relocated(simulation.scenario().clone(), arguments.scenario.folder())?;
    let plan = simulation.plan().clone();
    let folder = arguments.out.as_deref().map(ReportFolder::create).transpose()?;
    let simulation = match &folder {
        Some(folder) => simulation.on_record(folder.records()?),
        None => simulation.on_record(|_, _| ()),
    };
    let simulation = simulation.observer(Box::new(Progress::new(requests)));
    let mut shown = String::new();
    let report = match &arguments.timeline {
        None => simulation.run()?,
        Some(file) => {
            let (report, timeline) = Timeline::record(simulation, arguments.keep())?;
            shown = write_timeline(file, &timeline)?;
            report
        }
    };
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
    output::print(&(text + &shown))
}

impl Arguments {
    fn keep(&self) -> Keep {
        let (from, to) = self.timeline_window.unzip();
        let from = from.unwrap_or_default();
        Keep { requests: self.timeline_requests, from, to, ..Keep::default() }
    }
}

/// Writes the timeline, and says what is in it.
fn write_timeline(file: &Path, timeline: &Timeline) -> Result<String, Failure> {
    let mut text = Vec::new();
    timeline.write_chrome(&mut text)?;
    output::write_file(file, &text)?;
    let requests = counted(timeline.requests().count() as u64, "request");
    let steps = counted(timeline.steps() as u64, "step");
    let left_out = match timeline.left_out() {
        0 => String::new(),
        more => format!(" ({} more left out)", counted(more, "step")),
    };
    Ok(format!(
        "\ntimeline of {requests} and {steps}{left_out} in {}; open it in ui.perfetto.dev\n",
        file.display()
    ))
}

//! The scenario as the command line gives it: a file, changes to it, a trace.

use std::path::{Path, PathBuf};

use sglsim_engine::{Scenario, Simulation, WorkloadConfig};
use sglsim_workload::TraceConfig;

use crate::failure::Failure;

/// Arguments that name and change a scenario.
#[derive(Debug, clap::Args)]
pub(crate) struct ScenarioArguments {
    /// The scenario file (RON)
    pub(crate) scenario: PathBuf,
    /// Change a field of the scenario, such as `deployment.decode.workers=4`; may be given again
    #[arg(long = "set", value_name = "PATH=VALUE")]
    set: Vec<String>,
    /// Replay this trace instead of the scenario's workload (Mooncake JSONL, Azure CSV, …; plain or
    /// gzipped)
    #[arg(long, value_name = "FILE")]
    trace: Option<PathBuf>,
}

/// `--set` without an equals sign.
#[derive(Debug, thiserror::Error)]
#[error("`--set {0}` has no `=`; it is written as PATH=VALUE, such as deployment.decode.workers=4")]
struct NoValue(String);

impl ScenarioArguments {
    /// The scenario with all changes made.
    pub(crate) fn load(&self) -> Result<Scenario, Failure> {
        let mut scenario = Scenario::from_file(&self.scenario)?;
        if let Some(trace) = &self.trace {
            let file = std::path::absolute(trace)?;
            match &mut scenario.workload {
                WorkloadConfig::Trace(config) => config.file = file,
                workload => *workload = WorkloadConfig::Trace(TraceConfig::new(file)),
            }
        }
        for change in &self.set {
            let Some((path, value)) = change.split_once('=') else {
                return Err(NoValue(change.clone()).into());
            };
            scenario = scenario.with(path.trim(), value.trim())?;
        }
        Ok(scenario)
    }

    /// The simulation of the scenario, its workload read.
    pub(crate) fn prepare(&self) -> Result<Simulation, Failure> {
        let scenario = self.load()?;
        let missing = match &scenario.workload {
            WorkloadConfig::Trace(trace) => {
                !self.folder().join(&trace.file).exists() && self.trace.is_none()
            }
            WorkloadConfig::Synthetic(_) => false,
        };
        let mut simulation = Simulation::in_folder(scenario, self.folder())?;
        simulation.prepare_workload().map_err(|error| {
            let failure = Failure::from(error);
            if missing { failure.with_hint("give the trace with --trace FILE") } else { failure }
        })?;
        Ok(simulation)
    }

    fn folder(&self) -> &Path {
        self.scenario.parent().unwrap_or(Path::new("."))
    }
}

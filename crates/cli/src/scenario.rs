//! The scenario as the command line gives it: a file, changes to it, a trace.

use std::path::{Path, PathBuf};

use sglsim_engine::{Deployment, Scenario, Simulation, WorkloadConfig};
use sglsim_units::nearest;
use sglsim_workload::{TraceConfig, TraceFormat};

use crate::failure::Failure;

/// Arguments that name and change a scenario.
#[derive(Debug, clap::Args)]
pub(crate) struct ScenarioArguments {
    /// The scenario file (RON)
    pub(crate) scenario: PathBuf,
    /// Change a field of the scenario, such as `deployment.decode.workers=4` or
    /// `workload.input_len=Fixed(2000)`; may be given again
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
        let mut scenario = Scenario::from_file(&self.scenario).map_err(|error| {
            let nearest = nearest_file(&self.scenario);
            let failure = Failure::from(error);
            match nearest {
                Some(file) => failure.with_hint(format!("did you mean `{}`?", file.display())),
                None => failure,
            }
        })?;
        if let Some(trace) = &self.trace {
            let file = std::path::absolute(trace)?;
            match &mut scenario.workload {
                WorkloadConfig::Trace(config) => {
                    // The format is that of the file, the rest says how to replay it.
                    config.file = file;
                    config.format = TraceFormat::Auto;
                }
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

    /// Where paths in the scenario begin.
    pub(crate) fn folder(&self) -> &Path {
        self.scenario.parent().unwrap_or(Path::new("."))
    }
}

/// An existing file whose name is nearly that of a missing one.
fn nearest_file(missing: &Path) -> Option<PathBuf> {
    let name = missing.file_name()?.to_str()?;
    let folder = missing.parent()?;
    if missing.exists() {
        return None;
    }
    let here = if folder.as_os_str().is_empty() { Path::new(".") } else { folder };
    let entries = std::fs::read_dir(here).ok()?;
    let mut names: Vec<String> =
        entries.flatten().filter_map(|entry| entry.file_name().into_string().ok()).collect();
    names.sort();
    nearest(name, names.iter().map(String::as_str)).map(|name| folder.join(name))
}

/// The scenario with every path in it made absolute, so that it can be written into another folder.
pub(crate) fn relocated(mut scenario: Scenario, folder: &Path) -> Result<Scenario, Failure> {
    let whole = |path: &Path| std::path::absolute(folder.join(path));
    let whole_name = |name: &mut String| -> Result<(), Failure> {
        // As the engine tells a file from a preset.
        if name.ends_with(".ron") || name.ends_with(".json") {
            *name = whole(Path::new(name))?.to_string_lossy().into_owned();
        }
        Ok(())
    };
    whole_name(&mut scenario.model)?;
    whole_name(&mut scenario.hardware.gpu)?;
    if let Some(calibration) = &mut scenario.calibration {
        whole_name(calibration)?;
    }
    let pools = match &mut scenario.deployment {
        Deployment::Aggregated(pool) => vec![pool],
        Deployment::Disaggregated { prefill, decode } => vec![prefill, decode],
    };
    for hardware in pools.into_iter().filter_map(|pool| pool.hardware.as_mut()) {
        whole_name(&mut hardware.gpu)?;
    }
    if let WorkloadConfig::Trace(trace) = &mut scenario.workload {
        trace.file = whole(&trace.file)?;
    }
    Ok(scenario)
}

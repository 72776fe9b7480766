//! Simulating the points of a grid on every core.

use std::path::{Path, PathBuf};

use rayon::ThreadPoolBuilder;
use rayon::prelude::*;
use sglsim_engine::{Bottleneck, Report, Scenario, Simulation, WorkloadConfig};
use sglsim_workload::{Trace, TraceConfig, TraceFormat};

use super::aim::{Aim, Objective};
use super::grid::Point;
use crate::failure::{Failure, chain};

/// What a point gave.
#[derive(Debug)]
pub(super) struct Outcome {
    /// The report, without its requests.
    pub(super) report: Report,
    pub(super) goodput: f64,
    /// Share of the requests that keep the SLO.
    pub(super) attainment: f64,
    pub(super) bottleneck: Option<Bottleneck>,
    /// The bound that it does not keep.
    pub(super) broken: Option<String>,
    /// The objective.
    pub(super) value: Option<f64>,
    /// Both numbers of the Pareto front.
    pub(super) front: Option<[f64; 2]>,
}

/// Traces that points replay, each read once.
#[derive(Debug, Default)]
struct Traces {
    read: Vec<(Source, Trace)>,
}

type Source = (PathBuf, TraceFormat, Option<u32>);

fn source(trace: &TraceConfig) -> Source {
    (trace.file.clone(), trace.format, trace.block_size)
}

impl Traces {
    fn of(points: &[Point], folder: &Path) -> Result<Self, Failure> {
        let mut traces = Self::default();
        for point in points {
            let WorkloadConfig::Trace(config) = &point.scenario.workload else { continue };
            if traces.get(config).is_none() {
                traces.read.push((source(config), config.read(folder)?));
            }
        }
        Ok(traces)
    }

    fn get(&self, config: &TraceConfig) -> Option<&Trace> {
        let source = source(config);
        self.read.iter().find(|(read, _)| *read == source).map(|(_, trace)| trace)
    }
}

/// Simulates every point, or says why it cannot be, in the order of the grid.
pub(super) fn simulate(
    points: &[Point],
    folder: &Path,
    aim: &Aim,
    threads: usize,
) -> Result<Vec<Result<Outcome, String>>, Failure> {
    let traces = Traces::of(points, folder)?;
    let progress = crate::progress::runs(points.len() as u64);
    let pool = ThreadPoolBuilder::new().num_threads(threads).build()?;
    let one = |point: &Point| {
        let outcome = simulate_one(&point.scenario, folder, &traces, aim);
        progress.inc(1);
        outcome.map_err(|failure| chain(failure.error()))
    };
    let outcomes = pool.install(|| points.par_iter().map(one).collect());
    progress.finish_and_clear();
    Ok(outcomes)
}

fn simulate_one(
    scenario: &Scenario,
    folder: &Path,
    traces: &Traces,
    aim: &Aim,
) -> Result<Outcome, Failure> {
    let mut simulation = Simulation::in_folder(scenario.clone(), folder)?;
    if let WorkloadConfig::Trace(config) = &scenario.workload
        && let Some(trace) = traces.get(config)
    {
        simulation = simulation.workload(config.replay(trace)?);
    }
    let report = simulation.run()?;
    let of = |objective: Objective| objective.of(&report, &aim.slo);
    let [x, y] = aim.front;
    let mut outcome = Outcome {
        goodput: report.goodput(&aim.slo),
        attainment: report.attainment(&aim.slo),
        bottleneck: report.bottleneck(&aim.slo),
        broken: aim.broken(&report),
        value: of(aim.objective),
        front: of(x).zip(of(y)).map(|(x, y)| [x, y]),
        report,
    };
    // A grid may have many points.
    outcome.report.requests = Vec::new();
    Ok(outcome)
}

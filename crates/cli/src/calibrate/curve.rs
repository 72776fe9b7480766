//! `sglsim calibrate curve`.

use std::path::PathBuf;

use jiff::civil::Date;
use sglsim_calibrate::{CalibrateError, Curve, CurveFit, CurvePoint, Latencies, Lever, fit_curve};
use sglsim_engine::{DeploymentPlan, EngineError, Scenario, Simulation, WorkloadConfig};
use sglsim_kernels::{Coefficients, HeldOut};
use sglsim_workload::{Arrivals, DurationLaw, LengthLaw, SyntheticConfig};

use super::fit::bar;
use super::write::{check_folder, today, write};
use crate::failure::Failure;
use crate::number::{NONE, counted, number, percent};
use crate::output;
use crate::scenario::ScenarioArguments;
use crate::table::{lines, table, text};

/// Arguments of `calibrate curve`.
#[derive(Debug, clap::Args)]
pub(crate) struct Arguments {
    #[command(flatten)]
    scenario: ScenarioArguments,
    /// Measured latencies of that deployment: CSV with columns concurrency, input_len, output_len,
    /// and ttft_ms, tpot_ms or both
    #[arg(long, value_name = "FILE")]
    measured: PathBuf,
    /// Requests of each simulated load, as a multiple of its concurrency
    #[arg(long, value_name = "ROUNDS", default_value_t = 10, value_parser = clap::value_parser!(u32).range(1..=1000))]
    rounds: u32,
    /// Share of the rows that is kept out of the fit, to score it on
    #[arg(long, value_name = "SHARE", default_value_t = 0.25)]
    holdout: f64,
    /// Which rows those are
    #[arg(long, default_value_t = HeldOut::default().seed)]
    seed: u64,
    /// Day of the fit, for the file; by default today in UTC
    #[arg(long, value_name = "YYYY-MM-DD")]
    date: Option<Date>,
    /// Where the calibration is written
    #[arg(short, long, value_name = "FILE")]
    output: PathBuf,
}

/// Pools of different GPUs have no one calibration.
#[derive(Debug, thiserror::Error)]
#[error("the pools run on {0} and {1}; a calibration is for one GPU")]
struct TwoGpus(String, String);

/// A load could not be simulated.
#[derive(Debug, thiserror::Error)]
enum CurveError {
    #[error(transparent)]
    Fit(#[from] CalibrateError),
    #[error("line {line} of the curve")]
    Run {
        line: u64,
        #[source]
        source: Box<EngineError>,
    },
}

pub(crate) fn run(arguments: &Arguments) -> Result<(), Failure> {
    check_folder(&arguments.output)?;
    let mut scenario = arguments.scenario.load()?;
    let curve = Curve::read(&arguments.measured)?;
    let folder = arguments.scenario.folder();
    let plan = DeploymentPlan::of(&scenario, folder)?;
    let gpus: Vec<_> = plan.pools.iter().map(|pool| pool.topology.gpu()).collect();
    if let Some(other) = gpus.iter().find(|gpu| gpu.name != gpus[0].name) {
        return Err(TwoGpus(gpus[0].name.clone(), other.name.clone()).into());
    }
    let start = plan.pools[0].coefficients.clone();
    let split = HeldOut { seed: arguments.seed, share: arguments.holdout };
    let date = arguments.date.unwrap_or_else(today).to_string();
    let bar = bar("simulating {pos} loads, {elapsed}");
    let mut predict = |theta: &Coefficients, point: &CurvePoint| {
        bar.inc(1);
        scenario.workload = load(point, arguments.rounds);
        set(&mut scenario, &start, theta);
        let report = Simulation::in_folder(scenario.clone(), folder).and_then(Simulation::run);
        let report =
            report.map_err(|source| CurveError::Run { line: point.line, source: source.into() })?;
        let tpot = (point.output_len > 1).then_some(report.tpot.mean);
        Ok(Latencies { ttft: Some(report.ttft.mean), tpot })
    };
    let fitted = fit_curve(&curve, gpus[0], &start, (split, &date), &mut predict);
    bar.finish_and_clear();
    let fitted = fitted.map_err(|error: CurveError| Failure::from(error))?;
    write(&arguments.output, &fitted.calibration.to_ron())?;
    output::print(&report(&fitted, arguments))
}

/// So many clients, each of which sends its next request when it has its answer.
fn load(point: &CurvePoint, rounds: u32) -> WorkloadConfig {
    let arrivals =
        Arrivals::ClosedLoop { concurrency: point.concurrency, think: DurationLaw::default() };
    WorkloadConfig::Synthetic(SyntheticConfig::new(
        arrivals,
        LengthLaw::Fixed(point.input_len),
        LengthLaw::Fixed(point.output_len),
        u64::from(point.concurrency) * u64::from(rounds),
    ))
}

/// Gives the scenario the coefficients `theta`.
fn set(scenario: &mut Scenario, start: &Coefficients, theta: &Coefficients) {
    for info in Coefficients::infos() {
        let name = info.name();
        let value = theta.get(&name).unwrap_or_default();
        if start.get(&name) != Some(value) || scenario.coefficients.contains_key(&name) {
            scenario.coefficients.insert(name, value);
        }
    }
}

fn report(fit: &CurveFit, arguments: &Arguments) -> String {
    let calibration = &fit.calibration;
    let held_out = fit.points.iter().filter(|it| it.held_out).count();
    let levers = fit.levers.iter().map(|(lever, factor)| match lever {
        Lever::Host => format!("host time per step × {factor}"),
        _ => format!("{} × {factor}", lever.name()),
    });
    let errors = |held_out: bool| match fit.errors(held_out) {
        [None, None] => NONE.to_owned(),
        both => ["TTFT", "TPOT"]
            .into_iter()
            .zip(both)
            .filter_map(|(name, errors)| Some(format!("{name} {}", percent(errors?.median_ape))))
            .collect::<Vec<_>>()
            .join(", "),
    };
    let mut out = lines(&[
        ("GPU", calibration.gpu.clone()),
        (
            "curve",
            format!(
                "{}, {} held out",
                counted(fit.points.len() as u64, "load"),
                counted(held_out as u64, "load")
            ),
        ),
        ("found", levers.collect::<Vec<_>>().join(", ")),
        ("median error", format!("{} on the loads fitted to", errors(false))),
        ("held out", errors(true)),
        ("written to", arguments.output.display().to_string()),
    ]);
    let header = [
        "concurrency",
        "in",
        "out",
        "TTFT [ms]",
        "before",
        "fitted",
        "TPOT [ms]",
        "before ",
        "fitted ",
        "use",
    ];
    let mut rows = table(&header, &["use"]);
    for it in &fit.points {
        let point = &it.point;
        let ms = |time: Option<f64>| time.map_or(NONE.to_owned(), |time| number(time * 1e3));
        rows.add_row([
            point.concurrency.to_string(),
            point.input_len.to_string(),
            point.output_len.to_string(),
            ms(point.measured.ttft),
            ms(it.before.ttft),
            ms(it.after.ttft),
            ms(point.measured.tpot),
            ms(it.before.tpot),
            ms(it.after.tpot),
            if it.held_out { "held out" } else { "fitted" }.to_owned(),
        ]);
    }
    out.push('\n');
    out.push_str(&text(&rows));
    out
}

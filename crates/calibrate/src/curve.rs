//! Fitting to what a whole deployment does: time to first token and per output token by load.

use std::path::Path;

use sglsim_hw::Gpu;
use sglsim_kernels::{
    Calibration, CalibrationError, CalibrationTable, CoefficientInfo, Coefficients, HeldOut,
};

use crate::ceiling::figure_of;
use crate::solver::{Residuals, minimise};
use crate::split::check;
use crate::table::Table;
use crate::{CalibrateError, Errors, units};

/// Measured latencies of a deployment under constant loads.
///
/// A CSV table, one row per load: `concurrency` (requests in flight, each answered by the next),
/// `input_len` and `output_len` \[token\], and the means `ttft` and `tpot` with their unit at the
/// end of the column's name, such as `ttft_ms`. One of the two is enough, in a row or in all.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub struct Curve {
    /// Name of the file.
    pub file: String,
    /// The rows.
    pub points: Vec<CurvePoint>,
}

/// One load, and what was measured under it.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub struct CurvePoint {
    /// Line in the table.
    pub line: u64,
    /// Requests in flight \[1\].
    pub concurrency: u32,
    /// Tokens of each prompt \[token\].
    pub input_len: u32,
    /// Tokens of each answer \[token\].
    pub output_len: u32,
    /// What was measured.
    pub measured: Latencies,
}

/// Mean latencies of the requests under one load; `None` where nothing was measured.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Latencies {
    /// Time to first token \[s\].
    pub ttft: Option<f64>,
    /// Time per output token after the first \[s\].
    pub tpot: Option<f64>,
}

impl Curve {
    /// Reads a curve, plain or gzipped.
    ///
    /// # Errors
    ///
    /// [`CalibrateError`] naming the file and the line or column, as for tables of operators;
    /// [`CalibrateError::MissingColumn`] if it has neither `ttft` nor `tpot`.
    pub fn read(path: impl AsRef<Path>) -> Result<Self, CalibrateError> {
        let table = Table::read(path.as_ref())?;
        let counts = [
            table.column("concurrency", "the curve")?,
            table.column("input_len", "the curve")?,
            table.column("output_len", "the curve")?,
        ];
        let times = [time_column(&table, "ttft")?, time_column(&table, "tpot")?];
        if times.iter().all(Option::is_none) {
            table.column("tpot_ms", "the curve")?;
        }
        let points = (0..table.rows.len()).map(|row| point(&table, row, counts, times));
        Ok(Self { file: table.file_name(), points: points.collect::<Result<_, _>>()? })
    }
}

/// The column of a latency and the size of its unit, if there is one.
fn time_column(table: &Table, name: &str) -> Result<Option<(usize, f64)>, CalibrateError> {
    for (at, column) in table.columns.iter().enumerate() {
        let Some(rest) = column.to_lowercase().strip_prefix(name).map(str::to_owned) else {
            continue;
        };
        return match units::of_name(&format!("t{rest}")) {
            Some((_, scale)) => Ok(Some((at, scale))),
            None => Err(CalibrateError::MissingColumn {
                path: table.path.clone(),
                column: format!("{name}_ms"),
                of: "the curve".to_owned(),
                nearest: sglsim_units::Nearest::to(column, [column.as_str()]),
                known: table.columns.clone(),
            }),
        };
    }
    Ok(None)
}

fn point(
    table: &Table,
    row: usize,
    counts: [usize; 3],
    times: [Option<(usize, f64)>; 2],
) -> Result<CurvePoint, CalibrateError> {
    let count = |at: usize| {
        let value = table.number(row, at)?;
        if value.fract() == 0.0 && (1.0..1e9).contains(&value) {
            Ok(value as u32)
        } else {
            Err(table.wrong(row, at, "but it must be a whole number above 0".to_owned()))
        }
    };
    let time = |column: Option<(usize, f64)>| match column {
        Some((at, scale)) if !table.rows[row].1[at].is_empty() => {
            let value = table.number(row, at)? * scale;
            if value > 0.0 {
                Ok(Some(value))
            } else {
                Err(table.wrong(row, at, "but a latency is above 0".to_owned()))
            }
        }
        _ => Ok(None),
    };
    let [concurrency, input_len, output_len] = counts;
    Ok(CurvePoint {
        line: table.rows[row].0,
        concurrency: count(concurrency)?,
        input_len: count(input_len)?,
        output_len: count(output_len)?,
        measured: Latencies { ttft: time(times[0])?, tpot: time(times[1])? },
    })
}

/// What a few numbers can say of a whole deployment: each scales or sets the coefficients of its kind.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Lever {
    /// Scales every share of a peak rate of multiplication.
    Compute,
    /// Scales every share of the memory's bandwidth.
    Memory,
    /// Scales the host's time per step.
    Host,
}

impl Lever {
    /// All levers.
    pub const ALL: [Self; 3] = [Self::Compute, Self::Memory, Self::Host];

    /// Name in reports.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Compute => "compute",
            Self::Memory => "memory",
            Self::Host => "host",
        }
    }

    fn moves(self, info: &CoefficientInfo) -> bool {
        match (self, figure_of(info)) {
            (Self::Memory, Some("hbm_bandwidth")) => true,
            (Self::Compute, Some(figure)) => figure != "hbm_bandwidth",
            (Self::Host, _) => (info.family, info.field) == ("host", "step_latency"),
            _ => false,
        }
    }

    /// The least and the greatest factor.
    fn bounds(self) -> (f64, f64) {
        match self {
            Self::Compute | Self::Memory => (0.25, 4.0),
            // From a loop written in C++ to one that waits for something every step.
            Self::Host => (0.05, 50.0),
        }
    }
}

/// A fit to a curve.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct CurveFit {
    /// What to keep.
    pub calibration: Calibration,
    /// Each lever, and the factor found.
    pub levers: Vec<(Lever, f64)>,
    /// For each point: what is predicted before and after the fit, and whether it was held out.
    pub points: Vec<FittedPoint>,
}

/// A point of a curve after a fit.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub struct FittedPoint {
    /// The point.
    pub point: CurvePoint,
    /// Predicted with the coefficients that the fit began with.
    pub before: Latencies,
    /// Predicted with those that it found.
    pub after: Latencies,
    /// Whether the fit did not see it.
    pub held_out: bool,
}

impl CurveFit {
    /// Relative errors of the time to first token and per output token, of the points that were held
    /// out or of the others.
    #[must_use]
    pub fn errors(&self, held_out: bool) -> [Option<Errors>; 2] {
        let of = |which: fn(&Latencies) -> Option<f64>| {
            let points = self.points.iter().filter(|it| it.held_out == held_out);
            Errors::of(
                points.filter_map(|it| Some(which(&it.after)? / which(&it.point.measured)? - 1.0)),
            )
        };
        [of(|it| it.ttft), of(|it| it.tpot)]
    }
}

/// Relative error beyond which a latency counts by its size and no longer by its square \[1\]: two
/// clusters with one recipe differ by this much.
const ROBUST_SCALE: f64 = 0.1;
/// Step of a difference quotient in the logarithm of a factor: large, since a simulated latency
/// jumps where a batch changes.
const STEP: f64 = 0.03;

/// Fits one factor per [`Lever`] so that `predict` meets the measured latencies.
///
/// `predict` is the deployment: latencies under a load with given coefficients, such as a simulation.
/// Every `1 / share`-th point is held out. A lever that does not matter keeps its factor of 1.
///
/// # Errors
///
/// [`CalibrateError`] for a split that is none; whatever `predict` refuses.
///
/// # Panics
///
/// Never.
pub fn fit_curve<E: From<CalibrateError>>(
    curve: &Curve,
    gpu: &Gpu,
    start: &Coefficients,
    (held_out, date): (HeldOut, &str),
    predict: &mut dyn FnMut(&Coefficients, &CurvePoint) -> Result<Latencies, E>,
) -> Result<CurveFit, E> {
    check(&held_out)?;
    let every = if held_out.share > 0.0 { (1.0 / held_out.share).round() as usize } else { 0 };
    // The seed says which point of each group; never all of them.
    let turn = |at: usize| every > 1 && at % every == (held_out.seed as usize) % every;
    let mut search = Search { curve, start, predict, turn: &turn, failed: None };
    let bounds = Lever::ALL.map(|lever| lever.bounds()).map(|(low, high)| (low.ln(), high.ln()));
    let found = minimise(&mut search, &[0.0; 3], &bounds, ROBUST_SCALE, 12);
    if let Some(error) = search.failed {
        return Err(error);
    }
    let factors: Vec<f64> = found.at.iter().map(|log| rounded(log.exp())).collect();
    let theta = scaled(start, &factors);
    let mut points = Vec::new();
    for (at, point) in curve.points.iter().enumerate() {
        let (before, after) = (predict(start, point)?, predict(&theta, point)?);
        points.push(FittedPoint { point: point.clone(), before, after, held_out: turn(at) });
    }
    let moved = Coefficients::infos().map(|info| info.name());
    let moved = moved.filter(|name| start.get(name) != theta.get(name));
    let mut fit = CurveFit {
        calibration: Calibration {
            version: 1,
            gpu: gpu.name.clone(),
            date: date.to_owned(),
            coefficients: moved
                .map(|name| (name.clone(), theta.get(&name).unwrap_or_default()))
                .collect(),
            held_out,
            tables: vec![CalibrationTable {
                file: curve.file.clone(),
                rows: curve.points.len(),
                fitted: points.iter().filter(|it| !it.held_out).count(),
            }],
            errors: Vec::new(),
            notes: Vec::new(),
        },
        levers: Lever::ALL.into_iter().zip(factors).collect(),
        points,
    };
    for (lever, factor) in &fit.levers {
        fit.calibration.notes.push(format!("{} × {factor} of: {}", lever.name(), start.provenance));
    }
    for (operator, errors) in ["ttft", "tpot"].into_iter().zip(fit.errors(true)) {
        let Some(Errors { points, median_ape, p90_ape }) = errors else { continue };
        let (operator, dtype) = (operator.to_owned(), "deployment".to_owned());
        fit.calibration.errors.push(CalibrationError {
            operator,
            dtype,
            points,
            median_ape,
            p90_ape,
        });
    }
    Ok(fit)
}

struct Search<'a, E> {
    curve: &'a Curve,
    start: &'a Coefficients,
    predict: &'a mut dyn FnMut(&Coefficients, &CurvePoint) -> Result<Latencies, E>,
    turn: &'a dyn Fn(usize) -> bool,
    failed: Option<E>,
}

impl<E> Search<'_, E> {
    fn at(&mut self, logs: &[f64], point: &CurvePoint) -> Latencies {
        let factors: Vec<f64> = logs.iter().map(|log| log.exp()).collect();
        if self.failed.is_some() {
            return Latencies::default();
        }
        (self.predict)(&scaled(self.start, &factors), point).unwrap_or_else(|error| {
            self.failed = Some(error);
            Latencies::default()
        })
    }
}

impl<E> Residuals for Search<'_, E> {
    fn each(&mut self, at: &[f64], visit: &mut dyn FnMut(f64, &[f64])) {
        let curve = self.curve;
        for (_, point) in curve.points.iter().enumerate().filter(|(at, _)| !(self.turn)(*at)) {
            let here = self.at(at, point);
            let beside: Vec<Latencies> = (0..at.len())
                .map(|which| {
                    let mut moved = at.to_vec();
                    moved[which] += STEP;
                    self.at(&moved, point)
                })
                .collect();
            for which in [|it: &Latencies| it.ttft, |it: &Latencies| it.tpot] {
                let (Some(measured), Some(value)) = (which(&point.measured), which(&here)) else {
                    continue;
                };
                let slope = |it: &Latencies| which(it).map_or(0.0, |it| (it / value).ln() / STEP);
                let slopes: Vec<f64> = beside.iter().map(slope).collect();
                visit((value / measured).ln(), &slopes);
            }
        }
    }
}

/// The coefficients with every lever's scaled by its factor, inside their bounds.
fn scaled(start: &Coefficients, factors: &[f64]) -> Coefficients {
    let mut theta = start.clone();
    for info in Coefficients::infos() {
        for (lever, factor) in Lever::ALL.into_iter().zip(factors) {
            if lever.moves(&info) && *factor != 1.0 {
                let name = info.name();
                let value = start.get(&name).unwrap_or_default() * factor;
                let (low, high) = info.bounds;
                theta.set(&name, value.clamp(low, high)).expect("it was clamped to its bounds");
            }
        }
    }
    theta
}

/// To three significant digits.
fn rounded(value: f64) -> f64 {
    format!("{value:.2e}").parse().unwrap_or(value)
}

//! Fitting θ to measurements.

use std::collections::BTreeMap;

use sglsim_expr::GradientEvaluator;
use sglsim_hw::Topology;
use sglsim_kernels::{Calibration, CalibrationTable, Coefficients, HeldOut};

use crate::dataset::Dataset;
use crate::laws::{Component, Law, Laws, components};
use crate::score::{Rows, score};
use crate::solver::{Residuals, Solution, WORTH_IT, explore, mean_loss, minimise};
use crate::split::{Split, check, mix};
use crate::{CalibrateError, CalibrationErrors, Ceilings, Errors};

/// How to fit.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct FitOptions {
    /// Which measurements are kept out.
    pub held_out: HeldOut,
    /// Relative error beyond which a measurement counts by its size and no longer by its square
    /// \[1\]: small, so that what a law cannot express does not spoil what it can.
    pub robust_scale: f64,
    /// Points from which each search starts: the laws have kinks, and so local minima.
    pub starts: usize,
    /// Day of the fit, for the file.
    pub date: String,
    /// Measured peaks, which bound what kernels may reach.
    pub ceilings: Ceilings,
}

impl Default for FitOptions {
    fn default() -> Self {
        Self {
            held_out: HeldOut::default(),
            robust_scale: 0.04,
            starts: 10,
            date: "undated".to_owned(),
            ceilings: Ceilings::default(),
        }
    }
}

/// A fit: the calibration, and how it went.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Fit {
    /// What to keep.
    pub calibration: Calibration,
    /// The searches: coefficients that share laws were fitted together.
    pub parts: Vec<FittedPart>,
}

/// Coefficients that were fitted together.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct FittedPart {
    /// Their kernel families.
    pub families: String,
    /// The coefficients.
    pub coefficients: Vec<FittedCoefficient>,
    /// Error on the measurements that they were fitted to.
    pub fitted: Option<Errors>,
    /// Error on those that were kept out.
    pub held_out: Option<Errors>,
}

/// One coefficient.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub struct FittedCoefficient {
    /// Name of its symbol.
    pub name: String,
    /// Unit.
    pub unit: &'static str,
    /// Value before.
    pub before: f64,
    /// Value found.
    pub value: f64,
    /// What to know about it.
    pub remark: Remark,
}

/// What to know about a fitted coefficient.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Remark {
    /// Nothing.
    None,
    /// It stands at a bound of its range.
    AtBound,
    /// The measurements do not depend on it; it keeps its value and is not written to the file.
    NotIdentified,
}

/// Measurements of a search for a good start.
const START_ROWS: usize = 4_000;
/// Rounds of single moves, from the best start on.
const ROUNDS: usize = 3;
/// Measurements of the last search.
const MOST_ROWS: usize = 60_000;
/// Least influence of a coefficient on the logarithm of the times, as a root mean square.
const LEAST_INFLUENCE: f64 = 1e-4;

/// Fits every coefficient that the laws of the measured calls have, starting from `coefficients`.
///
/// Minimises a robust loss of the logarithm of predicted over measured time within the coefficients'
/// bounds. `progress` is told the families before each search, with the number of searches done and
/// to do.
///
/// # Errors
///
/// [`CalibrateError::Nothing`] if no row can be expressed; [`CalibrateError`] otherwise as for laws
/// and settings.
///
/// # Panics
///
/// Never.
pub fn fit(
    data: &Dataset,
    topology: &Topology,
    coefficients: &Coefficients,
    options: &FitOptions,
    progress: &mut dyn FnMut(&str, usize, usize),
) -> Result<Fit, CalibrateError> {
    check(&options.held_out)?;
    let mut theta = coefficients.clone();
    options.ceilings.scale(topology.gpu(), &mut theta)?;
    let laws = Laws::of(topology, &theta)?;
    let built = laws.all(data)?;
    let groups = components(&built);
    if groups.is_empty() && options.ceilings.is_empty() {
        return Err(CalibrateError::Nothing {
            reason: "no row of the tables is a call that a law can express".to_owned(),
        });
    }
    let split = Split::new(options.held_out, data);
    let (mut parts, mut searched) = (Vec::new(), Vec::new());
    let mut found = options.ceilings.changed(coefficients, &theta);
    let mut fitted_rows = vec![0; data.tables.len()];
    for (done, group) in groups.iter().enumerate() {
        progress(&group.name(&laws), done, groups.len());
        let search = Search::new(&laws, &built, (data, &split), group)?;
        for (table, _, _) in &search.rows {
            fitted_rows[*table] += 1;
        }
        if search.rows.is_empty() {
            continue;
        }
        let part = search.run(&laws, &mut theta, topology, options)?;
        for it in part.coefficients.iter().filter(|it| it.remark != Remark::NotIdentified) {
            found.insert(it.name.clone(), it.value);
        }
        parts.push(part);
        searched.push(group);
    }
    let tables = data.tables.iter().zip(fitted_rows).map(|(table, fitted)| CalibrationTable {
        file: table.file.clone(),
        rows: table.rows,
        fitted,
    });
    let mut calibration = Calibration {
        version: 1,
        gpu: topology.gpu().name.clone(),
        date: options.date.clone(),
        coefficients: found,
        held_out: options.held_out,
        tables: tables.collect(),
        errors: Vec::new(),
        notes: options.ceilings.notes(),
    };
    let held_out = score(data, topology, &theta, Rows::HeldOut(options.held_out))?;
    calibration.errors = CalibrationErrors::of(&held_out);
    let fitted = score(data, topology, &theta, Rows::Fitted(options.held_out))?;
    for (part, group) in parts.iter_mut().zip(searched) {
        part.fitted = Errors::of(fitted.relative_errors(&group.variants));
        part.held_out = Errors::of(held_out.relative_errors(&group.variants));
    }
    Ok(Fit { calibration, parts })
}

/// One search.
struct Search<'a> {
    data: &'a Dataset,
    group: &'a Component,
    evaluators: BTreeMap<usize, (GradientEvaluator, &'a Law)>,
    /// Table, variant and place of each measurement that is not held out.
    rows: Vec<(usize, usize, usize)>,
    /// How many of them count.
    counted: usize,
}

impl<'a> Search<'a> {
    fn new(
        laws: &Laws,
        built: &'a [Result<Law, String>],
        (data, split): (&'a Dataset, &Split<'_>),
        group: &'a Component,
    ) -> Result<Self, CalibrateError> {
        let mut evaluators = BTreeMap::new();
        for variant in &group.variants {
            if let Ok(law) = &built[*variant] {
                evaluators.insert(*variant, (laws.program(law)?.gradient(), law));
            }
        }
        let mut rows: Vec<_> = data
            .samples
            .iter()
            .enumerate()
            .filter(|(_, sample)| evaluators.contains_key(&sample.variant))
            .filter(|(_, sample)| !split.holds_out(sample))
            .map(|(at, sample)| (sample.table, sample.variant, at))
            .collect();
        // In an order without meaning, so that the first ones are a fair sample.
        rows.sort_by_key(|(_, _, at)| mix(*at as u64));
        Ok(Self { data, group, evaluators, counted: rows.len().min(MOST_ROWS), rows })
    }

    fn run(
        mut self,
        laws: &Laws,
        theta: &mut Coefficients,
        topology: &Topology,
        options: &FitOptions,
    ) -> Result<FittedPart, CalibrateError> {
        let infos: Vec<_> = self.group.theta.iter().map(|at| laws.theta[*at]).collect();
        let values = laws.values(theta);
        let before: Vec<f64> =
            infos.iter().map(|info| values.get(&info.name()).unwrap_or_default()).collect();
        let bounds: Vec<(f64, f64)> =
            infos.iter().map(|info| options.ceilings.bounds(topology.gpu(), info)).collect();
        let scale = options.robust_scale;
        let all = self.counted;
        self.counted = all.min(START_ROWS);
        let mut best: Option<Solution> = None;
        for start in 0..options.starts.max(1) {
            let from: Vec<f64> = before
                .iter()
                .enumerate()
                .map(|(which, value)| value * factor(options.held_out.seed, start, which))
                .collect();
            let found = minimise(&mut self, &from, &bounds, scale, 60);
            if best.as_ref().is_none_or(|best| found.cost < best.cost) {
                best = Some(found);
            }
        }
        let start = best.map_or_else(|| before.clone(), |best| best.at);
        let mut start = explore(&mut self, &start, &bounds, scale, ROUNDS).at;
        self.counted = all;
        let found = minimise(&mut self, &start, &bounds, scale, 100);
        // What does not matter goes back to what it was; the rest may have leaned on it.
        let matters: Vec<bool> = (0..before.len())
            .map(|which| {
                let mut without = found.at.clone();
                without[which] = before[which].clamp(bounds[which].0, bounds[which].1);
                found.influence[which] > LEAST_INFLUENCE
                    || mean_loss(&mut self, &without, scale) > found.cost * (1.0 + WORTH_IT)
            })
            .collect();
        let matters = |which: usize| matters[which];
        start.clone_from(&found.at);
        for (which, value) in start.iter_mut().enumerate() {
            if !matters(which) {
                *value = before[which].clamp(bounds[which].0, bounds[which].1);
            }
        }
        let found_again = minimise(&mut self, &start, &bounds, scale, 30);
        let mut coefficients = Vec::new();
        for (which, info) in infos.iter().enumerate() {
            let (low, high) = bounds[which];
            let value = if matters(which) { rounded(found_again.at[which]) } else { start[which] };
            let value = value.clamp(low, high);
            theta.set(&info.name(), value)?;
            let near = |bound: f64| (value - bound).abs() <= 1e-6 * (high - low).min(bound.abs());
            let remark = match () {
                () if !matters(which) => Remark::NotIdentified,
                () if near(low) || near(high) => Remark::AtBound,
                () => Remark::None,
            };
            let unit = info.unit;
            let name = info.name();
            coefficients.push(FittedCoefficient {
                name,
                unit,
                before: before[which],
                value,
                remark,
            });
        }
        Ok(FittedPart {
            families: self.group.name(laws),
            coefficients,
            fitted: None,
            held_out: None,
        })
    }
}

impl Residuals for Search<'_> {
    fn each(&mut self, at: &[f64], visit: &mut dyn FnMut(f64, &[f64])) {
        let mut inputs = Vec::new();
        let mut by_input = Vec::new();
        let mut by_theta = vec![0.0; at.len()];
        for (_, variant, sample) in &self.rows[..self.counted] {
            let sample = &self.data.samples[*sample];
            let Some((evaluator, law)) = self.evaluators.get_mut(variant) else { continue };
            let place = |theta: &usize| self.group.theta.binary_search(theta).unwrap_or_default();
            inputs.clear();
            inputs.extend(law.inputs(self.data, sample));
            inputs.extend(law.theta.iter().map(|theta| at[place(theta)]));
            by_input.resize(inputs.len(), 0.0);
            let seconds = evaluator.eval(&inputs, &mut by_input);
            by_theta.fill(0.0);
            for (theta, slope) in law.theta.iter().zip(&by_input[law.width()..]) {
                by_theta[place(theta)] = slope / seconds;
            }
            visit((seconds / sample.seconds).ln(), &by_theta);
        }
    }
}

/// By how much a start differs from the values before: not at all for the first, up to threefold
/// either way for the others.
fn factor(seed: u64, start: usize, which: usize) -> f64 {
    if start == 0 {
        return 1.0;
    }
    let hash = mix(mix(seed ^ mix(start as u64)) ^ which as u64);
    let unit = (hash >> 11) as f64 / (1u64 << 53) as f64;
    3.0_f64.powf(2.0 * unit - 1.0)
}

/// To four significant digits: more would only look exact.
fn rounded(value: f64) -> f64 {
    format!("{value:.3e}").parse().unwrap_or(value)
}

//! How far laws are from measurements.

use std::collections::BTreeMap;

use serde::Serialize;
use sglsim_hw::Topology;
use sglsim_kernels::{CalibrationError, Coefficients, HeldOut, Regime};

use crate::dataset::Dataset;
use crate::laws::{Law, Laws};
use crate::operator::Operator;
use crate::split::Split;
use crate::{CalibrateError, Errors};

/// Which measurements to score.
#[derive(Clone, Copy, Debug, PartialEq)]
#[non_exhaustive]
pub enum Rows {
    /// All.
    All,
    /// Those that a fit with this split kept out.
    HeldOut(HeldOut),
    /// Those that a fit with this split used.
    Fitted(HeldOut),
}

/// Errors of laws on the measurements of a data set.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Score {
    /// By table, operator and number format.
    pub tables: Vec<TableScore>,
}

/// Errors of one operator and number format in one table.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct TableScore {
    /// The table's file.
    pub file: String,
    /// The operator, with its kernel if it is not the usual one.
    pub op: String,
    /// The number format.
    pub dtype: String,
    /// Over all its rows; nothing if none could be expressed.
    pub errors: Option<Errors>,
    /// By what bounds the call, according to its law.
    pub regimes: BTreeMap<Regime, Errors>,
    /// Rows that could not be expressed, by reason.
    pub unsupported: BTreeMap<String, usize>,
    /// Every scored measurement, in the order of the table.
    pub points: Vec<Point>,
}

/// A measured call and what its law says.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub struct Point {
    /// Line in the table.
    pub line: u64,
    /// The call in words, such as `m=64 n=4096 k=4096`.
    pub call: String,
    /// Measured time \[s\].
    pub measured: f64,
    /// The law's time \[s\].
    pub predicted: f64,
    /// What bounds the call, according to its law.
    pub regime: Regime,
    variant: usize,
}

impl Point {
    /// `predicted / measured − 1`.
    #[must_use]
    pub fn relative_error(&self) -> f64 {
        self.predicted / self.measured - 1.0
    }
}

/// Scores the laws with these coefficients on a data set.
///
/// # Errors
///
/// [`CalibrateError::Kernel`] and [`CalibrateError::Expr`] as for laws.
///
/// # Panics
///
/// Never.
pub fn score(
    data: &Dataset,
    topology: &Topology,
    coefficients: &Coefficients,
    rows: Rows,
) -> Result<Score, CalibrateError> {
    let laws = Laws::of(topology, coefficients)?;
    let theta = laws.values(coefficients);
    let built = laws.all(data)?;
    let mut ready = Vec::new();
    for law in &built {
        ready.push(match law {
            Ok(law) => Ok(Scorer::new(&laws, law, &theta)?),
            Err(reason) => Err(reason),
        });
    }
    let mut tables: BTreeMap<(usize, (String, String)), TableScore> = BTreeMap::new();
    let file_of = |table: usize| data.tables[table].file.clone();
    let empty = |table: usize, (op, dtype): &(String, String)| TableScore {
        file: file_of(table),
        op: op.clone(),
        dtype: dtype.clone(),
        errors: None,
        regimes: BTreeMap::new(),
        unsupported: BTreeMap::new(),
        points: Vec::new(),
    };
    let split = match rows {
        Rows::All => None,
        Rows::HeldOut(split) | Rows::Fitted(split) => Some(Split::new(split, data)),
    };
    let held_out = matches!(rows, Rows::HeldOut(_));
    for sample in &data.samples {
        let counts = split.as_ref().is_none_or(|split| split.holds_out(sample) == held_out);
        let variant = &data.variants[sample.variant];
        let label = variant.label();
        let entry = tables
            .entry((sample.table, label.clone()))
            .or_insert_with(|| empty(sample.table, &label));
        match &mut ready[sample.variant] {
            Err(reason) => *entry.unsupported.entry((*reason).clone()).or_default() += 1,
            Ok(_) if !counts => {}
            Ok(scorer) => {
                let (predicted, regime) = scorer.at(scorer.law.inputs(data, sample));
                entry.points.push(Point {
                    line: sample.line,
                    call: in_words(variant.operator, data.numbers(sample)),
                    measured: sample.seconds,
                    predicted,
                    regime,
                    variant: sample.variant,
                });
            }
        }
    }
    for it in data.unsupported() {
        let label = (it.operator, it.dtype);
        let table = data.tables.iter().position(|table| table.file == it.file).unwrap_or_default();
        let entry = tables.entry((table, label.clone())).or_insert_with(|| empty(table, &label));
        *entry.unsupported.entry(it.reason).or_default() += it.rows;
    }
    let mut tables: Vec<TableScore> = tables.into_values().collect();
    for table in &mut tables {
        table.errors = Errors::of(table.points.iter().map(Point::relative_error));
        for regime in Regime::ALL {
            let of_regime = table.points.iter().filter(|point| point.regime == regime);
            if let Some(errors) = Errors::of(of_regime.map(Point::relative_error)) {
                table.regimes.insert(regime, errors);
            }
        }
    }
    Ok(Score { tables })
}

/// A law with θ bound, and its derivatives by the hardware's figures.
struct Scorer<'a> {
    law: &'a Law,
    gradient: sglsim_expr::GradientEvaluator,
    figures: Vec<(String, f64)>,
    inputs: Vec<f64>,
    slopes: Vec<f64>,
}

impl<'a> Scorer<'a> {
    fn new(laws: &Laws, law: &'a Law, theta: &sglsim_expr::Values) -> Result<Self, CalibrateError> {
        let (program, figures) = laws.of_hardware(law, theta)?;
        let slopes = vec![0.0; law.width() + figures.len()];
        Ok(Self { law, gradient: program.gradient(), figures, inputs: Vec::new(), slopes })
    }

    fn at(&mut self, row: impl Iterator<Item = f64>) -> (f64, Regime) {
        self.inputs.clear();
        self.inputs.extend(row);
        self.inputs.extend(self.figures.iter().map(|(_, value)| *value));
        let seconds = self.gradient.eval(&self.inputs, &mut self.slopes);
        let slopes = &self.slopes[self.law.width()..];
        let elasticities = self
            .figures
            .iter()
            .zip(slopes)
            .map(|((name, value), slope)| (name.as_str(), slope * value / seconds));
        (seconds, Regime::of_shares(&Regime::shares(elasticities)))
    }
}

fn in_words(operator: &Operator, numbers: &[f64]) -> String {
    let argument = |(argument, value): (&crate::operator::Argument, &f64)| {
        format!("{}={value}", argument.name)
    };
    operator.numbers().zip(numbers).map(argument).collect::<Vec<_>>().join(" ")
}

impl Score {
    /// Relative errors of some variants.
    pub(crate) fn relative_errors<'a>(&'a self, of: &'a [usize]) -> impl Iterator<Item = f64> + 'a {
        let points = self.tables.iter().flat_map(|table| &table.points);
        points.filter(|point| of.contains(&point.variant)).map(Point::relative_error)
    }

    /// The score as JSON: one entry per table, operator and number format; errors are fractions,
    /// null where no row could be expressed.
    ///
    /// # Panics
    ///
    /// Never.
    #[must_use]
    pub fn to_json(&self) -> String {
        #[derive(Serialize)]
        struct All<'a> {
            tables: Vec<One<'a>>,
        }
        #[derive(Serialize)]
        struct One<'a> {
            file: &'a str,
            op: &'a str,
            dtype: &'a str,
            points: usize,
            median_ape: Option<f64>,
            p90_ape: Option<f64>,
            unsupported: usize,
        }
        let one = self.tables.iter().map(|table| One {
            file: &table.file,
            op: &table.op,
            dtype: &table.dtype,
            points: table.points.len(),
            median_ape: table.errors.map(|errors| errors.median_ape),
            p90_ape: table.errors.map(|errors| errors.p90_ape),
            unsupported: table.unsupported.values().sum(),
        });
        let tables = one.collect();
        serde_json::to_string_pretty(&All { tables }).expect("plain data is JSON")
    }
}

/// The errors of a score as a calibration file keeps them.
pub(crate) struct CalibrationErrors;

impl CalibrationErrors {
    pub(crate) fn of(score: &Score) -> Vec<CalibrationError> {
        let mut all: BTreeMap<(&str, &str), Vec<f64>> = BTreeMap::new();
        for table in &score.tables {
            let own = all.entry((&table.op, &table.dtype)).or_default();
            own.extend(table.points.iter().map(Point::relative_error));
        }
        let short = |value: f64| (value * 1e4).round() / 1e4;
        all.into_iter()
            .filter_map(|((operator, dtype), errors)| {
                let errors = Errors::of(errors)?;
                Some(CalibrationError {
                    operator: operator.to_owned(),
                    dtype: dtype.to_owned(),
                    points: errors.points,
                    median_ape: short(errors.median_ape),
                    p90_ape: short(errors.p90_ape),
                })
            })
            .collect()
    }
}

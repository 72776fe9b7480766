//! `sglsim calibrate`.

mod curve;
mod fit;
mod operators;
mod score;
mod write;

use std::path::PathBuf;

use clap::Subcommand;
use sglsim_calibrate::{CalibrateError, Dataset, Mapping};
use sglsim_hw::{Gpu, HwError};

use crate::failure::Failure;

/// Arguments of `calibrate`.
#[derive(Debug, clap::Args)]
pub(crate) struct Arguments {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Fit the coefficients of the laws to measured tables and write a calibration file
    Fit(fit::Arguments),
    /// Compare the laws with measured tables
    Score(score::Arguments),
    /// Fit a few factors to measured latencies of a whole deployment and write a calibration file
    Curve(curve::Arguments),
    /// List what rows of a table can be calls of, for `--map`
    Operators,
}

/// Tables of measurements.
#[derive(Debug, clap::Args)]
pub(crate) struct Tables {
    /// Tables of measured calls: CSV, plain or gzipped
    #[arg(long = "table", value_name = "FILE", num_args = 1..)]
    tables: Vec<PathBuf>,
    /// What the columns of the tables mean: RON, or a file of it; one mapping, or a list of them.
    /// Without it a table must be in a known format
    #[arg(long, value_name = "RON|FILE")]
    map: Option<String>,
}

pub(crate) fn run(arguments: &Arguments) -> Result<(), Failure> {
    match &arguments.command {
        Command::Fit(arguments) => fit::run(arguments),
        Command::Score(arguments) => score::run(arguments),
        Command::Curve(arguments) => curve::run(arguments),
        Command::Operators => operators::run(),
    }
}

/// A GPU preset, or one in a RON file.
fn gpu(name: &str) -> Result<Gpu, HwError> {
    if name.ends_with(".ron") { Gpu::from_file(name) } else { Gpu::preset(name) }
}

impl Tables {
    /// All measurements of all tables.
    fn read(&self) -> Result<Dataset, Failure> {
        let mappings = self.map.as_deref().map(mappings).transpose()?;
        let mut data = Dataset::new();
        for path in &self.tables {
            let read = match &mappings {
                Some(mappings) => data.add_mapped(path, mappings),
                None => data.add(path),
            };
            read.map_err(|error| match error {
                CalibrateError::UnknownFormat { .. } => Failure::from(error)
                    .with_hint("--map says what the columns mean; see docs/guide/calibrate.md"),
                _ => Failure::from(error),
            })?;
        }
        Ok(data)
    }
}

/// A mapping or a list of them, as text or in a file.
fn mappings(given: &str) -> Result<Vec<Mapping>, Failure> {
    let text = given.trim_start();
    if text.starts_with(['(', '[']) {
        return Ok(Mapping::list_from_ron(text)?);
    }
    let read = |source| CalibrateError::Read { path: given.into(), source };
    let text = std::fs::read_to_string(given).map_err(read)?;
    Ok(Mapping::list_from_ron(&text)?)
}

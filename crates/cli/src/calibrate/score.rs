//! `sglsim calibrate score`.

use std::path::PathBuf;

use sglsim_calibrate::{Point, Rows, Score, plot, score};
use sglsim_hw::{Gpu, Topology};
use sglsim_kernels::{Calibration, Coefficients, HeldOut};

use super::Tables;
use super::fit::cells;
use crate::failure::Failure;
use crate::number::{count, counted, number};
use crate::output;
use crate::table::{table, text};

/// Arguments of `calibrate score`.
#[derive(Debug, clap::Args)]
pub(crate) struct Arguments {
    /// The calibration; without it the laws have their defaults, and --gpu is needed
    #[arg(long, value_name = "FILE")]
    calibration: Option<PathBuf>,
    /// The GPU that the tables are from, if not that of the calibration: shows how far its
    /// coefficients carry over
    #[arg(long, value_name = "NAME", required_unless_present = "calibration")]
    gpu: Option<String>,
    #[command(flatten)]
    tables: Tables,
    /// Score all rows, those that the fit kept out, or those that it used
    #[arg(long, value_enum, default_value_t = Which::All)]
    holdout: Which,
    /// Print the errors as JSON
    #[arg(long)]
    json: bool,
    /// Rows to print that are worst, per operator and number format
    #[arg(long, value_name = "ROWS", default_value_t = 3)]
    worst: usize,
    /// Write predicted against measured times as a picture
    #[arg(long, value_name = "FILE.svg")]
    plot: Option<PathBuf>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
enum Which {
    /// All rows
    All,
    /// Rows that the fit kept out
    HeldOut,
    /// Rows that it used
    Fitted,
}

/// The plot cannot be written.
#[derive(Debug, thiserror::Error)]
#[error("cannot write `{}`", path.display())]
struct WriteError {
    path: PathBuf,
    #[source]
    source: std::io::Error,
}

pub(crate) fn run(arguments: &Arguments) -> Result<(), Failure> {
    let calibration = arguments.calibration.as_ref().map(Calibration::from_file).transpose()?;
    let name = match (&arguments.gpu, &calibration) {
        (Some(name), _) => name,
        (None, Some(calibration)) => &calibration.gpu,
        (None, None) => unreachable!("one of them is required"),
    };
    let gpu = if name.ends_with(".ron") { Gpu::from_file(name)? } else { Gpu::preset(name)? };
    let topology = Topology::of(gpu)?;
    let mut theta = Coefficients::for_architecture(topology.gpu().architecture);
    let mut split = HeldOut::default();
    if let Some(calibration) = &calibration {
        calibration.apply(&mut theta)?;
        split = calibration.held_out;
    }
    let rows = match arguments.holdout {
        Which::All => Rows::All,
        Which::HeldOut => Rows::HeldOut(split),
        Which::Fitted => Rows::Fitted(split),
    };
    let data = arguments.tables.read()?;
    let scored = score(&data, &topology, &theta, rows)?;
    if let Some(path) = &arguments.plot {
        let title = format!("{}, laws {}", topology.gpu().name, theta.provenance);
        std::fs::write(path, plot(&scored, &title))
            .map_err(|source| WriteError { path: path.clone(), source })?;
    }
    if arguments.json {
        return output::print(&(scored.to_json() + "\n"));
    }
    let mut out = format!("{}, laws: {}\n\n", topology.gpu().name, theta.provenance);
    out.push_str(&report(&scored, arguments.worst));
    output::print(&out)
}

fn report(score: &Score, worst: usize) -> String {
    let header = ["operator", "dtype", "points", "median", "p90", "unsupported", "regime", "table"];
    let mut out = table(&header, &["operator", "dtype", "regime", "table"]);
    for it in &score.tables {
        let [points, median, p90] = cells(it.errors);
        let unsupported: usize = it.unsupported.values().sum();
        let unsupported = count(unsupported as u64);
        let row = [&it.op, &it.dtype, &points, &median, &p90, &unsupported, "", &it.file];
        out.add_row(row);
        for (regime, errors) in it.regimes.iter().filter(|_| it.regimes.len() > 1) {
            let [points, median, p90] = cells(Some(*errors));
            out.add_row(["", "", &points, &median, &p90, "", &regime.to_string(), ""]);
        }
    }
    let mut out = text(&out);
    for it in score.tables.iter().filter(|it| worst > 0 && !it.points.is_empty()) {
        out.push_str(&format!("\nworst rows of {} {} in {}\n", it.op, it.dtype, it.file));
        let mut points: Vec<&Point> = it.points.iter().collect();
        let size = |point: &Point| point.relative_error().ln_1p().abs();
        points.sort_by(|a, b| size(b).total_cmp(&size(a)));
        let mut rows = table(&["line", "call", "measured [us]", "law [us]", "error"], &["call"]);
        for point in points.into_iter().take(worst) {
            rows.add_row([
                point.line.to_string(),
                point.call.clone(),
                number(point.measured * 1e6),
                number(point.predicted * 1e6),
                format!("{:+.1} %", point.relative_error() * 100.0),
            ]);
        }
        out.push_str(&text(&rows));
    }
    if score.tables.iter().any(|it| !it.unsupported.is_empty()) {
        out.push_str("\nrows without a law\n");
    }
    for it in &score.tables {
        for (reason, rows) in &it.unsupported {
            let rows = counted(*rows as u64, "row");
            out.push_str(&format!("  {} {}: {rows}: {reason} ({})\n", it.op, it.dtype, it.file));
        }
    }
    out
}

//! `sglsim calibrate score`.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use sglsim_calibrate::{Errors, Point, Regime, Rows, Score, TableScore, plot, score};
use sglsim_hw::Topology;
use sglsim_kernels::{Calibration, Coefficients, DATASHEET, HeldOut};

use super::Tables;
use super::fit::cells;
use super::write::write;
use crate::failure::Failure;
use crate::number::{count, counted, number};
use crate::output;
use crate::table::{table, text};

/// Arguments of `calibrate score`.
#[derive(Debug, clap::Args)]
pub(crate) struct Arguments {
    /// The calibration: a file, a GPU whose calibration comes with sglsim, or datasheet for none; by
    /// default what sglsim has for --gpu
    #[arg(long, value_name = "FILE|NAME", required_unless_present = "gpu")]
    calibration: Option<String>,
    /// The GPU that the tables are from, if not that of the calibration: shows how far its
    /// coefficients carry over. A preset or a RON file
    #[arg(long, value_name = "NAME|FILE", required_if_eq("calibration", DATASHEET))]
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

pub(crate) fn run(arguments: &Arguments) -> Result<(), Failure> {
    let base = Path::new(".");
    // The split is that of the file which the coefficients come from.
    let named = match (&arguments.calibration, &arguments.gpu) {
        (Some(name), _) if name == DATASHEET => None,
        (Some(name), _) => Some(Calibration::named(name, base)?),
        (None, Some(gpu)) => Calibration::preset(gpu).ok().cloned(),
        (None, None) => None,
    };
    let gpu = match (&arguments.gpu, &named) {
        (Some(gpu), _) => gpu,
        (None, Some(calibration)) => &calibration.gpu,
        (None, None) => unreachable!("one of them is required"),
    };
    let topology = Topology::of(super::gpu(gpu)?)?;
    let theta = Coefficients::calibrated(topology.gpu(), arguments.calibration.as_deref(), base)?;
    let split = named.map_or_else(HeldOut::default, |calibration| calibration.held_out);
    let rows = match arguments.holdout {
        Which::All => Rows::All,
        Which::HeldOut => Rows::HeldOut(split),
        Which::Fitted => Rows::Fitted(split),
    };
    let data = arguments.tables.read()?;
    let scored = score(&data, &topology, &theta, rows)?;
    if let Some(path) = &arguments.plot {
        let title = format!("{}, laws {}", topology.gpu().name, theta.provenance);
        write(path, &plot(&scored, &title))?;
    }
    if arguments.json {
        return output::print(&(scored.to_json() + "\n"));
    }
    let mut out = format!("{}, laws: {}\n\n", topology.gpu().name, theta.provenance);
    out.push_str(&report(&scored, arguments.worst));
    output::print(&out)
}

/// The tables of one operator and number format.
type Group<'a> = ((&'a str, &'a str), Vec<&'a TableScore>);

fn groups(score: &Score) -> Vec<Group<'_>> {
    let mut all: BTreeMap<(&str, &str), Vec<&TableScore>> = BTreeMap::new();
    for it in &score.tables {
        all.entry((&it.op, &it.dtype)).or_default().push(it);
    }
    all.into_iter().collect()
}

fn report(score: &Score, worst: usize) -> String {
    let groups = groups(score);
    let header = ["operator", "dtype", "points", "median", "p90", "unsupported", "regime", "table"];
    let mut out = table(&header, &["operator", "dtype", "regime", "table"]);
    let unsupported = |it: &&TableScore| it.unsupported.values().sum::<usize>();
    for ((op, dtype), tables) in &groups {
        let all = || tables.iter().flat_map(|it| &it.points);
        let [points, median, p90] = cells(Errors::of(all().map(Point::relative_error)));
        let rows = count(tables.iter().map(unsupported).sum::<usize>() as u64);
        let file = match tables.as_slice() {
            [one] => one.file.clone(),
            several => counted(several.len() as u64, "table"),
        };
        out.add_row([op, dtype, points.as_str(), &median, &p90, &rows, "", &file]);
        let regimes = Regime::ALL.into_iter().filter_map(|regime| {
            let of = all().filter(|point| point.regime == regime);
            Some((regime, Errors::of(of.map(Point::relative_error))?))
        });
        let regimes: Vec<_> = regimes.collect();
        for (regime, errors) in regimes.iter().filter(|_| regimes.len() > 1) {
            let [points, median, p90] = cells(Some(*errors));
            out.add_row(["", "", &points, &median, &p90, "", &regime.to_string(), ""]);
        }
        let shown = |it: &&&TableScore| !it.points.is_empty() || !it.unsupported.is_empty();
        for it in tables.iter().filter(|_| tables.len() > 1).filter(shown) {
            let [points, median, p90] = cells(it.errors);
            let rows = count(unsupported(it) as u64);
            out.add_row(["", "", &points, &median, &p90, &rows, "", &it.file]);
        }
    }
    let mut out = text(&out);
    for ((op, dtype), tables) in groups.iter().filter(|_| worst > 0) {
        let mut points: Vec<(&Point, &str)> =
            tables.iter().flat_map(|it| it.points.iter().map(|point| (point, &*it.file))).collect();
        if points.is_empty() {
            continue;
        }
        out.push_str(&format!("\nworst rows of {op} {dtype}\n"));
        let size = |point: &Point| point.relative_error().ln_1p().abs();
        points.sort_by(|(a, _), (b, _)| size(b).total_cmp(&size(a)));
        let header = ["line", "call", "measured [us]", "law [us]", "error", "table"];
        let mut rows = table(&header, &["call", "table"]);
        for (point, file) in points.into_iter().take(worst) {
            rows.add_row([
                &point.line.to_string(),
                &point.call,
                &number(point.measured * 1e6),
                &number(point.predicted * 1e6),
                &format!("{:+.1} %", point.relative_error() * 100.0),
                file,
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

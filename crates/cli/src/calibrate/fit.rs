//! `sglsim calibrate fit`.

use std::path::PathBuf;

use indicatif::{ProgressBar, ProgressStyle};
use sglsim_calibrate::{Errors, Fit, FitOptions, Remark, fit};
use sglsim_hw::{Gpu, Topology};
use sglsim_kernels::{Coefficients, HeldOut};

use super::Tables;
use crate::failure::Failure;
use crate::number::{count, counted, number, percent};
use crate::output;
use crate::table::{lines, table, text};

/// Arguments of `calibrate fit`.
#[derive(Debug, clap::Args)]
pub(crate) struct Arguments {
    /// The GPU that was measured: a preset or a RON file
    #[arg(long, value_name = "NAME")]
    gpu: String,
    #[command(flatten)]
    tables: Tables,
    /// A measured peak, such as hbm_bandwidth=3.0e12 in B/s or peak_flops_bf16=7.5e14 in FLOP/s:
    /// scales the shares of that peak, and no fit goes beyond it
    #[arg(long = "ceiling", value_name = "FIGURE=VALUE", value_parser = ceiling)]
    ceilings: Vec<(String, f64)>,
    /// Share of the shapes that is kept out of the fit, to score it on
    #[arg(long, value_name = "SHARE", default_value_t = HeldOut::default().share)]
    holdout: f64,
    /// Seed of the split and of the searches
    #[arg(long, default_value_t = HeldOut::default().seed)]
    seed: u64,
    /// Day of the fit, for the file; today if not given
    #[arg(long, value_name = "YYYY-MM-DD")]
    date: Option<String>,
    /// Where the calibration is written
    #[arg(short, long, value_name = "FILE")]
    output: PathBuf,
}

/// The calibration cannot be written.
#[derive(Debug, thiserror::Error)]
#[error("cannot write `{}`", path.display())]
struct WriteError {
    path: PathBuf,
    #[source]
    source: std::io::Error,
}

pub(crate) fn run(arguments: &Arguments) -> Result<(), Failure> {
    let gpu = if arguments.gpu.ends_with(".ron") {
        Gpu::from_file(&arguments.gpu)?
    } else {
        Gpu::preset(&arguments.gpu)?
    };
    let topology = Topology::of(gpu)?;
    let data = arguments.tables.read()?;
    let mut options = FitOptions::default();
    options.held_out = HeldOut { seed: arguments.seed, share: arguments.holdout };
    options.date = arguments.date.clone().unwrap_or_else(today);
    for (figure, value) in &arguments.ceilings {
        options.ceilings.set(figure, *value)?;
    }
    let start = Coefficients::for_architecture(topology.gpu().architecture);
    let bar = bar();
    let fitted = fit(&data, &topology, &start, &options, &mut |families, done, of| {
        bar.set_length(of as u64);
        bar.set_position(done as u64);
        bar.set_message(families.to_owned());
    });
    bar.finish_and_clear();
    let fitted = fitted?;
    std::fs::write(&arguments.output, fitted.calibration.to_ron())
        .map_err(|source| WriteError { path: arguments.output.clone(), source })?;
    output::print(&report(&fitted, arguments))
}

fn ceiling(given: &str) -> Result<(String, f64), String> {
    let (figure, value) =
        given.split_once('=').ok_or("write it as FIGURE=VALUE, such as hbm_bandwidth=3.0e12")?;
    let value = value.parse().map_err(|_| format!("`{value}` is not a number"))?;
    Ok((figure.to_owned(), value))
}

/// The date in UTC. It is a remark in the file and has no influence on anything.
#[expect(clippy::disallowed_types, reason = "the day of a fit is part of its provenance")]
fn today() -> String {
    let since = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH);
    let days = since.map_or(0, |time| time.as_secs() / 86_400) as i64;
    // Civil date of a day number (Hinnant, "chrono-compatible low-level date algorithms", 2013).
    let z = days + 719_468;
    let era = z.div_euclid(146_097);
    let day_of_era = z.rem_euclid(146_097);
    let year_of_era =
        (day_of_era - day_of_era / 1_460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
    let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let shifted = (5 * day_of_year + 2) / 153;
    let day = day_of_year - (153 * shifted + 2) / 5 + 1;
    let month = if shifted < 10 { shifted + 3 } else { shifted - 9 };
    let year = year_of_era + era * 400 + i64::from(month <= 2);
    format!("{year:04}-{month:02}-{day:02}")
}

fn bar() -> ProgressBar {
    let style = ProgressStyle::with_template("fitting {bar:30} {pos}/{len} {msg}, {elapsed}")
        .expect("the template is right");
    ProgressBar::new(0).with_style(style)
}

/// What was fitted, and how well.
fn report(fit: &Fit, arguments: &Arguments) -> String {
    let calibration = &fit.calibration;
    let rows: usize = calibration.tables.iter().map(|table| table.rows).sum();
    let fitted: usize = calibration.tables.iter().map(|table| table.fitted).sum();
    let found = calibration.coefficients.len();
    let mut out = lines(&[
        ("GPU", calibration.gpu.clone()),
        (
            "tables",
            format!(
                "{}, {} rows, {} measured calls fitted",
                counted(calibration.tables.len() as u64, "table"),
                count(rows as u64),
                count(fitted as u64)
            ),
        ),
        ("held out", format!("{} of the shapes", percent(calibration.held_out.share))),
        ("found", counted(found as u64, "coefficient")),
        ("written to", arguments.output.display().to_string()),
    ]);
    let header = ["families", "θ", "fitted", "median", "p90", "held out", "median ", "p90 "];
    let mut parts = table(&header, &header[..1]);
    for part in &fit.parts {
        let identified =
            part.coefficients.iter().filter(|it| it.remark != Remark::NotIdentified).count();
        let mut row = vec![part.families.clone(), identified.to_string()];
        row.extend(cells(part.fitted));
        row.extend(cells(part.held_out));
        parts.add_row(row);
    }
    out.push('\n');
    out.push_str(&text(&parts));
    let header = ["coefficient", "before", "fitted", "unit", "remark"];
    let mut values = table(&header, &["coefficient", "unit", "remark"]);
    for it in fit.parts.iter().flat_map(|part| &part.coefficients) {
        let remark = match it.remark {
            Remark::AtBound => "at a bound",
            Remark::NotIdentified => "no influence on these tables: kept",
            _ => "",
        };
        let unit = if it.unit == "1" { "" } else { it.unit };
        let value = |value: f64| if value < 1e-3 { format!("{value:.3e}") } else { number(value) };
        values.add_row([&it.name, &value(it.before), &value(it.value), unit, remark]);
    }
    out.push('\n');
    out.push_str(&text(&values));
    out
}

/// Points, median and 90th percentile.
pub(super) fn cells(errors: Option<Errors>) -> [String; 3] {
    match errors {
        Some(errors) => {
            [count(errors.points as u64), percent(errors.median_ape), percent(errors.p90_ape)]
        }
        None => ["0".to_owned(), "-".to_owned(), "-".to_owned()],
    }
}

//! `sglsim calibrate fit`.

use std::path::{Path, PathBuf};

use indicatif::{ProgressBar, ProgressStyle};
use jiff::civil::Date;
use sglsim_calibrate::{Errors, Fit, FitOptions, Remark, fit};
use sglsim_hw::{Gpu, Topology};
use sglsim_kernels::{Calibration, Coefficients, DATASHEET, HeldOut, KernelError};

use super::Tables;
use super::write::{check_folder, today, write};
use crate::failure::Failure;
use crate::number::{count, counted, number, percent};
use crate::output;
use crate::table::{lines, table, text};

/// Arguments of `calibrate fit`.
#[derive(Debug, clap::Args)]
pub(crate) struct Arguments {
    /// The GPU that was measured: a preset or a RON file
    #[arg(long, value_name = "NAME|FILE")]
    gpu: String,
    #[command(flatten)]
    tables: Tables,
    /// A measured peak, such as hbm_bandwidth=3.0e12 in B/s or peak_flops_bf16=7.5e14 in FLOP/s:
    /// scales the shares of that peak, and no fit goes beyond it
    #[arg(long = "ceiling", value_name = "FIGURE=VALUE", value_parser = ceiling)]
    ceilings: Vec<(String, f64)>,
    /// What the searches start from: a calibration file, a GPU whose calibration comes with sglsim, or
    /// datasheet; by default datasheet for a GPU that comes with one, else what it gets without
    #[arg(long, value_name = "FILE|NAME")]
    start: Option<String>,
    /// Share of the shapes that is kept out of the fit, to score it on
    #[arg(long, value_name = "SHARE", default_value_t = HeldOut::default().share)]
    holdout: f64,
    /// Seed of the split and of the searches
    #[arg(long, default_value_t = HeldOut::default().seed)]
    seed: u64,
    /// Day of the fit, for the file; by default today in UTC
    #[arg(long, value_name = "YYYY-MM-DD")]
    date: Option<Date>,
    /// Where the calibration is written
    #[arg(short, long, value_name = "FILE")]
    output: PathBuf,
}

pub(crate) fn run(arguments: &Arguments) -> Result<(), Failure> {
    check_folder(&arguments.output)?;
    let gpu = super::gpu(&arguments.gpu)?;
    let topology = Topology::of(gpu)?;
    let data = arguments.tables.read()?;
    let mut options = FitOptions::default();
    options.held_out = HeldOut { seed: arguments.seed, share: arguments.holdout };
    options.date = arguments.date.unwrap_or_else(today).to_string();
    for (figure, value) in &arguments.ceilings {
        options.ceilings.set(figure, *value)?;
    }
    let start = start(topology.gpu(), arguments.start.as_deref())?;
    let bar = bar("fitting {bar:30} {pos}/{len} {msg}, {elapsed}");
    let fitted = fit(&data, &topology, &start, &options, &mut |families, done, of| {
        bar.set_length(of as u64);
        bar.set_position(done as u64);
        bar.set_message(families.to_owned());
    });
    bar.finish_and_clear();
    let fitted = fitted?;
    write(&arguments.output, &fitted.calibration.to_ron())?;
    output::print(&report(&fitted, arguments))
}

/// Coefficients to start from. A GPU that comes with a calibration is fitted as if it had none: the
/// result does not depend on that one.
fn start(gpu: &Gpu, named: Option<&str>) -> Result<Coefficients, KernelError> {
    let mut theta = Coefficients::for_architecture(gpu.architecture);
    match named {
        None if Calibration::preset(&gpu.name).is_err() => theta = Coefficients::for_gpu(gpu),
        None | Some(DATASHEET) => {}
        Some(name) => Calibration::named(name, Path::new("."))?.apply(gpu, &mut theta)?,
    }
    Ok(theta)
}

fn ceiling(given: &str) -> Result<(String, f64), String> {
    let (figure, value) =
        given.split_once('=').ok_or("write it as FIGURE=VALUE, such as hbm_bandwidth=3.0e12")?;
    let value = value.parse().map_err(|_| format!("`{value}` is not a number"))?;
    Ok((figure.to_owned(), value))
}

pub(super) fn bar(template: &str) -> ProgressBar {
    let style = ProgressStyle::with_template(template).expect("the template is right");
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
    for note in &calibration.notes {
        out.push_str(&format!("{note}\n"));
    }
    if fit.parts.is_empty() {
        return out;
    }
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

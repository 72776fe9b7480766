//! A sweep as JSON and CSV, and its folder.

use std::path::Path;

use serde_json::{Value, json};
use sglsim_engine::Scenario;
use sglsim_formula::Metric;

use super::{Objective, Sweep, plot};
use crate::failure::Failure;
use crate::output;

/// Version of the JSON form; a key that changes its meaning raises it.
const VERSION: u32 = 1;

/// Writes everything about a sweep into a folder; `best` is the scenario of its best point.
pub(super) fn write(folder: &Path, sweep: &Sweep, best: Option<&Scenario>) -> Result<(), Failure> {
    output::make_folder(folder)?;
    let write = |name: &str, text: &str| output::write_file(&folder.join(name), text);
    write("sweep.json", &(serde_json::to_string_pretty(&json(sweep))? + "\n"))?;
    write("sweep.csv", &csv(sweep)?)?;
    write("sweep.svg", &plot::svg(sweep))?;
    if let Some(best) = best {
        write("best.ron", &best.to_ron())?;
    }
    Ok(())
}

pub(super) fn json(sweep: &Sweep) -> Value {
    let aim = &sweep.aim;
    let seconds = |limit: Option<sglsim_engine::Seconds>| limit.map(|limit| limit.get());
    let points: Vec<Value> = (sweep.rows())
        .map(|(point, outcome, is_best, is_front)| {
            let settings = point.settings.iter().cloned().map(|(path, value)| (path, json!(value)));
            let mut row = json!({
                "settings": settings.collect::<serde_json::Map<_, _>>(),
                "best": is_best,
                "front": is_front,
            });
            match outcome {
                Ok(outcome) => {
                    row["objective"] = json!(outcome.value);
                    row["goodput"] = json!(outcome.goodput);
                    row["slo_attainment"] = json!(outcome.attainment);
                    row["broken_bound"] = json!(outcome.broken);
                    let limit = outcome.bottleneck;
                    row["bottleneck"] = limit.map_or(
                        Value::Null,
                        |limit| json!({ "resource": limit.resource.name(), "share": limit.share }),
                    );
                    row["report"] = outcome.report.to_json();
                }
                Err(why) => row["error"] = json!(why),
            }
            row
        })
        .collect();
    json!({
        "format": { "name": "sglsim-sweep", "version": VERSION },
        "axes": sweep.axes,
        "objective": { "name": aim.objective.name(), "unit": aim.objective.unit() },
        "slo": {
            "ttft_s": seconds(aim.slo.ttft),
            "tpot_s": seconds(aim.slo.tpot),
            "e2e_s": seconds(aim.slo.e2e),
            "attain": aim.attain,
            "of_the_run_s": aim.bounds.iter().map(|(metric, limit)| {
                (metric.name().to_owned(), json!(limit.get()))
            }).collect::<serde_json::Map<_, _>>(),
        },
        "front": aim.front.map(Objective::name),
        "points": points,
    })
}

/// One line for each point: its settings, every metric of its run in SI units, or why it cannot be.
fn csv(sweep: &Sweep) -> Result<String, Failure> {
    let mut paths: Vec<&str> = Vec::new();
    if let Some(first) = sweep.points.first() {
        paths.extend(first.settings.iter().map(|(path, _)| path.as_str()));
    }
    let metrics: Vec<Metric> = Metric::all().filter(|metric| metric.is_of_run()).collect();
    let ours = ["best", "front", "gpus", "goodput", "slo_attainment", "bottleneck"];
    let pools = ["busy_share", "kv_usage"];
    let names: Vec<String> = sweep.done().next().map_or_else(Vec::new, |outcome| {
        outcome.report.pools.iter().map(|pool| pool.name.clone()).collect()
    });
    let mut out = csv::Writer::from_writer(Vec::new());
    let mut header: Vec<String> = paths.iter().map(|path| (*path).to_owned()).collect();
    header.extend(ours.iter().map(|name| (*name).to_owned()));
    header.push("cache_hit_rate".to_owned());
    header.extend(metrics.iter().map(|metric| metric.name().to_owned()));
    for name in &names {
        header.extend(pools.iter().map(|of| format!("{name}_{of}")));
    }
    header.push("error".to_owned());
    let width = header.len();
    out.write_record(&header)?;
    for (point, outcome, is_best, is_front) in sweep.rows() {
        let mut row: Vec<String> = point.settings.iter().map(|(_, value)| value.clone()).collect();
        row.extend([is_best, is_front].map(|is| u8::from(is).to_string()));
        match outcome {
            Ok(outcome) => {
                let report = &outcome.report;
                row.push(report.gpus.to_string());
                row.push(outcome.goodput.to_string());
                row.push(outcome.attainment.to_string());
                let limit = outcome.bottleneck.map(|limit| limit.resource.name().to_owned());
                row.push(limit.unwrap_or_default());
                row.push(report.cache_hit_rate().to_string());
                let text = |value: Option<f64>| value.map(|x| x.to_string()).unwrap_or_default();
                row.extend(metrics.iter().map(|metric| text(metric.reported(report))));
                for name in &names {
                    let pool = report.pools.iter().find(|pool| pool.name == *name);
                    row.push(text(pool.map(|pool| pool.busy_share)));
                    row.push(text(pool.map(|pool| pool.kv_usage)));
                }
                row.push(String::new());
            }
            Err(why) => {
                row.resize(width - 1, String::new());
                row.push(why.clone());
            }
        }
        out.write_record(&row)?;
    }
    Ok(String::from_utf8(out.into_inner()?)?)
}

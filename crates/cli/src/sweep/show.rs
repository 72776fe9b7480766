//! A sweep as a table.

use super::{Objective, Outcome, Sweep};
use crate::number::{NONE, count, counted, digits, fixed, number, percent};
use crate::table;

/// A column: its header and the cell of a point.
type Column<'a> = (String, Box<dyn Fn(&Outcome) -> String + 'a>);

pub(super) fn text(sweep: &Sweep) -> String {
    let columns = columns(sweep);
    let mut header = vec![""];
    header.extend(sweep.axes.iter().map(String::as_str));
    let axes = header.clone();
    header.extend(columns.iter().map(|(name, _)| name.as_str()));
    header.push("limited by");
    let words: Vec<&str> = axes.into_iter().chain(["limited by"]).collect();
    let mut rows = table::table(&header, &words);
    let mut failures: Vec<(&str, Vec<String>)> = Vec::new();
    for (point, outcome, is_best, is_front) in sweep.rows() {
        let mark = if is_best {
            "*"
        } else if is_front {
            "+"
        } else {
            ""
        };
        let mut row = vec![mark.to_owned()];
        row.extend(point.labels.iter().cloned());
        match outcome {
            Ok(outcome) => {
                row.extend(columns.iter().map(|(_, cell)| cell(outcome)));
                row.push(limit(outcome));
            }
            Err(why) => {
                row.extend(columns.iter().map(|_| NONE.to_owned()));
                row.push("cannot be".to_owned());
                let label = point.labels.join(", ");
                match failures.iter_mut().find(|(known, _)| known == why) {
                    Some((_, points)) => points.push(label),
                    None => failures.push((why, vec![label])),
                }
            }
        }
        rows.add_row(row);
    }
    let mut out = heading(sweep);
    out += &table::text(&rows);
    out.push('\n');
    out += &verdict(sweep);
    for (why, points) in failures {
        out += &format!("{} cannot be: {why}\n", listed(&points));
    }
    out
}

fn heading(sweep: &Sweep) -> String {
    let report = sweep.done().next().map(|outcome| &outcome.report);
    let Some(report) = report else { return String::new() };
    let axes = sweep.axes.join(" × ");
    let mut out = format!(
        "{} under workload {}: {} of {axes}\nlatencies: {}\n",
        report.model,
        report.workload,
        counted(sweep.points.len() as u64, "point"),
        report.latency_source,
    );
    let slo = bounds(sweep);
    if !slo.is_empty() {
        out += &format!("SLO: {}\n", slo.join(", "));
    }
    let (unit, ..) = ttft_unit(sweep);
    let objective = sweep.aim.objective;
    let of = if objective.unit() == "s" { "ms" } else { objective.unit() };
    let of = format!("{} in {of}, ", title(objective));
    let of = if objective == Objective::Gpus { "" } else { &of };
    out + &format!("{of}TTFT in {unit}, TPOT in ms\n\n")
}

/// Overload takes minutes, not milliseconds: unit, its multiple of a second, decimals.
fn ttft_unit(sweep: &Sweep) -> (&'static str, f64, usize) {
    let is_slow = sweep.done().any(|outcome| outcome.report.ttft.p99 >= 10.0);
    if is_slow { ("s", 1.0, 2) } else { ("ms", 1e3, 0) }
}

/// What a column of an objective is called.
pub(super) fn title(objective: Objective) -> String {
    objective.name().replace('_', " ").replace("per gpu", "per GPU")
}

/// A time as people say it.
fn time(seconds: sglsim_engine::Seconds) -> String {
    match seconds.get() {
        seconds if seconds < 1.0 => format!("{} ms", digits_of(seconds * 1e3)),
        seconds => format!("{} s", digits_of(seconds)),
    }
}

/// A number with no more digits than it has.
pub(super) fn digits_of(x: f64) -> String {
    let text = digits(x);
    let is_plain = text.contains('.') && !text.contains('e');
    if is_plain { text.trim_end_matches('0').trim_end_matches('.').to_owned() } else { text }
}

/// The bounds in words.
pub(super) fn bounds(sweep: &Sweep) -> Vec<String> {
    let slo = &sweep.aim.slo;
    let of_request = [("TTFT", slo.ttft), ("TPOT", slo.tpot), ("E2E", slo.e2e)];
    let mut bounds: Vec<String> = (of_request.into_iter())
        .filter_map(|(name, limit)| Some(format!("{name} ≤ {}", time(limit?))))
        .collect();
    bounds.extend(
        sweep.aim.bounds.iter().map(|(metric, limit)| format!("{metric} ≤ {}", time(*limit))),
    );
    if sweep.aim.attain > 0.0 {
        bounds.push(format!("kept by {} of the requests", percent(sweep.aim.attain)));
    }
    bounds
}

fn columns(sweep: &Sweep) -> Vec<Column<'_>> {
    let mut columns: Vec<Column<'_>> = Vec::new();
    let mut put = |name: &str, cell: Box<dyn Fn(&Outcome) -> String>| {
        columns.push((name.to_owned(), cell));
    };
    let differs = |of: fn(&Outcome) -> u64| {
        let mut values = sweep.done().map(of);
        let first = values.next();
        values.any(|value| Some(value) != first)
    };
    if differs(|outcome| u64::from(outcome.report.gpus)) {
        put("GPUs", Box::new(|outcome| count(u64::from(outcome.report.gpus))));
    }
    let objective = sweep.aim.objective;
    if objective.name() != "gpus" {
        put(
            &title(objective),
            Box::new(move |o| o.value.map_or(NONE.to_owned(), |x| shown_as(objective, x))),
        );
    }
    if sweep.done().any(|outcome| finished(outcome) < 1.0) {
        put("finished", Box::new(|outcome| percent(finished(outcome))));
    }
    if !sweep.aim.slo.is_empty() {
        put("in SLO", Box::new(|outcome| percent(outcome.attainment)));
    }
    let (_, scale, decimals) = ttft_unit(sweep);
    put("TTFT p50", Box::new(move |o| fixed(o.report.ttft.p50 * scale, decimals)));
    put("p99", Box::new(move |o| fixed(o.report.ttft.p99 * scale, decimals)));
    put("TPOT p50", Box::new(|o| fixed(o.report.tpot.p50 * 1e3, 1)));
    put("p99", Box::new(|o| fixed(o.report.tpot.p99 * 1e3, 1)));
    if differs(|o| (o.report.cache_hit_rate() * 1e3) as u64) {
        put("cache hits", Box::new(|o| percent(o.report.cache_hit_rate())));
    }
    for name in pools(sweep) {
        if name != "decode" {
            let of = name.clone();
            put(&format!("{name} busy"), Box::new(move |o| pool(o, &of, |pool| pool.busy_share)));
        }
        if name != "prefill" {
            let of = name.clone();
            put(&format!("{name} KV"), Box::new(move |o| pool(o, &of, |pool| pool.kv_usage)));
        }
    }
    columns
}

/// Share of the requests that got their answer: latencies are of these alone.
fn finished(outcome: &Outcome) -> f64 {
    let report = &outcome.report;
    let ended = report.completed + report.refused + report.failed;
    report.completed as f64 / ended.max(1) as f64
}

/// Names of all pools, in order.
fn pools(sweep: &Sweep) -> Vec<String> {
    let mut names: Vec<String> = Vec::new();
    for pool in sweep.done().flat_map(|outcome| &outcome.report.pools) {
        if !names.contains(&pool.name) {
            names.push(pool.name.clone());
        }
    }
    names
}

fn pool(outcome: &Outcome, name: &str, of: fn(&sglsim_engine::PoolReport) -> f64) -> String {
    let found = outcome.report.pools.iter().find(|pool| pool.name == name);
    found.map_or(NONE.to_owned(), |pool| percent(of(pool)))
}

/// What limits a point, in words.
pub(super) fn limit(outcome: &Outcome) -> String {
    match outcome.bottleneck {
        Some(found) => format!("{} ({:.0} %)", found.resource, found.share * 100.0),
        None => NONE.to_owned(),
    }
}

/// A value of an objective in the unit of its column.
fn shown_as(objective: Objective, value: f64) -> String {
    match objective.unit() {
        "s" => fixed(value * 1e3, 1),
        "GPU" => fixed(value, 0),
        _ => number(value),
    }
}

fn verdict(sweep: &Sweep) -> String {
    let objective = sweep.aim.objective;
    let Some(best) = sweep.best else {
        let mut why: Vec<&str> =
            sweep.done().filter_map(|outcome| outcome.broken.as_deref()).collect();
        why.dedup();
        return format!("no point keeps every bound: {}\n", why.join("; "));
    };
    let point = &sweep.points[best];
    let settings: Vec<String> =
        point.settings.iter().map(|(path, value)| format!("{path}={value}")).collect();
    let value = sweep.outcomes[best].as_ref().ok().and_then(|outcome| outcome.value);
    let value = value.map_or(NONE.to_owned(), |value| {
        let value = shown_as(objective, value);
        match objective.unit() {
            "s" => format!("{value} ms"),
            "GPU" => value,
            unit => format!("{value} {unit}"),
        }
    });
    let most = match objective {
        Objective::Gpus => "fewest GPUs".to_owned(),
        cost if cost.is_cost() => format!("least {}", cost.name()),
        rate => format!("most {}", rate.name()),
    };
    format!("best: {}\n  the {most}: {value}\n", settings.join(" "))
}

/// A few names, and how many more there are.
fn listed(names: &[String]) -> String {
    const MOST: usize = 6;
    let first = names.iter().take(MOST).cloned().collect::<Vec<_>>().join("; ");
    match names.len().checked_sub(MOST) {
        None | Some(0) => first,
        Some(more) => format!("{first} and {more} more"),
    }
}

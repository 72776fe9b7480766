//! The report and the plan as a person reads them.

use std::fmt::Write;

use comfy_table::{CellAlignment, Table, presets::UTF8_HORIZONTAL_ONLY};
use sglsim_engine::{DeploymentPlan, PoolPlan, Report, Summary};

/// An empty table whose columns after the first are numbers.
fn table(header: &[&str]) -> Table {
    let mut table = Table::new();
    table.load_style(UTF8_HORIZONTAL_ONLY);
    table.set_header(header.to_vec());
    for column in table.column_iter_mut().skip(1) {
        column.set_cell_alignment(CellAlignment::Right);
    }
    table
}

/// A count with thousands separated.
pub(crate) fn count(n: u64) -> String {
    let digits = n.to_string();
    let mut out = String::new();
    for (i, digit) in digits.chars().enumerate() {
        if i > 0 && (digits.len() - i).is_multiple_of(3) {
            out.push(',');
        }
        out.push(digit);
    }
    out
}

/// A number with about four digits that matter.
fn number(x: f64) -> String {
    match x.abs() {
        a if a >= 1e5 => count(whole(x)),
        a if a >= 1e3 => format!("{x:.0}"),
        a if a >= 1e2 => format!("{x:.1}"),
        a if a >= 1e1 => format!("{x:.2}"),
        _ => format!("{x:.3}"),
    }
}

#[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "a rate, rounded")]
fn whole(x: f64) -> u64 {
    x.round() as u64
}

fn percent(share: f64) -> String {
    format!("{:.1} %", share * 100.0)
}

/// What will run, in one line.
pub(crate) fn headline(plan: &DeploymentPlan) -> String {
    let pools: Vec<String> = plan
        .pools
        .iter()
        .map(|pool| format!("{} {} of {}", pool.workers, noun(pool), sizes(pool)))
        .collect();
    format!("{} on {} GPUs: {}", plan.model.name, plan.gpus(), pools.join(" + "))
}

fn noun(pool: &PoolPlan) -> String {
    let word = if pool.workers == 1 { "worker" } else { "workers" };
    if pool.name == "worker" { word.to_owned() } else { format!("{} {word}", pool.name) }
}

fn sizes(pool: &PoolPlan) -> String {
    let plan = &pool.plan;
    let mut text = format!("{} {}", plan.gpus(), pool.topology.gpu().name);
    let _ = write!(text, " (TP{}", plan.tp_size);
    for (letters, size) in [("DP", plan.dp_size), ("EP", plan.ep_size), ("PP", plan.pp_size)] {
        if size > 1 {
            let _ = write!(text, " {letters}{size}");
        }
    }
    text.push(')');
    text
}

/// The table that `sglsim run` ends with.
pub(crate) fn report(plan: &DeploymentPlan, report: &Report) -> String {
    let mut out = String::new();
    let _ = writeln!(out, "{}", headline(plan));
    let formula = if report.formula_available { "" } else { "; no formula is available for it" };
    let _ = writeln!(
        out,
        "workload {}, seed {}, latencies: {}{formula}\n",
        report.workload, report.seed, report.latency_source
    );
    let _ = writeln!(out, "{}\n", totals(report));
    let _ = writeln!(out, "{}\n", throughput(report));
    let _ = writeln!(out, "{}\n", latencies(report));
    let _ = writeln!(out, "{}", pools(report));
    out
}

fn totals(report: &Report) -> String {
    let mut out = format!(
        "requests      {} finished in {} s",
        count(report.completed),
        number(report.duration.get())
    );
    if report.refused > 0 {
        let _ = write!(out, ", {} refused (longer than a worker can hold)", count(report.refused));
    }
    let _ = write!(
        out,
        "\ntokens        {} in ({} found in a prefix cache: hit rate {}), {} out",
        count(report.total_input_tokens),
        count(report.total_cached_tokens),
        percent(report.cache_hit_rate()),
        count(report.total_output_tokens),
    );
    let _ = write!(
        out,
        "\nin flight     {} requests in the mean, {} at most",
        number(report.concurrency),
        count(report.max_concurrent_requests),
    );
    let _ = write!(out, "\nretractions   {}", count(report.retractions));
    out
}

fn throughput(report: &Report) -> String {
    let gpus = f64::from(report.gpus.max(1));
    let mut out =
        table(&["throughput", "requests/s", "input tok/s", "output tok/s", "total tok/s"]);
    let rates = [
        report.request_throughput(),
        report.input_throughput(),
        report.output_throughput(),
        report.total_throughput(),
    ];
    let row = |name: &str, scale: f64| {
        let mut row = vec![name.to_owned()];
        row.extend(rates.iter().map(|rate| number(rate * scale)));
        row
    };
    out.add_row(row("deployment", 1.0));
    out.add_row(row("per GPU", 1.0 / gpus));
    out.to_string()
}

fn latencies(report: &Report) -> String {
    let mut out = table(&["latency [ms]", "mean", "p50", "p90", "p95", "p99", "max"]);
    let rows = [
        ("time to first token", report.ttft),
        ("inter-token latency", report.itl),
        ("time per output token", report.tpot),
        ("end to end", report.e2e),
        ("queue", report.queue_time),
        ("KV transfer", report.transfer_time),
    ];
    for (name, summary) in rows {
        if summary.count > 0 {
            let Summary { mean, p50, p90, p95, p99, max, .. } = summary.scaled(1e3);
            let mut row = vec![name.to_owned()];
            row.extend([mean, p50, p90, p95, p99, max].map(number));
            out.add_row(row);
        }
    }
    out.to_string()
}

fn pools(report: &Report) -> String {
    let mut out = table(&[
        "pool",
        "workers",
        "GPUs",
        "busy",
        "KV slots",
        "KV used",
        "KV peak",
        "prefill steps",
        "decode steps",
        "decode batch",
    ]);
    for pool in &report.pools {
        out.add_row([
            pool.name.clone(),
            pool.workers.to_string(),
            pool.gpus.to_string(),
            percent(pool.busy_share),
            count(pool.kv_capacity),
            percent(pool.kv_usage),
            percent(pool.kv_usage_max),
            count(pool.prefill_steps),
            count(pool.decode_steps),
            number(pool.decode_batch),
        ]);
    }
    out.to_string()
}

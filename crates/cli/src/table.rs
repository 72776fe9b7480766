//! The report and the plan as a person reads them.

use std::fmt::Write;

use comfy_table::{CellAlignment, LineStyle, Table, TableStyle};
use sglsim_engine::{DeploymentPlan, PoolPlan, PoolReport, Report, Summary};

use crate::number::{NONE, count, counted, fixed, number, percent};

/// One line, below the header.
const STYLE: TableStyle =
    TableStyle::new().header_separator(LineStyle::none().fill('─').junction('─'));

/// An empty table; columns whose header is not in `words` are numbers, aligned to the right.
pub(crate) fn table(header: &[&str], words: &[&str]) -> Table {
    let mut table = Table::new();
    table.load_style(STYLE);
    table.set_header(header.to_vec());
    for (column, name) in table.column_iter_mut().zip(header) {
        column.set_padding((0, 1));
        if !words.contains(name) {
            column.set_cell_alignment(CellAlignment::Right);
        }
    }
    table
}

/// The text of a table without blanks at the ends of lines.
pub(crate) fn text(table: &Table) -> String {
    let mut out = String::new();
    for line in table.lines() {
        out.push_str(line.trim_end());
        out.push('\n');
    }
    out
}

/// What will run, a line for each pool.
pub(crate) fn headline(plan: &DeploymentPlan) -> String {
    let mut out = format!("{} on {}", plan.model.name, counted(u64::from(plan.gpus()), "GPU"));
    for pool in &plan.pools {
        let workers = counted(u64::from(pool.workers), &noun(pool));
        let _ = write!(out, "\n  {workers} of {}", sizes(pool));
    }
    out
}

/// What one worker of a pool is called.
pub(crate) fn noun(pool: &PoolPlan) -> String {
    if pool.name == "worker" { "worker".to_owned() } else { format!("{} worker", pool.name) }
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
    let formula = if report.formula_available { "" } else { "; no formula is available for it" };
    format!(
        "{}\nworkload {}, seed {}, latencies: {}{formula}\n\n{}\n{}\n{}\n{}",
        headline(plan),
        report.workload,
        report.seed,
        report.latency_source,
        totals(report),
        throughput(report),
        latencies(report),
        pools(report),
    )
}

fn totals(report: &Report) -> String {
    let mut finished =
        format!("{} finished in {} s", count(report.completed), number(report.duration.get()));
    if report.refused > 0 {
        let refused = count(report.refused);
        let _ = write!(finished, ", {refused} refused");
    }
    if report.failed > 0 {
        let _ = write!(finished, ", {} failed", count(report.failed));
    }
    if report.retries > 0 {
        let _ = write!(finished, ", {} more attempts", count(report.retries));
    }
    let mut cached = format!(
        "{} of the input tokens were in a prefix cache ({})",
        count(report.total_cached_tokens),
        percent(report.cache_hit_rate()),
    );
    if report.total_host_cached_tokens > 0 {
        let host = count(report.total_host_cached_tokens);
        let _ = write!(cached, ", {host} of them on the host");
    }
    let tokens = format!(
        "{} in, {} out",
        count(report.total_input_tokens),
        count(report.total_output_tokens)
    );
    let in_flight = format!(
        "{} requests on average, {} at most",
        number(report.concurrency),
        count(report.max_concurrent_requests),
    );
    lines(&[
        ("requests", finished),
        ("tokens", tokens),
        ("cache hits", cached),
        ("in flight", in_flight),
        ("retractions", count(report.retractions)),
    ])
}

/// Names and what is to say about each, the second aligned.
pub(crate) fn lines(rows: &[(&str, String)]) -> String {
    let width = rows.iter().map(|(name, _)| name.len()).max().unwrap_or(0) + 2;
    let mut out = String::new();
    for (name, text) in rows {
        let _ = writeln!(out, "{name:<width$}{text}");
    }
    out
}

fn throughput(report: &Report) -> String {
    let gpus = f64::from(report.gpus.max(1));
    let mut out = table(
        &["throughput", "requests/s", "input tok/s", "output tok/s", "total tok/s"],
        &["throughput"],
    );
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
    text(&out)
}

fn latencies(report: &Report) -> String {
    let header = ["latency [ms]", "mean", "p50", "p90", "p95", "p99", "max"];
    let mut out = table(&header, &header[..1]);
    let rows = [
        ("TTFT", report.ttft),
        ("ITL", report.itl),
        ("TPOT", report.tpot),
        ("E2E", report.e2e),
        ("queue", report.queue_time),
        ("KV transfer", report.transfer_time),
    ];
    for (name, summary) in rows {
        if summary.count > 0 {
            let Summary { mean, p50, p90, p95, p99, max, .. } = summary.scaled(1e3);
            let mut row = vec![name.to_owned()];
            row.extend([mean, p50, p90, p95, p99, max].map(|x| fixed(x, 2)));
            out.add_row(row);
        }
    }
    text(&out)
}

/// The pools side by side. A pool that never does a thing has a dash there.
fn pools(report: &Report) -> String {
    let mut header = vec!["pool"];
    header.extend(report.pools.iter().map(|pool| pool.name.as_str()));
    let mut out = table(&header, &header[..1]);
    let mut row = |name: &str, of: &dyn Fn(&PoolReport) -> String| {
        let mut row = vec![name.to_owned()];
        row.extend(report.pools.iter().map(of));
        out.add_row(row);
    };
    let unless_none = |n: u64, text: String| if n == 0 { NONE.to_owned() } else { text };
    row("workers", &|pool| count(u64::from(pool.workers)));
    row("GPUs", &|pool| count(u64::from(pool.gpus)));
    row("busy", &|pool| percent(pool.busy_share));
    row("KV slots per worker [tok]", &|pool| count(pool.kv_capacity));
    row("KV used, mean", &|pool| percent(pool.kv_usage));
    row("KV used, most", &|pool| percent(pool.kv_usage_max));
    row("prefill steps", &|pool| unless_none(pool.prefill_steps, count(pool.prefill_steps)));
    row("decode steps", &|pool| unless_none(pool.decode_steps, count(pool.decode_steps)));
    row("decode batch, mean", &|pool| unless_none(pool.decode_steps, number(pool.decode_batch)));
    if report.pools.iter().any(|pool| pool.accept_length > 0.0) {
        row("accept length [tok]", &|pool| fixed(pool.accept_length, 2));
    }
    text(&out)
}

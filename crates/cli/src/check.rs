//! `sglsim check`.

use sglsim_engine::{DeploymentPlan, DisaggregationMode, Oversized, PoolPlan};

use crate::failure::Failure;
use crate::number::{count, counted, fixed, gib};
use crate::output;
use crate::scenario::ScenarioArguments;
use crate::table::{headline, lines, noun};
use crate::workload::{Facts, law};

/// Arguments of `check`.
#[derive(Debug, clap::Args)]
pub(crate) struct Arguments {
    #[command(flatten)]
    scenario: ScenarioArguments,
}

/// Some requests cannot be simulated, and the scenario does not say that they may be refused.
#[derive(Debug, thiserror::Error)]
#[error(
    "{requests} of the requests have prompts that no worker can hold; the longest has {longest} \
     tokens, allowed is at most {allowed}"
)]
struct TooLong {
    requests: String,
    longest: String,
    allowed: String,
}

pub(crate) fn run(arguments: &Arguments) -> Result<(), Failure> {
    let mut simulation = arguments.scenario.prepare()?;
    let plan = simulation.plan().clone();
    let scenario = simulation.scenario().clone();
    let workload = simulation.prepare_workload()?;
    let name = workload.name().to_owned();
    let facts = Facts::of(workload, &plan);
    if facts.oversized.count > 0 && scenario.oversized_requests == Oversized::Error {
        let error = TooLong {
            requests: count(facts.oversized.count),
            longest: count(facts.oversized.longest),
            allowed: count(longest_prompt(&plan)),
        };
        return Err(Failure::from(error).with_hint(
            "oversized_requests: Refuse in the scenario refuses them, as SGLang would",
        ));
    }
    let mut out = headline(&plan);
    out.push_str("\n\nworkload\n");
    out.push_str(&indented(&facts.lines(&name, &scenario.workload)));
    for pool in &plan.pools {
        out.push_str(&format!("\n{} pool\n", pool.name));
        out.push_str(&indented(&pool_lines(pool)));
    }
    out.push_str("\nrouting\n");
    let router = &scenario.router;
    let policy = |own: &Option<_>| law(own.as_ref().unwrap_or(&router.policy));
    let (first, second) = (policy(&router.prefill_policy), policy(&router.decode_policy));
    let mut routing = match plan.pools.as_slice() {
        [_] => vec![("policy", law(&router.policy))],
        _ if first == second => vec![("both pools", first)],
        _ => vec![("prefill", first), ("decode", second)],
    };
    if let [prefill, _] = plan.pools.as_slice() {
        let link = &prefill.topology.scale_out().name;
        routing.push(("KV transfer", format!("over {link}, one per GPU")));
    }
    out.push_str(&indented(&routing));
    out.push('\n');
    for warning in warnings(&plan, &facts) {
        out.push_str(&format!("warning: {warning}\n"));
    }
    out.push_str("ok: this can be simulated\n");
    output::print(&out)
}

/// Longest prompt that every pool can hold \[token\].
fn longest_prompt(plan: &DeploymentPlan) -> u64 {
    let limits = plan.pools.iter().map(|pool| pool.scheduler.max_req_input_len());
    limits.min().unwrap_or(0)
}

/// What works, but not as its author may think.
fn warnings(plan: &DeploymentPlan, facts: &Facts) -> Vec<String> {
    let mut out = Vec::new();
    if facts.oversized.count > 0 {
        out.push(format!(
            "{} of the requests have prompts longer than {} tokens and will be refused",
            count(facts.oversized.count),
            count(longest_prompt(plan))
        ));
    }
    for pool in &plan.pools {
        let (gpus, topology) = (pool.plan.gpus(), &pool.topology);
        if !topology.is_intra_node(gpus) {
            out.push(format!(
                "a {} spans {} nodes: its ranks talk over {} instead of {}",
                noun(pool),
                topology.nodes_for(gpus),
                topology.scale_out().name,
                topology.scale_up().name
            ));
        }
    }
    out
}

fn indented(rows: &[(&str, String)]) -> String {
    lines(rows).lines().map(|line| format!("  {line}\n")).collect()
}

/// A pool, its memory and its limits.
fn pool_lines(pool: &PoolPlan) -> Vec<(&'static str, String)> {
    let (fit, scheduler) = (&pool.fit, &pool.scheduler);
    let gpu = pool.topology.gpu();
    let ranks = match pool.plan.dp_size {
        1 => String::new(),
        ranks => format!(" on each of {ranks} attention ranks"),
    };
    let page = counted(u64::from(scheduler.page_size), "token");
    let mut lines = vec![
        (
            "workers",
            format!("{} of {} {}", count(u64::from(pool.workers)), pool.plan.gpus(), gpu.name),
        ),
        (
            "GPU memory",
            format!(
                "{}: {} weights, {} KV, share {:.3} for both",
                gib(gpu.hbm_capacity),
                gib(fit.weight_bytes),
                gib(fit.cell_bytes * fit.max_total_num_tokens),
                fit.mem_fraction_static,
            ),
        ),
        (
            "KV pool",
            format!(
                "{} tokens{ranks}, {} B per token and GPU, pages of {page}",
                count(fit.max_total_num_tokens),
                fixed(fit.cell_bytes.get(), 0),
            ),
        ),
        ("longest prompt", format!("{} tokens", count(scheduler.max_req_input_len()))),
        (
            "running requests",
            format!("at most {}{ranks}", count(u64::from(scheduler.max_running_requests))),
        ),
    ];
    if let Some(host) = &pool.host_tier {
        lines.push((
            "host tier",
            format!(
                "{} tokens{ranks} over {}, {}",
                count(host.capacity),
                pool.topology.host_link().name,
                host.write_policy,
            ),
        ));
    }
    if scheduler.mode != DisaggregationMode::Decode {
        let chunk = match scheduler.chunked_prefill_size {
            Some(chunk) => format!("{} tokens{ranks}", count(u64::from(chunk))),
            None => "off".to_owned(),
        };
        lines.push(("prefill chunk", chunk));
    }
    if scheduler.mode != DisaggregationMode::Prefill {
        let graphs = match pool.cuda_graphs.last() {
            Some(largest) => format!("decode batches up to {largest}"),
            None => "none".to_owned(),
        };
        lines.push(("CUDA graphs", graphs));
    }
    lines.push(("latencies", pool.coefficients.provenance.clone()));
    lines
}

//! `sglsim check`.

use sglsim_engine::PoolPlan;

use crate::failure::Failure;
use crate::scenario::ScenarioArguments;
use crate::table::{count, headline};

/// Arguments of `check`.
#[derive(Debug, clap::Args)]
pub(crate) struct Arguments {
    #[command(flatten)]
    scenario: ScenarioArguments,
}

pub(crate) fn run(arguments: &Arguments) -> Result<(), Failure> {
    let mut simulation = arguments.scenario.prepare()?;
    let workload = simulation.prepare_workload()?;
    let requests =
        workload.total().map_or("as many requests as fit its duration".to_owned(), |n| {
            format!("{} requests", count(n))
        });
    let name = workload.name().to_owned();
    let plan = simulation.plan();
    println!("{}", headline(plan));
    println!("workload: {name}, {requests}");
    for pool in &plan.pools {
        println!("\n{}", describe(pool));
    }
    println!("nothing in it cannot work");
    Ok(())
}

const GIB: f64 = 1_073_741_824.0;

/// A pool, its memory and its limits.
fn describe(pool: &PoolPlan) -> String {
    let (fit, scheduler) = (&pool.fit, &pool.scheduler);
    let gpu = pool.topology.gpu();
    let graphs = match pool.cuda_graphs.last() {
        Some(largest) => format!("decode batches up to {largest}"),
        None => "none".to_owned(),
    };
    let chunk = match scheduler.chunked_prefill_size {
        Some(chunk) => format!("{} tokens", count(u64::from(chunk))),
        None => "off".to_owned(),
    };
    let ranks = match pool.plan.dp_size {
        1 => String::new(),
        ranks => format!(" on each of {ranks} attention ranks"),
    };
    let lines = [
        ("workers", format!("{} of {} {}", pool.workers, pool.plan.gpus(), gpu.name)),
        (
            "GPU memory",
            format!(
                "{:.1} GiB: {:.1} weights, {:.1} KV, share {:.3} for both",
                gpu.hbm_capacity.get() / GIB,
                fit.weight_bytes.get() / GIB,
                fit.cell_bytes.get() * fit.max_total_num_tokens as f64 / GIB,
                fit.mem_fraction_static,
            ),
        ),
        (
            "KV pool",
            format!(
                "{} tokens{ranks}, {:.0} B per token and GPU, pages of {}",
                count(fit.max_total_num_tokens),
                fit.cell_bytes.get(),
                scheduler.page_size
            ),
        ),
        ("longest prompt", format!("{} tokens", count(scheduler.max_req_input_len()))),
        (
            "running requests",
            format!("at most {}{ranks}", count(u64::from(scheduler.max_running_requests))),
        ),
        ("prefill chunk", format!("{chunk}{ranks}")),
        ("CUDA graphs", graphs),
        ("latencies", pool.coefficients.provenance.clone()),
    ];
    let mut out = format!("{} pool", pool.name);
    for (name, text) in lines {
        out.push_str(&format!("\n  {name:<17}{text}"));
    }
    out
}

//! Throughput in the steady state: the tightest of prefill, transfer and decode.
//!
//! The workload enters by means alone (see [`Frozen`](crate::Frozen)): a prompt of S tokens of which
//! H are cached and U = S − H are new, with P query-key pairs; an output of O tokens, decoded at a
//! mean context L.
//!
//! **A prefill step** of a loaded rank is full: c tokens, the chunk divided by the ranks. They belong
//! to c/U prompts, so the step has P·c/U pairs. A token of it comes after P/U − (c+1)/2 others in the
//! mean, which the step reads: H of them cached, the rest computed in the steps before. Of m ranks the
//! furthest is 2m/(m+1) times as far in its prompt, and all wait for it. A worker with `dp` ranks
//! finishes dp·c/U prompts in a step.
//!
//! **A decode step** runs B sequences on each rank: as many as `max_running_requests` and the KV pool
//! allow, ⌊K/(L + R)⌋. R is what SGLang keeps free beside each request: 512 slots on a decode worker, what
//! admission expects the request still to make on an aggregated one. Each request takes part in O − 1 steps, since its first token comes from the prefill.
//!
//! **Disaggregated**, the pools work side by side, and so does the network (one KV transfer at a time
//! for each sender and receiver). Each needs some time per request; the greatest limits the rate:
//!
//! ```text
//! rate = 1 / max( t_prefill·U/(c·dp·N_p),  t_transfer/min(N_p, N_d),  (O−1)·t_decode/(B·dp·N_d) )
//! ```
//!
//! **Aggregated**, a rank does one or the other in each step, prefill first. With b requests on it, each
//! one stays for b·U/c steps that compute prompts (its own and those of the others) and O − 1 that
//! decode, so a share q of its steps decodes. The a ranks of a worker step together: with probability
//! qᵃ all of them decode; otherwise a·(1−q)/(1−qᵃ) of them extend in the mean while the others decode
//! without a CUDA graph. What is in flight over the time that it stays is the rate (Little's law):
//!
//! ```text
//! stay = (b·U/c + O−1) · ( qᵃ·t_decode + (1−qᵃ)·t_mixed ),   rate = in_flight / stay
//! ```
//!
//! In the steady state a prompt is computed as soon as another request leaves, so a prefill step has no
//! more than the b/(O−1) prompts that join per decode step, and at least one.
//!
//! **The load** bounds the rate: by the arrival rate, or by the users of a closed loop over the time that
//! they wait (the asymptotic bounds of operational analysis: Denning and Buzen, 1978).

use sglsim_engine::DeploymentPlan;
use sglsim_expr::{Constraint, Expr, max, max_of, min, pow};

use crate::frozen::Frozen;
use crate::pool::{Decode, Pool};
use crate::symbols::Symbols;
use crate::{FormulaError, Metric, Statistic};

mod latency;
mod prefill;
mod workload;

use latency::{Latencies, Pair, aggregated_closed, aggregated_open};
use workload::{Means, Offered, Spreads};

/// Stands for no decode step at all, where every output is a single token: a share above zero keeps
/// its powers defined.
const LEAST_SHARE: f64 = 1e-9;

/// A metric of the steady state as an expression, and when it can be had.
pub(crate) struct Steady {
    pub(crate) value: Expr,
    pub(crate) constraints: Vec<Constraint>,
}

/// What the pools do under a load.
struct Found {
    /// Requests per second.
    rate: Expr,
    latencies: Option<Latencies>,
    gpus: Expr,
    constraints: Vec<Constraint>,
}

pub(crate) fn steady(
    symbols: &mut Symbols,
    plan: &DeploymentPlan,
    metric: Metric,
    frozen: &Frozen,
) -> Result<Steady, FormulaError> {
    let means = Means::of(symbols, frozen)?;
    let spreads = Spreads::of(symbols, &means, frozen)?;
    let at_capacity =
        matches!(metric, Metric::MaxOutputThroughput | Metric::MaxOutputThroughputPerGpu);
    let offered = if at_capacity { Offered::Unlimited } else { Offered::of(symbols, frozen)? };
    let is_latency = matches!(metric, Metric::MeanItl | Metric::Latency(..));
    let settles = is_latency || matches!(offered, Offered::Users { .. });
    let workload = (&means, &spreads);
    let found = match plan.pools.as_slice() {
        [one] => {
            let mut pool = Pool::new(symbols, &plan.model, one, "N")?;
            if settles {
                pool.settle_ranks(symbols);
            }
            aggregated(symbols, pool, workload, &offered, is_latency)?
        }
        [prefill, decode, ..] => {
            let mut prefill = Pool::new(symbols, &plan.model, prefill, "N_p")?;
            let mut decode = Pool::new(symbols, &plan.model, decode, "N_d")?;
            if settles {
                prefill.settle_ranks(symbols);
                decode.settle_ranks(symbols);
            }
            disaggregated(symbols, plan, [prefill, decode], workload, &offered, is_latency)?
        }
        [] => unreachable!("a deployment has a pool"),
    };
    let Found { rate, latencies, gpus, constraints } = found;
    let rate = rate.named("rate", "1/s", "requests per second");
    let gpus = gpus.named("gpus", "1", "GPUs of all workers");
    use Metric::*;
    let of_latency = |of: &dyn Fn(&Latencies) -> Option<Expr>| {
        let latencies = latencies.as_ref().ok_or(FormulaError::NoLoad { metric })?;
        of(latencies).ok_or(FormulaError::Unavailable {
            metric,
            deployment: "an aggregated deployment",
            instead: "`mean_ttft`, `mean_tpot` or `mean_e2e_latency`",
        })
    };
    let value = match metric {
        OutputThroughput | MaxOutputThroughput => rate * &means.output,
        OutputThroughputPerGpu | MaxOutputThroughputPerGpu => rate * &means.output / gpus,
        InputThroughput => rate * &means.prompt,
        InputThroughputPerGpu => rate * &means.prompt / gpus,
        TotalThroughput => rate * (&means.prompt + &means.output),
        TotalThroughputPerGpu => rate * (&means.prompt + &means.output) / gpus,
        RequestThroughputPerGpu => rate / gpus,
        Latency(latency, Statistic::Mean) => of_latency(&|all| match latency {
            crate::Latency::Ttft => Some(all.ttft.clone()),
            crate::Latency::Tpot => Some(all.tpot(&spreads)),
            crate::Latency::E2e => Some(all.e2e(&means)),
            crate::Latency::Queue => Some(all.queue.clone()),
            crate::Latency::Transfer => all.transfer.clone(),
        })?,
        MeanItl => of_latency(&|all| Some(all.itl(&means)))?,
        _ => rate,
    };
    Ok(Steady { value, constraints })
}
fn aggregated(
    symbols: &mut Symbols,
    mut pool: Pool<'_>,
    workload: (&Means, &Spreads),
    offered: &Offered,
    is_latency: bool,
) -> Result<Found, FormulaError> {
    let (means, _) = workload;
    let largest = pool.decode_batch(symbols, &(&means.context + &means.reserved))?;
    let room = pool.ranks() * &largest;
    let in_flight = room.named("in_flight", "1", "requests in flight");
    let batch = max(1, &in_flight / pool.ranks());
    let batch = batch.named("requests_per_rank", "1", "requests in flight on one rank");

    let joining = max(1, &batch / max(1, &means.steps));
    let full = pool.full_chunk(symbols, &means.new)?;
    let tokens = min(&full, &means.new * joining);
    let tokens = tokens.named("prefill_tokens", "token", "tokens of a rank's prefill step");
    let extends = &batch * &means.new / &tokens;
    let extends = extends.named("prefill_steps", "1", "steps for prompts while a request stays");
    let steps = &extends + &means.steps;
    let decoding = max(LEAST_SHARE, &means.steps / &steps);
    let decoding = decoding.named("decoding_share", "1", "share of a rank's steps that decode");

    let ranks = max(1, min(&pool.dp_size, &in_flight / &pool.workers));
    let ranks = ranks.named("active_ranks", "1", "ranks of a worker that have requests");
    let only_decode = pow(&decoding, &ranks);
    let only_decode = only_decode.named("decode_only_share", "1", "share of steps without prefill");
    let extending = &ranks * (1 - &decoding) / (1 - &only_decode);
    let extending = extending.named("extending_ranks", "1", "ranks that extend if any does");

    let extend = means.prefill_batch(&pool, &tokens, &extending);
    let others = Decode {
        seqs: batch.clone(),
        context: means.context.clone(),
        ranks: max(0, ranks - &extending),
    };
    let mixed = pool.mixed_step(&extend, &others);
    let decode = pool.decode_step(symbols, &batch, &means.context)?;
    let step = &only_decode * decode + (1 - &only_decode) * mixed;
    let step = step.named("mean_step_time", "s", "mean time of a step");
    let stay = (steps * step).named("residence", "s", "time that a request stays");
    let capacity = in_flight / stay;
    let (rate, latencies) = match offered {
        Offered::Unlimited => (capacity, None),
        Offered::Rate(rate) if !is_latency => (min(capacity, rate), None),
        Offered::Rate(rate) => {
            let found = aggregated_open(
                symbols,
                &mut pool,
                workload,
                (&full, &largest),
                (rate, &capacity),
            )?;
            (min(capacity, rate), Some(found))
        }
        Offered::Users { users, think } => {
            let users = (users, think);
            let (rate, found) =
                aggregated_closed(symbols, &mut pool, workload, (&full, &largest), users)?;
            (min(capacity, rate), Some(found))
        }
    };
    Ok(Found { rate, latencies, gpus: pool.gpus(), constraints: pool.constraints })
}

fn disaggregated(
    symbols: &mut Symbols,
    plan: &DeploymentPlan,
    [mut prefill, mut decode]: [Pool<'_>; 2],
    workload: (&Means, &Spreads),
    offered: &Offered,
    is_latency: bool,
) -> Result<Found, FormulaError> {
    let (means, _) = workload;
    let transfer = plan.transfer.as_ref().expect("two pools have a transfer law");
    symbols.values.extend(transfer.values().iter());
    let per_request = |name: &str, doc, time: Expr| time.named(name, "s", doc);

    let tokens = prefill.full_chunk(symbols, &means.new)?;
    let tokens = tokens.named("prefill_tokens", "token", "tokens of a rank's prefill step");
    let step = prefill.extend_step(&means.prefill_batch(&prefill, &tokens, &prefill.dp_size));
    let t_prefill = per_request(
        "prefill_time_per_request",
        "time that the prefill pool takes per request",
        &means.new / &tokens * step / prefill.ranks(),
    );

    let tokens_moved = symbols.import(transfer.tokens());
    let time_moved = symbols.import(transfer.time());
    let send = |tokens: &Expr| time_moved.substitute(&[(&tokens_moved, tokens.clone())]);
    let moved = send(&means.prompt);
    let t_transfer = per_request(
        "transfer_time_per_request",
        "time that the network takes per request",
        &moved / min(&prefill.workers, &decode.workers),
    );

    let held = &means.context + decode.reserve(symbols)?;
    let batch = decode.decode_batch(symbols, &held)?;
    let step = decode.decode_step(symbols, &batch, &means.context)?;
    let t_decode = per_request(
        "decode_time_per_request",
        "time that the decode pool takes per request",
        &means.steps * step / (decode.ranks() * &batch),
    );

    let bottleneck = max_of([t_prefill, t_transfer, t_decode]);
    let bottleneck = bottleneck.named("bottleneck", "s", "time per request of the slowest stage");
    let capacity = 1 / bottleneck;
    let pair = Pair { prefill: &prefill, decode: &decode, chunk: &tokens, most: &batch };
    let (rate, latencies, keeps_up) = match offered {
        Offered::Unlimited => (capacity, None, None),
        Offered::Rate(rate) if !is_latency => (min(capacity, rate), None, None),
        Offered::Rate(rate) => {
            let found = pair.open(symbols, workload, &send, (rate, &capacity))?;
            let keeps_up = rate.lt(&capacity);
            (min(capacity, rate), Some(found), Some(keeps_up))
        }
        Offered::Users { users, think } => {
            let (rate, found) = pair.closed(symbols, workload, &send, (users, think))?;
            (min(capacity, rate), Some(found), None)
        }
    };
    if let Some(keeps_up) = keeps_up {
        decode.must("keeps_up", "requests leave as fast as they come", keeps_up);
    }
    let gpus = prefill.gpus() + decode.gpus();
    let constraints = [prefill.constraints, decode.constraints].concat();
    Ok(Found { rate, latencies, gpus, constraints })
}

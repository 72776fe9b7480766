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

use crate::frozen::{Frozen, Load};
use crate::pool::{Decode, Extend, Pool};
use crate::symbols::Symbols;
use crate::{FormulaError, Metric};

/// Stands for no decode step at all, where every output is a single token: a share above zero keeps
/// its powers defined.
const LEAST_SHARE: f64 = 1e-9;

/// A throughput as an expression, and when it can be had.
pub(crate) struct Throughput {
    pub(crate) value: Expr,
    pub(crate) constraints: Vec<Constraint>,
}

/// The means of the workload as symbols.
struct Means {
    prompt: Expr,
    cached: Expr,
    /// Uncached prompt tokens. The last token of a prompt is always computed: its logits are wanted.
    new: Expr,
    pairs: Expr,
    output: Expr,
    /// Steps that a request decodes in.
    steps: Expr,
    context: Expr,
    reserved: Expr,
}

/// Who is there: nobody counts, requests per second, or users with their time to think.
enum Offered {
    Unlimited,
    Rate(Expr),
    Users { users: Expr, think: Expr },
}

pub(crate) fn throughput(
    symbols: &mut Symbols,
    plan: &DeploymentPlan,
    metric: Metric,
    frozen: &Frozen,
) -> Result<Throughput, FormulaError> {
    let means = Means::of(symbols, frozen)?;
    let at_capacity =
        matches!(metric, Metric::MaxOutputThroughput | Metric::MaxOutputThroughputPerGpu);
    let offered = if at_capacity { Offered::Unlimited } else { Offered::of(symbols, frozen)? };
    let (rate, gpus, constraints) = match plan.pools.as_slice() {
        [one] => {
            let mut pool = Pool::new(symbols, &plan.model, one, "N")?;
            let rate = aggregated(symbols, &mut pool, &means, &offered)?;
            (rate, pool.gpus(), pool.constraints)
        }
        [prefill, decode, ..] => {
            let mut prefill = Pool::new(symbols, &plan.model, prefill, "N_p")?;
            let mut decode = Pool::new(symbols, &plan.model, decode, "N_d")?;
            let pools = [&mut prefill, &mut decode];
            let rate = disaggregated(symbols, plan, pools, &means, &offered)?;
            let gpus = prefill.gpus() + decode.gpus();
            (rate, gpus, [prefill.constraints, decode.constraints].concat())
        }
        [] => unreachable!("a deployment has a pool"),
    };
    let rate = match &offered {
        Offered::Rate(arrivals) => min(rate, arrivals),
        Offered::Unlimited | Offered::Users { .. } => rate,
    };
    let rate = rate.named("rate", "1/s", "requests per second");
    use Metric::*;
    let per_request = match metric {
        OutputThroughput
        | OutputThroughputPerGpu
        | MaxOutputThroughput
        | MaxOutputThroughputPerGpu => means.output.clone(),
        InputThroughput | InputThroughputPerGpu => means.prompt.clone(),
        TotalThroughput | TotalThroughputPerGpu => &means.prompt + &means.output,
        _ => symbols.constant(1),
    };
    let gpus = gpus.named("gpus", "1", "GPUs of all workers");
    let value = match metric {
        OutputThroughputPerGpu
        | InputThroughputPerGpu
        | TotalThroughputPerGpu
        | RequestThroughputPerGpu
        | MaxOutputThroughputPerGpu => rate * per_request / gpus,
        _ => rate * per_request,
    };
    Ok(Throughput { value, constraints })
}

impl Means {
    fn of(symbols: &mut Symbols, frozen: &Frozen) -> Result<Self, FormulaError> {
        let mut all = Vec::new();
        for parameter in frozen.means() {
            all.push(symbols.parameter(parameter.symbol, parameter.value)?);
        }
        let [prompt, cached, pairs, output, context, reserved] =
            <[Expr; 6]>::try_from(all).expect("there are six means");
        let new = max(1, &prompt - &cached);
        let new = new.named("mean_new_tokens", "token", "mean prompt tokens that are computed");
        Ok(Self { steps: &output - 1, prompt, cached, new, pairs, output, context, reserved })
    }

    /// The batch in which each of `ranks` ranks computes `tokens` tokens of such prompts.
    fn prefill_batch(&self, pool: &Pool<'_>, tokens: &Expr, ranks: &Expr) -> Extend {
        let prompts = tokens / &self.new;
        // Mean number of a prompt's tokens that were computed in earlier steps.
        let before = &self.pairs / &self.new - (tokens + 1) / 2 - &self.cached;
        let before = max(0, before).named(
            pool.name("computed_before"),
            "token",
            "mean tokens of a prompt that earlier steps computed",
        );
        // Where ranks are in their prompts is even, so the furthest of m is 2m/(m+1) times as far
        // as the mean, and all wait for it.
        let furthest = &before * (2 * ranks / (ranks + 1));
        let seqs = max(1, &prompts);
        Extend {
            tokens: tokens.clone(),
            pairs: &self.pairs * prompts + tokens * (&furthest - &before),
            prefix: &self.cached * &seqs + furthest,
            seqs,
            ranks: ranks.clone(),
            starts: tokens.context().constant(0),
        }
    }
}

impl Offered {
    fn of(symbols: &mut Symbols, frozen: &Frozen) -> Result<Self, FormulaError> {
        let mut all = Vec::new();
        for parameter in frozen.load_parameters() {
            all.push(symbols.parameter(parameter.symbol, parameter.value)?);
        }
        let mut all = all.into_iter();
        let mut next = || all.next().expect("a load has its parameters");
        Ok(match frozen.load {
            Load::Unlimited => Self::Unlimited,
            Load::Open { .. } => Self::Rate(next()),
            Load::Closed { .. } => Self::Users { users: next(), think: next() },
        })
    }
}

fn aggregated(
    symbols: &mut Symbols,
    pool: &mut Pool<'_>,
    means: &Means,
    offered: &Offered,
) -> Result<Expr, FormulaError> {
    let largest = pool.decode_batch(symbols, &(&means.context + &means.reserved))?;
    let room = pool.ranks() * &largest;
    let in_flight = match offered {
        Offered::Users { users, .. } => min(users, room),
        Offered::Unlimited | Offered::Rate(_) => room,
    };
    let in_flight = in_flight.named("in_flight", "1", "requests in flight");
    let batch = max(1, &in_flight / pool.ranks());
    let batch = batch.named("requests_per_rank", "1", "requests in flight on one rank");

    let joining = max(1, &batch / max(1, &means.steps));
    let full = pool.full_chunk(symbols, &means.new)?;
    let tokens = min(full, &means.new * joining);
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

    let extend = means.prefill_batch(pool, &tokens, &extending);
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
    Ok(match offered {
        // Whoever thinks is not in flight.
        Offered::Users { users, think } => min(&in_flight / &stay, users / (&stay + think)),
        Offered::Unlimited | Offered::Rate(_) => in_flight / stay,
    })
}

fn disaggregated(
    symbols: &mut Symbols,
    plan: &DeploymentPlan,
    [prefill, decode]: [&mut Pool<'_>; 2],
    means: &Means,
    offered: &Offered,
) -> Result<Expr, FormulaError> {
    let transfer = plan.transfer.as_ref().expect("two pools have a transfer law");
    symbols.values.extend(transfer.values().iter());
    let per_request = |name: &str, doc, time: Expr| time.named(name, "s", doc);

    let tokens = prefill.full_chunk(symbols, &means.new)?;
    let tokens = tokens.named("prefill_tokens", "token", "tokens of a rank's prefill step");
    let step = prefill.extend_step(&means.prefill_batch(prefill, &tokens, &prefill.dp_size));
    let t_prefill = per_request(
        "prefill_time_per_request",
        "time that the prefill pool takes per request",
        &means.new / &tokens * step / prefill.ranks(),
    );

    let tokens_moved = symbols.import(transfer.tokens());
    let moved = symbols.import(transfer.time());
    let moved = moved.substitute(&[(&tokens_moved, means.prompt.clone())]);
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
    let Offered::Users { users, think } = offered else { return Ok(capacity) };

    // A user waits at least for a prefill alone, the transfer and the decode steps.
    let alone = min(&tokens, &means.new);
    let step = means.prefill_batch(prefill, &alone, &symbols.constant(1));
    let first = &means.new / &alone * prefill.extend_step(&step);
    let batch = max(1, min(batch, users / decode.ranks()));
    let step = decode.decode_step(symbols, &batch, &means.context)?;
    let stay = first + moved + &means.steps * step;
    let stay = stay.named("residence", "s", "shortest time that a request can stay");
    Ok(min(capacity, users / (stay + think)))
}

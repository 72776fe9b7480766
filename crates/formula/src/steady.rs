//! Throughput in the steady state: the tightest of prefill, transfer and decode.
//!
//! The workload enters by means alone (see [`Frozen`](crate::Frozen)): a prompt of S tokens of which
//! H are cached and U = S − H are new, with P query-key pairs; an output of O tokens, decoded at a
//! mean context L.
//!
//! **A prefill step** of a loaded rank is full: c tokens, the chunk divided by the ranks. They belong
//! to c/U prompts, so the step has P·c/U pairs. A prompt is computed in n = ⌈U/c⌉ pieces; piece *i*
//! reads the cached tokens and the pieces before, together n·H + c·n·(n−1)/2 tokens, of which a step
//! has a share of c/U. A worker with `dp` ranks finishes dp·c/U prompts in a step.
//!
//! **A decode step** runs B sequences on each rank: as many as `max_running_requests` and the KV pool
//! allow, ⌊K/L⌋, where a decode worker also keeps a reserve beside each request. Each request takes part
//! in O − 1 steps, since its first token comes from the prefill.
//!
//! **Disaggregated**, the pools work side by side, and so does the network (one KV transfer at a time
//! for each sender and receiver). Each needs some time per request; the greatest limits the rate:
//!
//! ```text
//! rate = 1 / max( t_prefill·U/(c·dp·N_p),  t_transfer/min(N_p, N_d),  (O−1)·t_decode/(B·dp·N_d) )
//! ```
//!
//! **Aggregated**, a worker does one after the other. With b sequences on a rank, a request stays
//! while b prompts are computed there (its own and those that join meanwhile, prefill going first)
//! and while it decodes: R = b·(U/c)·t_prefill + (O−1)·t_decode(b). The rate is what is in flight
//! over that time (Little's law). In the steady state a prompt is computed as soon as another request
//! leaves, so a prefill step has no more than the b/(O−1) prompts that join per decode step, and at
//! least one.
//!
//! **The load** bounds the rate: by the arrival rate, or by the users of a closed loop over the time that
//! they wait (the asymptotic bounds of operational analysis: Denning and Buzen, 1978).

use sglsim_engine::DeploymentPlan;
use sglsim_expr::{Constraint, Expr, ceil_div, max, max_of, min};

use crate::frozen::{Frozen, Load};
use crate::pool::{Extend, Pool};
use crate::symbols::Symbols;
use crate::{FormulaError, Metric};

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
        let [prompt, cached, pairs, output, context] =
            <[Expr; 5]>::try_from(all).expect("there are five means");
        let new = max(1, &prompt - &cached);
        let new = new.named("mean_new_tokens", "token", "mean prompt tokens that are computed");
        Ok(Self { steps: &output - 1, prompt, cached, new, pairs, output, context })
    }

    /// Time of a step in which each of `ranks` ranks computes `tokens` tokens of such prompts \[s\].
    fn prefill_step(&self, pool: &Pool<'_>, tokens: &Expr, ranks: &Expr) -> Expr {
        let prompts = tokens / &self.new;
        let pieces = ceil_div(&self.new, tokens).named(
            pool.name("chunks_per_prompt"),
            "1",
            "steps that a prompt is cut into",
        );
        let read = &pieces * &self.cached + tokens * &pieces * (&pieces - 1) / 2;
        pool.extend_step(&Extend {
            tokens: tokens.clone(),
            pairs: &self.pairs * &prompts,
            prefix: read * &prompts,
            seqs: max(1, prompts),
            ranks: ranks.clone(),
        })
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
    let largest = pool.decode_batch(symbols, &means.context)?;
    let room = pool.ranks() * &largest;
    let in_flight = match offered {
        Offered::Users { users, .. } => min(users, room),
        Offered::Unlimited | Offered::Rate(_) => room,
    };
    let in_flight = in_flight.named("in_flight", "1", "requests in flight");
    let batch = max(1, &in_flight / pool.ranks());
    let batch = batch.named("batch", "1", "requests in flight on one rank");

    let joining = max(1, &batch / max(1, &means.steps));
    let full = pool.full_chunk(symbols, &means.new)?;
    let tokens = min(full, &means.new * joining);
    let tokens = tokens.named("prefill_tokens", "token", "tokens of a rank's prefill step");
    let prefill = means.prefill_step(pool, &tokens, &pool.dp_size);
    let prefill = &means.new / &tokens * prefill;
    let prefill = prefill.named("prefill_time", "s", "time to compute one prompt on each rank");

    let decode = pool.decode_step(symbols, &batch, &means.context)?;
    let decode = &means.steps * decode;
    let decode = decode.named("decode_time", "s", "time that a request decodes");
    let stay = &batch * prefill + decode;
    let stay = stay.named("residence", "s", "time that a request stays");
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
    let step = means.prefill_step(prefill, &tokens, &prefill.dp_size);
    let t_prefill = per_request(
        "prefill_time_per_request",
        "time that the prefill pool takes per request",
        &means.new / &tokens * step / prefill.ranks(),
    );

    let moved = transfer.time().substitute(&[(transfer.tokens(), means.prompt.clone())]);
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
    let first = &means.new / &alone * means.prefill_step(prefill, &alone, &symbols.constant(1));
    let batch = max(1, min(batch, users / decode.ranks()));
    let step = decode.decode_step(symbols, &batch, &means.context)?;
    let stay = first + moved + &means.steps * step;
    let stay = stay.named("residence", "s", "shortest time that a request can stay");
    Ok(min(capacity, users / (stay + think)))
}

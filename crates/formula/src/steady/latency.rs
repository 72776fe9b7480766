//! Latencies in the steady state.

use sglsim_expr::{Expr, fixed_point, ln, max, min, piecewise, pow, sqrt};

use super::prefill::{PrefillSteps, Stream, none, room};
use super::workload::{Means, Spreads};
use crate::FormulaError;
use crate::pool::{Decode, Pool};
use crate::symbols::Symbols;

/// The latencies of a request, each as an expression.
pub(super) struct Latencies {
    /// From arrival to the first token \[s\].
    pub(super) ttft: Expr,
    /// From arrival to the first step of its prompt \[s\].
    pub(super) queue: Expr,
    /// From the computed prompt to its KV on the decode worker \[s\].
    pub(super) transfer: Option<Expr>,
    /// Time from one decode step of a request to the next \[s\].
    pub(super) gap: Expr,
    /// What the second token takes beyond that \[s\].
    pub(super) first_gap: Expr,
}

impl Latencies {
    /// Mean over requests of the time per token after the first \[s\].
    pub(super) fn tpot(&self, spreads: &Spreads) -> Expr {
        &self.gap + &self.first_gap * &spreads.gap_share
    }

    /// Mean gap over all tokens \[s\].
    pub(super) fn itl(&self, means: &Means) -> Expr {
        &self.gap + &self.first_gap / max(1, &means.steps)
    }

    /// From arrival to the last token \[s\].
    pub(super) fn e2e(&self, means: &Means) -> Expr {
        &self.ttft + &means.steps * &self.gap + min(1, &means.steps) * &self.first_gap
    }
}

/// A worker at a rate of arrivals with a batch of running requests.
pub(super) struct Flow {
    pub(super) ttft: Expr,
    pub(super) queue: Expr,
    pub(super) gap: Expr,
    pub(super) first_gap: Expr,
}

/// Sequences of the rank that has the most, where each of `ranks` has `mean` of them: the expected
/// greatest of as many normal variables, 0.83·(ln n)^¾ deviations above the mean within 3 % up to 64.
pub(super) fn busiest(mean: &Expr, ranks: &Expr) -> Expr {
    // Arrivals take turns over the ranks, so that only the lengths make a difference.
    mean + sqrt(mean) * (0.83 * 0.7) * pow(max(1e-9, ln(ranks)), 0.75)
}

/// An aggregated worker with `batch` running requests on each rank.
pub(super) fn aggregated_flow(
    symbols: &mut Symbols,
    pool: &Pool<'_>,
    (means, spreads): (&Means, &Spreads),
    chunk: &Expr,
    (stream, batch): (&Stream, &Expr),
) -> Result<Flow, FormulaError> {
    let rate = &stream.rate;
    let overlaps = symbols.constant(u32::from(pool.overlaps()));
    let on_worker = batch * &pool.dp_size;
    // While nothing decodes, there is no step.
    let decoding = max(1e-9, 1 - none(&on_worker));
    let seqs = busiest(&max(1, batch / &decoding), &pool.dp_size);
    let t_decode = pool.decode_step(symbols, &seqs, &means.context)?;
    let t_decode = t_decode.named(pool.name("decode_time"), "s", "time of a decode step");
    let others =
        Decode { seqs: seqs.clone(), context: means.context.clone(), ranks: pool.dp_size.clone() };
    // As many prompts as come in the longer of a decode step and a prefill step of one.
    let several = 2 + rate * &t_decode;
    let steps = PrefillSteps::of(pool, (means, spreads), chunk, &others, &several);
    let load = rate * &steps.each;
    let load =
        load.named(pool.name("added_load"), "1", "share of a worker's time that each prompt adds");
    let comes: Expr = 1 - stream.none_in(&t_decode);
    let comes =
        comes.named(pool.name("comes"), "1", "probability that a prompt comes in a decode step");
    // Share of steps that prefill: each one with arrivals in the step before, or the one before that.
    let mut prefill = steps.one.clone();
    let mut share = comes.clone();
    let mut mean = prefill.clone();
    let mut prompts = comes.clone();
    for _ in 0..2 {
        share = share_with(stream, &t_decode, &prefill);
        share = share.named(pool.name("prefill_share"), "1", "share of steps with prompts");
        mean = ((1 - &share) * &t_decode + &share * (&steps.one - &steps.each)) / room(1 - &load);
        prompts = max(1, rate * &mean / max(1e-12, &share));
        prompts = min(prompts, &stream.others + 1);
        prompts = prompts.named(pool.name("prompts"), "1", "prompts of a prefill step");
        prefill = steps.time(&prompts);
        prefill = prefill.named(pool.name("prefill_time"), "s", "time of a prefill step");
        mean = (1 - &share) * &t_decode + &share * &prefill;
        mean = mean.named(pool.name("mean_step_time"), "s", "mean time of a step");
    }
    // Lengths of the step that an arrival meets.
    let likelier = &share * stream.bunching(&prefill);
    let likelier = likelier.named(
        pool.name("met_share"),
        "1",
        "share of prefill steps among those that arrivals meet",
    );
    let square = (1 - &share) * &t_decode * &t_decode
        + &likelier * (&prefill * &prefill + steps.variance(stream, &prompts));
    let met = square / ((1 - &share) * &t_decode + likelier * &prefill);
    let met = min(met, max(&t_decode, steps.time(&(&stream.others + 1))));
    let met =
        met.named(pool.name("met_time"), "s", "mean length of the step that an arrival meets");
    let with_me = &steps.each * stream.others_in(&met) * &steps.shared;
    let with_me = with_me.named(pool.name("with_me"), "s", "time of prompts in the same step");
    let busy: Expr = 1 - none(&(&on_worker + rate * &steps.one));
    let busy =
        busy.named(pool.name("busy_share"), "1", "probability that an arrival meets a busy worker");
    let wait = &met / 2 + &overlaps * &mean;
    let queue = &busy * wait;
    let queue =
        queue.named(pool.name("wait"), "s", "time from arrival to the first step of a prompt");
    let ttft = &queue + &steps.one + &busy * &with_me;
    // A rank decodes in all steps but those of its own prompts: in the time that these leave.
    let of_rank = stream.shared_by(&pool.dp_size);
    let goes_on = if pool.has_one_rank() {
        t_decode.clone()
    } else {
        let of_others = Stream { rate: rate - &of_rank.rate, ..stream.clone() };
        let beside = share_with(&of_others, &t_decode, &prefill);
        &t_decode + beside * max(0, &prefill / steps.count(&prompts) - &t_decode)
    };
    let each = &prefill / max(1, &prompts / &pool.dp_size);
    let each = each.named(pool.name("each"), "s", "prefill time of one prompt on its rank");
    let left = room(1 - &of_rank.rate * &each);
    let left = left.named(pool.name("left"), "1", "share of a rank's time that prompts leave");
    let gap = &goes_on / &left;
    let gap = gap.named(pool.name("gap_time"), "s", "time between two decode steps of a request");
    // After its own prompt it also waits for those that came meanwhile, and for those that come while
    // these are computed.
    let own = &steps.one + &with_me;
    // Those that came while it waited are in its own steps, or behind it if their chunks are full.
    let behind = 2 * (1 - &steps.shared) * &queue;
    let came = of_rank.others_in(&(own + behind)) - &of_rank.rate * &goes_on;
    let first_gap = &busy * (overlaps * mean + each * min(came / left, &stream.others));
    let first_gap = max(first_gap, goes_on - &gap);
    Ok(Flow { ttft, queue, gap, first_gap })
}

impl Flow {
    /// As much of `together` as there is no time to think, compared with a gap.
    fn mixed(&self, together: &Self, think: &Expr) -> Self {
        let share = &together.gap / (&together.gap + think);
        let mix = |apart: &Expr, together: &Expr| apart + &share * (together - apart);
        Self {
            ttft: mix(&self.ttft, &together.ttft),
            queue: mix(&self.queue, &together.queue),
            gap: mix(&self.gap, &together.gap),
            first_gap: mix(&self.first_gap, &together.first_gap),
        }
    }
}

/// Share of steps with prompts: each step with arrivals in the step before.
fn share_with(stream: &Stream, decode: &Expr, prefill: &Expr) -> Expr {
    let comes: Expr = 1 - stream.none_in(decode);
    &comes / (&comes + max(1e-9, stream.none_in(prefill)))
}

/// Requests per second of a worker that keep `batch` running on each rank, and its latencies if they
/// come back at once.
fn rate_of(
    symbols: &mut Symbols,
    pool: &Pool<'_>,
    (means, spreads): (&Means, &Spreads),
    chunk: &Expr,
    (batch, in_batch): (&Expr, &Expr),
) -> Result<(Expr, Flow), FormulaError> {
    let seqs = busiest(&max(1, batch), &pool.dp_size);
    let t_decode = pool.decode_step(symbols, &seqs, &means.context)?;
    let t_decode = t_decode.named(pool.name("decode_time"), "s", "time of a decode step");
    let others = Decode { seqs, context: means.context.clone(), ranks: pool.dp_size.clone() };
    let joining = max(1, batch * &pool.dp_size / max(1, in_batch));
    let joining = joining.named(pool.name("joining"), "1", "prompts that join after a decode step");
    let steps = PrefillSteps::of(pool, (means, spreads), chunk, &others, &(&joining + 1));
    let step = steps.time(&joining);
    let step = step.named(pool.name("prefill_time"), "s", "time of a prefill step");
    let each = &step / &joining;
    let each =
        each.named(pool.name("prefill_time_per_request"), "s", "prefill time of one request");
    let stopped = min(&joining, &pool.dp_size) / &pool.dp_size;
    // Steps per second in which a rank decodes: of decode steps in what prompts leave of the time,
    // and of prefill steps of other ranks.
    let per_request = in_batch / (batch * &pool.dp_size);
    let beside = &t_decode * (1 - stopped) / &joining;
    let beside = beside.named(pool.name("time_beside"), "s", "what others decode of it");
    let decoding = (per_request * &t_decode).named(
        pool.name("decode_time_per_request"),
        "s",
        "time of decode steps per request",
    );
    let time = decoding + max(0, &each - beside);
    let time = time.named(pool.name("time_per_request"), "s", "time of a worker per request");
    let rate: Expr = 1 / time;
    let rate = rate.named(pool.name("worker_rate"), "1/s", "requests per second of a worker");
    // Who does not think comes back when a step ends, together with the others that it was the last for.
    let overlaps = u32::from(pool.overlaps());
    let gap = batch * &pool.dp_size / (&rate * in_batch);
    let queue = &t_decode * overlaps;
    let ttft = &queue + &step;
    let first_gap = &t_decode * (overlaps + 1) - &gap;
    Ok((rate, Flow { ttft, queue, gap, first_gap }))
}

/// Latencies of an aggregated deployment at `rate` requests per second in all.
pub(super) fn aggregated_open(
    symbols: &mut Symbols,
    pool: &mut Pool<'_>,
    workload: (&Means, &Spreads),
    (chunk, most): (&Expr, &Expr),
    (rate, capacity): (&Expr, &Expr),
) -> Result<Latencies, FormulaError> {
    let (means, _) = workload;
    let scv = workload.1.worker_gap_scv(&pool.workers);
    let stream = Stream { rate: rate / &pool.workers, scv, others: nobody_counts(symbols) };
    let in_batch = in_batch(means, pool);
    let unknown = symbols.context().unknown("batch");
    let flow = aggregated_flow(symbols, pool, workload, chunk, (&stream, &unknown))?;
    let body = &stream.rate / &pool.dp_size * &in_batch * flow.gap;
    let batch = settled_or_full(&unknown, &body, most);
    pool.must("keeps_up", "requests leave as fast as they come", rate.lt(capacity));
    let flow = aggregated_flow(symbols, pool, workload, chunk, (&stream, &batch))?;
    // Where the batch is as large as it may be, prompts come in together as others leave.
    let (_, full) = rate_of(symbols, pool, workload, chunk, (&batch, &in_batch))?;
    let is_full = batch.ge(most);
    let either = |full: Expr, not: Expr| piecewise([(is_full.clone(), full)], not);
    let gap = either(&batch * &pool.dp_size / (&stream.rate * &in_batch), flow.gap);
    let flow = Flow {
        ttft: either(full.ttft, flow.ttft),
        queue: either(full.queue, flow.queue),
        first_gap: either(full.first_gap, flow.first_gap),
        gap: gap.clone(),
    };
    let wait = wait_for_room(
        (&workload.1.worker_gap_scv_of_places(&pool.workers), &workload.1.output_scv),
        (&min(&batch / most, rate / capacity), most),
        &(in_batch * &gap),
    );
    Ok(Latencies {
        ttft: flow.ttft + &wait,
        queue: flow.queue + wait,
        transfer: None,
        gap,
        first_gap: flow.first_gap,
    })
}

/// Latencies of an aggregated deployment with so many users, and the rate at which it serves them.
pub(super) fn aggregated_closed(
    symbols: &mut Symbols,
    pool: &mut Pool<'_>,
    workload: (&Means, &Spreads),
    (chunk, most): (&Expr, &Expr),
    (users, think): (&Expr, &Expr),
) -> Result<(Expr, Latencies), FormulaError> {
    let (means, _) = workload;
    let in_batch = in_batch(means, pool);
    let users = users / &pool.workers;
    let unknown = symbols.context().unknown("batch");
    let scv = workload.1.worker_gap_scv(&pool.workers);
    let others = max(0, &users - 1);
    let stream =
        |rate: &Expr| Stream { rate: rate.clone(), scv: scv.clone(), others: others.clone() };
    let (rate, together) = rate_of(symbols, pool, workload, chunk, (&unknown, &in_batch))?;
    let flow = aggregated_flow(symbols, pool, workload, chunk, (&stream(&rate), &unknown))?;
    let flow = flow.mixed(&together, think);
    // Its last step, whose token is thrown away, keeps a place but not the user.
    let places = &in_batch / max(1, &means.steps) / &pool.dp_size;
    let body = (&users - rate * (out_of_batch(flow.ttft, flow.first_gap) + think)) * places;
    let batch = settled_or_full(&unknown, &body, most);
    let (rate, together) = rate_of(symbols, pool, workload, chunk, (&batch, &in_batch))?;
    let flow = aggregated_flow(symbols, pool, workload, chunk, (&stream(&rate), &batch))?;
    let flow = flow.mixed(&together, think);
    // By Little's law, for those who run, and for those who wait: who finds no room waits for it.
    let gap = &batch * &pool.dp_size / (&rate * &in_batch);
    let rest = (users - &batch * &pool.dp_size) / &rate - think;
    let more = piecewise([(batch.ge(most), max(0, rest - &flow.ttft))], 0);
    let latencies = Latencies {
        ttft: &flow.ttft + &more,
        queue: &flow.queue + more,
        transfer: None,
        gap,
        first_gap: flow.first_gap,
    };
    Ok((rate * &pool.workers, latencies))
}

/// A prefill pool at a rate of arrivals at each worker: time in the queue, time of the steps of a prompt.
pub(super) fn prefill_flow(
    pool: &Pool<'_>,
    (means, spreads): (&Means, &Spreads),
    chunk: &Expr,
    stream: &Stream,
) -> (Expr, Expr, Expr) {
    let rate = &stream.rate;
    let nobody = Decode {
        seqs: chunk.context().constant(0),
        context: means.context.clone(),
        ranks: chunk.context().constant(0),
    };
    let steps =
        PrefillSteps::of(pool, (means, spreads), chunk, &nobody, &chunk.context().constant(2));
    let load = rate * &steps.each;
    let mut time = steps.one.clone();
    for _ in 0..2 {
        let some = 1 - stream.none_in(&time);
        time = (&steps.one - &steps.each * some) / room(1 - &load);
        time = time.named(pool.name("prefill_time"), "s", "mean time of a prefill step");
    }
    let time = min(time, steps.time(&(&stream.others + 1)));
    let time = time.named(pool.name("met_prefill_time"), "s", "mean time of a prefill step");
    let came = rate * &time;
    let none = stream.none_in(&time);
    let none = none.named(pool.name("none"), "1", "probability that nobody comes in a step");
    let prompts = max(1, &came + &none);
    let met = &time + steps.variance(stream, &prompts) / &time;
    let met = min(met, steps.time(&(&stream.others + 1)));
    let met =
        met.named(pool.name("met_time"), "s", "mean length of the step that an arrival meets");
    let likelier = stream.bunching(&time) * came;
    let busy = &likelier / max(1e-9, &likelier + none);
    let busy =
        busy.named(pool.name("busy_share"), "1", "probability that an arrival meets a busy worker");
    let queue = &busy * &met / 2;
    let others = busy * stream.others_in(&met);
    let compute = &steps.one + &steps.each * &others * &steps.shared;
    (queue, compute, others)
}

/// A decode pool with `batch` running on each rank: time of a step, and until one begins \[s\].
pub(super) fn decode_flow(
    symbols: &mut Symbols,
    pool: &Pool<'_>,
    means: &Means,
    batch: &Expr,
) -> Result<(Expr, Expr, Expr), FormulaError> {
    let active = 1 - none(&(batch * &pool.dp_size));
    let seqs = busiest(&max(1, batch / max(1e-9, &active)), &pool.dp_size);
    let step = pool.decode_step(symbols, &seqs, &means.context)?;
    let step = step.named(pool.name("decode_time"), "s", "time of a decode step");
    let joins = &active * &step / 2;
    let overlaps = u32::from(pool.overlaps());
    let first_gap = active * &step * overlaps;
    Ok((step, joins, first_gap))
}

/// A disaggregated deployment as its latencies need it.
pub(super) struct Pair<'a, 'p> {
    pub(super) prefill: &'a Pool<'p>,
    pub(super) decode: &'a Pool<'p>,
    /// Tokens of a rank's prefill step.
    pub(super) chunk: &'a Expr,
    /// Most requests that decode on one rank.
    pub(super) most: &'a Expr,
}

impl Pair<'_, '_> {
    /// Latencies at `rate` requests per second in all with `batch` running on each decode rank.
    fn at(
        &self,
        symbols: &mut Symbols,
        workload: (&Means, &Spreads),
        send: &dyn Fn(&Expr) -> Expr,
        (rate, batch): (&Expr, &Expr),
        others: &Expr,
    ) -> Result<Latencies, FormulaError> {
        let (means, spreads) = workload;
        let arrivals = rate / &self.prefill.workers;
        let scv = spreads.worker_gap_scv(&self.prefill.workers);
        let others = others / &self.prefill.workers;
        let stream = Stream { rate: arrivals, scv, others };
        let (queue, compute, others) = prefill_flow(self.prefill, workload, self.chunk, &stream);
        let (gap, joins, first_gap) = decode_flow(symbols, self.decode, means, batch)?;
        // One after the other leaves a worker, and arrives at one.
        let whole = send(&means.prompt);
        let links = min(&self.prefill.workers, &self.decode.workers);
        let load = rate * &whole / links;
        let waits = load.clone() * &whole * (1 + &spreads.prompt_scv) / (2 * room(1 - load));
        let together = others * &whole / 2;
        let transfer = send(&min(&means.new, self.chunk)) + max(waits, min(together, &compute));
        let ttft = &queue + compute + &transfer + joins;
        Ok(Latencies { ttft, queue, transfer: Some(transfer), gap, first_gap })
    }

    /// Latencies at `rate` requests per second; beyond what the pools can serve a constraint fails.
    pub(super) fn open(
        &self,
        symbols: &mut Symbols,
        workload: (&Means, &Spreads),
        send: &dyn Fn(&Expr) -> Expr,
        (rate, capacity): (&Expr, &Expr),
    ) -> Result<Latencies, FormulaError> {
        let in_batch = in_batch(workload.0, self.decode);
        let unknown = symbols.context().unknown("batch");
        let (step, ..) = decode_flow(symbols, self.decode, workload.0, &unknown)?;
        let body = rate / self.decode.ranks() * &in_batch * step;
        let batch = settled_or_full(&unknown, &body, self.most);
        let latencies = {
            let others = nobody_counts(symbols);
            self.at(symbols, workload, send, (rate, &batch), &others)?
        };
        let wait = wait_for_room(
            (&workload.1.worker_gap_scv_of_places(&self.decode.workers), &workload.1.output_scv),
            (&min(&batch / self.most, rate / capacity), self.most),
            &(in_batch * &latencies.gap),
        );
        let latencies = Latencies {
            ttft: &latencies.ttft + &wait,
            queue: &latencies.queue + wait,
            ..latencies
        };
        Ok(latencies)
    }

    /// The rate at which so many users are served, and their latencies.
    pub(super) fn closed(
        &self,
        symbols: &mut Symbols,
        workload: (&Means, &Spreads),
        send: &dyn Fn(&Expr) -> Expr,
        (users, think): (&Expr, &Expr),
    ) -> Result<(Expr, Latencies), FormulaError> {
        let in_batch = in_batch(workload.0, self.decode);
        let ranks = self.decode.ranks();
        let others = max(0, users - 1);
        let unknown = symbols.context().unknown("batch");
        let (step, ..) = decode_flow(symbols, self.decode, workload.0, &unknown)?;
        let rate = &unknown * &ranks / (&in_batch * step);
        let latencies = self.at(symbols, workload, send, (&rate, &unknown), &others)?;
        let places = &in_batch / max(1, &workload.0.steps) / &ranks;
        let away = out_of_batch(latencies.ttft, latencies.first_gap) + think;
        let body = (users - rate * away) * places;
        let batch = settled_or_full(&unknown, &body, self.most);
        let (step, ..) = decode_flow(symbols, self.decode, workload.0, &batch)?;
        let rate = &batch * ranks / (&in_batch * step);
        let mut latencies = self.at(symbols, workload, send, (&rate, &batch), &others)?;
        // Who finds no room waits for it.
        let rest = users / &rate - think - in_batch * &latencies.gap;
        let more = piecewise([(batch.ge(self.most), max(0, rest - &latencies.ttft))], 0);
        latencies.ttft = &latencies.ttft + &more;
        latencies.queue = &latencies.queue + more;
        Ok((rate, latencies))
    }
}

/// Steps in which a request is in the decode batch; it is some time there even if nothing decodes.
fn in_batch(means: &Means, pool: &Pool<'_>) -> Expr {
    max(0.01, &means.steps + u32::from(pool.overlaps()))
}

/// Time that a request is in the system but not in the decode batch. Beyond what a worker can do the
/// latencies are no latencies; it is never less than none, so no more users think or run than there are.
fn out_of_batch(ttft: Expr, first_gap: Expr) -> Expr {
    max(0, ttft + first_gap)
}

/// Running requests where as many leave as come, or as many as there is room for if more would be there.
fn settled_or_full(unknown: &Expr, body: &Expr, most: &Expr) -> Expr {
    let is_full = body.substitute(&[(unknown, most.clone())]).ge(most);
    let batch = piecewise([(is_full, most)], fixed_point(unknown, LEAST_BATCH, most, body));
    batch.named("running_requests", "1", "requests that decode on one rank")
}

/// A batch that is less is nobody's.
const LEAST_BATCH: f64 = 1e-9;

/// Time until one of a worker's places in the batch is free, where a share `load` of them is taken and a
/// request stays for `stay`: several servers, general arrivals and service (Sakasegawa, 1977,
/// in the form of Whitt, *Approximations for the GI/G/m queue*, 1993).
fn wait_for_room(
    (arrivals, outputs): (&Expr, &Expr),
    (load, slots): (&Expr, &Expr),
    stay: &Expr,
) -> Expr {
    let power = sqrt(2 * (slots + 1)) - 1;
    let waits = pow(max(LEAST_BATCH, load), power) / (slots * room(1 - load));
    (arrivals + outputs) / 2 * waits * stay
}

/// Others that may come in an open loop: any number.
fn nobody_counts(symbols: &Symbols) -> Expr {
    symbols.constant(1_000_000_000)
}

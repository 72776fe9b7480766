//! Latencies of one request that has the deployment to itself: what the engine does on an idle
//! system, as sums over chunks and output tokens.
//!
//! A prompt of S tokens of which H are cached has u = S − H new ones, computed in n = ⌈u/c⌉ steps: chunk
//! *i* has c tokens (the last one what is left) behind H + (i−1)·c others. The *j*-th decode step attends
//! to S + j tokens.
//!
//! **Disaggregated**, the cached part is sent at once, each chunk when its step is done, one after the
//! other. The last piece has arrived when, for some piece, that piece was ready and all from it on had
//! been sent, so the time is the maximum over the pieces. Steps get longer with the prefix while full
//! chunks all take the same time to send, so the sum is convex in the piece, and its maximum is at the
//! first or the last full chunk, or at the two odd ones: the cached part and the last chunk.

use sglsim_engine::DeploymentPlan;
use sglsim_expr::{Constraint, Expr, Symbol, ceil_div, max, max_of, piecewise, sum};

use crate::frozen::Frozen;
use crate::pool::{Extend, Pool};
use crate::symbols::Symbols;
use crate::{FormulaError, Metric};

/// The latencies of a request, each as an expression.
pub(crate) struct Request {
    ttft: Expr,
    /// From the computed prompt to its KV on the decode worker; `None` without a transfer.
    transfer: Option<Expr>,
    /// All decode steps.
    decode: Expr,
    output: Expr,
    pub(crate) constraints: Vec<Constraint>,
}

/// The lengths of the request.
struct Lengths {
    prompt: Expr,
    cached: Expr,
    new: Expr,
    output: Expr,
}

impl Request {
    pub(crate) fn of(
        symbols: &mut Symbols,
        plan: &DeploymentPlan,
        frozen: &Frozen,
    ) -> Result<Self, FormulaError> {
        let lengths = Lengths::of(symbols, frozen)?;
        match plan.pools.as_slice() {
            [one] => {
                let mut pool = Pool::new(symbols, &plan.model, one, "N")?;
                symbols.settle(&pool.workers);
                let chunks = Chunks::of(symbols, &mut pool, &lengths)?;
                let decode = decode_time(&pool, &lengths, false);
                pool.must_hold(symbols, &(&lengths.prompt + &lengths.output))?;
                Ok(Self {
                    ttft: chunks.computed(),
                    transfer: None,
                    decode,
                    output: lengths.output,
                    constraints: pool.constraints,
                })
            }
            [prefill, decode, ..] => {
                let mut prefill = Pool::new(symbols, &plan.model, prefill, "N_p")?;
                let mut decode = Pool::new(symbols, &plan.model, decode, "N_d")?;
                // It meets one worker of each pool, however many there are.
                symbols.settle(&prefill.workers);
                symbols.settle(&decode.workers);
                let chunks = Chunks::of(symbols, &mut prefill, &lengths)?;
                let law = plan.transfer.as_ref().expect("two pools have a transfer law");
                symbols.values.extend(law.values().iter());
                let send = |tokens: &Expr| law.time().substitute(&[(law.tokens(), tokens.clone())]);
                let arrived = chunks.arrived(&lengths, send);
                prefill.must_hold(symbols, &lengths.prompt)?;
                let reserve = decode.reserve(symbols)?;
                decode.must_hold(symbols, &(&lengths.prompt + &lengths.output + reserve))?;
                Ok(Self {
                    transfer: Some(&arrived - chunks.computed()),
                    ttft: arrived,
                    decode: decode_time(&decode, &lengths, true),
                    output: lengths.output,
                    constraints: [prefill.constraints, decode.constraints].concat(),
                })
            }
            [] => unreachable!("a deployment has a pool"),
        }
    }

    /// One of its latencies.
    pub(crate) fn latency(&self, metric: Metric) -> Result<Expr, FormulaError> {
        match metric {
            Metric::Ttft => Ok(self.ttft.clone()),
            Metric::E2eLatency => Ok(&self.ttft + &self.decode),
            Metric::Itl => Ok(&self.decode / max(1, &self.output - 1)),
            _ => self.transfer.clone().ok_or(FormulaError::Unavailable {
                metric,
                deployment: "an aggregated deployment",
                instead: "`ttft`, `itl` or `e2e_latency`",
            }),
        }
    }
}

impl Lengths {
    fn of(symbols: &mut Symbols, frozen: &Frozen) -> Result<Self, FormulaError> {
        let mut count = |name: &str, least: f64, doc: &str, value: f64| {
            let symbol = Symbol::int(name).at_least(least).unit("token").doc(doc);
            symbols.knob(symbol, value.round().max(least))
        };
        let prompt_value = frozen.mean_prompt_tokens.round().max(1.0);
        let cached_value = frozen.mean_cached_tokens.min(prompt_value - 1.0);
        let prompt = count("prompt_tokens", 1.0, "prompt length", prompt_value)?;
        let cached =
            count("cached_tokens", 0.0, "prompt tokens found in a prefix cache", cached_value)?;
        let output = count("output_tokens", 1.0, "output length", frozen.mean_output_tokens)?;
        // The last token of a prompt is always computed: its logits are wanted.
        let new = max(1, &prompt - &cached);
        let new = new.named("new_tokens", "token", "prompt tokens that are computed");
        Ok(Self { prompt, cached, new, output })
    }
}

/// The steps that compute a prompt.
struct Chunks {
    count: Expr,
    /// Tokens of all but the last; `None` if the prompt is not cut.
    full: Option<FullChunks>,
    last_tokens: Expr,
    last_step: Expr,
}

struct FullChunks {
    tokens: Expr,
    /// Time of the first one, if there is one.
    first_step: Expr,
    /// Time of all of them.
    time: Expr,
}

impl Chunks {
    fn of(
        symbols: &mut Symbols,
        pool: &mut Pool<'_>,
        lengths: &Lengths,
    ) -> Result<Self, FormulaError> {
        let one = symbols.constant(1);
        let step = |pool: &Pool<'_>, tokens: &Expr, prefix: &Expr, starts: &Expr| {
            pool.extend_step(&Extend {
                tokens: tokens.clone(),
                pairs: tokens * (prefix + (tokens + 1) / 2),
                prefix: prefix.clone(),
                seqs: one.clone(),
                ranks: one.clone(),
                starts: starts.clone(),
            })
        };
        let Some(chunk) = pool.chunk(symbols)? else {
            let last_step = step(pool, &lengths.new, &lengths.cached, &one);
            return Ok(Self {
                count: one,
                full: None,
                last_tokens: lengths.new.clone(),
                last_step,
            });
        };
        let count = ceil_div(&lengths.new, &chunk);
        let count = count.named("chunks", "1", "steps that compute the prompt");
        let before = (&count - 1) * &chunk;
        let before = before.named("full_tokens", "token", "tokens of the full chunks");
        let at = one.context().index("chunk");
        // The first step is the only one that finds the worker at rest.
        let first = |is_first: Expr| piecewise([(is_first, &one)], 0);
        let prefix = &lengths.cached + (&at - 1) * &chunk;
        let each = step(pool, &chunk, &prefix, &first(at.le(1)));
        let time = sum(&at, 1, &count - 1, each);
        let time = time.named("full_chunks_time", "s", "time of all chunks but the last");
        let last_tokens = &lengths.new - &before;
        let prefix = &lengths.cached + before;
        let last_step = step(pool, &last_tokens, &prefix, &first(count.le(1)));
        let first_step = step(pool, &chunk, &lengths.cached, &one);
        let full = Some(FullChunks { tokens: chunk, first_step, time });
        Ok(Self { count, full, last_tokens, last_step })
    }

    /// When the prompt is computed \[s\].
    fn computed(&self) -> Expr {
        match &self.full {
            None => self.last_step.clone(),
            Some(full) => &full.time + &self.last_step,
        }
    }

    /// When the KV has arrived, if each piece takes what `send` says \[s\].
    fn arrived(&self, lengths: &Lengths, send: impl Fn(&Expr) -> Expr) -> Expr {
        let send_last = send(&self.last_tokens);
        let send_cached = send(&lengths.cached);
        let last = self.computed() + &send_last;
        let Some(full) = &self.full else { return max(send_cached + send_last, last) };
        let send_full = send(&full.tokens);
        let others = &self.count - 1;
        let cached_first = send_cached + &others * &send_full + &send_last;
        let first = &full.first_step + &others * &send_full + &send_last;
        let last_full = &full.time + &send_full + &send_last;
        // With a single chunk there is no full one.
        let full = piecewise(
            [(self.count.le(1), self.count.context().constant(0))],
            max(first, last_full),
        );
        max_of([cached_first, full, last])
    }
}

/// Time of all decode steps, of a worker that was at rest before or not \[s\].
fn decode_time(pool: &Pool<'_>, lengths: &Lengths, at_rest: bool) -> Expr {
    let cx = lengths.output.context();
    let at = cx.index("token");
    let nothing = cx.constant(0);
    let starts = if at_rest { piecewise([(at.le(1), 1)], &nothing) } else { nothing };
    let step = pool.decode_step_alone(&(&lengths.prompt + &at), &starts);
    let time = sum(&at, 1, &lengths.output - 1, step);
    time.named("decode_time", "s", "time of all decode steps")
}

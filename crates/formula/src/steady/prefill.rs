//! How long prompts take that wait for each other: the steps in which a worker computes them.
//!
//! A worker takes all prompts that wait into its next step, up to a chunk. While the step runs, others
//! arrive and wait for the one after: a queue whose service is gated. With rate λ at the worker and a
//! time T for a step, λ·T more have come when it is done. One more prompt in a step adds β to its time
//! T₁, so T(k) = T₁ + β·(k − 1), and what a step has too many by chance, the next one has λβ times:
//!
//! ```text
//! Var T = β²·k·(c²_arrivals + c²_prompts) / (1 − (λβ)²)
//! ```
//!
//! Who arrives meets a step of the mean length E[T²]/E[T] (the inspection paradox), waits for half of it,
//! and shares its own step with who else came meanwhile.

use sglsim_expr::{Expr, Operand, exp, max, min, piecewise, pow};

use super::workload::{Means, Spreads};
use crate::pool::{Decode, Pool};

/// What a step of prompts takes, as a function of their number.
pub(super) struct PrefillSteps {
    /// With one prompt \[s\].
    pub(super) one: Expr,
    /// Its squared coefficient of variation.
    pub(super) one_scv: Expr,
    /// With each further prompt \[s\].
    pub(super) each: Expr,
    /// Share of the others' time that a prompt waits for in its own steps: all of it if they are in
    /// the same one, half of it if each needs its own.
    pub(super) shared: Expr,
    /// Chunks of one prompt \[1\].
    chunks: Expr,
    ranks: Expr,
}

impl PrefillSteps {
    /// Of a worker whose other ranks run `others` meanwhile, for steps with up to `many` prompts.
    pub(super) fn of(
        pool: &Pool<'_>,
        (means, spreads): (&Means, &Spreads),
        chunk: &Expr,
        others: &Decode,
        many: &Expr,
    ) -> Self {
        let one = chunk.context().constant(1);
        let alone = Self::others(pool, others, &one);
        let (one_time, one_scv) = spreads.over_prompts(|new| {
            // A prompt that is longer than a chunk takes several steps.
            let tokens = min(new, chunk);
            let steps = new / &tokens;
            let mut extend = means.prefill_batch(pool, &tokens, &one);
            let before = (new - &tokens) / 2;
            extend.pairs = &tokens * (&means.cached + &before + (&tokens + 1) / 2);
            extend.prefix = &means.cached + before;
            extend.seqs = one.clone();
            steps * pool.mixed_step(&extend, &alone)
        });
        let batch = |prompts: &Expr| {
            let ranks = min(prompts, &pool.dp_size);
            let wanted = &means.new * prompts / &ranks;
            let tokens = min(&wanted, chunk);
            let extend = means.prefill_batch(pool, &tokens, &ranks);
            let step = pool.mixed_step(&extend, &Self::others(pool, others, &ranks));
            (&wanted / &tokens * step, wanted)
        };
        let (single, _) = batch(&one);
        let (several, wanted) = batch(many);
        let each = max(0, (several - single) / (many - 1));
        let named = |time: &Expr, name, doc| time.named(pool.name(name), "s", doc);
        let one_time = named(&one_time, "prompt_time", "time of the steps of one prompt");
        let each = named(&each, "further_prompt_time", "time that another prompt adds to a step");
        let shared = 1 - min(1, max(0, wanted / chunk - 1)) / 2;
        let chunks = &means.new / chunk;
        let ranks = pool.dp_size.clone();
        Self { one: one_time, one_scv, each, shared, chunks, ranks }
    }

    /// The ranks that decode while `ranks` of them extend.
    fn others(pool: &Pool<'_>, decoding: &Decode, ranks: &Expr) -> Decode {
        let left = max(0, min(&decoding.ranks, &pool.dp_size - ranks));
        Decode { ranks: left, ..decoding.clone() }
    }

    /// Time of a step with so many prompts \[s\].
    pub(super) fn time(&self, prompts: &Expr) -> Expr {
        &self.one + &self.each * (prompts - 1)
    }

    /// Steps that so many prompts take, cut into chunks \[1\].
    pub(super) fn count(&self, prompts: &Expr) -> Expr {
        max(1, &self.chunks * max(1, prompts / &self.ranks))
    }

    /// Variance of the time of steps with so many prompts in the mean, in a stream of arrivals \[s²\].
    pub(super) fn variance(&self, stream: &Stream, prompts: &Expr) -> Expr {
        let load = &stream.rate * &self.each;
        let spread = &self.each * &self.each * prompts * (&stream.scv + &self.one_scv);
        spread / room(1 - &load * &load) + &self.one * &self.one * &self.one_scv
    }
}

/// A denominator that is positive where the load can be served, which a constraint demands.
pub(super) fn room(value: impl Into<Operand>) -> Expr {
    max(1e-6, value)
}

/// A stream of requests at one worker: a renewal process, of which rate and variability count.
#[derive(Clone)]
pub(super) struct Stream {
    /// Requests per second.
    pub(super) rate: Expr,
    /// Squared coefficient of variation of the gaps between them \[1\].
    pub(super) scv: Expr,
    /// Others there are at most.
    pub(super) others: Expr,
}

/// How near to a Poisson process the exponent below has its limit.
const NEAR: f64 = 1e-3;

impl Stream {
    /// Probability that nobody comes for a time, at any moment: the exponential function of Tsallis,
    /// which is exp(−λt) for a Poisson process and 1 − λt for gaps that are all the same.
    pub(super) fn none_in(&self, time: &Expr) -> Expr {
        let regular: Expr = 1 - &self.scv;
        let kappa = piecewise([(regular.ge(0), max(NEAR, &regular))], min(-NEAR, &regular));
        pow(max(1e-9, 1 - &kappa * (&self.rate * time)), 1 / &kappa)
    }

    /// Others that come within a time in which one comes: λt for a Poisson process, and c² − 1 more in
    /// the long run (the renewal function).
    pub(super) fn others_in(&self, time: &Expr) -> Expr {
        let came = &self.rate * time;
        min(&came + (&self.scv - 1) * (1 - none(&came)), &self.others)
    }

    /// How much likelier than others a moment within `time` of one arrival is to be one of another.
    pub(super) fn bunching(&self, time: &Expr) -> Expr {
        self.others_in(time) / max(1e-9, &self.rate * time)
    }

    /// The stream that one of so many gets, if they take turns.
    pub(super) fn shared_by(&self, many: &Expr) -> Self {
        Self { rate: &self.rate / many, scv: &self.scv / many, others: self.others.clone() }
    }
}

/// Probability that a Poisson process of this mean has no event.
pub(super) fn none(mean: &Expr) -> Expr {
    exp(-mean)
}

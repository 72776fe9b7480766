//! The workload as the steady state sees it: means, two kinds of prompts, the load.

use sglsim_expr::{Expr, max, min};

use crate::FormulaError;
use crate::frozen::{Frozen, Load};
use crate::pool::{Extend, Pool};
use crate::symbols::Symbols;

/// The means of the workload as symbols.
pub(super) struct Means {
    pub(super) prompt: Expr,
    pub(super) cached: Expr,
    /// Uncached prompt tokens. The last token of a prompt is always computed: its logits are wanted.
    pub(super) new: Expr,
    pub(super) pairs: Expr,
    pub(super) output: Expr,
    /// Steps that a request decodes in.
    pub(super) steps: Expr,
    pub(super) context: Expr,
    pub(super) reserved: Expr,
}

/// Who is there: nobody counts, requests per second, or users with their time to think.
pub(super) enum Offered {
    Unlimited,
    Rate(Expr),
    Users { users: Expr, think: Expr },
}

/// How much prompts, outputs and arrivals differ.
pub(super) struct Spreads {
    /// New tokens of short and of long prompts, each with its share.
    pub(super) prompts: [(Expr, Expr); 2],
    /// Squared coefficient of variation of new tokens.
    pub(super) prompt_scv: Expr,
    /// Squared coefficient of variation of outputs.
    pub(super) output_scv: Expr,
    /// Mean of 1/(o−1).
    pub(super) gap_share: Expr,
    gap_scv: Expr,
    routing_scv: Expr,
}

impl Means {
    pub(super) fn of(symbols: &mut Symbols, frozen: &Frozen) -> Result<Self, FormulaError> {
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
    pub(super) fn prefill_batch(&self, pool: &Pool<'_>, tokens: &Expr, ranks: &Expr) -> Extend {
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
    pub(super) fn of(symbols: &mut Symbols, frozen: &Frozen) -> Result<Self, FormulaError> {
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

impl Spreads {
    pub(super) fn of(
        symbols: &mut Symbols,
        means: &Means,
        frozen: &Frozen,
    ) -> Result<Self, FormulaError> {
        let mut all = Vec::new();
        for parameter in frozen.spreads() {
            all.push(symbols.parameter(parameter.symbol, parameter.value)?);
        }
        let [short, long, long_share, output_scv, gap_share, gap_scv, routing_scv] =
            <[Expr; 7]>::try_from(all).expect("there are seven spreads");
        let short_share = 1 - &long_share;
        let scv = &short_share * &short * &short + &long_share * &long * &long - 1;
        let prompts =
            [(max(1, &means.new * short), short_share), (max(1, &means.new * long), long_share)];
        let prompt_scv = max(0, scv);
        Ok(Self { prompts, prompt_scv, output_scv, gap_share, gap_scv, routing_scv })
    }

    /// Squared coefficient of variation of the gaps between arrivals at one of `workers` workers.
    pub(super) fn worker_gap_scv(&self, workers: &Expr) -> Expr {
        let scv = self.worker_gap_scv_of_places(workers);
        // Who comes in a burst shares a step, so that what bursts add counts half.
        min(&scv, (&scv + 1) / 2)
    }

    /// The same, of those who each take a place of their own.
    pub(super) fn worker_gap_scv_of_places(&self, workers: &Expr) -> Expr {
        &self.gap_scv / workers + &self.routing_scv * (1 - 1 / workers)
    }

    /// Mean and squared coefficient of variation of what `of` says of a prompt of so many new tokens.
    pub(super) fn over_prompts(&self, of: impl Fn(&Expr) -> Expr) -> (Expr, Expr) {
        let [(short, p), (long, q)] = &self.prompts;
        let (short, long) = (of(short), of(long));
        let mean = p * &short + q * &long;
        let square = p * &short * &short + q * &long * &long;
        let scv = max(0, square / (&mean * &mean) - 1);
        (mean, scv)
    }
}

//! Adding operators up: over a whole pass, over a pipeline stage, over two overlapping halves.

use sglsim_expr::{Expr, ceil_div, max, min, piecewise};
use sglsim_model::ModelShape;

use super::layers::Layers;
use super::operators::{At, COMM, Operator, PARTS, Phase};
use crate::features::Features;

/// Device time and launches of some operators.
#[derive(Clone, Debug)]
struct Work {
    time: Expr,
    launches: Expr,
}

/// The operators of a pass and what they add up to.
pub(super) struct Totals<'a> {
    layers: &'a Layers<'a>,
    operators: &'a [Operator],
}

/// How many places of each kind a part of the model has \[1\].
pub(super) type Counts<'a> = &'a dyn Fn(At) -> Expr;

impl<'a> Totals<'a> {
    pub(super) fn new(layers: &'a Layers<'a>, operators: &'a [Operator]) -> Self {
        Self { layers, operators }
    }

    /// The parts of the device's time, with names and descriptions.
    pub(super) fn parts(&self, counts: Counts<'_>) -> Vec<(&'static str, &'static str, Expr)> {
        let mut parts = Vec::new();
        for (name, doc) in PARTS {
            if self.operators.iter().any(|operator| operator.part == name) {
                let work = self.work(counts, |operator| operator.part == name);
                parts.push((name, doc, work.time));
            }
        }
        parts
    }

    /// Device time of all operators.
    pub(super) fn time(&self, counts: Counts<'_>) -> Expr {
        self.work(counts, |_| true).time
    }

    /// Kernels that the host launches one by one without a CUDA graph \[1\].
    pub(super) fn launches(&self, counts: Counts<'_>) -> Expr {
        self.work(counts, |_| true).launches
    }

    fn work(&self, counts: Counts<'_>, wanted: impl Fn(&Operator) -> bool) -> Work {
        let nothing = self.layers.constant(0);
        let mut all = Work { time: nothing.clone(), launches: nothing };
        for at in At::ALL {
            let here = || self.operators.iter().filter(|one| one.at == at && wanted(one));
            if here().next().is_some() {
                let (work, count) = (self.once(here()), counts(at));
                all.time = all.time + work.time * &count;
                all.launches = all.launches + work.launches * count;
            }
        }
        all
    }

    /// Operators at one place. The ranks of one attention replica serve extending and decoding
    /// sequences one after the other; with several replicas a rank does one of them, and all wait for
    /// the slowest.
    fn once<'o>(&self, operators: impl Iterator<Item = &'o Operator> + Clone) -> Work {
        let sum = |phase| {
            let of = operators.clone().filter(|operator| operator.phase == phase);
            let zero = self.layers.constant(0);
            of.fold(Work { time: zero.clone(), launches: zero }, |sum, one| Work {
                time: sum.time + &one.time,
                launches: sum.launches + &one.launches,
            })
        };
        let (both, extend, decode) = (sum(Phase::Both), sum(Phase::Extend), sum(Phase::Decode));
        if !operators.clone().any(|operator| operator.phase != Phase::Both) {
            return both;
        }
        let side_by_side = piecewise(
            [(self.layers.one_replica.clone(), &extend.time + &decode.time)],
            max(extend.time, decode.time),
        );
        Work {
            time: both.time + side_by_side,
            launches: both.launches + max(extend.launches, decode.launches),
        }
    }
}

/// The parts of a step whose layers with experts overlap two halves of the batch, and its launches.
///
/// # Formula
///
/// ```text
/// t = t(other layers) + n·2·max(c, m) + min(c, m)
/// ```
///
/// with `c` the kernels and `m` the collectives of a layer on half of the batch: while one half
/// computes, the other is on the links. The first stage of the first half hides behind nothing.
///
/// # Source
///
/// SGLang 0.5.23, `batch_overlap/two_batch_overlap.py`.
pub(super) fn overlapped(
    whole: &Totals<'_>,
    half: &Totals<'_>,
) -> (Vec<(&'static str, &'static str, Expr)>, Expr) {
    let (layers, model) = (whole.layers, whole.layers.model);
    let inside = |at| layers.constant(sparse_places(at, model));
    let outside = |at: At| layers.constant(at.count(model) - sparse_places(at, model));
    let f = layers.f;
    let split = f.extend_tokens.ge(2).or(&f.decode_padded.ge(2));
    let sparse = model.moe_layers();
    let per_layer = |wanted: &dyn Fn(&Operator) -> bool| half.work(&inside, wanted).time / sparse;
    let compute = per_layer(&|operator| operator.part != COMM);
    let comm = per_layer(&|operator| operator.part == COMM);
    let exposed = 2 * sparse * max(0, &comm - &compute) + min(&comm, &compute);
    let mut parts = Vec::new();
    for (name, doc, alone) in whole.parts(&outside) {
        let of_part = |operator: &Operator| operator.part == name;
        let plain = whole.work(&inside, of_part).time;
        let halves = match name {
            COMM => exposed.clone(),
            _ => 2 * half.work(&inside, of_part).time,
        };
        parts.push((name, doc, alone + piecewise([(split.clone(), halves)], plain)));
    }
    let twice = piecewise([(split, 2)], 1);
    (parts, whole.launches(&outside) + twice * whole.launches(&inside))
}

/// The operators of an overlapped step: those of other layers on the whole batch, and those of layers
/// with experts once for each half.
pub(super) fn listed(whole: &Totals<'_>, half: &Totals<'_>) -> Vec<Operator> {
    let model = whole.layers.model;
    let calls = |of: &Totals<'_>, count: &dyn Fn(At) -> u32| -> Vec<Operator> {
        let counted = of
            .operators
            .iter()
            .map(|operator| Operator { calls: count(operator.at), ..operator.clone() });
        counted.filter(|operator| operator.calls > 0).collect()
    };
    let mut all = calls(whole, &|at| at.count(model) - sparse_places(at, model));
    all.extend(calls(half, &|at| 2 * sparse_places(at, model)));
    all
}

/// How many of the places `at` are in layers with experts, if those are spread evenly.
fn sparse_places(at: At, model: &ModelShape) -> u32 {
    let sparse = model.moe_layers();
    match at {
        At::Start | At::End | At::Dense => 0,
        At::Sparse | At::Layer => sparse,
        At::Full | At::Windowed => at.count(model) * sparse / model.layers,
    }
}

/// The features of one half of the batch.
pub(super) fn half(f: &Features) -> Features {
    let up = |count: &Expr| ceil_div(count, 2);
    Features {
        extend_tokens: up(&f.extend_tokens),
        extend_pairs: &f.extend_pairs / 2,
        extend_prefix: up(&f.extend_prefix),
        extend_seqs: up(&f.extend_seqs),
        decode_seqs: up(&f.decode_seqs),
        decode_padded: up(&f.decode_padded),
        decode_context: up(&f.decode_context),
        logit_rows: up(&f.logit_rows),
        tokens: up(&f.tokens),
        sum_tokens: up(&f.sum_tokens),
        sum_logit_rows: up(&f.sum_logit_rows),
        query_tokens: f.query_tokens.clone(),
        eager: f.eager.clone(),
        serial: f.serial.clone(),
    }
}

//! Which operators a forward pass of a model launches, from the embedding to the sampled token.

use sglsim_expr::{Expr, ceil_div, piecewise, pow};
use sglsim_hw::Precision;
use sglsim_model::{Attention, Dtype, ModelShape, Moe, Part};

use super::Knobs;
use super::calls::{ACTIVATION, Place};
use super::operators::{
    At, COMM, ELEMENTWISE, EMBEDDING, EXPERTS, FFN, LOGITS, Operator, PROJECTIONS,
};
use crate::features::Features;
use crate::operator::MatrixFormat;
use crate::operator::collective::AllToAll;
use crate::operator::moe::{Experts, Routing};
use crate::{Hardware, LawSet, MoeA2aBackend, ParallelPlan};

/// Bytes that sampling moves per logit: 16-bit logits become 32-bit probabilities, which are
/// normalised and read once more \[B\]. Assumed.
const SAMPLING_BYTES: u32 = 18;

/// What a law is built of.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Setting<'a> {
    pub(crate) model: &'a ModelShape,
    pub(crate) laws: &'a LawSet,
    pub(crate) on: &'a Hardware,
    pub(crate) knobs: &'a Knobs,
    pub(crate) plan: &'a ParallelPlan,
    /// What a draft model adds in front of its layers.
    pub(crate) fusion: Fusion,
}

/// How a draft model takes in hidden states beside the embedded tokens; nothing by default.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Fusion {
    /// Hidden vectors that a projection on every rank joins into one.
    pub(crate) joined: u32,
    /// Whether queries, keys and values are projected from two vectors instead of one.
    pub(crate) wide_attention: bool,
}

/// One forward pass of a model on one rank.
pub(super) struct Layers<'a> {
    pub(super) model: &'a ModelShape,
    pub(super) laws: &'a LawSet,
    pub(super) on: &'a Hardware,
    pub(super) f: &'a Features,
    pub(super) knobs: &'a Knobs,
    pub(super) fusion: Fusion,
    pub(super) attn_tp: Expr,
    /// Query heads of this rank.
    pub(super) heads: Expr,
    /// Whether this worker has one attention replica.
    pub(super) one_replica: Expr,
    all_to_all: bool,
    dense_alone: bool,
    /// Whether the gathered buffer is padded to the longest rank (`DpPaddingMode.MAX_LEN`).
    max_len: Expr,
    /// Tokens of all attention replicas together, as the FFNs see them.
    gathered: Expr,
}

impl<'a> Layers<'a> {
    pub(super) fn new(setting: Setting<'a>, f: &'a Features) -> Self {
        let Setting { model, laws, on, knobs, plan, fusion } = setting;
        let one_replica = knobs.dp_size.le(1);
        let longest = &f.tokens * &knobs.dp_size;
        let max_len = f.extend_tokens.le(0).and(&longest.le(2 * &f.sum_tokens));
        let gathered = piecewise(
            [(one_replica.clone(), &f.tokens), (max_len.clone(), &longest)],
            &f.sum_tokens,
        );
        let attn_tp = knobs.attn_tp_size();
        Self {
            heads: model.num_attention_heads / &attn_tp,
            all_to_all: plan.moe_a2a_backend == MoeA2aBackend::DeepEp,
            dense_alone: plan.moe_dense_tp_size.is_some(),
            model,
            laws,
            on,
            f,
            knobs,
            fusion,
            attn_tp,
            one_replica,
            max_len,
            gathered,
        }
    }

    /// Every operator that the model has.
    pub(super) fn operators(&self) -> Vec<Operator> {
        let model = self.model;
        let mut all = self.embedding();
        // Each fused with the sum of the residual.
        all.push(self.norm("norm before attention", At::Layer));
        all.extend(match &model.attention {
            Attention::Gqa(gqa) => self.gqa(gqa),
            Attention::Mla(mla) => self.mla(mla),
        });
        all.push(self.norm("norm before FFN", At::Layer));
        if model.dense_layers() > 0 {
            all.extend(self.dense_layer());
        }
        if let (Some(moe), true) = (&model.moe, model.moe_layers() > 0) {
            all.extend(self.sparse_layer(moe));
        }
        all.push(self.norm("last norm", At::End));
        all.extend(self.logits());
        all
    }

    fn norm(&self, name: &'static str, at: At) -> Operator {
        // Reads the layer's output and the residual, writes the sum and its norm.
        let place = Place::new(name, ELEMENTWISE, at);
        self.elementwise(place, &self.f.tokens, 4 * self.hidden_bytes())
    }

    // The ends.

    fn embedding(&self) -> Vec<Operator> {
        let tokens = &self.f.tokens;
        let place = Place::new("token embedding", EMBEDDING, At::Start);
        let looked_up = self.constant(2 * ACTIVATION * self.model.hidden_size);
        let mut all = vec![self.elementwise(place, tokens, looked_up)];
        // The vocabulary is split, so the looked-up rows are added over the ranks of a replica.
        let place = Place::new("all-reduce of embeddings", COMM, At::Start);
        all.push(self.all_reduce(place, tokens, &self.attn_tp));
        if self.fusion.joined > 0 {
            let hidden = self.model.hidden_size;
            let place = Place::new("fusion of hidden states", PROJECTIONS, At::Start);
            let sizes =
                [tokens, &self.constant(hidden), &self.constant(self.fusion.joined * hidden)];
            all.extend(self.gemm(place, sizes, Part::LmHead));
        }
        all
    }

    /// LM head with sampling, and its collectives.
    fn logits(&self) -> Vec<Operator> {
        let (model, tp, f) = (self.model, &self.knobs.tp_size, self.f);
        let rows = piecewise([(self.one_replica.clone(), &f.logit_rows)], &f.sum_logit_rows);
        let place = |name, part| Place::new(name, part, At::End);
        let hidden = self.constant(model.hidden_size);
        let gather = self.all_gather(
            place("all-gather of last hidden states", COMM),
            (&rows, self.hidden_bytes()),
            tp,
        );
        let mut all = vec![self.only_if(&self.one_replica.not(), gather)];
        let sizes = [&rows, &(model.vocab_size / tp), &hidden];
        all.extend(self.gemm(place("LM head", LOGITS), sizes, Part::LmHead));
        let logit_bytes = self.constant(ACTIVATION * model.vocab_size);
        all.push(self.all_gather(place("all-gather of logits", COMM), (&rows, logit_bytes), tp));
        let moved = self.constant(SAMPLING_BYTES * model.vocab_size);
        all.push(self.elementwise(place("sampling", LOGITS), &f.logit_rows, moved));
        all
    }

    // FFNs.

    fn dense_layer(&self) -> Vec<Operator> {
        let inner = self.constant(self.model.intermediate_size);
        let names = ["gate and up projection", "activation", "down projection"];
        if self.dense_alone {
            // Every rank has the whole FFN and serves its own tokens.
            let rows = ceil_div(&self.f.tokens, &self.attn_tp);
            let mut all = self.own_tokens(At::Dense);
            all.extend(self.gated_ffn(names, At::Dense, &rows, &inner));
            all.extend(self.all_tokens(At::Dense));
            return all;
        }
        let mut all = self.gather(At::Dense);
        let inner = inner / &self.knobs.tp_size;
        all.extend(self.gated_ffn(names, At::Dense, &self.gathered, &inner));
        all.extend(self.scatter(At::Dense));
        all
    }

    fn sparse_layer(&self, moe: &Moe) -> Vec<Operator> {
        let mut all =
            if self.all_to_all { self.own_tokens(At::Sparse) } else { self.gather(At::Sparse) };
        all.extend(self.routed(moe));
        if moe.shared_intermediate_size > 0 {
            // Under an all-to-all every rank has them whole and serves its own tokens.
            let (rows, ranks) = if self.all_to_all {
                (ceil_div(&self.f.tokens, &self.attn_tp), self.constant(1))
            } else {
                (self.gathered.clone(), self.knobs.tp_size.clone())
            };
            let inner = moe.shared_intermediate_size / ranks;
            let names = [
                "shared experts, gate and up",
                "activation of shared experts",
                "shared experts, down",
            ];
            all.extend(self.gated_ffn(names, At::Sparse, &rows, &inner));
        }
        all.extend(if self.all_to_all {
            self.all_tokens(At::Sparse)
        } else {
            self.scatter(At::Sparse)
        });
        all
    }

    /// Gate and up in one product, activation, down.
    fn gated_ffn(
        &self,
        [up, activation, down]: [&'static str; 3],
        at: At,
        rows: &Expr,
        inner: &Expr,
    ) -> Vec<Operator> {
        let hidden = self.constant(self.model.hidden_size);
        let part = Part::DenseFfn; // Shared experts have its format.
        let mut all: Vec<Operator> =
            self.gemm(Place::new(up, FFN, at), [rows, &(2 * inner), &hidden], part).collect();
        let place = Place::new(activation, ELEMENTWISE, at);
        all.push(self.elementwise(place, rows, 3 * ACTIVATION * inner));
        all.extend(self.gemm(Place::new(down, FFN, at), [rows, &hidden, inner], part));
        all
    }

    /// Router and routed experts of one layer, with the exchange between them.
    fn routed(&self, moe: &Moe) -> Vec<Operator> {
        let f = self.f;
        let (tokens, routed_here) = if self.all_to_all {
            (&f.sum_tokens, &f.tokens)
        } else {
            (&self.gathered, &self.gathered)
        };
        let place = |name, part| Place::new(name, part, At::Sparse);
        let hidden = self.constant(self.model.hidden_size);
        let sizes = [routed_here, &self.constant(moe.num_experts), &hidden];
        let mut all: Vec<Operator> =
            self.gemm(place("router", EXPERTS), sizes, Part::Router).collect();
        let (format, bytes_per_input) = match moe.expert_weights {
            Dtype::Fp4 | Dtype::Mxfp4 if !self.on.supports(Precision::Fp4) => {
                (MatrixFormat::Fp4, f64::from(ACTIVATION)) // widened inside the kernel
            }
            weights => self.computed_in(weights),
        };
        let ep_size = &self.knobs.ep_size;
        let experts = Experts {
            tokens: tokens.clone(),
            tokens_here: if self.all_to_all {
                // Those of which at least one expert is here.
                tokens * (1 - pow(1 - 1 / ep_size, moe.top_k))
            } else {
                tokens.clone()
            },
            num_experts: moe.num_experts,
            top_k: moe.top_k,
            hidden_size: self.model.hidden_size,
            intermediate_size: moe.moe_intermediate_size,
            tp_size: self.knobs.moe_tp_size(),
            ep_size: ep_size.clone(),
            routing: Routing::Uniform,
            low_latency: self.all_to_all.then(|| f.extend_tokens.le(0)),
            format,
            bytes_per_weight: moe.expert_weights.bytes(),
            bytes_per_input,
        };
        let experts = self.experts(place("routed experts", EXPERTS), &experts);
        if !self.all_to_all {
            all.push(experts);
            return all;
        }
        // Sent in fp8 with a scale of 4 B per 128 values, back in 16 bits.
        let hidden = self.model.hidden_size;
        let send = |name, bytes_per_row, combine| {
            let call = AllToAll {
                rows: ceil_div(&f.tokens, &self.attn_tp),
                bytes_per_row,
                num_experts: moe.num_experts,
                top_k: moe.top_k,
                group: self.knobs.ep_size.clone(),
                combine,
                low_latency: f.extend_tokens.le(0),
            };
            self.all_to_all(place(name, COMM), &call)
        };
        let sent = self.constant(hidden + hidden.div_ceil(128) * 4);
        let dispatch = send("dispatch", sent, false);
        let combine = send("combine", self.hidden_bytes(), true);
        all.extend([dispatch, experts, combine]);
        all
    }

    // Collectives around the FFN of a layer.

    /// After attention: the sum over the ranks, gathered over the replicas.
    fn gather(&self, at: At) -> Vec<Operator> {
        let (f, tp) = (self.f, &self.knobs.tp_size);
        let place = |name| Place::new(name, COMM, at);
        let plain = self.all_reduce(place("all-reduce after attention"), &f.tokens, tp);
        let reduced =
            self.reduce_scatter(place("reduce-scatter in a replica"), &f.tokens, &self.attn_tp);
        let padded = (&self.gathered, self.hidden_bytes());
        let gathered = self.all_gather(place("all-gather over replicas"), padded, tp);
        let summed = self.all_reduce(place("gather by all-reduce"), &self.gathered, tp);
        let replicas = self.one_replica.not();
        vec![
            self.only_if(&self.one_replica, plain),
            self.only_if(&replicas, reduced),
            self.only_if(&replicas.and(&self.max_len), gathered),
            self.only_if(&replicas.and(&self.max_len.not()), summed),
        ]
    }

    /// After the FFN: the sum over the ranks, back to the replicas.
    fn scatter(&self, at: At) -> Vec<Operator> {
        let (f, tp) = (self.f, &self.knobs.tp_size);
        let place = |name| Place::new(name, COMM, at);
        let plain = self.all_reduce(place("all-reduce after FFN"), &f.tokens, tp);
        let scattered =
            self.reduce_scatter(place("reduce-scatter to replicas"), &self.gathered, tp);
        let own = (&f.tokens, self.hidden_bytes());
        let gathered = self.all_gather(place("all-gather in a replica"), own, &self.attn_tp);
        let summed = self.all_reduce(place("all-reduce over replicas"), &self.gathered, tp);
        let replicas = self.one_replica.not();
        let max_len = replicas.and(&self.max_len);
        vec![
            self.only_if(&self.one_replica, plain),
            self.only_if(&max_len, scattered),
            self.only_if(&max_len, gathered),
            self.only_if(&replicas.and(&self.max_len.not()), summed),
        ]
    }

    /// After attention: each rank is left with its share of the replica's tokens.
    fn own_tokens(&self, at: At) -> Vec<Operator> {
        let place = Place::new("reduce-scatter in a replica", COMM, at);
        vec![self.reduce_scatter(place, &self.f.tokens, &self.attn_tp)]
    }

    /// Before the next attention: all of the replica's tokens again.
    fn all_tokens(&self, at: At) -> Vec<Operator> {
        let place = Place::new("all-gather in a replica", COMM, at);
        vec![self.all_gather(place, (&self.f.tokens, self.hidden_bytes()), &self.attn_tp)]
    }
}

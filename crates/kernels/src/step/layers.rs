//! Which kernels a step launches, and how often.

use std::ops::Add;

use sglsim_expr::{Expr, ceil_div, max, min, piecewise};
use sglsim_hw::Precision;
use sglsim_model::{Attention, Dtype, Gqa, Mla, ModelShape, Moe, Part};

use super::Knobs;
use super::work::Work;
use crate::features::Features;
use crate::operator::attention::{DecodeAttention, PrefillAttention};
use crate::operator::collective::{AllGather, AllReduce, AllToAll, ReduceScatter};
use crate::operator::elementwise::Elementwise;
use crate::operator::gemm::Gemm;
use crate::operator::moe::Experts;
use crate::operator::{MatrixFormat, present};
use crate::{Hardware, LawSet, MoeA2aBackend, ParallelPlan};

/// Size of an activation \[B\].
const ACTIVATION: u32 = 2;

/// Bytes that sampling moves per logit: 16-bit logits become 32-bit probabilities, which are
/// normalised and read once more \[B\]. Assumed.
const SAMPLING_BYTES: u32 = 18;

/// One step of a model on one rank.
pub(super) struct Layers<'a> {
    model: &'a ModelShape,
    laws: &'a LawSet,
    on: &'a Hardware,
    f: &'a Features,
    knobs: &'a Knobs,
    all_to_all: bool,
    attn_tp: Expr,
    /// Query heads of this rank.
    heads: Expr,
    /// Whether this worker has one attention replica.
    one_replica: Expr,
    /// Whether the gathered buffer is padded to the longest rank (`DpPaddingMode.MAX_LEN`).
    max_len: Expr,
    /// Tokens of all attention replicas together, as the FFNs see them.
    gathered: Expr,
}

impl<'a> Layers<'a> {
    pub(super) fn new(
        model: &'a ModelShape,
        laws: &'a LawSet,
        on: &'a Hardware,
        f: &'a Features,
        knobs: &'a Knobs,
        plan: &ParallelPlan,
    ) -> Self {
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
            model,
            laws,
            on,
            f,
            knobs,
            attn_tp,
            one_replica,
            max_len,
            gathered,
        }
    }

    /// The device's work by part, with names and descriptions.
    pub(super) fn work(&self) -> Vec<(&'static str, &'static str, Work)> {
        let model = self.model;
        let (layers, dense, sparse) = (model.layers, model.dense_layers(), model.moe_layers());
        let (projections, attention, rotary) = match &model.attention {
            Attention::Gqa(gqa) => self.gqa(gqa),
            Attention::Mla(mla) => self.mla(mla),
        };
        // Two norms per layer, each fused with the residual sum, and the last one.
        let norms = self.norm(&self.f.tokens).times(2 * layers + 1);
        let mut elementwise = norms + rotary.times(layers);
        let mut ffn = Vec::new();
        let mut experts = Vec::new();
        let mut comm = vec![self.embedding_collective()];
        if dense > 0 {
            let inner = model.intermediate_size / &self.knobs.tp_size;
            let (gemms, activation) = self.gated_ffn(&self.gathered, &inner);
            ffn.push(gemms.times(dense));
            elementwise = elementwise + activation.times(dense);
            comm.push((self.gather() + self.scatter()).times(dense));
        }
        if let (Some(moe), true) = (&model.moe, sparse > 0) {
            experts.push(self.routed(moe).times(sparse));
            if moe.shared_intermediate_size > 0 {
                let (rows, ranks) = self.shared_rows();
                let inner = moe.shared_intermediate_size / ranks;
                let (gemms, activation) = self.gated_ffn(&rows, &inner);
                ffn.push(gemms.times(sparse));
                elementwise = elementwise + activation.times(sparse);
            }
            let exchange = if self.all_to_all {
                self.expert_exchange(moe)
            } else {
                self.gather() + self.scatter()
            };
            comm.push(exchange.times(sparse));
        }
        let (logits, logits_comm) = self.logits();
        comm.push(logits_comm);

        let mut parts = vec![
            ("t_embedding", "token embedding", self.embedding()),
            ("t_projections", "projections around attention", projections.times(layers)),
            ("t_attention", "attention", attention),
            ("t_elementwise", "norms, rotary embedding, activations", elementwise),
        ];
        let mut push = |name, doc, works: Vec<Work>| {
            parts.extend(works.into_iter().reduce(Work::add).map(|work| (name, doc, work)));
        };
        push("t_ffn", "dense FFNs and shared experts", ffn);
        push("t_experts", "router and routed experts", experts);
        push("t_comm", "collectives inside the worker", comm);
        push("t_logits", "LM head and sampling", vec![logits]);
        parts
    }

    /// Host time of a step \[s\].
    pub(super) fn host(&self, launches: &Expr) -> Expr {
        let (f, theta) = (self.f, &self.on.theta.host);
        present(&f.tokens) * &theta.step_latency
            + (&f.extend_seqs + &f.decode_seqs) * &theta.sequence_latency
            + &f.eager * present(&f.tokens) * launches * &theta.launch_latency
    }

    // Attention.

    /// Per layer projections and rotary embedding, and attention of all layers.
    fn gqa(&self, gqa: &Gqa) -> (Work, Work, Work) {
        let f = self.f;
        let head_dim = gqa.head_dim;
        // Fewer key-value heads than ranks are replicated.
        let kv_heads = max(1, gqa.kv_heads / &self.attn_tp);
        let hidden = self.constant(self.model.hidden_size);
        let width = (&self.heads + 2 * &kv_heads) * head_dim;
        let qkv = self.gemm(&f.tokens, &width, &hidden, Part::Attention);
        let output = self.gemm(&f.tokens, &hidden, &(&self.heads * head_dim), Part::Attention);

        let kv_bytes = &kv_heads * (2 * head_dim) * self.model.kv_cache.bytes();
        let rotated = (&self.heads + &kv_heads) * (2 * ACTIVATION * head_dim);
        let mut rotary = self.elementwise(&f.tokens, &rotated + &kv_bytes);
        if gqa.qk_norm {
            rotary = rotary + self.elementwise(&f.tokens, rotated);
        }

        let call = |window: Option<u32>| {
            let limit = |tokens: &Expr, count: &Expr| match window {
                Some(window) => min(tokens, count * window),
                None => tokens.clone(),
            };
            let prefill = PrefillAttention {
                pairs: limit(&f.extend_pairs, &f.extend_tokens),
                tokens: f.extend_tokens.clone(),
                prefix: limit(&f.extend_prefix, &f.extend_seqs),
                heads: self.heads.clone(),
                head_dims: (head_dim, head_dim),
                kv_bytes_per_token: kv_bytes.clone(),
                kv_precision: self.kv_precision(),
                latent: false,
            };
            let decode = DecodeAttention {
                seqs: f.decode_padded.clone(),
                context: limit(&f.decode_context, &f.decode_padded),
                query_tokens: f.query_tokens.clone(),
                heads: self.heads.clone(),
                head_dims: (head_dim, head_dim),
                kv_bytes_per_token: kv_bytes.clone(),
                kv_precision: self.kv_precision(),
                latent: false,
            };
            self.side_by_side(self.prefill_attention(&prefill), self.decode_attention(&decode))
        };
        let windowed = gqa.sliding_window.map_or(0, |sliding| sliding.layers);
        let mut attention = call(None).times(self.model.layers - windowed);
        if let Some(sliding) = gqa.sliding_window {
            attention = attention + call(Some(sliding.window)).times(sliding.layers);
        }
        (qkv + output, attention, rotary)
    }

    /// As [`Layers::gqa`], for latent attention: multi-head form for extending sequences, whose
    /// prefix is expanded again, and absorbed form for decoding ones.
    ///
    /// Source: SGLang 0.5.23, `models/deepseek_v2.py`, `attention_backends` "fa3"; DeepSeek-V2
    /// (arXiv:2405.04434), section 2.1 and appendix C.
    fn mla(&self, mla: &Mla) -> (Work, Work, Work) {
        let f = self.f;
        let (latent, rope) = (mla.kv_lora_rank, mla.qk_rope_head_dim);
        let (nope, value) = (mla.qk_nope_head_dim, mla.v_head_dim);
        let hidden = self.constant(self.model.hidden_size);
        let heads = &self.heads;
        let gemm = |m: &Expr, n: &Expr, k: &Expr| self.gemm(m, n, k, Part::Attention);

        let queries = heads * (nope + rope);
        let down = |width: u32| gemm(&f.tokens, &self.constant(width), &hidden);
        let (query_width, into) = match mla.q_lora_rank {
            Some(rank) => {
                (rank, down(rank + latent + rope) + gemm(&f.tokens, &queries, &self.constant(rank)))
            }
            None => (0, down(latent + rope) + gemm(&f.tokens, &queries, &hidden)),
        };
        let output = gemm(&f.tokens, &hidden, &(heads * value));

        let norm_bytes = 2 * ACTIVATION * (query_width + latent);
        let cached = f64::from(latent + rope) * self.model.kv_cache.bytes();
        let rotated = (heads + 1) * (2 * ACTIVATION * rope);
        let rotary = self.elementwise(&f.tokens, self.constant(norm_bytes))
            + self.elementwise(&f.tokens, rotated + cached);

        let expanded = &f.extend_tokens + &f.extend_prefix;
        let expand = gemm(&expanded, &(heads * (nope + value)), &self.constant(latent));
        let prefill = PrefillAttention {
            pairs: f.extend_pairs.clone(),
            tokens: f.extend_tokens.clone(),
            prefix: f.extend_prefix.clone(),
            heads: heads.clone(),
            head_dims: (nope + rope, value),
            kv_bytes_per_token: heads * (ACTIVATION * (nope + rope + value)),
            kv_precision: self.kv_precision(),
            latent: true,
        };
        let extend = expand + self.prefill_attention(&prefill);

        let rows = &f.decode_padded * &f.query_tokens;
        let absorb = |n: u32, k: u32| gemm(&rows, &(heads * n), &self.constant(k));
        let decode = DecodeAttention {
            seqs: f.decode_padded.clone(),
            context: f.decode_context.clone(),
            query_tokens: f.query_tokens.clone(),
            heads: heads.clone(),
            head_dims: (latent + rope, latent),
            kv_bytes_per_token: self.constant(0) + cached,
            kv_precision: self.kv_precision(),
            latent: true,
        };
        let decode = absorb(latent, nope) + self.decode_attention(&decode) + absorb(value, latent);

        (into + output, self.side_by_side(extend, decode).times(self.model.layers), rotary)
    }

    /// Attention of a step: the ranks of one replica do both parts one after the other; with
    /// several replicas a rank does one of them, and all wait for the slowest.
    fn side_by_side(&self, extend: Work, decode: Work) -> Work {
        extend.either(decode, |extend, decode| {
            piecewise([(self.one_replica.clone(), &extend + &decode)], max(extend, decode))
        })
    }

    // FFNs.

    /// Gate and up, activation, down; the last two apart from the activation.
    fn gated_ffn(&self, rows: &Expr, inner: &Expr) -> (Work, Work) {
        let hidden = self.constant(self.model.hidden_size);
        let part = Part::DenseFfn; // Shared experts have its format.
        let gemms =
            self.gemm(rows, &(2 * inner), &hidden, part) + self.gemm(rows, &hidden, inner, part);
        (gemms, self.elementwise(rows, 3 * ACTIVATION * inner))
    }

    /// Router and routed experts of one layer.
    fn routed(&self, moe: &Moe) -> Work {
        let tokens = if self.all_to_all { &self.f.sum_tokens } else { &self.gathered };
        let routed_here = if self.all_to_all { &self.f.tokens } else { &self.gathered };
        let (format, bytes_per_input) = self.computed_in(moe.expert_weights);
        let experts = Experts {
            tokens: tokens.clone(),
            num_experts: moe.num_experts,
            top_k: moe.top_k,
            hidden_size: self.model.hidden_size,
            intermediate_size: moe.moe_intermediate_size / self.knobs.moe_tp_size(),
            ep_size: self.knobs.ep_size.clone(),
            format,
            bytes_per_weight: moe.expert_weights.bytes(),
            bytes_per_input,
        };
        let hidden = self.constant(self.model.hidden_size);
        self.gemm(routed_here, &self.constant(moe.num_experts), &hidden, Part::Router)
            + Work::kernel(self.laws.experts.time(&experts, self.on))
    }

    /// Rows of the shared experts on this rank, and over how many ranks their weights are split:
    /// under an all-to-all every rank has them whole and serves its own tokens.
    fn shared_rows(&self) -> (Expr, Expr) {
        if self.all_to_all {
            (ceil_div(&self.f.tokens, &self.attn_tp), self.constant(1))
        } else {
            (self.gathered.clone(), self.knobs.tp_size.clone())
        }
    }

    // Embedding and LM head.

    fn embedding(&self) -> Work {
        self.elementwise(&self.f.tokens, self.constant(2 * ACTIVATION * self.model.hidden_size))
    }

    /// The vocabulary is split, so the looked-up rows are added over the ranks of a replica.
    fn embedding_collective(&self) -> Work {
        self.all_reduce(&self.f.tokens, &self.attn_tp)
    }

    /// LM head with sampling, and its collectives.
    fn logits(&self) -> (Work, Work) {
        let (model, tp) = (self.model, &self.knobs.tp_size);
        let rows =
            piecewise([(self.one_replica.clone(), &self.f.logit_rows)], &self.f.sum_logit_rows);
        let hidden = self.constant(model.hidden_size);
        let head = self.gemm(&rows, &(model.vocab_size / tp), &hidden, Part::LmHead);
        let sampling =
            self.elementwise(&self.f.logit_rows, self.constant(SAMPLING_BYTES * model.vocab_size));
        let gather = |bytes: u32| {
            let bytes_per_row = self.constant(bytes);
            AllGather { rows: rows.clone(), bytes_per_row, group: tp.clone() }
        };
        let time = |call| self.laws.all_gather.time(&call, self.on);
        let hidden_states = piecewise(
            [(self.one_replica.clone(), self.constant(0))],
            time(gather(ACTIVATION * model.hidden_size)),
        );
        let logits = time(gather(ACTIVATION * model.vocab_size));
        (head + sampling, Work::collective(hidden_states + logits))
    }

    // Collectives around a layer's two halves.

    /// After attention: the sum over the ranks, gathered over the replicas.
    fn gather(&self) -> Work {
        let (f, tp) = (self.f, &self.knobs.tp_size);
        let plain = self.all_reduce(&f.tokens, tp).time;
        let reduced = self.reduce_scatter(&f.tokens, &self.attn_tp).time;
        let spread = piecewise(
            [(self.max_len.clone(), self.all_gather(&self.gathered, tp).time)],
            self.all_reduce(&self.gathered, tp).time,
        );
        Work::collective(piecewise([(self.one_replica.clone(), plain)], reduced + spread))
    }

    /// After the FFN: the sum over the ranks, back to the replicas.
    fn scatter(&self) -> Work {
        let (f, tp) = (self.f, &self.knobs.tp_size);
        let plain = self.all_reduce(&f.tokens, tp).time;
        let max_len = self.reduce_scatter(&self.gathered, tp).time
            + self.all_gather(&f.tokens, &self.attn_tp).time;
        let sum_len = self.all_reduce(&self.gathered, tp).time;
        Work::collective(piecewise(
            [(self.one_replica.clone(), plain), (self.max_len.clone(), max_len)],
            sum_len,
        ))
    }

    /// Around the experts under an all-to-all: tokens are split over the ranks of a replica, sent in
    /// fp8 with a scale per 128 values, come back in 16 bits, and are gathered again.
    fn expert_exchange(&self, moe: &Moe) -> Work {
        let tokens = &self.f.tokens;
        let hidden = self.model.hidden_size;
        let send = |bytes_per_row: Expr| {
            let call = AllToAll {
                rows: ceil_div(tokens, &self.attn_tp),
                bytes_per_row,
                top_k: moe.top_k,
                group: self.knobs.ep_size.clone(),
                low_latency: self.f.extend_tokens.le(0),
            };
            Work::collective(self.laws.all_to_all.time(&call, self.on))
        };
        self.reduce_scatter(tokens, &self.attn_tp)
            + send(self.constant(hidden + hidden.div_ceil(128) * 4))
            + send(self.constant(ACTIVATION * hidden))
            + self.all_gather(tokens, &self.attn_tp)
    }

    // Single calls.

    fn constant(&self, value: u32) -> Expr {
        self.heads.context().constant(value)
    }

    fn hidden_bytes(&self) -> Expr {
        self.constant(ACTIVATION * self.model.hidden_size)
    }

    fn all_reduce(&self, rows: &Expr, group: &Expr) -> Work {
        let call = AllReduce {
            rows: rows.clone(),
            bytes_per_row: self.hidden_bytes(),
            group: group.clone(),
        };
        Work::collective(self.laws.all_reduce.time(&call, self.on))
    }

    fn all_gather(&self, rows: &Expr, group: &Expr) -> Work {
        let call = AllGather {
            rows: rows.clone(),
            bytes_per_row: self.hidden_bytes(),
            group: group.clone(),
        };
        Work::collective(self.laws.all_gather.time(&call, self.on))
    }

    fn reduce_scatter(&self, rows: &Expr, group: &Expr) -> Work {
        let call = ReduceScatter {
            rows: rows.clone(),
            bytes_per_row: self.hidden_bytes(),
            group: group.clone(),
        };
        Work::collective(self.laws.reduce_scatter.time(&call, self.on))
    }

    fn elementwise(&self, rows: &Expr, bytes_per_row: Expr) -> Work {
        let call = Elementwise { rows: rows.clone(), bytes_per_row };
        Work::kernel(self.laws.elementwise.time(&call, self.on))
    }

    fn kv_precision(&self) -> Precision {
        match self.model.kv_cache {
            Dtype::Bf16 | Dtype::Fp16 => Precision::Bf16,
            _ => Precision::Fp8,
        }
    }

    fn prefill_attention(&self, call: &PrefillAttention) -> Work {
        Work::kernel(self.laws.prefill_attention.time(call, self.on))
    }

    fn decode_attention(&self, call: &DecodeAttention) -> Work {
        Work::kernel(self.laws.decode_attention.time(call, self.on))
    }

    fn norm(&self, rows: &Expr) -> Work {
        // Reads the layer's output and the residual, writes the sum and its norm.
        self.elementwise(rows, 4 * self.hidden_bytes())
    }

    /// A dense GEMM with weights of `part`, and the kernel that quantises its input if it has one.
    fn gemm(&self, m: &Expr, n: &Expr, k: &Expr, part: Part) -> Work {
        let weights = self.model.dtype(part);
        let (format, bytes_per_input) = self.computed_in(weights);
        let call = Gemm {
            m: m.clone(),
            n: n.clone(),
            k: k.clone(),
            format,
            bytes_per_weight: weights.bytes(),
            bytes_per_input,
        };
        let gemm = Work::kernel(self.laws.gemm.time(&call, self.on));
        if bytes_per_input < f64::from(ACTIVATION) {
            self.elementwise(m, k * (f64::from(ACTIVATION) + bytes_per_input)) + gemm
        } else {
            gemm
        }
    }

    /// Format in which products with such weights are computed, and the size of an input in it \[B\].
    ///
    /// 4-bit integers are always widened, as are formats that the GPU has no matrix units for.
    fn computed_in(&self, weights: Dtype) -> (MatrixFormat, f64) {
        let (native, bytes) = match weights {
            Dtype::Fp8 => (MatrixFormat::Fp8, 1.0),
            Dtype::Int8 => (MatrixFormat::Int8, 1.0),
            Dtype::Int4 => (MatrixFormat::Int4, 2.0),
            Dtype::Fp4 | Dtype::Mxfp4 => (MatrixFormat::Fp4, weights.bytes()),
            _ => (MatrixFormat::Bf16, 2.0),
        };
        if self.on.supports(native.precision()) {
            (native, bytes)
        } else {
            (MatrixFormat::Bf16, 2.0)
        }
    }
}

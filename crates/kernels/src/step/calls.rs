//! Single calls: a law's time of one kernel, and what the datasheet would allow it.

use sglsim_expr::{Expr, max, min, piecewise};
use sglsim_hw::Precision;
use sglsim_model::{Attention, Dtype, Part};

use super::layers::Layers;
use super::operators::{At, COMM, Operator, Phase, Roofline};
use crate::operator::attention::{DecodeAttention, PrefillAttention};
use crate::operator::collective::{AllGather, AllReduce, AllToAll, ReduceScatter};
use crate::operator::elementwise::Elementwise;
use crate::operator::gemm::Gemm;
use crate::operator::moe::Experts;
use crate::operator::{MatrixFormat, OperatorLaw, present};

/// Size of an activation \[B\].
pub(super) const ACTIVATION: u32 = 2;

/// What an operator is called, and where it runs.
#[derive(Clone, Copy, Debug)]
pub(super) struct Place {
    pub(super) name: &'static str,
    pub(super) part: &'static str,
    pub(super) at: At,
    pub(super) phase: Phase,
}

impl Place {
    pub(super) fn new(name: &'static str, part: &'static str, at: At) -> Self {
        Self { name, part, at, phase: Phase::Both }
    }

    pub(super) fn phase(self, phase: Phase) -> Self {
        Self { phase, ..self }
    }
}

impl Layers<'_> {
    fn call<Call>(
        &self,
        place: Place,
        law: &dyn OperatorLaw<Call>,
        call: &Call,
        roofline: Roofline,
    ) -> Operator {
        Operator {
            name: place.name,
            part: place.part,
            kernel: law.name().to_owned(),
            calls: place.at.count(self.model),
            time: law.time(call, self.on),
            roofline,
            at: place.at,
            phase: place.phase,
            launches: self.launches(place),
        }
    }

    /// Kernels that the host launches for a call \[1\]: no collective where there is one rank.
    fn launches(&self, place: Place) -> Expr {
        if place.part == COMM { present(&(&self.knobs.tp_size - 1)) } else { self.constant(1) }
    }

    pub(super) fn constant(&self, value: u32) -> Expr {
        self.heads.context().constant(value)
    }

    pub(super) fn hidden_bytes(&self) -> Expr {
        self.constant(ACTIVATION * self.model.hidden_size)
    }

    /// Kernels bound by arithmetic and by memory.
    fn on_device(&self, flops: Expr, precision: Precision, bytes: Expr) -> Roofline {
        Roofline {
            compute: flops / self.on.peak_flops(precision),
            memory: bytes / &self.on.hbm_bandwidth,
            communication: self.constant(0),
        }
    }

    /// A dense GEMM with weights of `part`; its law contains the quantisation of its input.
    pub(super) fn gemm(
        &self,
        place: Place,
        [m, n, k]: [&Expr; 3],
        part: Part,
    ) -> impl Iterator<Item = Operator> + use<> {
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
        let bytes = present(m) * call.weight_bytes() + m * call.bytes_per_row();
        let roofline = self.on_device(call.flops(), format.precision(), bytes);
        std::iter::once(self.call(place, &*self.laws.gemm, &call, roofline))
    }

    /// Format in which products with such weights are computed, and the size of an input in it \[B\].
    ///
    /// 4-bit integers are always widened, as are formats that the GPU has no matrix units for. The fp8
    /// weights of models with latent attention have a scale per block (DeepSeek-V3 and its kin).
    pub(super) fn computed_in(&self, weights: Dtype) -> (MatrixFormat, f64) {
        let (native, bytes) = match weights {
            Dtype::Fp8 if matches!(self.model.attention, Attention::Mla(_)) => {
                (MatrixFormat::Fp8Block, 1.0)
            }
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

    pub(super) fn elementwise(&self, place: Place, rows: &Expr, bytes_per_row: Expr) -> Operator {
        let roofline = self.on_device(self.constant(0), Precision::Bf16, rows * &bytes_per_row);
        let call = Elementwise { rows: rows.clone(), bytes_per_row };
        self.call(place, &*self.laws.elementwise, &call, roofline)
    }

    pub(super) fn prefill_attention(&self, place: Place, call: &PrefillAttention) -> Operator {
        let bytes = (&call.prefix + &call.tokens) * &call.kv_bytes_per_token
            + &call.tokens * call.query_bytes();
        let flops = &call.pairs * call.flops_per_pair();
        let roofline = self.on_device(flops, Precision::Bf16, bytes);
        self.call(place, &*self.laws.prefill_attention, call, roofline)
    }

    pub(super) fn decode_attention(&self, place: Place, call: &DecodeAttention) -> Operator {
        let bytes = &call.context * &call.kv_bytes_per_token
            + &call.seqs * &call.query_tokens * call.query_bytes();
        let flops = &call.query_tokens * &call.context * call.flops_per_pair();
        let roofline = self.on_device(flops, Precision::Bf16, bytes);
        self.call(place, &*self.laws.decode_attention, call, roofline)
    }

    pub(super) fn experts(&self, place: Place, call: &Experts) -> Operator {
        let (weights, rows) = (call.expert_weights(), call.rows());
        let flops = 2 * &weights * &rows;
        let ends = (call.bytes_per_input + f64::from(ACTIVATION)) * f64::from(call.hidden_size);
        let bytes = call.active_experts() * weights * call.bytes_per_weight + rows * ends;
        let roofline = self.on_device(flops, call.format.precision(), bytes);
        self.call(place, &*self.laws.experts, call, roofline)
    }

    pub(super) fn kv_precision(&self) -> Precision {
        match self.model.kv_cache {
            Dtype::Bf16 | Dtype::Fp16 => Precision::Bf16,
            _ => Precision::Fp8,
        }
    }

    // Collectives.

    /// `bytes` over the link of one GPU: inside a node, or over the node's NICs together.
    fn on_link(&self, bytes: Expr, group: &Expr) -> Roofline {
        let on = self.on;
        let rails = min(&on.scale_up_bandwidth, &on.gpus_per_node * &on.scale_out_bandwidth);
        let bandwidth = piecewise([(group.le(&on.gpus_per_node), &on.scale_up_bandwidth)], rails);
        self.at_bandwidth(bytes, &bandwidth)
    }

    fn at_bandwidth(&self, bytes: Expr, bandwidth: &Expr) -> Roofline {
        let nothing = self.constant(0);
        Roofline { compute: nothing.clone(), memory: nothing, communication: bytes / bandwidth }
    }

    pub(super) fn all_reduce(&self, place: Place, rows: &Expr, group: &Expr) -> Operator {
        let call = AllReduce {
            rows: rows.clone(),
            bytes_per_row: self.hidden_bytes(),
            group: group.clone(),
        };
        // A rank sends its share of the others' sums, or all of its own data once to a switch that
        // adds: no algorithm sends less than (n−1)/n of the data.
        let roofline = self.on_link(call.bytes() * ((group - 1) / group), group);
        self.call(place, &*self.laws.all_reduce, &call, roofline)
    }

    pub(super) fn all_gather(
        &self,
        place: Place,
        (rows, bytes_per_row): (&Expr, Expr),
        group: &Expr,
    ) -> Operator {
        let call = AllGather { rows: rows.clone(), bytes_per_row, group: group.clone() };
        let roofline = self.on_link(call.bytes() * ((group - 1) / group), group);
        self.call(place, &*self.laws.all_gather, &call, roofline)
    }

    pub(super) fn reduce_scatter(&self, place: Place, rows: &Expr, group: &Expr) -> Operator {
        let call = ReduceScatter {
            rows: rows.clone(),
            bytes_per_row: self.hidden_bytes(),
            group: group.clone(),
        };
        let roofline = self.on_link(call.bytes() * ((group - 1) / group), group);
        self.call(place, &*self.laws.reduce_scatter, &call, roofline)
    }

    pub(super) fn all_to_all(&self, place: Place, call: &AllToAll) -> Operator {
        let (n, g) = (&call.group, &self.on.gpus_per_node);
        let bytes = &call.rows * &call.bytes_per_row;
        // One copy of a token per rank, or per node, that has any of its experts.
        let hit = |of: &Expr| of * (1 - sglsim_expr::pow(1 - 1 / of, call.top_k));
        let nodes = max(n / g, 1);
        let inside = hit(n) * ((n - 1) / n) / &self.on.scale_up_bandwidth;
        let across = hit(&nodes) * ((n - min(n, g)) / n) / &self.on.scale_out_bandwidth;
        let nothing = self.constant(0);
        let roofline = Roofline {
            compute: nothing.clone(),
            memory: nothing,
            communication: bytes * piecewise([(n.le(g), inside)], across),
        };
        self.call(place, &*self.laws.all_to_all, call, roofline)
    }

    /// An operator that runs only if `guard` holds.
    pub(super) fn only_if(&self, guard: &Expr, operator: Operator) -> Operator {
        let only = |value: &Expr| piecewise([(guard.clone(), value)], 0);
        Operator {
            time: only(&operator.time),
            launches: only(&operator.launches),
            roofline: Roofline {
                compute: only(&operator.roofline.compute),
                memory: only(&operator.roofline.memory),
                communication: only(&operator.roofline.communication),
            },
            ..operator
        }
    }
}

//! Pipeline stages: which layers each has, and how its result reaches the next.

use sglsim_expr::{Expr, ceil_div, floor_div, max, min, piecewise};
use sglsim_model::ModelShape;

use super::calls::Place;
use super::layers::Layers;
use super::operators::{At, COMM};
use crate::operator::present;

/// The two stages of which one is the slowest: the first has the embedding, and the last the LM head
/// and never fewer layers than those in between.
///
/// Every stage has `⌊layers / pp_size⌋` layers, and the last `layers mod pp_size` stages one more.
///
/// Source: SGLang 0.5.23, `distributed/utils.py:get_pp_indices`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Stage {
    First,
    Last,
}

impl Stage {
    /// How many places of a kind the stage has \[1\].
    ///
    /// Dense layers in front of the experts are in the first stages; windows, and experts in every
    /// n-th layer, are spread evenly.
    pub(crate) fn count(self, at: At, model: &ModelShape, pp_size: &Expr) -> Expr {
        let cx = pp_size.context();
        let (layers, all) = (model.layers, At::count(at, model));
        let here = self.layers(layers, pp_size);
        match at {
            At::Start => cx.constant(u32::from(self == Stage::First)),
            At::End => cx.constant(u32::from(self == Stage::Last)),
            At::Layer => here,
            At::Full | At::Windowed => here * all / layers,
            At::Dense => &here - self.sparse(model, pp_size),
            At::Sparse => self.sparse(model, pp_size),
        }
    }

    /// Layers of the stage \[1\].
    fn layers(self, layers: u32, pp_size: &Expr) -> Expr {
        match self {
            Stage::First => floor_div(layers, pp_size),
            Stage::Last => ceil_div(layers, pp_size),
        }
    }

    /// Layers of the stage that have experts \[1\].
    fn sparse(self, model: &ModelShape, pp_size: &Expr) -> Expr {
        let cx = pp_size.context();
        let Some(moe) = &model.moe else { return cx.constant(0) };
        let here = self.layers(model.layers, pp_size);
        let dense = moe.first_k_dense;
        let mixed = match self {
            Stage::First => max(0, &here - dense),
            Stage::Last => min(&here, model.layers - dense),
        };
        match model.layers - dense {
            0 => cx.constant(0),
            rest => mixed * model.moe_layers() / rest,
        }
    }
}

impl Layers<'_> {
    /// Time in which one stage hands its result to the next \[s\].
    ///
    /// # Formula
    ///
    /// ```text
    /// t = [tokens>0]·t₀ + tokens·2·hidden·2 B / attn_tp / (BW·η) + t_all_gather
    /// ```
    ///
    /// Hidden states and residual are sent, each rank of an attention replica a share of them, and
    /// are gathered on the other side. Over the fast link if the whole worker is on one node.
    ///
    /// # Source
    ///
    /// SGLang 0.5.23, `managers/scheduler_pp_mixin.py` and
    /// `distributed/parallel_state.py:send_tensor_dict`.
    pub(super) fn hand_over(&self) -> Expr {
        let (f, on, knobs, theta) = (self.f, self.on, self.knobs, &self.on.theta.nccl);
        let bytes_per_row: Expr = 2 * self.hidden_bytes();
        let one_node = (&knobs.tp_size * &knobs.pp_size).le(&on.gpus_per_node);
        let by_node =
            |inside: &Expr, across: &Expr| piecewise([(one_node.clone(), inside)], across);
        let bandwidth = by_node(&on.scale_up_bandwidth, &on.scale_out_bandwidth);
        let hop = by_node(&theta.hop_latency, &on.scale_out_latency);
        let place = Place::new("all-gather of a stage's input", COMM, At::Start);
        let gather = self.all_gather(place, (&f.tokens, bytes_per_row.clone()), &self.attn_tp);
        present(&f.tokens) * (&theta.latency + hop)
            + &f.tokens
                * (bytes_per_row / (&self.attn_tp * bandwidth * &theta.bandwidth_efficiency))
            + gather.time
    }
}

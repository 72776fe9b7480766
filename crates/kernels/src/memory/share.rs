//! What one GPU holds of a model: its share of the weights, and of a token's KV.

use sglsim_expr::{Expr, max, min};
use sglsim_model::{Attention, DraftShape, ModelShape, Part};

use crate::step::{At, Stage};
use crate::{Knobs, MoeA2aBackend, ParallelPlan};

/// Weights of one GPU \[B\], of all layers or of a pipeline stage.
///
/// Attention is split over the ranks of a replica and repeated per replica, key and value
/// projections at most over their heads; MLA's down projections are on every rank, and its up
/// projection is held twice, as the absorbed form needs it transposed. FFNs and LM head are split
/// over all ranks, the embedding over those of a replica; experts over `ep_size · moe_tp_size =
/// tp_size`. Routers and norms are everywhere. The first stage has the embedding and the last the LM
/// head, for which it holds a tied embedding once more.
pub(super) fn weight_bytes(
    model: &ModelShape,
    knobs: &Knobs,
    plan: &ParallelPlan,
    stage: Option<Stage>,
) -> Expr {
    weights(model, knobs, plan, stage, |part| {
        let tied = part == Part::LmHead && model.tie_word_embeddings && stage.is_some();
        model.weight_bytes(if tied { Part::Embedding } else { part }).get()
    })
}

/// Weights of a draft model on one GPU, beside those that it shares with its target \[B\]. The
/// projections in front of its layers are on every rank.
pub(super) fn draft_bytes(draft: &DraftShape, knobs: &Knobs, plan: &ParallelPlan) -> Expr {
    let own = |part| if draft.shares(part) { 0.0 } else { draft.shape.weight_bytes(part).get() };
    weights(&draft.shape, knobs, plan, None, own) + draft.fusion_bytes().get()
}

fn weights(
    model: &ModelShape,
    knobs: &Knobs,
    plan: &ParallelPlan,
    stage: Option<Stage>,
    part: impl Fn(Part) -> f64,
) -> Expr {
    let (tp, attn_tp) = (&knobs.tp_size, knobs.attn_tp_size());
    let constant = |bytes: f64| tp.context().constant(bytes);
    let on = |at: At, bytes: Expr| of_stage(at, bytes, model, knobs, stage);
    let per_weight = model.dtype(Part::Attention).bytes() * f64::from(model.layers);
    let hidden = f64::from(model.hidden_size);
    let attention = match &model.attention {
        Attention::Gqa(gqa) => {
            let kv = 2.0 * hidden * f64::from(gqa.kv_heads * gqa.head_dim) * per_weight;
            (part(Part::Attention) - kv) / &attn_tp + kv / min(&attn_tp, gqa.kv_heads)
        }
        Attention::Mla(mla) => {
            let latent = f64::from(mla.kv_lora_rank);
            let down = f64::from(mla.q_lora_rank.unwrap_or(0) + mla.qk_rope_head_dim) + latent;
            let heads = f64::from(model.num_attention_heads);
            let up = latent * heads * f64::from(mla.qk_nope_head_dim + mla.v_head_dim) * per_weight;
            let everywhere = hidden * down * per_weight;
            everywhere + (part(Part::Attention) - everywhere + up) / &attn_tp
        }
    };
    let shared = match plan.moe_a2a_backend {
        MoeA2aBackend::None => part(Part::SharedExperts) / tp,
        MoeA2aBackend::DeepEp => constant(part(Part::SharedExperts)),
    };
    let dense = match plan.moe_dense_tp_size {
        None => part(Part::DenseFfn) / tp,
        Some(_) => constant(part(Part::DenseFfn)),
    };
    on(At::Layer, attention)
        + on(At::Dense, dense)
        + on(At::Sparse, part(Part::Experts) / tp)
        + on(At::End, part(Part::LmHead) / tp)
        + on(At::Sparse, shared)
        + on(At::Start, part(Part::Embedding) / attn_tp)
        + on(At::Sparse, constant(part(Part::Router)))
        + on(At::Layer, constant(part(Part::Norms)))
}

/// What a stage has of something that all places `at` have together.
fn of_stage(at: At, whole: Expr, model: &ModelShape, knobs: &Knobs, stage: Option<Stage>) -> Expr {
    match (stage, at.count(model)) {
        (None, _) => whole,
        (Some(_), 0) => knobs.tp_size.context().constant(0),
        (Some(stage), all) => whole * (stage.count(at, model, &knobs.pp_size) / all),
    }
}

/// KV cache of a token on one rank, over all layers or those of a pipeline stage \[B\].
pub(super) fn cell_bytes(model: &ModelShape, knobs: &Knobs, stage: Option<Stage>) -> Expr {
    let element = model.kv_cache.bytes();
    let whole = match &model.attention {
        Attention::Gqa(gqa) => {
            let heads = max(1, gqa.kv_heads / knobs.attn_tp_size());
            heads * (f64::from(2 * gqa.head_dim * model.layers) * element)
        }
        // One latent head, on every rank.
        Attention::Mla(_) => knobs.tp_size.context().constant(model.kv_bytes_per_token().get()),
    };
    of_stage(At::Layer, whole, model, knobs, stage)
}

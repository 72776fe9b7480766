//! Parallel sizes as symbols, and what they must obey.

use sglsim_expr::{Constraint, Expr, all_of, floor_div};
use sglsim_model::{Attention, ModelShape};

use crate::scope::Scope;
use crate::{KernelError, MoeA2aBackend, ParallelPlan};

/// Parallel sizes as symbols.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Knobs {
    /// Tensor parallel ranks, the GPUs of one pipeline stage \[1\].
    pub tp_size: Expr,
    /// Attention replicas inside the worker \[1\].
    pub dp_size: Expr,
    /// Expert parallel ranks \[1\].
    pub ep_size: Expr,
    /// Pipeline stages \[1\].
    pub pp_size: Expr,
}

impl Knobs {
    pub(crate) fn declare(scope: &mut Scope<'_>, plan: &ParallelPlan) -> Result<Self, KernelError> {
        let mut knob = |name, doc, value| scope.knob(name, doc, value);
        Ok(Self {
            tp_size: knob(
                "tp_size",
                "tensor parallel ranks, the GPUs of one pipeline stage",
                plan.tp_size,
            )?,
            dp_size: knob("dp_size", "attention replicas inside the worker", plan.dp_size)?,
            ep_size: knob("ep_size", "expert parallel ranks", plan.ep_size)?,
            pp_size: knob("pp_size", "pipeline stages", plan.pp_size)?,
        })
    }

    /// Ranks that share one attention replica \[1\].
    #[must_use]
    pub fn attn_tp_size(&self) -> Expr {
        &self.tp_size / &self.dp_size
    }

    /// Ranks that share one expert \[1\].
    #[must_use]
    pub fn moe_tp_size(&self) -> Expr {
        &self.tp_size / &self.ep_size
    }
}

/// What the sizes must obey for the model: the rules of [`ParallelPlan::check`] as formulas.
pub(super) fn constraints(
    model: &ModelShape,
    plan: &ParallelPlan,
    knobs: &Knobs,
    scope: &Scope<'_>,
) -> Vec<Constraint> {
    let Knobs { tp_size, dp_size, ep_size, pp_size } = knobs;
    let divides = |a: &Expr, b: &Expr| (a * floor_div(b, a)).equals(b);
    let of = |count: u32| scope.cx.constant(count);
    let mut all = Vec::new();
    let mut must = |name: &str, doc: &str, holds: Expr| {
        all.push(Constraint { name: scope.name(name), doc: doc.to_owned(), holds });
    };
    must("dp_divides_tp", "tp_size is a multiple of dp_size", divides(dp_size, tp_size));
    must(
        "tp_divides_heads",
        "attention heads are a multiple of tp_size / dp_size",
        divides(tp_size, &(of(model.num_attention_heads) * dp_size)),
    );
    if let Attention::Gqa(gqa) = &model.attention {
        let (kv, attn_tp) = (of(gqa.kv_heads), knobs.attn_tp_size());
        must(
            "tp_divides_kv_heads",
            "key-value heads divide, or are divided by, tp_size / dp_size",
            divides(tp_size, &(&kv * dp_size)).or(&divides(&kv, &attn_tp)),
        );
    }
    if model.dense_layers() > 0 && plan.moe_dense_tp_size.is_none() {
        must(
            "tp_divides_ffn",
            "intermediate_size is a multiple of tp_size",
            divides(tp_size, &of(model.intermediate_size)),
        );
    }
    match &model.moe {
        None => must("ep_is_1", "there are no experts to spread", ep_size.equals(1)),
        Some(moe) => {
            must(
                "ep_divides_experts",
                "tp_size and the number of experts are multiples of ep_size",
                all_of([divides(ep_size, tp_size), divides(ep_size, &of(moe.num_experts))]),
            );
            must(
                "tp_divides_experts",
                "moe_intermediate_size is a multiple of tp_size / ep_size",
                divides(tp_size, &(moe.moe_intermediate_size * ep_size)),
            );
            if plan.moe_a2a_backend == MoeA2aBackend::DeepEp {
                must(
                    "ep_is_tp",
                    "DeepEP spreads the experts over all ranks",
                    ep_size.equals(tp_size),
                );
            }
        }
    }
    if plan.pp_size > 1 {
        must("stages_have_layers", "every stage has a layer", pp_size.le(model.layers));
    }
    all
}

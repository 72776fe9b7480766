//! One forward pass of a model over a batch: its operators, and what they add up to.

use sglsim_expr::Expr;

use super::layers::{Layers, Setting};
use super::operators::{At, Operator};
use super::pipeline::Stage;
use super::totals::{Totals, half, listed, overlapped};
use crate::features::Features;

/// A forward pass on one rank.
#[derive(Clone, Debug)]
pub(crate) struct Pass {
    /// Parts of the device's time over all pipeline stages, with names and descriptions \[s\].
    pub(crate) parts: Vec<(&'static str, &'static str, Expr)>,
    /// Kernels that the host launches without a CUDA graph, over all stages \[1\].
    pub(crate) launches: Expr,
    /// Device time and launches of the first and the last stage, if there are stages.
    pub(crate) stages: Vec<(Expr, Expr)>,
    /// What the pass is made of.
    pub(crate) operators: Vec<Operator>,
}

impl Pass {
    pub(crate) fn new(setting: Setting<'_>, features: &Features) -> Self {
        let layers = Layers::new(setting, features);
        let operators = layers.operators();
        let totals = Totals::new(&layers, &operators);
        if setting.plan.enable_two_batch_overlap {
            let half_features = half(features);
            let half_layers = Layers::new(setting, &half_features);
            let half_operators = half_layers.operators();
            let halves = Totals::new(&half_layers, &half_operators);
            let (parts, launches) = overlapped(&totals, &halves);
            let operators = listed(&totals, &halves);
            return Self { parts, launches, stages: Vec::new(), operators };
        }
        let whole = |at: At| layers.constant(at.count(setting.model));
        let mut parts = totals.parts(&whole);
        let launches = totals.launches(&whole);
        let mut stages = Vec::new();
        if setting.plan.pp_size > 1 {
            let pp_size = &setting.knobs.pp_size;
            let hand_over = layers.hand_over();
            for stage in [Stage::First, Stage::Last] {
                let counts = |at: At| stage.count(at, setting.model, pp_size);
                let time = totals.time(&counts) + &hand_over;
                stages.push((time, totals.launches(&counts)));
            }
            parts.push((
                "t_hand_over",
                "hidden states from stage to stage",
                (pp_size - 1) * hand_over,
            ));
        }
        Self { parts, launches, stages, operators }
    }

    /// Device time over all stages \[s\].
    pub(crate) fn time(&self) -> Expr {
        self.parts.iter().map(|(_, _, time)| time.clone()).sum()
    }
}

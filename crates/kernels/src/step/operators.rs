//! What a step is made of: kernels and collectives, and how often each runs.

use sglsim_expr::Expr;
use sglsim_model::ModelShape;

/// One kind of kernel or collective of a step.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Operator {
    /// What it does, such as `"qkv projection"`.
    pub name: &'static str,
    /// Name of the part of the step that it belongs to, such as `"t_projections"`.
    pub part: &'static str,
    /// Name of the law that tells its time.
    pub kernel: String,
    /// How often it runs in a step, over all layers \[1\].
    pub calls: u32,
    /// Time of one call on one rank \[s\].
    pub time: Expr,
    /// What the hardware allows at best.
    pub roofline: Roofline,
    pub(super) at: At,
    pub(super) phase: Phase,
    /// Kernels that the host launches for a call \[1\].
    pub(super) launches: Expr,
}

/// Least time of one call at the rates of the datasheet, resource by resource \[s\].
///
/// They overlap at best, so no kernel is faster than the greatest of them.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Roofline {
    /// Arithmetic at the peak rate of the matrix units.
    pub compute: Expr,
    /// Every byte once at the peak bandwidth of the device memory.
    pub memory: Expr,
    /// Every byte that must leave or reach the GPU at the peak bandwidth of its link.
    pub communication: Expr,
}

/// Where in the model an operator runs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum At {
    /// Before the first layer.
    Start,
    /// In every layer.
    Layer,
    /// In layers whose attention sees all of the context.
    Full,
    /// In layers whose attention sees a window.
    Windowed,
    /// In layers with a dense FFN.
    Dense,
    /// In layers with experts.
    Sparse,
    /// After the last layer.
    End,
}

impl At {
    pub(crate) const ALL: [At; 7] =
        [At::Start, At::Layer, At::Full, At::Windowed, At::Dense, At::Sparse, At::End];

    /// How many such places the model has.
    pub(crate) fn count(self, model: &ModelShape) -> u32 {
        match self {
            At::Start | At::End => 1,
            At::Layer => model.layers,
            At::Full => model.layers - model.windowed_layers(),
            At::Windowed => model.windowed_layers(),
            At::Dense => model.dense_layers(),
            At::Sparse => model.moe_layers(),
        }
    }
}

/// Which sequences an operator serves.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Phase {
    /// All of them.
    Both,
    /// Those that extend.
    Extend,
    /// Those that decode.
    Decode,
}

/// The parts of a step on the device, with their descriptions, in the order in which they are told.
pub(super) const PARTS: [(&str, &str); 8] = [
    ("t_embedding", "token embedding"),
    ("t_projections", "projections around attention"),
    ("t_attention", "attention"),
    ("t_elementwise", "norms, rotary embedding, activations"),
    ("t_ffn", "dense FFNs and shared experts"),
    ("t_experts", "router and routed experts"),
    ("t_comm", "collectives inside the worker"),
    ("t_logits", "LM head and sampling"),
];

pub(super) const EMBEDDING: &str = PARTS[0].0;
pub(super) const PROJECTIONS: &str = PARTS[1].0;
pub(super) const ATTENTION: &str = PARTS[2].0;
pub(super) const ELEMENTWISE: &str = PARTS[3].0;
pub(super) const FFN: &str = PARTS[4].0;
pub(super) const EXPERTS: &str = PARTS[5].0;
pub(super) const COMM: &str = PARTS[6].0;
pub(super) const LOGITS: &str = PARTS[7].0;

//! DeepEP: the exchange of tokens between expert-parallel ranks.

use sglsim_expr::{Expr, ln, max, max_of, min, piecewise, pow};

use super::AllToAllTheta;
use crate::Hardware;
use crate::operator::{OperatorLaw, present};

/// One direction of an expert exchange: dispatch or combine.
#[derive(Clone, Debug)]
pub struct AllToAll {
    /// Tokens that this rank owns \[token\].
    pub rows: Expr,
    /// Size of one copy of a token \[B\].
    pub bytes_per_row: Expr,
    /// Experts of the layer, over all ranks \[1\].
    pub num_experts: u32,
    /// Experts that a token goes to \[1\].
    pub top_k: u32,
    /// Ranks over which the experts are spread \[1\].
    pub group: Expr,
    /// Whether this is the way back, which adds up what the experts made.
    pub combine: bool,
    /// Whether the low-latency kernels are used (Boolean): pure decode.
    pub low_latency: Expr,
}

/// DeepEP's kernels: low-latency for pure decode, normal if any rank extends.
///
/// # Formula
///
/// With `n` ranks in `m = n/g ≥ 1` nodes of `g` GPUs, `k` of `E` experts per token, `R` rows of `b`
/// bytes, and `parts(x) = x·(1 − (1 − 1/x)^k)`, the distinct ones of `x` that `k` picks hit:
///
/// ```text
/// normal:      t = t₀ + log₂m·t_node + min(t_start, R·t_row)
///                + R·b·max( parts(n)·(n−1)/n / (BW_up·η),  parts(m)·(m−1)/m / (BW_out·η_out) )
/// low latency: t = t₀ + E·t_expert + [m>1]·t_out + log₂m·t_node
///                + R·b·k·max( (min(n,g)−1)/n / (BW_up·η),  (n−min(n,g))/n / (BW_out·η_out),
///                             1 / (E·BW_pair) )
/// ```
///
/// Normal kernels send a token once per node and, inside, once per rank; low-latency ones once per
/// expert, each by its own group of warps, which alone reach `BW_pair`.
///
/// # Source
///
/// DeepEP README and SGLang 0.5.23, `deepep_mode auto`, with DeepEP's default of 20 SMs; occupancy
/// derived for uniform routing.
#[derive(Clone, Copy, Debug)]
pub struct DeepEp;

impl OperatorLaw<AllToAll> for DeepEp {
    fn name(&self) -> &str {
        "deepep"
    }

    fn time(&self, call: &AllToAll, on: &Hardware) -> Expr {
        let theta = &on.theta;
        let own = if call.combine { &theta.all_to_all_combine } else { &theta.all_to_all_dispatch };
        let nodes = max(&call.group / &on.gpus_per_node, 1);
        let low_latency = Self::low_latency(call, own, &nodes, on);
        piecewise([(call.low_latency.clone(), low_latency)], Self::normal(call, own, &nodes, on))
    }
}

impl DeepEp {
    fn normal(call: &AllToAll, own: &AllToAllTheta, nodes: &Expr, on: &Hardware) -> Expr {
        let parts = |of: &Expr| (1 - pow(1 - 1 / of, call.top_k)) * (of - 1);
        let inside = parts(&call.group) / (&on.scale_up_bandwidth * &own.bandwidth_efficiency);
        let across = parts(nodes) / (&on.scale_out_bandwidth * &own.scale_out_efficiency);
        call.sends() * (&own.latency + doublings(nodes) * &own.node_latency)
            + call.accompanied()
                * min(present(&call.rows) * &own.start_latency, &call.rows * &own.row_latency)
            + &call.rows * &call.bytes_per_row * max(inside, across)
    }

    fn low_latency(call: &AllToAll, own: &AllToAllTheta, nodes: &Expr, on: &Hardware) -> Expr {
        let (n, k) = (&call.group, call.top_k);
        let near = min(n, &on.gpus_per_node);
        let up = &on.scale_up_bandwidth * &own.low_latency_efficiency;
        let out = &on.scale_out_bandwidth * &own.low_latency_scale_out_efficiency;
        let pair = k * call.accompanied() / (call.num_experts * &own.pair_bandwidth);
        let byte = max_of([k * (&near - 1) / (n * up), k * (n - &near) / (n * out), pair]);
        let far = piecewise([(n.gt(&on.gpus_per_node), &own.low_latency_scale_out)], 0);
        call.sends()
            * (&own.low_latency
                + call.num_experts * &own.low_latency_expert
                + far
                + doublings(nodes) * &own.low_latency_node)
            + &call.rows * &call.bytes_per_row * byte
    }
}

impl AllToAll {
    /// 1 if there is another rank, else 0.
    fn accompanied(&self) -> Expr {
        present(&(&self.group - 1))
    }

    /// 1 if there is something to send and someone to send it to, else 0.
    fn sends(&self) -> Expr {
        present(&self.rows) * self.accompanied()
    }
}

/// How often the number of nodes doubled.
fn doublings(nodes: &Expr) -> Expr {
    ln(nodes) / std::f64::consts::LN_2
}

//! What the ranks of a worker send each other.

use sglsim_expr::{Expr, ceil_div, max, min, piecewise, pow};

use super::{OperatorLaw, present};
use crate::Hardware;

mod coefficients;

pub use coefficients::{
    AllReduceCoefficients, AllReduceTheta, AllToAllCoefficients, AllToAllTheta, NcclCoefficients,
    NcclTheta,
};

macro_rules! collective {
    ($(#[$doc:meta])* $name:ident) => {
        $(#[$doc])*
        #[derive(Clone, Debug)]
        pub struct $name {
            /// Rows of the result \[token\].
            pub rows: Expr,
            /// Size of a row \[B\].
            pub bytes_per_row: Expr,
            /// Ranks that take part, neighbours in the topology \[1\]; one rank costs nothing.
            pub group: Expr,
        }

        impl $name {
            /// Size of the result \[B\].
            #[must_use]
            pub fn bytes(&self) -> Expr {
                &self.rows * &self.bytes_per_row
            }

            /// 1 if there is something to send and someone to send it to, else 0.
            fn present(&self) -> Expr {
                present(&self.rows) * present(&(&self.group - 1))
            }
        }
    };
}

collective!(
    /// Every rank gets the sum of all ranks' rows.
    AllReduce
);
collective!(
    /// Every rank gets all rows, of which each rank had a share.
    AllGather
);
collective!(
    /// Every rank gets the sum of a share of the rows, of which each rank had all.
    ReduceScatter
);

/// NCCL's ring: each rank passes `(n−1)/n` of the data on, once or (all-reduce) twice.
///
/// # Formula
///
/// ```text
/// per pass: t = (min(n,g)−1)·t_hop + (⌈n/g⌉−1)·t_out + (n−1)/n·bytes / bandwidth
/// bandwidth = η·BW_up           if n ≤ g
///             η·min(BW_up, g·BW_out)  else
/// ```
///
/// with `n` ranks in nodes of `g` GPUs, and `nccl_latency` once. Across nodes one ring per GPU runs
/// over that GPU's NIC, so the node's NICs add up.
///
/// # Source
///
/// NCCL documentation, "Performance reported by NCCL tests" (bus bandwidth); latency terms fitted.
#[derive(Clone, Copy, Debug)]
pub struct NcclRing;

impl NcclRing {
    fn time(passes: u32, (bytes, group, present): (Expr, &Expr, Expr), on: &Hardware) -> Expr {
        let theta = &on.theta;
        let within = min(group, &on.gpus_per_node);
        let nodes = ceil_div(group, &on.gpus_per_node);
        let hops = (within - 1) * &theta.nccl.hop_latency + (nodes - 1) * &on.scale_out_latency;
        let rails = min(&on.scale_up_bandwidth, &on.gpus_per_node * &on.scale_out_bandwidth);
        let bandwidth = &theta.nccl.bandwidth_efficiency
            * piecewise([(group.le(&on.gpus_per_node), &on.scale_up_bandwidth)], rails);
        present * (&theta.nccl.latency + passes * hops)
            + bytes * (passes * (group - 1) / (group * bandwidth))
    }
}

impl OperatorLaw<AllReduce> for NcclRing {
    fn name(&self) -> &str {
        "nccl ring all-reduce"
    }

    fn time(&self, call: &AllReduce, on: &Hardware) -> Expr {
        Self::time(2, (call.bytes(), &call.group, call.present()), on)
    }
}

impl OperatorLaw<AllGather> for NcclRing {
    fn name(&self) -> &str {
        "nccl ring all-gather"
    }

    fn time(&self, call: &AllGather, on: &Hardware) -> Expr {
        Self::time(1, (call.bytes(), &call.group, call.present()), on)
    }
}

impl OperatorLaw<ReduceScatter> for NcclRing {
    fn name(&self) -> &str {
        "nccl ring reduce-scatter"
    }

    fn time(&self, call: &ReduceScatter, on: &Hardware) -> Expr {
        Self::time(1, (call.bytes(), &call.group, call.present()), on)
    }
}

/// SGLang's one-shot all-reduce: every rank reads all the others' data.
///
/// `t = t₀ + (n−1)·bytes/(BW·η)` with `all_reduce_one_shot_latency`. Inside a node of NVLink, up to 8 ranks, up
/// to 16 MiB for 2 ranks, 384 KiB for 4 and 128 KiB for 8.
///
/// # Source
///
/// SGLang 0.5.23, custom all-reduce v2, `distributed/device_communicators`; limits are those of SM90.
#[derive(Clone, Copy, Debug)]
pub struct OneShot;

impl OperatorLaw<AllReduce> for OneShot {
    fn name(&self) -> &str {
        "one-shot all-reduce"
    }

    fn time(&self, call: &AllReduce, on: &Hardware) -> Expr {
        call.present() * &on.theta.all_reduce.one_shot_latency
            + call.bytes() * ((&call.group - 1) / custom_bandwidth(on))
    }

    fn feasible(&self, call: &AllReduce, on: &Hardware) -> Option<Expr> {
        let group = &call.group;
        let limit = piecewise([(group.le(2), 16 << 20), (group.le(4), 384 << 10)], 128 << 10);
        Some(custom_group(&call.group, on).and(&call.bytes().le(limit)))
    }
}

/// SGLang's two-shot all-reduce: reduce a share, then read the other shares.
///
/// `t = t₀ + 2·(n−1)/n·bytes/(BW·η)` with `all_reduce_two_shot_latency`. Inside a node of
/// NVLink, up to 8 ranks and 16 MiB.
///
/// # Source
///
/// SGLang 0.5.23, custom all-reduce v2, `distributed/device_communicators`.
#[derive(Clone, Copy, Debug)]
pub struct TwoShot;

impl OperatorLaw<AllReduce> for TwoShot {
    fn name(&self) -> &str {
        "two-shot all-reduce"
    }

    fn time(&self, call: &AllReduce, on: &Hardware) -> Expr {
        call.present() * &on.theta.all_reduce.two_shot_latency
            + call.bytes() * (2 * (&call.group - 1) / (&call.group * custom_bandwidth(on)))
    }

    fn feasible(&self, call: &AllReduce, on: &Hardware) -> Option<Expr> {
        Some(custom_group(&call.group, on).and(&call.bytes().le(16 << 20)))
    }
}

/// Slowest link over which SGLang uses its custom kernels, which need NVLink or its like between
/// all ranks: below every generation of it, above PCIe \[B/s\].
const DIRECT_LINK: f64 = 100e9;

/// Groups that the custom kernels serve: up to 8 ranks on one node, directly connected.
fn custom_group(group: &Expr, on: &Hardware) -> Expr {
    group.le(8).and(&group.le(&on.gpus_per_node)).and(&on.scale_up_bandwidth.ge(DIRECT_LINK))
}

/// Rate of a GPU's link inside its node as the custom kernels reach it \[B/s\].
fn custom_bandwidth(on: &Hardware) -> Expr {
    &on.scale_up_bandwidth * &on.theta.all_reduce.bandwidth_efficiency
}

/// One direction of an expert exchange: dispatch or combine.
#[derive(Clone, Debug)]
pub struct AllToAll {
    /// Tokens that this rank owns \[token\].
    pub rows: Expr,
    /// Size of one copy of a token \[B\].
    pub bytes_per_row: Expr,
    /// Experts that a token goes to \[1\].
    pub top_k: u32,
    /// Ranks over which the experts are spread \[1\].
    pub group: Expr,
    /// Whether the low-latency kernels are used (Boolean): pure decode.
    pub low_latency: Expr,
}

/// DeepEP's kernels: low-latency for pure decode, normal if any rank extends.
///
/// # Formula
///
/// ```text
/// parts(x) = x·(1 − (1 − 1/x)^k)                        distinct ones of x that k picks hit
/// inside a node: t = t₀ + rows·b·copies·(n−1)/n / (BW_up·η),    copies = k or parts(n)
/// across nodes:  t = t₀ + t₁ + rows·b·c / (BW_out·η_out),
///                c = k·(n−g)/n (low latency) or parts(n/g)·(n−g)/n (normal)
/// ```
///
/// Low-latency kernels send one copy per expert; normal ones one per rank, and across nodes one per
/// node, forwarded inside it.
///
/// # Source
///
/// DeepEP README and SGLang 0.5.23, `deepep_mode auto`; occupancy derived for uniform routing.
#[derive(Clone, Copy, Debug)]
pub struct DeepEp;

impl OperatorLaw<AllToAll> for DeepEp {
    fn name(&self) -> &str {
        "deepep"
    }

    fn time(&self, call: &AllToAll, on: &Hardware) -> Expr {
        let theta = &on.theta;
        let (n, g) = (&call.group, &on.gpus_per_node);
        let hit = |of: &Expr| of * (1 - pow(1 - 1 / of, call.top_k));
        let copies = |normal: Expr| piecewise([(call.low_latency.clone(), call.top_k)], normal);
        let nodes = max(n / g, 1);
        let inside = copies(hit(n)) * ((n - 1) / n)
            / (&on.scale_up_bandwidth * &theta.all_to_all.bandwidth_efficiency);
        let across = copies(hit(&nodes)) * ((n - min(n, g)) / n)
            / (&on.scale_out_bandwidth * &theta.all_to_all.scale_out_efficiency);
        let one_node = n.le(g);
        let further = piecewise([(one_node.clone(), 0)], &theta.all_to_all.hop_latency);
        let latency = present(&(n - 1)) * (&theta.all_to_all.latency + further);
        present(&call.rows) * latency
            + &call.rows * &call.bytes_per_row * piecewise([(one_node, inside)], across)
    }
}

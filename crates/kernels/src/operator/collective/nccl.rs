//! NCCL's collectives: rings with two protocols, the switch, and exchanges between pairs.

use sglsim_expr::{Expr, ceil_div, min, min_of, piecewise};

use super::{AllGather, AllReduce, NcclTheta, ReduceScatter, collective};
use crate::Hardware;
use crate::operator::{OperatorLaw, present, saturating};

/// NCCL's ring: each rank passes `(n−1)/n` of the data on, once or (all-reduce) twice.
///
/// # Formula
///
/// ```text
/// hops   = passes·(min(n,g) − 1),  out = passes·(⌈n/g⌉ − 1)·t_out
/// sent   = passes·(n−1)/n·bytes
/// low    = t_ll + hops·t_ll_hop + out + min(sent/(BW·η_start), t_start) + sent/(BW·η_ll)
/// send   = (sent + c·bytes/n) / (BW·η)
/// simple = t_0  + hops·t_hop    + out + send + fill(r·send),     fill(x) = x·t_ramp/(x + t_ramp)
/// t      = min(low, simple)
/// BW     = BW_up           if n ≤ g,   min(BW_up, g·BW_out)  else
/// ```
///
/// with `n` ranks in nodes of `g` GPUs. The low-latency protocols (LL, LL128) put a flag into every
/// word or line, which costs bandwidth; NCCL takes whichever is faster. `r` and `t_ramp` (`ramp`,
/// `ramp_limit`): data is cut into slices that go round one behind the other, and only many of them
/// fill all channels. Across nodes one ring per
/// GPU runs over that GPU's NIC, so the node's NICs add up. `c` is the copy of a rank's own share.
///
/// # Source
///
/// NCCL documentation, "Performance reported by NCCL tests" (bus bandwidth) and `NCCL_PROTO`; the
/// latencies are fitted.
#[derive(Clone, Copy, Debug)]
pub struct NcclRing;

impl NcclRing {
    fn time(passes: u32, (bytes, group, present): (Expr, &Expr, Expr), on: &Hardware) -> Expr {
        let own = &on.theta.nccl;
        let hops = passes * (min(group, &on.gpus_per_node) - 1);
        let out = passes * (ceil_div(group, &on.gpus_per_node) - 1) * &on.scale_out_latency;
        let bandwidth = ring_bandwidth(group, on);
        let sent = passes * (group - 1) / group;
        let start = &sent / (&bandwidth * &own.low_latency_start_efficiency);
        let low = &present * (&own.low_latency + &hops * &own.low_latency_hop + &out)
            + min(&bytes * start, &own.low_latency_start)
            + &bytes * (&sent / (&bandwidth * &own.low_latency_efficiency));
        let copied = sent + &present * &own.copy_share / group;
        let send = bytes * (copied / (bandwidth * &own.bandwidth_efficiency));
        let simple = present * (&own.latency + hops * &own.hop_latency + out) + filling(send, own);
        min(low, simple)
    }
}

/// Time to send by the simple protocol, filling its pipeline included \[s\].
fn filling(send: Expr, own: &NcclTheta) -> Expr {
    saturating(&own.ramp * &send, &own.ramp_limit) + send
}

/// Bandwidth of a GPU's part of the rings \[B/s\].
fn ring_bandwidth(group: &Expr, on: &Hardware) -> Expr {
    let rails = min(&on.scale_up_bandwidth, &on.gpus_per_node * &on.scale_out_bandwidth);
    piecewise([(group.le(&on.gpus_per_node), &on.scale_up_bandwidth)], rails)
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

/// All-reduce by the switch (NVLink SHARP): it adds, and sends the sum to all.
///
/// # Formula
///
/// `t = t₀ + n·t_hop + send + fill(r·send)`, `send = (1 + 1/n)·bytes / (BW·η)`, `fill` as in [`NcclRing`]
///
/// Every rank sends all it has and a share of the result. For more than two ranks of one node whose
/// GPUs hang on a switch that adds: NVLink 4 and later, told by its bandwidth.
///
/// # Source
///
/// NCCL documentation, `NCCL_ALGO` and `NCCL_NVLS_ENABLE`; derived.
#[derive(Clone, Copy, Debug)]
pub struct NcclSwitch;

/// Slowest link whose switch adds: NVLink 4, 450 GB/s, but not NVLink 3, 300 GB/s \[B/s\].
const ADDING_SWITCH: f64 = 400e9;

impl OperatorLaw<AllReduce> for NcclSwitch {
    fn name(&self) -> &str {
        "nccl switch all-reduce"
    }

    fn time(&self, call: &AllReduce, on: &Hardware) -> Expr {
        let own = &on.theta.nccl;
        let bandwidth = &on.scale_up_bandwidth * &own.switch_efficiency;
        call.present() * (&own.latency + &call.group * &own.hop_latency)
            + filling(call.bytes() * ((1 + 1 / &call.group) / bandwidth), own)
    }

    fn feasible(&self, call: &AllReduce, on: &Hardware) -> Option<Expr> {
        let inside = call.group.gt(2).and(&call.group.le(&on.gpus_per_node));
        Some(inside.and(&on.scale_up_bandwidth.ge(ADDING_SWITCH)))
    }
}

collective!(
    /// Every rank sends a share of its rows to each rank (`all_to_all_single`).
    PairExchange
);

/// One rank sends rows to another, such as between pipeline stages.
#[derive(Clone, Debug)]
pub struct SendReceive {
    /// Rows that are sent \[token\].
    pub rows: Expr,
    /// Size of a row \[B\].
    pub bytes_per_row: Expr,
    /// Whether the two ranks are on different nodes (Boolean).
    pub across_nodes: Expr,
}

/// NCCL's send and receive.
///
/// # Formula
///
/// ```text
/// exchange of n ranks:  t = n·t_peer + min( t_ll + sent/(BW·η_ll), t₀ + (sent + c·bytes/n)/(BW·η) )
///                       sent = (n−1)/n·bytes,  BW·η·n/(n−g)-th of the NIC's where that is less
/// send inside a node:   t = min( t_ll + bytes/(BW·η_ll), t₀ + bytes/(BW·η) )
/// send across nodes:    t = t_ll + t_out + bytes/(BW_out·η_out)
/// ```
///
/// # Source
///
/// Derived; latencies are fitted.
#[derive(Clone, Copy, Debug)]
pub struct NcclPairs;

impl OperatorLaw<PairExchange> for NcclPairs {
    fn name(&self) -> &str {
        "nccl all-to-all"
    }

    fn time(&self, call: &PairExchange, on: &Hardware) -> Expr {
        let own = &on.theta.nccl_pair;
        let group = &call.group;
        let peers = (min(group, &on.gpus_per_node) - 1) / group;
        let further = (group - min(group, &on.gpus_per_node)) / group;
        let up = &on.scale_up_bandwidth;
        let out = &further / (&on.scale_out_bandwidth * &own.scale_out_efficiency);
        let low = &peers / (up * &own.low_latency_efficiency) + &out;
        let simple = (peers + present(&(group - 1)) * &own.copy_share / group)
            / (up * &own.bandwidth_efficiency)
            + out;
        let far = piecewise([(group.gt(&on.gpus_per_node), &own.scale_out_latency)], 0);
        let start = call.present() * (group * &own.peer_latency + far);
        let bytes = call.bytes();
        start
            + min(
                call.present() * &own.low_latency + &bytes * low,
                call.present() * &own.latency + bytes * simple,
            )
    }
}

impl OperatorLaw<SendReceive> for NcclPairs {
    fn name(&self) -> &str {
        "nccl send"
    }

    fn time(&self, call: &SendReceive, on: &Hardware) -> Expr {
        let own = &on.theta.nccl_pair;
        let bytes = &call.rows * &call.bytes_per_row;
        let sends = present(&call.rows);
        let up = &on.scale_up_bandwidth;
        let inside = min_of([
            &sends * &own.low_latency + &bytes / (up * &own.low_latency_efficiency),
            &sends * &own.latency + &bytes / (up * &own.bandwidth_efficiency),
        ]);
        let across = sends * (&own.low_latency + &own.scale_out_latency)
            + bytes / (&on.scale_out_bandwidth * &own.scale_out_efficiency);
        piecewise([(call.across_nodes.clone(), across)], inside)
    }
}

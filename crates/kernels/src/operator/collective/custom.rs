//! SGLang's own all-reduce kernels, for small data between GPUs that see each other's memory.

use sglsim_expr::{Expr, max, piecewise};

use super::AllReduce;
use crate::Hardware;
use crate::operator::OperatorLaw;

/// One-shot: every rank reads all the others' data.
///
/// # Formula
///
/// `t = t₀ + n·t_rank + (n−1)·bytes/(BW·η)`
///
/// Inside a node of NVLink, up to 8 ranks, up to 16 MiB for 2 ranks, 384 KiB for 4 and 128 KiB for 8.
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
        let own = &on.theta.all_reduce;
        let bandwidth = &on.scale_up_bandwidth * &own.one_shot_efficiency;
        call.present() * (&own.one_shot_latency + &call.group * &own.one_shot_rank_latency)
            + call.bytes() * ((&call.group - 1) / bandwidth)
    }

    fn feasible(&self, call: &AllReduce, on: &Hardware) -> Option<Expr> {
        let group = &call.group;
        let limit = piecewise([(group.le(2), 16 << 20), (group.le(4), 384 << 10)], 128 << 10);
        Some(direct_group(&call.group, on).and(&call.bytes().le(limit)))
    }
}

/// Two-shot: reduce a share, then read the other shares.
///
/// # Formula
///
/// `t = t₀ + n·t_rank + 2·(n−1)/n·bytes/(BW·η)`
///
/// Inside a node of NVLink, up to 8 ranks and 16 MiB.
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
        let own = &on.theta.all_reduce;
        let bandwidth = &on.scale_up_bandwidth * &own.two_shot_efficiency;
        call.present() * (&own.two_shot_latency + &call.group * &own.two_shot_rank_latency)
            + call.bytes() * (2 * (&call.group - 1) / (&call.group * bandwidth))
    }

    fn feasible(&self, call: &AllReduce, on: &Hardware) -> Option<Expr> {
        Some(direct_group(&call.group, on).and(&call.bytes().le(16 << 20)))
    }
}

/// An all-reduce that is not part of a CUDA graph: launched by hand, out of a staging buffer.
///
/// # Formula
///
/// `t = max(t_launch, t_graph + 2·bytes/BW_elementwise)`
///
/// For single calls. A step's launches are part of its host time, which hides behind the device.
///
/// # Source
///
/// SGLang 0.5.23, custom all-reduce v2: only captured buffers are registered with the peers, others
/// are copied first.
#[derive(Debug)]
pub struct Eager<'a>(
    /// The kernel that is launched.
    pub &'a dyn OperatorLaw<AllReduce>,
);

impl OperatorLaw<AllReduce> for Eager<'_> {
    fn name(&self) -> &str {
        "eager all-reduce"
    }

    fn time(&self, call: &AllReduce, on: &Hardware) -> Expr {
        let copied = call.present() * call.bytes() * (2 / on.elementwise_bandwidth());
        max(call.present() * &on.theta.all_reduce.eager_latency, self.0.time(call, on) + copied)
    }

    fn feasible(&self, call: &AllReduce, on: &Hardware) -> Option<Expr> {
        self.0.feasible(call, on)
    }
}

/// Slowest link over which SGLang uses its custom kernels, which need NVLink or its like between
/// all ranks: below every generation of it, above PCIe \[B/s\].
const DIRECT_LINK: f64 = 100e9;

/// Groups that the custom kernels serve: up to 8 ranks on one node, directly connected.
fn direct_group(group: &Expr, on: &Hardware) -> Expr {
    group.le(8).and(&group.le(&on.gpus_per_node)).and(&on.scale_up_bandwidth.ge(DIRECT_LINK))
}

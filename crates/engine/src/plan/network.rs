//! The network of a deployment.

use sglsim_kernels::KvPath;
use sglsim_model::Attention;

use super::{DeploymentPlan, PoolPlan};
use crate::fabric::{Fabric, FairFabric, FifoFabric, Network, NetworkShape, PoolNetwork};
use crate::scenario::{NetworkConfig, ScenarioError, Sharing};

impl DeploymentPlan {
    /// The network between the workers of all pools, as wide as the transfer law says; `None` where no
    /// KV travels.
    #[must_use]
    pub fn network(&self) -> Option<Network> {
        let law = self.transfer.as_ref()?;
        let shape = NetworkShape {
            config: self.network,
            kv_heads: match &self.model.attention {
                Attention::Gqa(gqa) => gqa.kv_heads,
                Attention::Mla(_) => 1,
            },
        };
        let link = |pool: &PoolPlan| pool.topology.scale_out().bandwidth.get();
        let slowest = self.pools.iter().map(link).fold(f64::INFINITY, f64::min);
        let pools: Vec<_> = (self.pools.iter())
            .map(|pool| PoolNetwork {
                workers: pool.workers,
                gpus: pool.plan.gpus(),
                gpus_per_rank: pool.plan.attn_tp_size(),
                gpus_per_node: pool.topology.gpus_per_node(),
                bandwidth: law.nic_bandwidth() * (link(pool) / slowest),
            })
            .collect();
        Some(Network::new(shape, &pools))
    }

    /// The fabric that moves KV as the scenario says.
    pub(crate) fn fabric(&self) -> Box<dyn Fabric> {
        match (self.network.sharing, self.network()) {
            (Sharing::MaxMin, Some(network)) => Box::new(FairFabric::new(network)),
            _ => Box::new(FifoFabric::new()),
        }
    }
}

/// What KV travels over between two pools. The slower adapter decides.
pub(super) fn kv_path(config: &NetworkConfig, prefill: &PoolPlan, decode: &PoolPlan) -> KvPath {
    let [sends, receives] = [prefill, decode].map(|pool| pool.topology.scale_out());
    let is_slower = receives.bandwidth.get() < sends.bandwidth.get();
    KvPath {
        gpus_per_nic: config.gpus_per_nic,
        staging_buffer: config.staging_buffer,
        ..KvPath::new(if is_slower { receives } else { sends }.clone())
    }
}

/// Whether one side can take what the other one sends.
///
/// # Source
///
/// SGLang 0.5.23, `disaggregation/common/conn.py:CommonKVManager`.
pub(super) fn check_layouts(prefill: &PoolPlan, decode: &PoolPlan) -> Result<(), ScenarioError> {
    let [sends, receives] = [prefill, decode].map(|pool| pool.config.page_size);
    if sends == receives {
        return Ok(());
    }
    Err(ScenarioError::OutOfRange {
        field: format!("{}.page_size", decode.path),
        value: receives.to_string(),
        allowed: format!("{sends}, as in {}: KV is sent in whole pages", prefill.path),
    })
}

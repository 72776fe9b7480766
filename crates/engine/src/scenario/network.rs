//! The network between nodes, as it stands in a scenario.

use serde::{Deserialize, Serialize};

use super::ScenarioError;

/// Adapters and switches between nodes, and how transfers share them.
///
/// By default there is one adapter for each GPU, the adapters of a rail have leaf switches of their own,
/// and the spine is as wide as what hangs under it.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct NetworkConfig {
    /// GPUs that share an adapter.
    pub gpus_per_nic: u32,
    /// Nodes under one leaf switch, or one set of them, one for each rail.
    pub nodes_per_pod: u32,
    /// Whether the adapters of the same place in their nodes have a leaf switch of their own.
    pub rail_optimized: bool,
    /// Bandwidth of the adapters under a leaf over that of its links to the spine; 1 is non-blocking.
    pub oversubscription: f64,
    /// How flows share links.
    pub sharing: Sharing,
    /// Queues of a rank that sends KV, each with one piece under way
    /// (`SGLANG_DISAGGREGATION_QUEUE_SIZE`).
    pub transfer_queues: u32,
    /// Gather heads before they are sent, where both sides have them spread in different ways
    /// (`SGLANG_DISAGG_STAGING_BUFFER`).
    pub staging_buffer: bool,
}

/// How flows share links.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub enum Sharing {
    /// Connections get max-min fair rates on every link of the way.
    #[default]
    MaxMin,
    /// A rank sends and receives one piece at a time; the network has no limits of its own.
    Fifo,
}

impl Default for NetworkConfig {
    fn default() -> Self {
        Self {
            gpus_per_nic: 1,
            nodes_per_pod: 32,
            rail_optimized: true,
            oversubscription: 1.0,
            sharing: Sharing::MaxMin,
            transfer_queues: 4,
            staging_buffer: false,
        }
    }
}

impl NetworkConfig {
    /// Whether all fields are in range; what is not, all of it.
    pub(crate) fn check(&self) -> Vec<ScenarioError> {
        let mut wrong = Vec::new();
        let mut refuse = |field: &str, value: String, allowed: &str| {
            let field = format!("network.{field}");
            wrong.push(ScenarioError::OutOfRange { field, value, allowed: allowed.to_owned() });
        };
        for (field, value) in [
            ("gpus_per_nic", self.gpus_per_nic),
            ("nodes_per_pod", self.nodes_per_pod),
            ("transfer_queues", self.transfer_queues),
        ] {
            if !(1..=100_000).contains(&value) {
                refuse(field, value.to_string(), "from 1 to 100000");
            }
        }
        if !(0.01..=1e6).contains(&self.oversubscription) {
            refuse("oversubscription", self.oversubscription.to_string(), "from 0.01 to 1000000");
        }
        wrong
    }
}

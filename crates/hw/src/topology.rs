//! How GPUs are put together.

use crate::{Gpu, HwError, Link};

/// GPUs that reach each other over one fast link: a server, or a rack for GB200 NVL72.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub struct Node {
    /// The GPUs, all alike.
    pub gpu: Gpu,
    /// How many \[1\]. At least 1.
    pub gpus: u32,
    /// The link between any two of them.
    pub scale_up: Link,
}

/// As many equal nodes as are needed, each GPU with its own link to the other nodes.
///
/// Made by [`Topology::of`] or [`Topology::new`] and not changed afterwards, so that whatever holds
/// one holds valid figures.
#[derive(Clone, Debug, PartialEq)]
pub struct Topology {
    node: Node,
    scale_out: Link,
    host_link: Link,
}

impl Topology {
    /// Nodes of `gpus_per_node` GPUs, joined by `scale_up` inside and `scale_out` outside.
    ///
    /// # Errors
    ///
    /// [`HwError::OutOfRange`] if `gpus_per_node` is zero or a figure of the GPU cannot be;
    /// [`HwError::UnknownPreset`] if its `host_link` is no preset.
    pub fn new(
        gpu: Gpu,
        gpus_per_node: u32,
        scale_up: Link,
        scale_out: Link,
    ) -> Result<Self, HwError> {
        gpu.check()?;
        if gpus_per_node == 0 {
            return Err(HwError::OutOfRange {
                of: format!("node of {}", gpu.name),
                field: "gpus_per_node",
                value: 0.0,
                allowed: ">= 1",
            });
        }
        let host_link = Link::preset(&gpu.host_link)?;
        Ok(Self { node: Node { gpu, gpus: gpus_per_node, scale_up }, scale_out, host_link })
    }

    /// The same with another link between each GPU and the memory of its host.
    #[must_use]
    pub fn with_host_link(self, host_link: Link) -> Self {
        Self { host_link, ..self }
    }

    /// The nodes this GPU usually comes in.
    ///
    /// # Errors
    ///
    /// As [`Topology::new`]; [`HwError::UnknownPreset`] if the GPU names a link that is no preset.
    pub fn of(gpu: Gpu) -> Result<Self, HwError> {
        let scale_up = Link::preset(&gpu.scale_up)?;
        let scale_out = Link::preset(&gpu.scale_out)?;
        let gpus_per_node = gpu.gpus_per_node;
        Self::new(gpu, gpus_per_node, scale_up, scale_out)
    }

    /// One node.
    #[must_use]
    pub fn node(&self) -> &Node {
        &self.node
    }

    /// The GPU of every node.
    #[must_use]
    pub fn gpu(&self) -> &Gpu {
        &self.node.gpu
    }

    /// GPUs in a node \[1\].
    #[must_use]
    pub fn gpus_per_node(&self) -> u32 {
        self.node.gpus
    }

    /// The link inside a node.
    #[must_use]
    pub fn scale_up(&self) -> &Link {
        &self.node.scale_up
    }

    /// The link between nodes, one per GPU.
    #[must_use]
    pub fn scale_out(&self) -> &Link {
        &self.scale_out
    }

    /// The link between a GPU and the memory of its host.
    #[must_use]
    pub fn host_link(&self) -> &Link {
        &self.host_link
    }

    /// The link over which the ranks of a group of `gpus` neighbours talk: `scale_up` if the group
    /// fits a node, else `scale_out`, which is then the bottleneck.
    #[must_use]
    pub fn link_within(&self, gpus: u32) -> &Link {
        if self.is_intra_node(gpus) { self.scale_up() } else { &self.scale_out }
    }

    /// Whether `gpus` neighbours fit a node.
    #[must_use]
    pub fn is_intra_node(&self, gpus: u32) -> bool {
        gpus <= self.node.gpus
    }

    /// Nodes needed for `gpus` GPUs \[1\].
    #[must_use]
    pub fn nodes_for(&self, gpus: u32) -> u32 {
        gpus.div_ceil(self.node.gpus)
    }
}

//! Nodes, adapters and switches between the workers of a deployment, as links that flows share.

use std::fmt;
use std::sync::Arc;

use sglsim_units::{HashMap, WorkerId};

use super::LinkId;
use crate::scenario::NetworkConfig;

/// One end of a flow: an attention rank of a worker.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Port {
    /// The worker.
    pub worker: WorkerId,
    /// Its attention rank there.
    pub rank: usize,
}

/// What a link joins; each direction is a link of its own.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[non_exhaustive]
pub enum LinkKind {
    /// From an adapter of a node to its leaf switch.
    NicOut,
    /// From a leaf switch to an adapter.
    NicIn,
    /// From a leaf switch to the spine.
    Uplink,
    /// From the spine to a leaf switch.
    Downlink,
}

impl fmt::Display for LinkKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::NicOut => "NIC out",
            Self::NicIn => "NIC in",
            Self::Uplink => "leaf to spine",
            Self::Downlink => "spine to leaf",
        })
    }
}

/// How adapters and switches are put together.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct NetworkShape {
    pub(crate) config: NetworkConfig,
    /// KV heads whose KV differs: 1 under MLA.
    pub(crate) kv_heads: u32,
}

/// What the network has to know of the workers of a pool.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct PoolNetwork {
    pub(crate) workers: u32,
    /// GPUs of a worker, and of one of its attention ranks.
    pub(crate) gpus: u32,
    pub(crate) gpus_per_rank: u32,
    pub(crate) gpus_per_node: u32,
    /// What flows get of an adapter \[B/s\].
    pub(crate) bandwidth: f64,
}

/// The nodes of a deployment, and the links between them.
///
/// ```text
/// GPU ─ NIC ─ leaf switch ─ spine ─ leaf switch ─ NIC ─ GPU
/// ```
///
/// Workers fill nodes in order of their ids; one that does not fit the rest of a node begins the next
/// one, and pools do not share nodes. Every node hangs on the leaf switches of its pod: one for all its
/// adapters, or one for each rail. What stays under one leaf does not touch the spine, which is only
/// ever full because of the links to it.
#[derive(Clone, Debug)]
pub struct Network {
    links: Vec<(LinkKind, String, f64)>,
    /// Place of the first link of a leaf switch.
    leaves: usize,
    /// Rails that have leaf switches of their own.
    rails: u32,
    workers: Vec<Seat>,
    shape: NetworkShape,
    routes: HashMap<(Port, Port), Route>,
}

/// Where a worker is.
#[derive(Clone, Copy, Debug)]
struct Seat {
    /// Its first GPU, counted over all nodes of its pool.
    first: u32,
    pool: PoolNetwork,
    /// Number of the first node of its pool, and of the first adapter, over all pools.
    first_node: u32,
    first_nic: u32,
}

/// The way between two ranks.
#[derive(Clone, Debug)]
pub(crate) struct Route {
    /// Each link, and how many connections cross it.
    pub(crate) links: Arc<[(LinkId, f64)]>,
    /// Connections of the flow.
    pub(crate) connections: f64,
}

/// An adapter: its node, its place there, and its number over all nodes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Nic {
    node: u32,
    place: u32,
    number: u32,
}

impl Network {
    /// The network between the workers of these pools.
    pub(crate) fn new(shape: NetworkShape, pools: &[PoolNetwork]) -> Self {
        let mut workers = Vec::new();
        let mut nics: Vec<(Nic, f64)> = Vec::new();
        let mut nodes = 0;
        for pool in pools {
            let (first_node, first_nic) = (nodes, nics.len() as u32);
            let mut next = 0;
            for _ in 0..pool.workers {
                let used = next % pool.gpus_per_node;
                if used > 0 && used + pool.gpus > pool.gpus_per_node {
                    next += pool.gpus_per_node - used;
                }
                workers.push(Seat { first: next, pool: *pool, first_node, first_nic });
                next += pool.gpus;
            }
            let nics_per_node = pool.gpus_per_node.div_ceil(shape.config.gpus_per_nic);
            for node in nodes..nodes + next.div_ceil(pool.gpus_per_node) {
                for place in 0..nics_per_node {
                    let number = nics.len() as u32;
                    nics.push((Nic { node, place, number }, pool.bandwidth));
                }
            }
            nodes += next.div_ceil(pool.gpus_per_node);
        }
        let mut links = Vec::new();
        for (nic, bandwidth) in &nics {
            let name = format!("node {} nic {}", nic.node, nic.place);
            links.push((LinkKind::NicOut, name.clone(), *bandwidth));
            links.push((LinkKind::NicIn, name, *bandwidth));
        }
        let leaves = links.len();
        let per_node = |pool: &PoolNetwork| pool.gpus_per_node.div_ceil(shape.config.gpus_per_nic);
        let rails =
            if shape.config.rail_optimized { pools.iter().map(per_node).max() } else { None };
        let rails = rails.unwrap_or(1);
        let mut network = Self { links, leaves, rails, workers, shape, routes: HashMap::default() };
        // Two links for each leaf, in the order of their numbers.
        for (nic, bandwidth) in nics {
            let leaf = network.leaf(nic);
            let at = leaves + 2 * leaf;
            while network.links.len() < at + 2 {
                let number = (network.links.len() - leaves) / 2;
                let name = network.leaf_name(number);
                network.links.push((LinkKind::Uplink, name.clone(), 0.0));
                network.links.push((LinkKind::Downlink, name, 0.0));
            }
            for link in &mut network.links[at..at + 2] {
                link.2 += bandwidth / shape.config.oversubscription;
            }
        }
        network
    }

    fn leaf(&self, nic: Nic) -> usize {
        let rails = self.rails;
        let pod = nic.node / self.shape.config.nodes_per_pod;
        (pod * rails + nic.place % rails) as usize
    }

    fn leaf_name(&self, leaf: usize) -> String {
        let rails = self.rails as usize;
        if rails == 1 {
            format!("pod {leaf}")
        } else {
            format!("pod {} rail {}", leaf / rails, leaf % rails)
        }
    }

    /// Each link: what it joins, its name, what it carries \[B/s\].
    pub fn links(&self) -> impl Iterator<Item = (LinkKind, &str, f64)> + '_ {
        self.links.iter().map(|(kind, name, capacity)| (*kind, name.as_str(), *capacity))
    }

    /// The links of this name.
    pub fn named<'a>(&'a self, name: &'a str) -> impl Iterator<Item = LinkId> + 'a {
        let links = self.links.iter().enumerate();
        links.filter(move |(_, link)| link.1 == name).map(|(at, _)| LinkId::from_index(at))
    }

    /// Names of the adapters of a worker, each once.
    #[must_use]
    pub fn nics_of(&self, worker: WorkerId) -> Vec<String> {
        let Some(seat) = self.workers.get(worker.index()) else { return Vec::new() };
        let mut nics: Vec<Nic> = (0..seat.pool.gpus).map(|gpu| self.nic(*seat, gpu)).collect();
        nics.dedup();
        nics.iter().map(|nic| format!("node {} nic {}", nic.node, nic.place)).collect()
    }

    /// The adapter of a GPU of a worker.
    fn nic(&self, seat: Seat, gpu: u32) -> Nic {
        let (gpus_per_node, gpus_per_nic) =
            (seat.pool.gpus_per_node, self.shape.config.gpus_per_nic);
        let gpu = seat.first + gpu;
        let (node, place) = (gpu / gpus_per_node, gpu % gpus_per_node / gpus_per_nic);
        let number = seat.first_nic + node * gpus_per_node.div_ceil(gpus_per_nic) + place;
        Nic { node: seat.first_node + node, place, number }
    }

    /// The transfer queue of a sender for this receiver.
    pub(crate) fn queue(&self, to: Port) -> usize {
        let ranks = self.workers[to.worker.index()].ranks();
        (to.worker.index() * ranks + to.rank) % self.shape.config.transfer_queues as usize
    }

    /// The way from one rank to another.
    ///
    /// Every rank of the receiver gets the KV of its heads from those ranks of the sender that have
    /// them, a connection from each; under MLA the whole from one of them.
    ///
    /// # Source
    ///
    /// SGLang 0.5.23, `disaggregation/common/conn.py:CommonKVReceiver`.
    pub(crate) fn route(&mut self, from: Port, to: Port) -> Route {
        if let Some(route) = self.routes.get(&(from, to)) {
            return route.clone();
        }
        let [sender, receiver] = [from, to].map(|port| self.workers[port.worker.index()]);
        let (sends, receives) = (sender.pool.gpus_per_rank, receiver.pool.gpus_per_rank);
        let connections = receives.max(sends.min(self.shape.kv_heads));
        let mut links: Vec<(LinkId, f64)> = Vec::new();
        let mut cross = |link: usize| {
            let link = LinkId::from_index(link);
            match links.iter_mut().find(|(known, _)| *known == link) {
                Some((_, weight)) => *weight += 1.0,
                None => links.push((link, 1.0)),
            }
        };
        let leaves = self.leaves;
        for connection in 0..connections {
            let gpu =
                |port: Port, gpus: u32| port.rank as u32 * gpus + connection * gpus / connections;
            let source = self.nic(sender, gpu(from, sends));
            let target = self.nic(receiver, gpu(to, receives));
            cross(2 * source.number as usize);
            let (up, down) = (self.leaf(source), self.leaf(target));
            if up != down {
                cross(leaves + 2 * up);
                cross(leaves + 2 * down + 1);
            }
            cross(2 * target.number as usize + 1);
        }
        let route = Route { links: links.into(), connections: f64::from(connections) };
        self.routes.insert((from, to), route.clone());
        route
    }
}

impl Seat {
    fn ranks(&self) -> usize {
        (self.pool.gpus / self.pool.gpus_per_rank).max(1) as usize
    }
}

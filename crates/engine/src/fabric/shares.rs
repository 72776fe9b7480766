//! Max-min fair rates of flows over links that they share, kept up to date flow by flow.

use std::cmp::Reverse;
use std::collections::BinaryHeap;

/// A link of [`FairShares`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct LinkId(u32);

impl LinkId {
    /// The link at this place of the list that [`FairShares::new`] was given.
    ///
    /// # Panics
    ///
    /// If there are more than 2^32 links.
    #[must_use]
    pub fn from_index(index: usize) -> Self {
        Self(u32::try_from(index).expect("fewer than 2^32 links"))
    }

    /// Its place in that list.
    #[must_use]
    pub fn index(self) -> usize {
        self.0 as usize
    }
}

/// A flow of [`FairShares`], from [`add`](FairShares::add) to [`remove`](FairShares::remove).
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ShareId(u32);

impl ShareId {
    /// A small number of its own among the flows that are there; used again when it has left.
    #[must_use]
    pub fn index(self) -> usize {
        self.0 as usize
    }
}

/// Flows over links of limited capacity, each at its max-min fair rate.
///
/// A flow is a bundle of connections that run at the same rate: `weight` of them cross each link of
/// its path. Rates are max-min fair among connections, and none is above its flow's cap: no
/// connection can be faster unless one that is no faster becomes slower.
///
/// ```text
/// for each link l      Σ weight(f, l)·rate(f) <= capacity(l)
/// for each flow f      rate(f) = cap(f), or f has a link that is full, on which none is faster
/// ```
///
/// A link on which all flows could run at their caps limits nobody. When a flow comes or goes, only
/// those flows get new rates that it reaches over links that are not of this kind: the cost grows with
/// them, not with all flows.
///
/// # Source
///
/// Bertsekas and Gallager, *Data Networks*, section 6.5.2 (progressive filling).
///
/// ```
/// use sglsim_engine::{FairShares, LinkId};
///
/// let (a, b) = (LinkId::from_index(0), LinkId::from_index(1));
/// let mut shares = FairShares::new([10.0, 4.0]);
/// let long = shares.add(&[(a, 1.0), (b, 1.0)], 100.0);
/// let short = shares.add(&[(a, 1.0)], 100.0);
/// assert_eq!((shares.rate(long), shares.rate(short)), (4.0, 6.0));
/// shares.remove(short);
/// assert_eq!(shares.rate(long), 4.0);
/// ```
#[derive(Clone, Debug, Default)]
pub struct FairShares {
    links: Vec<Shared>,
    flows: Vec<Member>,
    free: Vec<u32>,
    /// Flows whose rate the last change computed anew.
    touched: Vec<ShareId>,
    scratch: Scratch,
}

/// A link and who crosses it.
#[derive(Clone, Debug, Default)]
struct Shared {
    capacity: f64,
    /// Σ weight·cap: what its flows would take if it were alone.
    demand: f64,
    /// A flow, and the place of this link in its path.
    flows: Vec<(u32, u32)>,
    seen: u64,
    // Of the filling now under way:
    left: f64,
    weight: f64,
}

#[derive(Clone, Debug, Default)]
struct Member {
    /// Link, weight, place among the flows of the link.
    path: Vec<(LinkId, f64, u32)>,
    cap: f64,
    rate: f64,
    seen: u64,
    /// Whether the filling now under way has settled it.
    is_settled: bool,
}

#[derive(Clone, Debug, Default)]
struct Scratch {
    stamp: u64,
    links: Vec<LinkId>,
    caps: Vec<u32>,
    levels: BinaryHeap<Reverse<(Level, LinkId)>>,
}

/// A rate at which a link is full; never NaN.
#[derive(Clone, Copy, Debug, PartialEq)]
struct Level(f64);

impl Eq for Level {}

impl PartialOrd for Level {
    fn partial_cmp(&self, other: &Self) -> Option<std::cmp::Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for Level {
    fn cmp(&self, other: &Self) -> std::cmp::Ordering {
        self.0.total_cmp(&other.0)
    }
}

/// Sums of equal numbers may miss the capacity that they are meant to fill by rounding.
const ROUNDING: f64 = 1e-9;

impl Shared {
    fn is_contended(&self) -> bool {
        self.demand > self.capacity * (1.0 + ROUNDING)
    }

    fn level(&self) -> f64 {
        self.left.max(0.0) / self.weight
    }
}

impl FairShares {
    /// Links of these capacities, none of them used.
    ///
    /// # Panics
    ///
    /// If a capacity is negative or not a number.
    #[must_use]
    pub fn new(capacities: impl IntoIterator<Item = f64>) -> Self {
        let links = capacities.into_iter().map(|capacity| {
            assert!(capacity >= 0.0, "a link's capacity is {capacity}, allowed is >= 0");
            Shared { capacity, ..Shared::default() }
        });
        Self { links: links.collect(), ..Self::default() }
    }

    /// A flow of connections of which `weight` cross each link of the path, at most `cap` each.
    ///
    /// # Panics
    ///
    /// If a weight or the cap is not positive, or a link is unknown.
    pub fn add(&mut self, path: &[(LinkId, f64)], cap: f64) -> ShareId {
        assert!(cap > 0.0, "a flow's cap is {cap}, allowed is > 0");
        let id = self.free.pop().unwrap_or_else(|| {
            self.flows.push(Member::default());
            u32::try_from(self.flows.len() - 1).expect("fewer than 2^32 flows")
        });
        let mut own = std::mem::take(&mut self.flows[id as usize].path);
        for (position, (link, weight)) in (0_u32..).zip(path) {
            assert!(*weight > 0.0, "a flow's weight is {weight}, allowed is > 0");
            let shared = &mut self.links[link.index()];
            shared.demand += weight * cap;
            let place = u32::try_from(shared.flows.len()).expect("fewer than 2^32 flows");
            own.push((*link, *weight, place));
            shared.flows.push((id, position));
        }
        let flow = &mut self.flows[id as usize];
        (flow.path, flow.cap, flow.rate) = (own, cap, 0.0);
        self.begin();
        self.reach(id);
        self.spread();
        self.fill();
        ShareId(id)
    }

    /// Takes a flow out.
    ///
    /// # Panics
    ///
    /// If it is not there.
    pub fn remove(&mut self, flow: ShareId) {
        let id = flow.0;
        assert!(self.flows[flow.index()].cap > 0.0, "{flow:?} is not there");
        self.begin();
        self.reach(id);
        self.spread();
        let mut path = std::mem::take(&mut self.flows[flow.index()].path);
        for (link, weight, place) in path.drain(..) {
            let shared = &mut self.links[link.index()];
            shared.flows.swap_remove(place as usize);
            if let Some((moved, position)) = shared.flows.get(place as usize).copied() {
                self.flows[moved as usize].path[position as usize].2 = place;
            }
            let left = shared.demand - weight * self.flows[flow.index()].cap;
            // Nothing is left of a sum over nobody.
            shared.demand = if shared.flows.is_empty() { 0.0 } else { left };
        }
        let gone = &mut self.flows[flow.index()];
        (gone.path, gone.cap, gone.rate) = (path, 0.0, 0.0);
        self.touched.retain(|touched| *touched != flow);
        self.free.push(id);
        self.fill();
    }

    /// Gives a link another capacity.
    ///
    /// # Panics
    ///
    /// If it is negative or not a number.
    pub fn set_capacity(&mut self, link: LinkId, capacity: f64) {
        assert!(capacity >= 0.0, "a link's capacity is {capacity}, allowed is >= 0");
        self.begin();
        // Whoever it limits now, and whoever it will limit.
        for _ in 0..2 {
            if self.links[link.index()].is_contended() {
                self.enter(link);
                self.spread();
            }
            self.links[link.index()].capacity = capacity;
        }
        self.fill();
    }

    /// Rate of each connection of a flow.
    #[must_use]
    pub fn rate(&self, flow: ShareId) -> f64 {
        self.flows[flow.index()].rate
    }

    /// The flows whose rate the last change may have moved.
    #[must_use]
    pub fn touched(&self) -> &[ShareId] {
        &self.touched
    }

    /// What the flows of a link take of it.
    #[must_use]
    pub fn used(&self, link: LinkId) -> f64 {
        let flows = self.links[link.index()].flows.iter();
        let rates = flows.map(|(flow, position)| {
            let flow = &self.flows[*flow as usize];
            flow.path[*position as usize].1 * flow.rate
        });
        rates.sum()
    }

    /// Capacity of a link.
    #[must_use]
    pub fn capacity(&self, link: LinkId) -> f64 {
        self.links[link.index()].capacity
    }

    fn begin(&mut self) {
        self.scratch.stamp += 1;
        self.scratch.links.clear();
        self.touched.clear();
    }

    fn reach(&mut self, flow: u32) {
        let member = &mut self.flows[flow as usize];
        if member.seen != self.scratch.stamp {
            member.seen = self.scratch.stamp;
            self.touched.push(ShareId(flow));
        }
    }

    fn enter(&mut self, link: LinkId) {
        let shared = &mut self.links[link.index()];
        if shared.seen == self.scratch.stamp {
            return;
        }
        shared.seen = self.scratch.stamp;
        self.scratch.links.push(link);
        for at in 0..self.links[link.index()].flows.len() {
            let (flow, _) = self.links[link.index()].flows[at];
            self.reach(flow);
        }
    }

    /// Reaches whoever is joined to the flows reached by links that limit somebody.
    fn spread(&mut self) {
        let mut at = 0;
        while let Some(flow) = self.touched.get(at).copied() {
            for step in 0..self.flows[flow.index()].path.len() {
                let (link, ..) = self.flows[flow.index()].path[step];
                if self.links[link.index()].is_contended() {
                    self.enter(link);
                }
            }
            at += 1;
        }
    }

    /// Progressive filling of the links that were entered by the flows that were reached: all rates
    /// rise together, until a flow is at its cap or a link is full.
    fn fill(&mut self) {
        let Self { links, flows, touched, scratch, .. } = self;
        for link in &scratch.links {
            let shared = &mut links[link.index()];
            (shared.left, shared.weight) = (shared.capacity, 0.0);
        }
        scratch.caps.clear();
        for id in touched.iter() {
            let flow = &mut flows[id.index()];
            flow.is_settled = false;
            scratch.caps.push(id.0);
            for (link, weight, _) in &flow.path {
                links[link.index()].weight += weight;
            }
        }
        scratch.caps.sort_unstable_by(|a, b| {
            let cap = |id: &u32| flows[*id as usize].cap;
            cap(a).total_cmp(&cap(b)).then(a.cmp(b))
        });
        scratch.levels.clear();
        for link in &scratch.links {
            let shared = &links[link.index()];
            if shared.weight > 0.0 {
                scratch.levels.push(Reverse((Level(shared.level()), *link)));
            }
        }
        let settle = |id: u32, rate: f64, links: &mut [Shared], flows: &mut [Member]| {
            let flow = &mut flows[id as usize];
            (flow.rate, flow.is_settled) = (rate, true);
            for (link, weight, _) in &flow.path {
                let shared = &mut links[link.index()];
                shared.left -= weight * rate;
                shared.weight -= weight;
            }
        };
        let mut caps = scratch.caps.iter().copied().peekable();
        loop {
            while caps.next_if(|id| flows[*id as usize].is_settled).is_some() {}
            let Some(next) = caps.peek().copied() else { break };
            let cap = flows[next as usize].cap;
            match scratch.levels.peek().copied() {
                Some(Reverse((Level(level), link))) if level < cap => {
                    scratch.levels.pop();
                    let shared = &links[link.index()];
                    let flows_of = || shared.flows.iter().map(|(flow, _)| *flow);
                    if flows_of().all(|flow| flows[flow as usize].is_settled) {
                        continue;
                    }
                    let now = shared.level();
                    // Whoever has settled since took less than the level; it can only have risen.
                    if now > level {
                        scratch.levels.push(Reverse((Level(now), link)));
                        continue;
                    }
                    for at in 0..links[link.index()].flows.len() {
                        let (flow, _) = links[link.index()].flows[at];
                        if !flows[flow as usize].is_settled {
                            settle(flow, level, links, flows);
                        }
                    }
                }
                _ => settle(next, cap, links, flows),
            }
        }
    }
}

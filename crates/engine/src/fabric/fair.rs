//! A fabric whose flows share links by max-min fairness.

use std::cmp::Reverse;
use std::collections::{BinaryHeap, VecDeque};

use sglsim_units::{HashMap, RequestId, Seconds, SimTime};

use super::{Delivery, Fabric, FairShares, Flow, LinkId, LinkUse, Network, Port, ShareId};

/// Flows over the links of a [`Network`], sharing them by max-min fairness ([`FairShares`]).
///
/// A rank hands its pieces to a few transfer queues, all for one receiver to the same one, and a queue
/// sends one piece at a time. A piece is set up for a while and then streams over the links between the
/// GPUs of both ranks. Alone on its way it takes the time that the transfer law says, to the last bit.
///
/// # Source
///
/// SGLang 0.5.23, `disaggregation/mooncake/conn.py:add_transfer_request` (queues).
#[derive(Debug)]
pub struct FairFabric {
    network: Network,
    shares: FairShares,
    /// Pieces that wait or move, by sender and queue; the first one moves.
    queues: HashMap<(Port, usize), VecDeque<(Flow, SimTime)>>,
    moving: Vec<Option<Moving>>,
    free: Vec<usize>,
    /// Which moving piece has which place in `shares`.
    owners: Vec<usize>,
    /// What happens next to a moving piece, valid if it has this stamp.
    agenda: BinaryHeap<Reverse<(SimTime, u64, usize)>>,
    stamps: u64,
    /// Bytes that each link carried \[B\], and its bandwidth when nothing is wrong with it \[B/s\].
    carried: Vec<f64>,
    nominal: Vec<f64>,
}

/// The piece at the head of a queue.
#[derive(Debug)]
struct Moving {
    flow: Flow,
    submitted: SimTime,
    queue: (Port, usize),
    stage: Stage,
    /// Full rate of one of its connections \[B/s\].
    cap: f64,
    /// Streaming that was left at `since`, if it were alone \[s\].
    left: f64,
    since: SimTime,
    /// Rate since then, as a share of the full one; `None` before it streams.
    rate: Option<f64>,
    /// When it arrives if it is never slowed down.
    unhindered: Option<SimTime>,
    stamp: u64,
}

#[derive(Clone, Copy, Debug, PartialEq)]
enum Stage {
    SetUp,
    /// It has nothing to stream.
    Empty,
    Streaming(ShareId),
}

impl Moving {
    /// Notes what has streamed until `now`.
    fn settle(&mut self, now: SimTime) {
        let passed = now.since(self.since).get();
        self.left = (self.left - passed * self.rate.unwrap_or(0.0)).max(0.0);
        self.since = now;
    }

    /// When it arrives at its present rate.
    fn arrival(&self) -> Option<SimTime> {
        if let Some(at) = self.unhindered {
            return Some(at);
        }
        Seconds::new(self.left / self.rate?).ok().map(|left| self.since + left)
    }
}

impl FairFabric {
    /// A network with nothing under way.
    #[must_use]
    pub fn new(network: Network) -> Self {
        let nominal: Vec<f64> = network.links().map(|(_, _, capacity)| capacity).collect();
        Self {
            shares: FairShares::new(nominal.iter().copied()),
            queues: HashMap::default(),
            moving: Vec::new(),
            free: Vec::new(),
            owners: Vec::new(),
            agenda: BinaryHeap::new(),
            stamps: 0,
            carried: vec![0.0; nominal.len()],
            nominal,
            network,
        }
    }

    /// The network.
    #[must_use]
    pub fn network(&self) -> &Network {
        &self.network
    }

    fn plan(&mut self, place: usize, at: Option<SimTime>) {
        self.stamps += 1;
        let stamp = self.stamps;
        if let Some(moving) = &mut self.moving[place] {
            moving.stamp = stamp;
        }
        if let Some(at) = at {
            self.agenda.push(Reverse((at, stamp, place)));
        }
    }

    /// Drops what is not valid any more from the head of the agenda, and from all of it when it has
    /// become long.
    fn tidy(&mut self) {
        let moving = &self.moving;
        let is_valid = |stamp: u64, place: usize| {
            moving[place].as_ref().is_some_and(|moving| moving.stamp == stamp)
        };
        if self.agenda.len() > 64 + 4 * self.moving.len() {
            self.agenda.retain(|Reverse((_, stamp, place))| is_valid(*stamp, *place));
        }
        while let Some(Reverse((_, stamp, place))) = self.agenda.peek()
            && !is_valid(*stamp, *place)
        {
            self.agenda.pop();
        }
    }

    /// The first piece of a queue begins to move.
    fn start(&mut self, now: SimTime, queue: (Port, usize)) {
        let Some((flow, submitted)) = self.queues.get(&queue).and_then(VecDeque::front) else {
            return;
        };
        let (flow, submitted) = (*flow, *submitted);
        let moving = Moving {
            flow,
            submitted,
            queue,
            stage: Stage::SetUp,
            cap: 0.0,
            left: flow.streaming.get(),
            since: now,
            rate: None,
            unhindered: Some(now + flow.alone),
            stamp: 0,
        };
        let place = self.free.pop().unwrap_or_else(|| {
            self.moving.push(None);
            self.moving.len() - 1
        });
        self.moving[place] = Some(moving);
        let set_up = (flow.alone.get() - flow.streaming.get()).max(0.0);
        let set_up = Seconds::new(set_up).expect("a difference of durations is finite");
        self.plan(place, Some(now + set_up));
    }

    /// A piece that was set up takes its share of the links.
    fn stream(&mut self, now: SimTime, place: usize) {
        let moving = self.moving[place].as_mut().expect("what is planned is there");
        let flow = moving.flow;
        let route = self.network.route(flow.from, flow.to);
        let streaming = flow.streaming.get();
        moving.since = now;
        let cap = flow.bytes / (route.connections * streaming);
        if !(cap.is_finite() && cap > 0.0) {
            // Nothing to stream.
            let at = moving.unhindered;
            moving.stage = Stage::Empty;
            self.plan(place, at);
            return;
        }
        moving.cap = cap;
        let share = self.shares.add(&route.links, cap);
        moving.stage = Stage::Streaming(share);
        if self.owners.len() <= share.index() {
            self.owners.resize(share.index() + 1, usize::MAX);
        }
        self.owners[share.index()] = place;
        self.follow_rates(now);
    }

    /// Plans the arrivals of those whose rate the last change moved.
    fn follow_rates(&mut self, now: SimTime) {
        for at in 0..self.shares.touched().len() {
            let share = self.shares.touched()[at];
            let place = self.owners[share.index()];
            let moving = self.moving[place].as_mut().expect("an owner moves");
            let rate = (self.shares.rate(share) / moving.cap).min(1.0);
            if moving.rate.is_some_and(|before| before.to_bits() == rate.to_bits()) {
                continue;
            }
            moving.settle(now);
            moving.rate = Some(rate);
            if rate < 1.0 {
                moving.unhindered = None;
            }
            let arrival = moving.arrival();
            self.plan(place, arrival);
        }
    }

    /// Takes a piece off the links and out of its queue.
    fn leave(&mut self, now: SimTime, place: usize) -> Option<(Flow, SimTime)> {
        let mut moving = self.moving[place].take()?;
        self.free.push(place);
        if let Stage::Streaming(share) = moving.stage {
            moving.settle(now);
            let done = 1.0 - moving.left / moving.flow.streaming.get();
            let route = self.network.route(moving.flow.from, moving.flow.to);
            let bytes = moving.flow.bytes * done / route.connections;
            for (link, weight) in route.links.iter() {
                self.carried[link.index()] += bytes * weight;
            }
            self.shares.remove(share);
            self.follow_rates(now);
        }
        let queue = self.queues.get_mut(&moving.queue).expect("what moves is in a queue");
        queue.pop_front();
        self.start(now, moving.queue);
        Some((moving.flow, moving.submitted))
    }
}

impl Fabric for FairFabric {
    fn name(&self) -> &str {
        "max-min fair"
    }

    fn submit(&mut self, now: SimTime, flow: Flow) {
        let queue = (flow.from, self.network.queue(flow.to));
        let waiting = self.queues.entry(queue).or_default();
        waiting.push_back((flow, now));
        if waiting.len() == 1 {
            self.start(now, queue);
        }
        self.tidy();
    }

    fn peek(&self) -> Option<SimTime> {
        self.agenda.peek().map(|Reverse((at, ..))| *at)
    }

    fn pop(&mut self) -> Option<Delivery> {
        let Reverse((at, _, place)) = self.agenda.pop()?;
        let delivery = if self.moving[place].as_ref()?.stage == Stage::SetUp {
            self.stream(at, place);
            None
        } else {
            let left = self.leave(at, place);
            left.map(|(flow, submitted)| Delivery { flow, submitted, arrived: at })
        };
        self.tidy();
        delivery
    }

    fn cancel(&mut self, now: SimTime, request: RequestId, from: Port, to: Port) {
        let queue = (from, self.network.queue(to));
        let Some(waiting) = self.queues.get_mut(&queue) else { return };
        let mut at = 0;
        // The first one moves.
        waiting.retain(|(flow, _)| {
            at += 1;
            at == 1 || flow.request != request
        });
        let moves = |moving: &Moving| moving.queue == queue && moving.flow.request == request;
        let place = self.moving.iter().position(|moving| moving.as_ref().is_some_and(moves));
        if let Some(place) = place {
            self.leave(now, place);
        }
        self.tidy();
    }

    fn set_bandwidth(&mut self, now: SimTime, link: &str, share: f64) -> bool {
        let named: Vec<LinkId> = self.network.named(link).collect();
        for link in &named {
            self.shares.set_capacity(*link, self.nominal[link.index()] * share);
            self.follow_rates(now);
        }
        self.tidy();
        !named.is_empty()
    }

    fn link_use(&self) -> Vec<LinkUse> {
        let links = self.network.links().zip(&self.carried);
        links
            .map(|((kind, name, capacity), bytes)| LinkUse {
                kind,
                name: name.to_owned(),
                capacity,
                bytes: *bytes,
            })
            .collect()
    }
}

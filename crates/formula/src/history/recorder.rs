//! Watching a run and noting what each instant waited for.
//!
//! The engine tells what happens at an instant in a known order: of a step that ends, `RankStep`, then
//! what it caused, then `Step`; of a worker that chooses its next step, what it took in and let go. Both
//! are a *moment* of one worker; when it is over, its instant becomes a node, and all that happened in it
//! refers to that node. What the moment waited for is the worker's last step and the requests that it
//! took in; instants are equal to the last bit, so it is known whether that explains it.

use std::collections::VecDeque;

use sglsim_engine::{Event, Observer, RequestId, Seconds, SimTime, TokenCount, WorkerId};

use super::graph::{Graph, NodeId, Step, Take, Transfer, instant, node};

/// A run, noted.
#[derive(Debug, Default)]
pub(crate) struct Recorder {
    pub(crate) graph: Graph,
    /// The instant of each node \[s\], never falling.
    pub(crate) at: Vec<f64>,
    pub(crate) requests: Vec<Trail>,
    /// The first instant that nothing explains, and on which worker.
    pub(crate) unexplained: Option<(SimTime, WorkerId)>,
    /// Pool of each worker.
    pools: Vec<usize>,
    workers: Vec<Track>,
    sent: Vec<Sent>,
    moment: Option<Moment>,
}

/// The instants of a request.
#[derive(Clone, Debug, Default)]
pub(crate) struct Trail {
    pub(crate) arrival: Option<NodeId>,
    pub(crate) queued: Option<NodeId>,
    pub(crate) admitted: Option<NodeId>,
    pub(crate) prefilled: Option<NodeId>,
    pub(crate) transferred: Option<NodeId>,
    pub(crate) first_token: Option<NodeId>,
    /// When it left, finished or not.
    pub(crate) end: Option<NodeId>,
    workers: Option<[WorkerId; 2]>,
    /// Pieces under way, in the order in which they were sent.
    under_way: VecDeque<usize>,
    delivered: Option<NodeId>,
}

/// Where a worker stands.
#[derive(Clone, Copy, Debug, Default)]
struct Track {
    /// End of its last step.
    ended: Option<NodeId>,
    /// When it last took something in between steps.
    opened: Option<NodeId>,
    /// The last piece of KV that it sent, and that it received.
    flows: [Option<usize>; 2],
}

/// A piece of KV on its way.
#[derive(Clone, Copy, Debug)]
struct Sent {
    tokens: TokenCount,
    alone: Seconds,
    submitted: Option<NodeId>,
    /// The pieces before it at its sender and at its receiver.
    behind: [Option<usize>; 2],
    arrived: Option<NodeId>,
}

/// What happens on one worker at one instant.
#[derive(Debug)]
struct Moment {
    worker: WorkerId,
    at: SimTime,
    /// Whether a step ends in it; else the worker chooses its next one.
    ends_step: bool,
    waits_for: Vec<NodeId>,
    caused: Vec<Caused>,
}

/// What refers to a moment's instant.
#[derive(Clone, Copy, Debug)]
enum Caused {
    Queued(RequestId),
    Admitted(RequestId),
    Prefilled(RequestId),
    FirstToken(RequestId),
    End(RequestId),
    Sent(usize),
}

impl Recorder {
    /// A recorder of a run with this pool of each worker.
    pub(crate) fn new(pools: Vec<usize>) -> Self {
        let workers = vec![Track::default(); pools.len()];
        Self { pools, workers, ..Self::default() }
    }

    /// What was noted, when the run is over.
    pub(crate) fn finished(mut self) -> Self {
        self.close();
        self
    }

    fn push(
        &mut self,
        at: SimTime,
        waits_for: impl IntoIterator<Item = NodeId>,
        takes: Take,
    ) -> NodeId {
        self.at.push(at.seconds());
        self.graph.push(waits_for, takes)
    }

    fn is_at(&self, node: NodeId, at: SimTime) -> bool {
        instant(&self.at, node) == at.seconds()
    }

    /// The latest node of exactly this instant.
    fn latest_at(&self, at: SimTime) -> Option<NodeId> {
        let after = self.at.partition_point(|instant| *instant <= at.seconds());
        let latest = after.checked_sub(1).map(node)?;
        self.is_at(latest, at).then_some(latest)
    }

    /// The moment of this worker, begun if it is another one than the last.
    fn moment(&mut self, worker: WorkerId, at: SimTime) -> &mut Moment {
        let same = |moment: &Moment| moment.worker == worker && moment.at == at;
        if !self.moment.as_ref().is_some_and(same) {
            self.close();
        }
        self.moment.get_or_insert_with(|| Moment {
            worker,
            at,
            ends_step: false,
            waits_for: Vec::new(),
            caused: Vec::new(),
        })
    }

    fn cause(&mut self, worker: Option<WorkerId>, at: SimTime, what: Caused) {
        if let Some(worker) = worker {
            self.moment(worker, at).caused.push(what);
        }
    }

    /// Ends a moment in which a worker chose its next step.
    fn close(&mut self) {
        let Some(moment) = self.moment.take() else { return };
        let Moment { worker, at, ends_step, waits_for, caused } = moment;
        if ends_step {
            // Every step that ends is told at the end.
            self.unexplained.get_or_insert((at, worker));
        }
        let track = self.workers[worker.index()];
        let before = track.opened.filter(|opened| self.is_at(*opened, at));
        let mut all: Vec<NodeId> = track.ended.into_iter().chain(before).chain(waits_for).collect();
        if !all.iter().any(|node| self.is_at(*node, at)) {
            // Something else woke it: memory that a transfer or another worker's step gave back.
            match self.latest_at(at) {
                Some(node) => all.push(node),
                None => {
                    self.unexplained.get_or_insert((at, worker));
                }
            }
        }
        let opened = match all.as_slice() {
            [only] => *only,
            _ => self.push(at, all, Take::Fixed(0.0)),
        };
        self.workers[worker.index()].opened = Some(opened);
        self.settle(&caused, opened);
    }

    /// A step is done: what it caused happened at its end.
    fn step(&mut self, worker: WorkerId, at: SimTime, began: SimTime, cost: Seconds, step: Step) {
        let caused = match self.moment.take() {
            Some(moment) if moment.ends_step && moment.worker == worker => moment.caused,
            other => {
                self.moment = other;
                self.close();
                Vec::new()
            }
        };
        let track = self.workers[worker.index()];
        let known = [track.opened, track.ended].into_iter().flatten();
        let begins = known.into_iter().find(|node| self.is_at(*node, began));
        let begins = begins.or_else(|| self.latest_at(began));
        if begins.is_none() || began + cost != at {
            self.unexplained.get_or_insert((began, worker));
        }
        let number = u32::try_from(self.graph.steps.len()).unwrap_or(u32::MAX);
        self.graph.steps.push(step);
        let end = self.push(at, begins, Take::Step(number));
        self.workers[worker.index()].ended = Some(end);
        self.settle(&caused, end);
    }

    fn settle(&mut self, caused: &[Caused], node: NodeId) {
        for what in caused {
            match *what {
                Caused::Queued(id) => self.requests[id.index()].queued = Some(node),
                Caused::Admitted(id) => {
                    self.requests[id.index()].admitted.get_or_insert(node);
                }
                Caused::Prefilled(id) => {
                    self.requests[id.index()].prefilled.get_or_insert(node);
                }
                Caused::FirstToken(id) => {
                    self.requests[id.index()].first_token.get_or_insert(node);
                }
                Caused::End(id) => self.requests[id.index()].end = Some(node),
                Caused::Sent(piece) => self.sent[piece].submitted = Some(node),
            }
        }
    }

    fn arrived(&mut self, at: SimTime, id: RequestId, after: Option<RequestId>) {
        self.close();
        let end = after.and_then(|by| self.requests[by.index()].end);
        let since = end.map_or(0.0, |end| instant(&self.at, end));
        let arrival = self.push(at, end, Take::Fixed(at.seconds() - since));
        debug_assert_eq!(id.index(), self.requests.len());
        self.requests.push(Trail { arrival: Some(arrival), ..Trail::default() });
    }

    /// The request joined the waiting queue of its prefill worker: at once, or when its decode
    /// worker had room for it.
    fn queued(&mut self, at: SimTime, id: RequestId) {
        let trail = &self.requests[id.index()];
        let Some([prefill, decode]) = trail.workers else { return };
        let arrival = trail.arrival;
        if prefill == decode {
            self.requests[id.index()].queued = arrival;
        } else {
            let moment = self.moment(decode, at);
            moment.waits_for.extend(arrival);
            moment.caused.push(Caused::Queued(id));
        }
    }

    fn send(&mut self, at: SimTime, id: RequestId, tokens: TokenCount, alone: Seconds) {
        let Some([from, to]) = self.requests[id.index()].workers else { return };
        let piece = self.sent.len();
        let behind = [
            self.workers[from.index()].flows[0].replace(piece),
            self.workers[to.index()].flows[1].replace(piece),
        ];
        self.sent.push(Sent { tokens, alone, submitted: None, behind, arrived: None });
        self.requests[id.index()].under_way.push_back(piece);
        self.moment(from, at).caused.push(Caused::Sent(piece));
    }

    /// A piece has arrived. If its time alone after the piece before it explains when, it waited for
    /// that one; else links are shared, and by how much is frozen.
    fn delivered(&mut self, at: SimTime, id: RequestId) {
        self.close();
        let Some(piece) = self.requests[id.index()].under_way.pop_front() else { return };
        let Sent { tokens, alone, submitted, behind, .. } = self.sent[piece];
        let before = behind.into_iter().flatten().filter_map(|piece| self.sent[piece].arrived);
        let waits_for: Vec<NodeId> = submitted.into_iter().chain(before).collect();
        let latest = waits_for.iter().map(|node| instant(&self.at, *node)).fold(0.0, f64::max);
        let submitted_at = submitted.map_or(0.0, |node| instant(&self.at, node));
        let number = u32::try_from(self.graph.transfers.len()).unwrap_or(u32::MAX);
        let fifo = latest + alone.get() == at.seconds();
        let took = at.seconds() - submitted_at;
        let arrived = if fifo {
            self.graph.transfers.push(Transfer { tokens, stretch: 1.0 });
            self.push(at, waits_for, Take::Transfer(number))
        } else if alone.get() > 0.0 {
            self.graph.transfers.push(Transfer { tokens, stretch: took / alone.get() });
            self.push(at, submitted, Take::Transfer(number))
        } else {
            self.push(at, submitted, Take::Fixed(took))
        };
        self.sent[piece].arrived = Some(arrived);
        self.requests[id.index()].delivered = Some(arrived);
    }

    fn prefill_worker(&self, id: RequestId) -> Option<WorkerId> {
        self.requests[id.index()].workers.map(|[prefill, _]| prefill)
    }

    /// Whether the moment is the end of a step.
    fn in_step(&self) -> bool {
        self.moment.as_ref().is_some_and(|moment| moment.ends_step)
    }
}

impl Observer for Recorder {
    fn on_event(&mut self, at: SimTime, event: &Event<'_>) {
        match *event {
            Event::Arrived { request, after } => self.arrived(at, request.id, after),
            Event::Routed { id, prefill, decode } => {
                self.requests[id.index()].workers = Some([prefill, decode]);
            }
            Event::Queued { id } => self.queued(at, id),
            Event::Admitted { id, .. } => {
                let queued = self.requests[id.index()].queued;
                if let Some(worker) = self.prefill_worker(id) {
                    let moment = self.moment(worker, at);
                    moment.waits_for.extend(queued);
                    moment.caused.push(Caused::Admitted(id));
                }
            }
            Event::Prefilled { id } => {
                self.cause(self.prefill_worker(id), at, Caused::Prefilled(id));
            }
            Event::Sent { id, tokens, alone } => self.send(at, id, tokens, alone),
            Event::Delivered { id, .. } => self.delivered(at, id),
            Event::Transferred { id } => {
                let trail = &mut self.requests[id.index()];
                trail.transferred = trail.delivered;
            }
            Event::Token { id, worker, .. } => {
                let arrived = self.requests[id.index()].transferred;
                let moment = self.moment(worker, at);
                moment.waits_for.extend(arrived);
                moment.caused.push(Caused::FirstToken(id));
            }
            Event::Resumed { worker, .. } | Event::Retracted { worker, .. } => {
                self.moment(worker, at);
            }
            Event::Finished { id, worker, .. } => self.cause(Some(worker), at, Caused::End(id)),
            Event::Refused { id } => match &mut self.moment {
                Some(moment) if moment.at == at => moment.caused.push(Caused::End(id)),
                _ => self.requests[id.index()].end = self.requests[id.index()].arrival,
            },
            Event::RankStep { worker, .. } => {
                if !self.in_step() {
                    self.close();
                }
                self.moment(worker, at).ends_step = true;
            }
            Event::Step { worker, began, cost, features } => {
                let pool = self.pools[worker.index()];
                self.step(worker, at, began, cost, Step { pool, features: *features });
            }
            _ => {}
        }
    }
}

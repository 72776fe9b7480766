//! Synthetic workloads: arrivals, lengths, shared prefixes and conversations drawn from laws.

mod config;
mod draws;

use std::cmp::Reverse;
use std::collections::BinaryHeap;

use sglsim_radix::{Prompt, Span};
use sglsim_units::{HashMap, RequestId, RngStreams, SimTime};

pub use config::{LabelLaws, Sessions, SharedPrefix, SyntheticConfig};

use crate::content::output_content;
use crate::error::{WorkloadError, check};
use crate::laws::{Arrivals, DurationSampler, OpenArrivals, Stream};
use crate::request::{Finished, Request, Workload};
use draws::{Draws, Session};

/// A workload drawn from a [`SyntheticConfig`].
///
/// Of a new conversation and a follow-up turn at the same instant the new one goes first; of two
/// follow-ups the one released first.
#[derive(Debug)]
pub(crate) struct Synthetic {
    draws: Draws,
    source: Source,
    /// What an end has released, earliest first.
    due: BinaryHeap<Reverse<Due>>,
    /// Conversations whose last request is in the system, by that request.
    running: HashMap<RequestId, Session>,
    issued: u32,
    released: u64,
    limits: Limits,
}

/// Where new conversations come from.
#[derive(Debug)]
enum Source {
    Open(OpenArrivals),
    /// Users, of whom some have not begun (they do at time 0) and the others think after each end.
    Closed {
        unstarted: u32,
        think: Stream<DurationSampler>,
    },
}

impl Source {
    /// When the next conversation begins, as far as no end is needed for it.
    fn next(&self) -> Option<SimTime> {
        match self {
            Self::Open(arrivals) => Some(arrivals.next()),
            Self::Closed { unstarted, .. } => (*unstarted > 0).then_some(SimTime::ZERO),
        }
    }

    fn advance(&mut self) {
        match self {
            Self::Open(arrivals) => arrivals.advance(),
            Self::Closed { unstarted, .. } => *unstarted -= 1,
        }
    }
}

#[derive(Clone, Copy, Debug)]
struct Limits {
    requests: Option<u32>,
    /// No request arrives at this time or later.
    end: Option<SimTime>,
    max_new_tokens: Option<u32>,
    max_prompt_len: u64,
}

/// A request that waits for its time; ordered by time, then by release.
#[derive(Debug)]
struct Due {
    at: SimTime,
    released: u64,
    /// The request whose end released it.
    after: RequestId,
    /// `None` is the next conversation of a user of a closed loop.
    session: Option<Session>,
}

impl Synthetic {
    pub(crate) fn new(
        config: &SyntheticConfig,
        streams: RngStreams,
    ) -> Result<Self, WorkloadError> {
        let source = match &config.arrivals {
            Arrivals::ClosedLoop { concurrency, think } => {
                check("arrivals.concurrency", *concurrency, 1..=u32::MAX)?;
                let think = think.sampler("arrivals.think")?;
                let think = Stream::new(think, streams, "workload/arrivals.think");
                Source::Closed { unstarted: *concurrency, think }
            }
            open => Source::Open(OpenArrivals::new(open, streams)?),
        };
        Ok(Self {
            limits: config.limits()?,
            draws: Draws::new(config, streams)?,
            source,
            due: BinaryHeap::new(),
            running: HashMap::default(),
            issued: 0,
            released: 0,
        })
    }

    fn release(&mut self, at: SimTime, after: RequestId, session: Option<Session>) {
        self.due.push(Reverse(Due { at, released: self.released, after, session }));
        self.released += 1;
    }
}

impl Workload for Synthetic {
    fn name(&self) -> &str {
        "synthetic"
    }

    fn total(&self) -> Option<u64> {
        self.limits.requests.filter(|_| self.limits.end.is_none()).map(u64::from)
    }

    fn peek(&self) -> Option<SimTime> {
        if self.issued >= self.limits.requests.unwrap_or(u32::MAX) {
            return None;
        }
        let due = self.due.peek().map(|Reverse(due)| due.at);
        let next = self.source.next().into_iter().chain(due).min()?;
        self.limits.end.is_none_or(|end| next < end).then_some(next)
    }

    fn pop(&mut self) -> Option<Request> {
        let arrival = self.peek()?;
        let session = if self.source.next() == Some(arrival) {
            self.source.advance();
            None
        } else {
            self.due.pop().and_then(|Reverse(due)| due.session)
        };
        let mut session = session.unwrap_or_else(|| self.draws.session());
        let id = RequestId(self.issued);
        self.issued += 1;

        let turn = session.start_turn();
        let request = Request {
            id,
            arrival,
            prompt: Prompt::new(session.history.clone()),
            output_len: turn.output_len,
            max_new_tokens: self.limits.max_new_tokens.unwrap_or(turn.output_len),
            ignore_eos: self.limits.max_new_tokens.is_none(),
            labels: session.labels,
        };
        if session.has_more() || matches!(self.source, Source::Closed { .. }) {
            self.running.insert(id, session);
        }
        Some(request)
    }

    fn released_by(&self) -> Option<RequestId> {
        let next = self.peek()?;
        // A new conversation goes first.
        let Reverse(due) = self.due.peek().filter(|_| self.source.next() != Some(next))?;
        Some(due.after)
    }

    fn on_finished(&mut self, done: &Finished) {
        let Some(mut session) = self.running.remove(&done.id) else { return };
        // A conversation whose request was refused or aborted unanswered is over.
        if done.output_len > 0 {
            session.history.push(Span::new(output_content(done.id), done.output_len));
            if session.next_prompt_len().is_some_and(|len| len <= self.limits.max_prompt_len) {
                let at = done.at + session.think();
                self.release(at, done.id, Some(session));
                return;
            }
        }
        if let Source::Closed { think, .. } = &mut self.source {
            let at = done.at + think.draw();
            self.release(at, done.id, None);
        }
    }
}

impl PartialEq for Due {
    fn eq(&self, other: &Self) -> bool {
        self.cmp(other).is_eq()
    }
}

impl Eq for Due {}

impl PartialOrd for Due {
    fn partial_cmp(&self, other: &Self) -> Option<std::cmp::Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for Due {
    fn cmp(&self, other: &Self) -> std::cmp::Ordering {
        (self.at, self.released).cmp(&(other.at, other.released))
    }
}

//! Replays a trace: arrivals as recorded, faster or slower; turns of a conversation after their answers.

use std::cmp::Reverse;
use std::collections::BinaryHeap;

use sglsim_radix::{Prompt, Span};
use sglsim_units::{HashMap, RequestId, Seconds, SimTime};

use super::Trace;
use crate::content::output_content;
use crate::error::{WorkloadError, check};
use crate::request::{Finished, Request, Workload};

/// How to replay a trace.
#[derive(Clone, Debug, PartialEq)]
pub struct ReplayOptions {
    /// Arrivals come this many times as fast as recorded, from 1e-6 to 1e6; the delays of later turns of
    /// a conversation stay as they are. Default 1.
    pub speed: f64,
    /// Only the first so many requests. Default all.
    pub limit: Option<u64>,
    /// Limit on generated tokens that every request asks for. By default each asks for exactly
    /// what it will generate and ignores end of sequence, as SGLang's `bench_serving` does; with a
    /// limit, outputs end by themselves.
    pub max_new_tokens: Option<u32>,
}

impl Default for ReplayOptions {
    fn default() -> Self {
        Self { speed: 1.0, limit: None, max_new_tokens: None }
    }
}

/// An open loop over the rows of a [`Trace`]; turns of a conversation follow the end of the turn before.
///
/// Of a new conversation and a later turn at the same instant the new one goes first; of two later turns
/// the one released first. A conversation ends with a turn that was refused or aborted unanswered.
#[derive(Clone, Debug)]
pub struct Replay {
    trace: Trace,
    options: ReplayOptions,
    requests: usize,
    /// The next row that follows no other.
    next: usize,
    issued: usize,
    turns: Turns,
}

/// Conversations under way; empty if the trace has none.
#[derive(Clone, Debug, Default)]
struct Turns {
    /// By row, where the rows that follow it begin in `followers`; empty without conversations.
    starts: Vec<u32>,
    followers: Vec<u32>,
    /// Turns that wait for their time: when, in which order released, row, the request before.
    due: BinaryHeap<Reverse<(SimTime, u64, u32, RequestId)>>,
    released: u64,
    /// Requests in the system that others follow: their row and their prompt.
    running: HashMap<RequestId, (usize, Vec<Span>)>,
    /// What was said before a turn that is due, by row.
    said: HashMap<u32, Vec<Span>>,
}

impl Replay {
    pub(super) fn new(trace: Trace, options: &ReplayOptions) -> Result<Self, WorkloadError> {
        check("speed", options.speed, 1e-6..=1e6)?;
        let limit = options.limit.unwrap_or(u64::MAX);
        check("limit", limit, 1..=u64::MAX)?;
        let requests = usize::try_from(limit).unwrap_or(usize::MAX).min(trace.requests());
        check("requests of the trace", requests as u64, 1..=u64::from(u32::MAX))?;
        let arrivals = trace.rows.iter().take(requests).map(|(row, _)| row.arrival);
        let last = arrivals.fold(0.0, f64::max);
        if !(last / options.speed).is_finite() {
            let allowed = format!("enough for the last arrival, {last} s, to stay finite");
            return Err(WorkloadError::out_of_range("speed", options.speed, allowed));
        }
        if let Some(limit) = options.max_new_tokens {
            let outputs = trace.rows.iter().take(requests).map(|(row, _)| row.output_len);
            check("max_new_tokens", limit, outputs.max().unwrap_or(1)..=u32::MAX)?;
        }
        let turns = Turns::of(&trace, requests);
        Ok(Self { trace, options: options.clone(), requests, next: 0, issued: 0, turns })
    }

    fn arrival(&self, recorded: f64) -> SimTime {
        SimTime::new(recorded / self.options.speed)
            .expect("arrivals are not negative, and the last one was checked")
    }

    /// When the next row that follows no other arrives.
    fn next_arrival(&self) -> Option<SimTime> {
        let (row, _) = self.trace.rows.get(self.next).filter(|_| self.next < self.requests)?;
        Some(self.arrival(row.arrival))
    }

    /// The next later turn, if it comes before everything else.
    fn next_turn(&self) -> Option<(SimTime, RequestId)> {
        let Reverse((at, _, _, after)) = self.turns.due.peek()?;
        self.next_arrival().is_none_or(|next| *at < next).then_some((*at, *after))
    }
}

impl Workload for Replay {
    fn name(&self) -> &str {
        self.trace.name()
    }

    fn total(&self) -> Option<u64> {
        Some(self.requests as u64)
    }

    fn peek(&self) -> Option<SimTime> {
        self.next_turn().map(|(at, _)| at).or_else(|| self.next_arrival())
    }

    fn pop(&mut self) -> Option<Request> {
        let arrival = self.peek()?;
        let index = if self.next_turn().is_some() {
            let Reverse((_, _, row, _)) = self.turns.due.pop()?;
            row as usize
        } else {
            let row = self.next;
            let mut after = row + 1;
            while after < self.requests && self.trace.rows.turn(after).is_some() {
                after += 1;
            }
            self.next = after;
            row
        };
        let (row, spans) = self.trace.rows.get(index)?;
        let said = u32::try_from(index).ok().and_then(|row| self.turns.said.remove(&row));
        let mut prompt = said.unwrap_or_default();
        prompt.extend_from_slice(spans);
        let id = RequestId::from_index(self.issued);
        self.issued += 1;
        if !self.turns.followers_of(index).is_empty() {
            self.turns.running.insert(id, (index, prompt.clone()));
        }
        Some(Request {
            id,
            arrival,
            prompt: Prompt::new(prompt),
            output_len: row.output_len,
            max_new_tokens: self.options.max_new_tokens.unwrap_or(row.output_len),
            ignore_eos: self.options.max_new_tokens.is_none(),
            labels: self.trace.rows.labels(index),
        })
    }

    fn released_by(&self) -> Option<RequestId> {
        self.next_turn().map(|(_, after)| after)
    }

    fn on_finished(&mut self, done: &Finished) {
        let Some((row, mut said)) = self.turns.running.remove(&done.id) else { return };
        if done.output_len == 0 {
            return;
        }
        said.push(Span::new(output_content(done.id), done.output_len));
        for at in 0..self.turns.followers_of(row).len() {
            let follower = self.turns.followers_of(row)[at];
            let turn = self.trace.rows.turn(follower as usize);
            let delay = turn.map_or(0.0, |turn| turn.delay);
            let at = done.at + Seconds::new(delay).expect("a trace's delays are not negative");
            let turns = &mut self.turns;
            turns.said.insert(follower, said.clone());
            turns.due.push(Reverse((at, turns.released, follower, done.id)));
            turns.released += 1;
        }
    }
}

impl Turns {
    fn of(trace: &Trace, requests: usize) -> Self {
        let mut pairs: Vec<(u32, u32)> = (0..requests)
            .filter_map(|row| Some((trace.rows.turn(row)?.after, u32::try_from(row).ok()?)))
            .collect();
        if pairs.is_empty() {
            return Self::default();
        }
        pairs.sort_unstable();
        let mut starts = vec![0; requests + 1];
        for (before, _) in &pairs {
            starts[*before as usize + 1] += 1;
        }
        for row in 0..requests {
            starts[row + 1] += starts[row];
        }
        let followers = pairs.into_iter().map(|(_, row)| row).collect();
        Self { starts, followers, ..Self::default() }
    }

    /// The rows that follow a row.
    fn followers_of(&self, row: usize) -> &[u32] {
        match self.starts.get(row..row + 2) {
            Some([from, to]) => &self.followers[*from as usize..*to as usize],
            _ => &[],
        }
    }
}

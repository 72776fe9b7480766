//! Replays a trace: arrivals as recorded, faster or slower.

use sglsim_radix::Prompt;
use sglsim_units::{RequestId, SimTime};

use super::Trace;
use crate::error::{WorkloadError, check};
use crate::request::{Request, Workload};

/// How to replay a trace.
#[derive(Clone, Debug, PartialEq)]
pub struct ReplayOptions {
    /// Arrivals come this many times as fast as recorded, from 1e-6 to 1e6. Default 1.
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

/// An open loop over the rows of a [`Trace`].
#[derive(Clone, Debug)]
pub struct Replay {
    trace: Trace,
    options: ReplayOptions,
    requests: usize,
    next: usize,
}

impl Replay {
    pub(super) fn new(trace: Trace, options: &ReplayOptions) -> Result<Self, WorkloadError> {
        check("speed", options.speed, 1e-6..=1e6)?;
        let limit = options.limit.unwrap_or(u64::MAX);
        check("limit", limit, 1..=u64::MAX)?;
        let requests = usize::try_from(limit).unwrap_or(usize::MAX).min(trace.requests());
        check("requests of the trace", requests as u64, 1..=u64::from(u32::MAX))?;
        let last = requests.checked_sub(1).and_then(|last| trace.rows.get(last));
        let last = last.map_or(0.0, |(row, _)| row.arrival);
        if !(last / options.speed).is_finite() {
            let allowed = format!("enough for the last arrival, {last} s, to stay finite");
            return Err(WorkloadError::out_of_range("speed", options.speed, allowed));
        }
        if let Some(limit) = options.max_new_tokens {
            let outputs = trace.rows.iter().take(requests).map(|(row, _)| row.output_len);
            check("max_new_tokens", limit, outputs.max().unwrap_or(1)..=u32::MAX)?;
        }
        Ok(Self { trace, options: options.clone(), requests, next: 0 })
    }

    fn arrival(&self, recorded: f64) -> SimTime {
        SimTime::new(recorded / self.options.speed)
            .expect("arrivals are not negative, and the last one was checked")
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
        let (row, _) = self.trace.rows.get(self.next).filter(|_| self.next < self.requests)?;
        Some(self.arrival(row.arrival))
    }

    fn pop(&mut self) -> Option<Request> {
        let arrival = self.peek()?;
        let (row, spans) = self.trace.rows.get(self.next)?;
        let request = Request {
            id: RequestId::from_index(self.next),
            arrival,
            prompt: Prompt::new(spans.to_vec()),
            output_len: row.output_len,
            max_new_tokens: self.options.max_new_tokens.unwrap_or(row.output_len),
            ignore_eos: self.options.max_new_tokens.is_none(),
            labels: self.trace.rows.labels(self.next),
        };
        self.next += 1;
        Some(request)
    }
}

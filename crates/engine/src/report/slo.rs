//! Service level objectives, and what keeps requests from meeting them.

use std::fmt;

use sglsim_units::{Seconds, SimTime};

use super::{Report, ratio};
use crate::metrics::RequestRecord;

/// Bounds on the latencies of one request. A request that keeps all of them is a good one; good
/// requests per second are the goodput (Zhong et al., "DistServe", OSDI 2024; `--goodput` of SGLang's
/// and vLLM's serving benchmarks).
///
/// ```
/// use sglsim_engine::{Scenario, Seconds, Simulation, Slo};
///
/// let scenario = Scenario::from_ron(r#"(
///     model: "Llama-3.1-8B",
///     hardware: (gpu: "H100-SXM"),
///     deployment: Aggregated(workers: 1),
///     workload: Synthetic(arrivals: Burst, input_len: Fixed(8000), output_len: Fixed(9), requests: 20),
/// )"#)?;
/// let report = Simulation::new(scenario)?.run()?;
/// let slo = Slo { ttft: Some(Seconds::new(1.0).expect("not negative")), ..Slo::default() };
/// assert!(report.goodput(&slo) < report.request_throughput()); // the last of the burst wait too long
/// assert_eq!(report.goodput(&Slo::default()), report.request_throughput());
/// # Ok::<(), sglsim_engine::EngineError>(())
/// ```
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Slo {
    /// Longest time to first token \[s\].
    pub ttft: Option<Seconds>,
    /// Longest mean time per output token after the first \[s\]. A single token has none and keeps it.
    pub tpot: Option<Seconds>,
    /// Longest time from arrival to the last token \[s\].
    pub e2e: Option<Seconds>,
}

/// What the time of a request goes into.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Resource {
    /// Prefill steps: those of others that it waits for, and its own.
    Prefill,
    /// The way of its KV to the decode worker.
    Transfer,
    /// Room for its KV, which requests that decode hold.
    KvMemory,
    /// Decode steps; in an aggregated deployment with the prefill of others between them.
    Decode,
}

/// The resource that most of the requests lose their time at.
#[derive(Clone, Copy, Debug, PartialEq)]
#[non_exhaustive]
pub struct Bottleneck {
    /// Which one.
    pub resource: Resource,
    /// Of the requests that miss the objective, the share that lose most of their time at it; without
    /// an objective its share of all the time that requests wait.
    pub share: f64,
}

impl Resource {
    const ALL: [Self; 4] = [Self::Prefill, Self::Transfer, Self::KvMemory, Self::Decode];

    /// Its name, such as `"prefill"`.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Prefill => "prefill",
            Self::Transfer => "KV transfer",
            Self::KvMemory => "KV memory",
            Self::Decode => "decode",
        }
    }
}

impl fmt::Display for Resource {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.name())
    }
}

impl Slo {
    /// Whether there is no bound.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        *self == Self::default()
    }

    /// Whether a request keeps all bounds. One that did not finish keeps none.
    #[must_use]
    pub fn is_met_by(&self, record: &RequestRecord) -> bool {
        record.finished.is_some() && self.excess(record).is_none_or(|(_, excess)| excess <= 1.0)
    }

    /// The bound that a request is worst at, and its latency as a multiple of it.
    fn excess(&self, record: &RequestRecord) -> Option<(Bound, f64)> {
        let of = |bound, limit: Option<Seconds>, took: Option<Seconds>| {
            let (limit, took) = (limit?.get(), took?.get());
            // Also for a limit of zero.
            let multiple = if took <= limit { ratio(took, limit) } else { took / limit };
            Some((bound, multiple))
        };
        let all = [
            of(Bound::Ttft, self.ttft, record.ttft()),
            of(Bound::Tpot, self.tpot, record.tpot()),
            of(Bound::E2e, self.e2e, record.e2e()),
        ];
        // The first of equals.
        all.into_iter().flatten().reduce(|a, b| if b.1 > a.1 { b } else { a })
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Bound {
    Ttft,
    Tpot,
    E2e,
}

/// Share of requests that may miss an objective, and share of their time that requests may wait, with
/// nothing called a bottleneck.
const TOLERATED_MISSES: f64 = 0.01;
const TOLERATED_WAIT: f64 = 0.1;

/// From this mean usage on, requests that queue at an aggregated worker wait for memory.
const FULL: f64 = 0.8;

impl Report {
    /// Requests that keep the objective.
    #[must_use]
    pub fn good_requests(&self, slo: &Slo) -> u64 {
        self.requests.iter().filter(|record| slo.is_met_by(record)).count() as u64
    }

    /// Requests per second that keep the objective \[1/s\].
    #[must_use]
    pub fn goodput(&self, slo: &Slo) -> f64 {
        ratio(self.good_requests(slo) as f64, self.duration.get())
    }

    /// Share of all requests, refused ones included, that keep the objective.
    #[must_use]
    pub fn attainment(&self, slo: &Slo) -> f64 {
        ratio(self.good_requests(slo) as f64, self.requests.len() as f64)
    }

    /// What keeps requests from the objective; `None` if at most 1 % of them miss it.
    ///
    /// Each request that misses a bound counts for the resource at which it lost most of the time of the
    /// bound that it misses most: of TTFT and E2E the largest stage, of TPOT the decode steps, or the
    /// memory if it was pushed out of it. Time that it waited for room on its decode worker counts
    /// for those who held the room: for decoding requests that is [`Resource::KvMemory`], but room is
    /// also held for prompts that wait to be computed ([`Resource::Prefill`]) or are on their way, so that
    /// a short prefill pool is not mistaken for short memory.
    ///
    /// Without a bound it is where requests wait most, or `None` if they wait for less than a tenth of
    /// their time.
    #[must_use]
    pub fn bottleneck(&self, slo: &Slo) -> Option<Bottleneck> {
        let done = || self.requests.iter().filter(|record| record.finished.is_some());
        let holders = self.holders();
        let mut lost = [0.0; Resource::ALL.len()];
        if slo.is_empty() {
            let mut total = 0.0;
            for record in done() {
                let stages = Stages::of(record, &holders);
                for (sum, time) in lost.iter_mut().zip(stages.waits) {
                    *sum += time;
                }
                total += record.e2e().unwrap_or_default().get();
            }
            if lost.iter().sum::<f64>() < TOLERATED_WAIT * total {
                return None;
            }
        } else {
            let mut misses = 0_u64;
            for record in done() {
                let missed = slo.excess(record).filter(|(_, excess)| *excess > 1.0);
                let Some((bound, _)) = missed else { continue };
                misses += 1;
                lost[Stages::of(record, &holders).blamed(bound, record) as usize] += 1.0;
            }
            if misses as f64 <= TOLERATED_MISSES * self.requests.len() as f64 {
                return None;
            }
        }
        let worst = largest(&lost);
        let share = ratio(lost[worst as usize], lost.iter().sum());
        (share > 0.0).then_some(Bottleneck { resource: worst, share })
    }

    /// Who holds the KV memory of the workers that decode, as shares: prompts that wait for prefill,
    /// those under way, and requests that decode. In an aggregated deployment nobody waits for room
    /// before the queue, and who queues waits for decoding requests where memory is full.
    fn holders(&self) -> [f64; 3] {
        let [_, _] = self.pools.as_slice() else {
            let is_full = self.pools.iter().any(|pool| pool.kv_usage >= FULL);
            return [f64::from(u8::from(!is_full)), 0.0, f64::from(u8::from(is_full))];
        };
        let mut held = [0.0; 3];
        for record in &self.requests {
            let RequestRecord { queued, prefilled, transferred, finished, .. } = *record;
            let (prompt, output) = (record.prompt_tokens as f64, record.output_tokens as f64);
            for (slot, (from, to, tokens)) in held.iter_mut().zip([
                (queued, prefilled, prompt),
                (prefilled, transferred, prompt),
                (transferred, finished, prompt + output / 2.0),
            ]) {
                *slot += span(from, to) * tokens;
            }
        }
        let all: f64 = held.iter().sum();
        held.map(|held| ratio(held, all))
    }
}

/// Time of a request \[s\]: what it waits for each of [`Resource::ALL`], and what it is served.
#[derive(Clone, Copy, Debug)]
struct Stages {
    waits: [f64; 4],
    prefill: f64,
    decode: f64,
}

impl Stages {
    fn of(record: &RequestRecord, holders: &[f64; 3]) -> Self {
        let RequestRecord { queued, admitted, prefilled, transferred, first_token, .. } = *record;
        let mut waits = [
            span(queued, admitted),
            span(prefilled, transferred),
            0.0,
            span(transferred, first_token),
        ];
        let room = match transferred {
            Some(_) => span(Some(record.arrival), queued),
            // An aggregated worker has one queue, for its time and its memory.
            None => std::mem::take(&mut waits[0]),
        };
        for (at, share) in [0, 1, 2].into_iter().zip(holders) {
            waits[at] += room * share;
        }
        let (prefill, decode) = (span(admitted, prefilled), span(first_token, record.finished));
        Self { waits, prefill, decode }
    }

    /// Where the time went of a latency that missed its bound.
    fn blamed(&self, bound: Bound, record: &RequestRecord) -> Resource {
        let mut times = self.waits;
        times[0] += self.prefill;
        let out_of_memory = record.retractions > 0;
        let decode = if out_of_memory { Resource::KvMemory } else { Resource::Decode };
        match bound {
            Bound::Tpot => return decode,
            Bound::E2e => times[decode as usize] += self.decode,
            Bound::Ttft => {}
        }
        largest(&times)
    }
}

/// The resource with the largest value, the first of equals.
fn largest(values: &[f64; 4]) -> Resource {
    let pairs = Resource::ALL.into_iter().zip(values);
    let largest = pairs.reduce(|a, b| if b.1 > a.1 { b } else { a });
    largest.map_or(Resource::Prefill, |(resource, _)| resource)
}

/// Time between two instants \[s\], 0 unless both have happened.
fn span(from: Option<SimTime>, to: Option<SimTime>) -> f64 {
    from.zip(to).map_or(0.0, |(from, to)| to.since(from).get())
}

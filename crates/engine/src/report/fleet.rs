//! Each worker and each kind of link, for those who look at the spread and not at the mean.

use sglsim_units::{Seconds, WorkerId};

use super::ratio;
use crate::fabric::{LinkKind, LinkUse};
use crate::metrics::WorkerRecord;

/// What one worker did.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub struct WorkerReport {
    /// Its number.
    pub worker: WorkerId,
    /// Requests that it prefilled or, in a pool that only decodes, decoded.
    pub requests: u64,
    /// Share of their prompt tokens that its prefix cache had; 0 in a pool that only decodes.
    pub cache_hit_rate: f64,
    /// Requests in its waiting queue, mean over time; 0 in a pool that only decodes.
    pub waiting: f64,
    /// Share of the duration in which it ran a step.
    pub busy_share: f64,
    /// Share of its KV slots that requests held, mean over time.
    pub kv_usage: f64,
    /// Requests that the router's policy counted there when it chose this worker, mean over its choices.
    pub load_seen: f64,
    /// Requests that were there at those times.
    pub load_real: f64,
}

/// What the links of one kind carried.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub struct LinkReport {
    /// What they join.
    pub kind: LinkKind,
    /// How many there are.
    pub links: u64,
    /// Share of their bandwidth that was used, mean over time and links.
    pub utilisation: f64,
    /// The same of the link that carried most, by share.
    pub utilisation_max: f64,
    /// The name of that link.
    pub busiest: String,
}

impl WorkerReport {
    /// The workers of a pool, the first of them with this number.
    pub(super) fn of_pool(
        first: usize,
        kv_capacity: u64,
        records: &[WorkerRecord],
        duration: Seconds,
    ) -> Vec<Self> {
        let time = duration.get();
        let report = |(at, record): (usize, &WorkerRecord)| Self {
            worker: WorkerId::from_index(first + at),
            requests: record.requests,
            cache_hit_rate: ratio(record.cached_tokens as f64, record.prompt_tokens as f64),
            // Little's law: the time that all of them waited, over the time.
            waiting: ratio(record.waited.get(), time),
            busy_share: ratio(record.busy.get(), time).min(1.0),
            kv_usage: ratio(record.kv_integral, time * kv_capacity as f64),
            load_seen: ratio(record.load_seen as f64, record.choices as f64),
            load_real: ratio(record.load_real as f64, record.choices as f64),
        };
        records.iter().enumerate().map(report).collect()
    }
}

impl LinkReport {
    /// The kinds that there are.
    pub(super) fn of(links: &[LinkUse], duration: Seconds) -> Vec<Self> {
        let share = |link: &LinkUse| ratio(link.bytes, link.capacity * duration.get());
        let kinds = [LinkKind::NicOut, LinkKind::NicIn, LinkKind::Uplink, LinkKind::Downlink];
        let of_kind = |kind: LinkKind| {
            let all = || links.iter().filter(move |link| link.kind == kind);
            let count = all().count();
            let most =
                all().reduce(|most, link| if share(link) > share(most) { link } else { most })?;
            Some(Self {
                kind,
                links: count as u64,
                utilisation: all().map(share).sum::<f64>() / count as f64,
                utilisation_max: share(most),
                busiest: most.name.clone(),
            })
        };
        kinds.into_iter().filter_map(of_kind).collect()
    }
}

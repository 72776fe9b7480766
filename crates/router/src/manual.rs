//! A key stays with its worker.

use rand::RngExt;
use rand_pcg::Pcg64Mcg;
use serde::{Deserialize, Serialize};
use sglsim_units::{HashMap, RngStreams, Seconds, SimTime, WorkerId};
use smallvec::SmallVec;

use crate::ticks::Ticks;
use crate::{RouteError, RoutePolicy, RouteRequest, RoutingKey, WorkerView};

/// A routing key stays with the worker it was first given, whatever comes or goes; a request
/// without a key goes anywhere.
///
/// If that worker may not be chosen, the key gets a second one, and returns to the first as soon as
/// that is back. If neither may be chosen it gets another, and the older of the two is forgotten.
/// A key that has not been seen for `max_idle` is forgotten at the next look, once a minute.
///
/// # Source
///
/// sglang-router 0.3.2, `policies/manual.rs`. Of workers that are equally good one is drawn.
#[derive(Clone, Debug)]
pub struct Manual {
    config: ManualConfig,
    rng: Pcg64Mcg,
    keys: HashMap<RoutingKey, Session>,
    looks: Ticks,
}

/// Parameters of [`Manual`].
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct ManualConfig {
    /// How a key gets its worker.
    pub assignment_mode: AssignmentMode,
    /// How long a key is remembered that is not seen \[s\]; 0 for ever.
    pub max_idle: Seconds,
}

/// How [`Manual`] gives a key its worker.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub enum AssignmentMode {
    /// Any.
    #[default]
    Random,
    /// One with the fewest requests in flight.
    MinLoad,
    /// One with the fewest keys in flight.
    MinGroup,
}

/// The defaults of SGLang's command line: `random`, four hours.
impl Default for ManualConfig {
    fn default() -> Self {
        Self {
            assignment_mode: AssignmentMode::Random,
            max_idle: Seconds::new(4.0 * 3600.0).expect("four hours is a duration"),
        }
    }
}

#[derive(Clone, Debug)]
struct Session {
    /// At most two, the older first.
    workers: SmallVec<[WorkerId; 2]>,
    seen: SimTime,
}

/// Time between two looks for keys to forget \[s\] (`--eviction-interval`).
const LOOKS: f64 = 60.0;

impl Manual {
    /// A policy that knows no key, and draws from the stream `router/manual`.
    ///
    /// # Panics
    ///
    /// Never.
    #[must_use]
    pub fn new(config: ManualConfig, streams: RngStreams) -> Self {
        let interval = Seconds::new(LOOKS).expect("a minute is a duration");
        Self {
            config,
            rng: streams.stream("router/manual"),
            keys: HashMap::default(),
            looks: Ticks::every(interval),
        }
    }

    fn assign(&mut self, workers: &[WorkerView]) -> usize {
        let measure = |worker: &WorkerView| match self.config.assignment_mode {
            AssignmentMode::Random => 0,
            AssignmentMode::MinLoad => worker.in_flight(),
            AssignmentMode::MinGroup => worker.keys_in_flight(),
        };
        let least = workers.iter().map(measure).min();
        let equal = || (0..workers.len()).filter(|at| Some(measure(&workers[*at])) == least);
        let nth = self.rng.random_range(0..equal().count());
        equal().nth(nth).expect("below their number")
    }
}

impl RoutePolicy for Manual {
    fn name(&self) -> &str {
        "manual"
    }

    fn route(
        &mut self,
        request: &RouteRequest<'_>,
        workers: &[WorkerView],
    ) -> Result<usize, RouteError> {
        let (now, max_idle) = (request.now(), self.config.max_idle);
        if self.looks.passed(now) && max_idle != Seconds::ZERO {
            self.keys.retain(|_, session| now < session.seen + max_idle);
        }
        let Some(key) = request.routing_key() else {
            return Ok(self.rng.random_range(0..workers.len()));
        };
        if let Some(session) = self.keys.get_mut(&key) {
            session.seen = now;
            let at = |id: &WorkerId| workers.iter().position(|worker| worker.id() == *id);
            if let Some(found) = session.workers.iter().find_map(at) {
                return Ok(found);
            }
        }
        let chosen = self.assign(workers);
        let fresh = || Session { workers: SmallVec::new(), seen: now };
        let session = self.keys.entry(key).or_insert_with(fresh);
        if session.workers.len() == 2 {
            session.workers.remove(0);
        }
        session.workers.push(workers[chosen].id());
        Ok(chosen)
    }
}

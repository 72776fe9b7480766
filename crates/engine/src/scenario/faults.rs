//! What goes wrong in a run, and what is done on purpose to the workers: the schedule in a scenario.

use serde::{Deserialize, Serialize};
use sglsim_units::{Nearest, Seconds, SimTime, WorkerId};

use super::ScenarioError;
use crate::fabric::Network;
use crate::plan::PoolPlan;

/// One entry of a fault schedule. Workers have the numbers of the reports: those of the first pool, then
/// those of the second, from 0.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub enum Fault {
    /// A worker dies with everything in it: its requests, its caches, KV on its way.
    Crash {
        /// Which one.
        worker: u32,
        /// When \[s\].
        at: SimTime,
        /// How long until it takes requests again, start-up included \[s\]; never if left out.
        #[serde(default)]
        down: Option<Seconds>,
    },
    /// A worker is taken out of the router, ends its requests, and starts anew with empty caches.
    Restart {
        /// Which one.
        worker: u32,
        /// When it is taken out \[s\].
        at: SimTime,
        /// Time from its last request until it is back \[s\].
        down: Seconds,
    },
    /// The workers of a pool are restarted in this way one after the other.
    RollingRestart {
        /// `worker`, `prefill` or `decode`.
        pool: String,
        /// When the first one is taken out \[s\].
        at: SimTime,
        /// Time from the last request of a worker until it is back \[s\].
        down: Seconds,
    },
    /// The GPUs of a worker of one pool go over to the other pool: the worker is taken out of the router,
    /// ends its requests, and a worker on standby in the other pool comes up in its place.
    SwitchRole {
        /// Which one.
        worker: u32,
        /// When it is taken out \[s\].
        at: SimTime,
        /// Time from its last request until the other one is up \[s\].
        down: Seconds,
    },
    /// The steps of a worker take longer.
    Slow {
        /// Which one.
        worker: u32,
        /// From when \[s\].
        at: SimTime,
        /// Until when \[s\].
        until: SimTime,
        /// How many times as long.
        factor: f64,
    },
    /// A link of the network has less bandwidth, or none.
    Link {
        /// Its name, such as `node 0 nic 3` or `pod 0 rail 1`; both directions.
        link: String,
        /// From when \[s\].
        at: SimTime,
        /// Until when \[s\].
        until: SimTime,
        /// The share of its bandwidth that is left, 0 if it is cut.
        #[serde(default)]
        bandwidth: f64,
    },
    /// All adapters of a worker have less bandwidth, or none.
    Adapters {
        /// Which one.
        worker: u32,
        /// From when \[s\].
        at: SimTime,
        /// Until when \[s\].
        until: SimTime,
        /// The share of their bandwidth that is left, 0 if they are cut.
        #[serde(default)]
        bandwidth: f64,
    },
}

/// What an entry takes hold of, so that no two do at the same time.
#[derive(Clone, Debug, PartialEq)]
enum Subject {
    /// Whether the worker is there.
    Presence(u32),
    Speed(u32),
    Link(String),
}

impl Fault {
    /// When it begins.
    #[must_use]
    pub fn at(&self) -> SimTime {
        match self {
            Self::Crash { at, .. }
            | Self::Restart { at, .. }
            | Self::RollingRestart { at, .. }
            | Self::SwitchRole { at, .. }
            | Self::Slow { at, .. }
            | Self::Link { at, .. }
            | Self::Adapters { at, .. } => *at,
        }
    }

    /// When it ends, if that is known beforehand.
    pub(crate) fn until(&self) -> Option<SimTime> {
        match self {
            Self::Crash { at, down, .. } => down.map(|down| *at + down),
            Self::Restart { .. } | Self::RollingRestart { .. } | Self::SwitchRole { .. } => None,
            Self::Slow { until, .. } | Self::Link { until, .. } | Self::Adapters { until, .. } => {
                Some(*until)
            }
        }
    }

    fn subjects(&self, pools: &[PoolPlan], network: Option<&Network>) -> Vec<Subject> {
        match self {
            Self::Crash { worker, .. }
            | Self::Restart { worker, .. }
            | Self::SwitchRole { worker, .. } => {
                vec![Subject::Presence(*worker)]
            }
            Self::RollingRestart { pool, .. } => {
                workers_of(pools, pool).map(Subject::Presence).collect()
            }
            Self::Slow { worker, .. } => vec![Subject::Speed(*worker)],
            Self::Link { link, .. } => vec![Subject::Link(link.clone())],
            Self::Adapters { worker, .. } => {
                let nics = network.map(|network| network.nics_of(WorkerId(*worker)));
                nics.unwrap_or_default().into_iter().map(Subject::Link).collect()
            }
        }
    }

    /// Everything that is wrong with this entry alone.
    fn check(
        &self,
        path: &str,
        pools: &[PoolPlan],
        network: Option<&Network>,
        wrong: &mut Vec<ScenarioError>,
    ) {
        let mut refuse = |field: &str, value: String, allowed: String| {
            let field = format!("{path}.{field}");
            wrong.push(ScenarioError::OutOfRange { field, value, allowed });
        };
        let workers: u32 = pools.iter().map(|pool| pool.workers).sum();
        if let Self::Crash { worker, .. }
        | Self::Restart { worker, .. }
        | Self::SwitchRole { worker, .. }
        | Self::Slow { worker, .. }
        | Self::Adapters { worker, .. } = self
            && *worker >= workers
        {
            refuse("worker", worker.to_string(), format!("from 0 to {}", workers - 1));
        }
        if let Some(until) = self.until()
            && until <= self.at()
            && !matches!(self, Self::Crash { .. })
        {
            refuse("until", until.to_string(), format!("after `at`, which is {}", self.at()));
        }
        match self {
            Self::Slow { factor, .. } if !(1.0..=1e6).contains(factor) => {
                refuse("factor", factor.to_string(), "from 1 to 1000000".to_owned());
            }
            Self::Link { bandwidth, .. } | Self::Adapters { bandwidth, .. }
                if !(0.0..=1.0).contains(bandwidth) =>
            {
                refuse("bandwidth", bandwidth.to_string(), "from 0 to 1".to_owned());
            }
            _ => {}
        }
        if let Self::SwitchRole { worker, .. } = self {
            let other =
                pools.iter().find(|pool| workers_of(pools, pool.name).all(|w| w != *worker));
            if other.is_none_or(|pool| pool.config.standby == 0) {
                let allowed = "only for one whose other pool has workers on `standby`";
                refuse("worker", worker.to_string(), allowed.to_owned());
            }
        }
        let unknown = |field: &str, name: &str, known: Vec<&str>| ScenarioError::BadValue {
            path: format!("{path}.{field}"),
            value: name.to_owned(),
            message: format!("there is no such {field}"),
            nearest: Nearest::to(name, known),
        };
        match self {
            Self::RollingRestart { pool, .. } if pools.iter().all(|known| known.name != pool) => {
                let known = pools.iter().map(|pool| pool.name).collect();
                wrong.push(unknown("pool", pool, known));
            }
            Self::Link { .. } | Self::Adapters { .. } if network.is_none() => {
                wrong.push(ScenarioError::OutOfRange {
                    field: path.to_owned(),
                    value: "about a link".to_owned(),
                    allowed: "only in a disaggregated deployment: no KV travels here".to_owned(),
                });
            }
            Self::Link { link, .. } => {
                let names = || network.into_iter().flat_map(|network| network.links());
                if names().all(|(_, name, _)| name != link) {
                    wrong.push(unknown("link", link, names().map(|(_, name, _)| name).collect()));
                }
            }
            _ => {}
        }
    }
}

/// The numbers of the workers of a pool.
pub(crate) fn workers_of<'a>(
    pools: &'a [PoolPlan],
    name: &str,
) -> impl Iterator<Item = u32> + use<'a> {
    let at = pools.iter().position(|pool| pool.name == name);
    let before = pools.iter().take(at.unwrap_or(0)).map(|pool| pool.workers).sum::<u32>();
    let workers = at.map_or(0, |at| pools[at].workers);
    before..before + workers
}

/// Everything that is wrong with a schedule.
pub(crate) fn check_faults(
    faults: &[Fault],
    pools: &[PoolPlan],
    network: Option<&Network>,
) -> Vec<ScenarioError> {
    let mut wrong = Vec::new();
    for (at, fault) in faults.iter().enumerate() {
        fault.check(&format!("faults[{at}]"), pools, network, &mut wrong);
    }
    for (later, second) in faults.iter().enumerate() {
        let subjects = second.subjects(pools, network);
        for (earlier, first) in faults[..later].iter().enumerate() {
            let meets = first.until().is_none_or(|until| until > second.at())
                && second.until().is_none_or(|until| until > first.at());
            let shared = first.subjects(pools, network);
            let shared = shared.iter().find(|subject| subjects.contains(subject));
            if let (true, Some(subject)) = (meets, shared) {
                let what = match subject {
                    Subject::Presence(worker) => format!("both take worker {worker} out"),
                    Subject::Speed(worker) => format!("both slow worker {worker} down"),
                    Subject::Link(link) => format!("both change `{link}`"),
                };
                wrong.push(ScenarioError::Overlap { first: earlier, second: later, what });
            }
        }
    }
    wrong
}

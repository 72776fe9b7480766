//! Answers of the real router, explained by ours.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, PoisonError};

use serde_json::Value;
use sglsim_radix::Prompt;
use sglsim_router::{
    Bucket, CacheAware, ConsistentHashing, Manual, PolicyConfig, PowerOfTwo, Random, RoundRobin,
    RouteError, RoutePolicy, RouteRequest, WorkerView,
};
use sglsim_units::{RngStreams, WorkerId};

use super::driver::{Driver, started};
use super::settings::Settings;

/// What a comparison found.
#[derive(Debug, Default)]
pub(crate) struct Summary {
    pub(crate) sequences: usize,
    pub(crate) answers: usize,
    pub(crate) differences: Vec<String>,
}

/// Compares the answers to `operations` with `recorded` ones, sequence by sequence.
///
/// A recorded answer is explained if ours is the same in some order of the workers, the same one
/// for the whole sequence, and after some draws of the policy's random stream.
pub(crate) fn compare(
    settings: &Settings,
    operations: &[String],
    recorded: &[String],
) -> Result<Summary, String> {
    let is_operation = |line: &&String| !line.trim().is_empty() && !line.starts_with('#');
    let operations: Vec<&String> = operations.iter().filter(is_operation).collect();
    let recorded: Vec<&String> = recorded.iter().filter(is_operation).collect();
    if operations.len() != recorded.len() {
        let (ours, theirs) = (operations.len(), recorded.len());
        return Err(format!("there are {ours} operations and {theirs} recorded answers"));
    }
    let mut summary = Summary::default();
    let mut begin = 0;
    while begin < operations.len() {
        let at_line = |message| format!("operation {}: {message}", begin + 1);
        let new = started(operations[begin], settings).map_err(at_line)?;
        let first = begin + usize::from(new.is_some());
        let mut end = first;
        while end < operations.len() && started(operations[end], settings)?.is_none() {
            end += 1;
        }
        let settings = new.as_ref().unwrap_or(settings);
        let pairs: Vec<(&str, Value)> = operations[first..end]
            .iter()
            .zip(&recorded[first..end])
            .map(|(operation, answer)| {
                let answer = serde_json::from_str(answer).map_err(|e| format!("{e}: {answer}"));
                Ok((operation.as_str(), answer?))
            })
            .collect::<Result<_, String>>()?;
        summary.sequences += 1;
        summary.answers += pairs.len();
        for (at, ours) in explain(settings, &pairs)? {
            let (operation, theirs) = &pairs[at];
            summary.differences.push(format!(
                "operation {}: {operation}\n  ours   {ours}\n  theirs {theirs}",
                first + at + 1
            ));
        }
        begin = end;
    }
    Ok(summary)
}

/// The answers that differ in the order of the workers that explains most.
fn explain(settings: &Settings, pairs: &[(&str, Value)]) -> Result<Vec<(usize, String)>, String> {
    let pools = settings.pools();
    let mut best: Option<Vec<(usize, String)>> = None;
    for first in orders(pools[0].0) {
        for second in pools.get(1).map_or_else(|| vec![Vec::new()], |(size, _)| orders(*size)) {
            // In its own order, apart from that of ties, a `bucket` has the workers that joined.
            let joined = match pools[0].1 {
                PolicyConfig::Bucket(_) => orders(pools[0].0),
                _ => vec![Vec::new()],
            };
            for joined in joined {
                let differences =
                    replay(settings, &[first.clone(), second.clone()], &joined, pairs)?;
                if best.as_ref().is_none_or(|best| differences.len() < best.len()) {
                    best = Some(differences);
                }
                if best.as_ref().is_some_and(Vec::is_empty) {
                    return Ok(Vec::new());
                }
            }
        }
    }
    Ok(best.unwrap_or_default())
}

fn replay(
    settings: &Settings,
    orders: &[Vec<u32>],
    joined: &[u32],
    pairs: &[(&str, Value)],
) -> Result<Vec<(usize, String)>, String> {
    let scripts: [Script; 2] = Default::default();
    let mut driver = Driver::with_policies(settings, orders, &|config, streams, pool| {
        following(config, streams, joined, &scripts[pool])
    })?;
    let mut differences = Vec::new();
    for (at, (operation, theirs)) in pairs.iter().enumerate() {
        let roles: [&[&str]; 2] = [&["worker", "prefill"], &["decode"]];
        for (script, roles) in scripts.iter().zip(roles) {
            let mut script = script.lock().unwrap_or_else(PoisonError::into_inner);
            *script = recorded_choices(theirs, roles);
        }
        let ours = driver.run(operation).map_err(|e| format!("operation {}: {e}", at + 1))?;
        let same = serde_json::from_str::<Value>(&ours).is_ok_and(|ours| agree(&ours, theirs));
        if !same {
            differences.push((at, ours));
        }
    }
    Ok(differences)
}

/// All orders of the numbers below `size`, or only the first if they are too many.
fn orders(size: u32) -> Vec<Vec<u32>> {
    if size == 0 {
        return vec![Vec::new()];
    }
    if size > 5 {
        return vec![(0..size).collect()];
    }
    let shorter = orders(size - 1);
    let insert = |order: &Vec<u32>, at: usize| {
        let mut order = order.clone();
        order.insert(at, size - 1);
        order
    };
    let longer = |order: &Vec<u32>| (0..=order.len()).rev().map(|at| insert(order, at)).collect();
    shorter.iter().flat_map::<Vec<_>, _>(longer).collect()
}

/// The choices among the workers of these roles that an answer tells, in their order.
fn recorded_choices(answer: &Value, roles: &[&str]) -> VecDeque<WorkerId> {
    let number = |n: u64| WorkerId(u32::try_from(n).unwrap_or(u32::MAX));
    let told = roles.iter().filter_map(|role| answer.get(role)?.as_u64());
    let retried = answer.get("retried_on").and_then(Value::as_array);
    let names = retried.into_iter().flatten().filter_map(Value::as_str);
    let again = names
        .filter_map(|name| roles.iter().find_map(|role| name.strip_prefix(*role)?.parse().ok()));
    told.chain(again).map(number).collect()
}

/// Whether two answers tell the same; a pair may be told in either order.
fn agree(ours: &Value, theirs: &Value) -> bool {
    let sorted = |answer: &Value| {
        let mut names: Vec<String> = answer
            .get("retried_on")
            .and_then(Value::as_array)
            .into_iter()
            .flatten()
            .map(Value::to_string)
            .collect();
        names.sort_unstable();
        names
    };
    ["op", "id", "status", "worker", "prefill", "decode"]
        .iter()
        .all(|field| ours.get(field) == theirs.get(field))
        && sorted(ours) == sorted(theirs)
}

/// The choices that the real policy made, in their order.
type Script = Arc<Mutex<VecDeque<WorkerId>>>;

/// A policy that draws until it makes the recorded choice.
#[derive(Debug)]
struct Following<P> {
    policy: P,
    script: Script,
    /// Draws to try.
    draws: usize,
}

/// Enough to find every pair of six workers, but for one in 10^13.
const DRAWS: usize = 1000;

fn following(
    config: PolicyConfig,
    streams: RngStreams,
    joined: &[u32],
    script: &Script,
) -> Result<Box<dyn RoutePolicy>, RouteError> {
    fn boxed<P: RoutePolicy + Clone + 'static>(
        policy: P,
        script: &Script,
        draws: usize,
    ) -> Box<dyn RoutePolicy> {
        Box::new(Following { policy, script: Arc::clone(script), draws })
    }
    Ok(match config {
        PolicyConfig::Random => boxed(Random::new(streams), script, DRAWS),
        PolicyConfig::PowerOfTwo => boxed(PowerOfTwo::new(streams), script, DRAWS),
        PolicyConfig::ConsistentHashing(config) => {
            boxed(ConsistentHashing::new(config, streams), script, DRAWS)
        }
        PolicyConfig::Manual(config) => boxed(Manual::new(config, streams), script, DRAWS),
        PolicyConfig::CacheAware(config) => {
            let draws = if config.has_tree { 1 } else { DRAWS };
            boxed(CacheAware::new(config, streams)?, script, draws)
        }
        PolicyConfig::Bucket(config) => {
            let mut policy = Bucket::new(config)?;
            for worker in joined {
                policy.on_added(WorkerId(*worker));
            }
            boxed(policy, script, 1)
        }
        PolicyConfig::RoundRobin => boxed(RoundRobin::new(), script, 1),
        other => other.build(streams)?,
    })
}

impl<P: RoutePolicy + Clone> RoutePolicy for Following<P> {
    fn name(&self) -> &str {
        self.policy.name()
    }

    fn route(
        &mut self,
        request: &RouteRequest<'_>,
        workers: &[WorkerView],
    ) -> Result<usize, RouteError> {
        let wanted = self.script.lock().unwrap_or_else(PoisonError::into_inner).pop_front();
        let nothing = Prompt::new(Vec::new());
        let idle = RouteRequest::new(&nothing, request.now());
        let mut drawn = self.policy.clone();
        for _ in 0..self.draws {
            let mut trial = drawn.clone();
            let choice = trial.route(request, workers);
            let id = choice.as_ref().ok().map(|at| workers[*at].id());
            if wanted.is_none() || id == wanted {
                self.policy = trial;
                return choice;
            }
            if self.draws > 1 {
                // A request without a key changes nothing but the random stream.
                let _ = drawn.route(&idle, workers);
            }
        }
        self.policy.route(request, workers)
    }

    fn on_finished(&mut self, worker: WorkerId) {
        self.policy.on_finished(worker);
    }

    fn on_added(&mut self, worker: WorkerId) {
        self.policy.on_added(worker);
    }

    fn on_removed(&mut self, worker: WorkerId) {
        self.policy.on_removed(worker);
    }
}

//! Conformance of a [`RoutePolicy`] to its laws, and the proptest strategy behind it.
//!
//! ```
//! use sglsim_router::{PowerOfTwo, testing};
//! use sglsim_units::RngStreams;
//!
//! testing::conformance(|| Box::new(PowerOfTwo::new(RngStreams::new(1))));
//! ```

use proptest::prelude::*;
use proptest::test_runner::{Config, RngAlgorithm, TestCaseError, TestError, TestRng, TestRunner};
use sglsim_radix::Prompt;
use sglsim_radix::testing::prompts;
use sglsim_units::{Seconds, SimTime, WorkerId};

use crate::{RouteError, RoutePolicy, RouteRequest, RoutingKey, WorkerView};

/// Something that happens to a router.
#[derive(Clone, Debug, PartialEq)]
pub enum Event {
    /// A request comes.
    Route {
        /// Its prompt.
        prompt: Prompt,
        /// Its routing key.
        key: Option<u32>,
        /// Time since the last one.
        after: Seconds,
    },
    /// A response ends.
    Finish {
        /// Of which worker, modulo their number; nothing happens if it has none.
        worker: usize,
    },
    /// A worker can be chosen from now on, or not.
    Available {
        /// Which, modulo their number.
        worker: usize,
        /// Whether it can.
        is_available: bool,
    },
    /// A worker says how many tokens it has, or stops saying it.
    Poll {
        /// Which, modulo their number.
        worker: usize,
        /// What it says.
        tokens: Option<u64>,
    },
}

/// Up to `most` events.
pub fn events(most: usize) -> impl Strategy<Value = Vec<Event>> {
    let seconds = prop_oneof![Just(0.0), 0.0..100.0];
    let after = seconds.prop_filter_map("not a duration", |after| Seconds::new(after).ok());
    let event = prop_oneof![
        8 => (prompts(), proptest::option::of(0_u32..4), after)
            .prop_map(|(prompt, key, after)| Event::Route { prompt, key, after }),
        3 => any::<usize>().prop_map(|worker| Event::Finish { worker }),
        2 => (any::<usize>(), any::<bool>())
            .prop_map(|(worker, is_available)| Event::Available { worker, is_available }),
        1 => (any::<usize>(), proptest::option::of(0_u64..1000))
            .prop_map(|(worker, tokens)| Event::Poll { worker, tokens }),
    ];
    proptest::collection::vec(event, 0..=most)
}

/// Checks the first three laws of [`RoutePolicy`] on the policies that `make` makes.
///
/// The same events in every run.
///
/// # Panics
///
/// If a law is broken: the message names it, and shows the shortest list of events found that
/// breaks it.
pub fn conformance(make: impl Fn() -> Box<dyn RoutePolicy>) {
    check(&make, |workers, events| {
        let names: Vec<WorkerId> = (0..workers).map(WorkerId::from_index).collect();
        let ours = play(&mut *make(), &names, events)?;
        let twin = play(&mut *make(), &names, events)?;
        law(ours == twin, "3: equal calls from an equal state give equal answers")
    });
}

/// Checks the fourth law of [`RoutePolicy`], that the names of workers mean nothing.
///
/// # Panics
///
/// If the law is broken, as [`conformance`].
pub fn symmetry(make: impl Fn() -> Box<dyn RoutePolicy>) {
    check(&make, |workers, events| {
        let names: Vec<WorkerId> = (0..workers).map(WorkerId::from_index).collect();
        let renamed: Vec<WorkerId> =
            names.iter().rev().map(|name| WorkerId(name.0 * 7 + 3)).collect();
        let ours = play(&mut *make(), &names, events)?;
        let theirs = play(&mut *make(), &renamed, events)?;
        law(ours == theirs, "4: renaming workers leaves every chosen position the same")
    });
}

fn check(
    make: &impl Fn() -> Box<dyn RoutePolicy>,
    laws: impl Fn(usize, &[Event]) -> Result<(), TestCaseError>,
) {
    let config = Config { cases: 128, failure_persistence: None, ..Config::default() };
    let rng = TestRng::deterministic_rng(RngAlgorithm::ChaCha);
    let strategy = (0_usize..6, events(40));
    let outcome = TestRunner::new_with_rng(config, rng)
        .run(&strategy, |(workers, events)| laws(workers, &events));
    match outcome {
        Ok(()) => {}
        Err(TestError::Fail(law, (workers, events))) => panic!(
            "`{}` with {workers} workers breaks a law: {law}\nafter {events:#?}",
            make().name()
        ),
        Err(TestError::Abort(reason)) => panic!("conformance could not be checked: {reason}"),
    }
}

fn law(holds: bool, text: &str) -> Result<(), TestCaseError> {
    if holds { Ok(()) } else { Err(TestCaseError::fail(text.to_owned())) }
}

/// Lets the events happen and returns the choices; `None` where a request could not be placed.
fn play(
    policy: &mut dyn RoutePolicy,
    names: &[WorkerId],
    events: &[Event],
) -> Result<Vec<Option<usize>>, TestCaseError> {
    let mut workers: Vec<WorkerView> = names.iter().copied().map(WorkerView::new).collect();
    let mut is_out = vec![false; names.len()];
    for worker in names {
        policy.on_added(*worker);
    }
    let position = |which: usize| which.checked_rem(names.len());
    let mut now = SimTime::ZERO;
    let mut choices = Vec::new();
    for event in events {
        match event {
            Event::Route { prompt, key, after } => {
                now += *after;
                let shown: Vec<WorkerView> = workers
                    .iter()
                    .zip(&is_out)
                    .filter(|(_, out)| !**out)
                    .map(|(w, _)| *w)
                    .collect();
                if shown.is_empty() {
                    continue;
                }
                let key = key.map(|key| RoutingKey::of(&key.to_string()));
                let request = RouteRequest::new(prompt, now).with_routing_key(key);
                let choice = judge(policy.route(&request, &shown), &shown)?;
                choices.push(choice);
                if let Some(position) = choice {
                    let chosen = shown[position];
                    let at = names.iter().position(|name| *name == chosen.id());
                    workers[at.expect("one of them was shown")] =
                        chosen.with_in_flight(chosen.in_flight() + 1);
                }
            }
            Event::Finish { worker } => {
                if let Some(at) = position(*worker)
                    && let Some(left) = workers[at].in_flight().checked_sub(1)
                {
                    workers[at] = workers[at].with_in_flight(left);
                    policy.on_finished(workers[at].id());
                }
            }
            Event::Available { worker, is_available } => {
                if let Some(at) = position(*worker) {
                    is_out[at] = !is_available;
                }
            }
            Event::Poll { worker, tokens } => {
                if let Some(at) = position(*worker) {
                    workers[at] = workers[at].with_polled_tokens(*tokens);
                }
            }
        }
    }
    Ok(choices)
}

/// The choice, if it keeps the first two laws.
fn judge(
    choice: Result<usize, RouteError>,
    shown: &[WorkerView],
) -> Result<Option<usize>, TestCaseError> {
    match choice {
        Ok(position) => {
            law(position < shown.len(), "1: the choice is a position in `workers`")?;
            Ok(Some(position))
        }
        Err(RouteError::NotPlaced { .. }) => Ok(None),
        Err(other) => Err(TestCaseError::fail(format!(
            "2: a request that cannot be placed is `NotPlaced`, but: {other}"
        ))),
    }
}

//! What the author of a plug-in tests: the laws by one call, and that it does what it is for.

use std::panic::{AssertUnwindSafe, catch_unwind};

use sglsim_engine::{
    BatchState, ForwardMode, Report, Scenario, SchedError, Scheduler, SimTime, Simulation, testing,
};
use shortest_first::{DecodeBetween, SCENARIO, ShortestFirst};

fn run(change: impl FnOnce(Simulation) -> Simulation) -> Report {
    let scenario = Scenario::from_ron(SCENARIO).expect("a scenario");
    change(Simulation::new(scenario).expect("a simulation")).run().expect("a report")
}

#[test]
fn the_queue_order_keeps_the_laws() {
    testing::policy_conformance(|| Box::new(ShortestFirst));
}

#[test]
fn the_scheduler_keeps_the_laws() {
    testing::scheduler_conformance(|config| Box::new(DecodeBetween::new(config)));
}

#[test]
fn the_shortest_prompt_first_lowers_the_median_ttft() {
    let fcfs = run(|simulation| simulation);
    let mine = run(|simulation| simulation.schedule_policy(|_| Box::new(ShortestFirst)));
    assert_eq!(mine.completed, fcfs.completed);
    assert!(mine.ttft.p50 < fcfs.ttft.p50, "{} s against {} s", mine.ttft.p50, fcfs.ttft.p50);
}

#[test]
fn decoding_between_prefills_lowers_the_longest_gaps() {
    let sglang = run(|simulation| simulation);
    let mine =
        run(|simulation| simulation.scheduler(|_, config| Box::new(DecodeBetween::new(config))));
    assert_eq!(mine.completed, sglang.completed);
    assert!(mine.itl.p99 < sglang.itl.p99, "{} s against {} s", mine.itl.p99, sglang.itl.p99);
}

/// A scheduler with a bug: it waits for something that never comes.
#[derive(Debug)]
struct Sleepy;

impl Scheduler for Sleepy {
    fn name(&self) -> &str {
        "sleepy"
    }

    fn next_step(&mut self, _: &mut BatchState, _: SimTime) -> Result<ForwardMode, SchedError> {
        Ok(ForwardMode::Idle)
    }
}

#[test]
fn a_scheduler_that_breaks_a_law_is_told_which() {
    let broken = catch_unwind(AssertUnwindSafe(|| {
        testing::scheduler_conformance(|_| Box::new(Sleepy));
    }))
    .unwrap_err();
    let message = broken.downcast_ref::<String>().expect("a message");
    assert!(message.starts_with("SCHED-5 work conserving"), "{message}");
    assert_guide_shows(message);
}

#[test]
fn in_a_run_it_is_caught_as_a_stall() {
    let scenario = Scenario::from_ron(SCENARIO).unwrap();
    let stuck = Simulation::new(scenario).unwrap().scheduler(|_, _| Box::new(Sleepy)).run();
    let message = stuck.unwrap_err().to_string();
    assert!(message.contains("`sleepy`"), "{message}");
    assert_guide_shows(&message);
}

const GUIDE: &str = include_str!("../../write-a-scheduler.md");

/// The guide breaks lines where it likes.
fn assert_guide_shows(message: &str) {
    let words = |text: &str| text.split_whitespace().collect::<Vec<_>>().join(" ");
    assert!(
        words(GUIDE).contains(&words(message)),
        "the guide shows another message than\n{message}"
    );
}

#[test]
fn the_guide_quotes_this_crate() {
    let sources = include_str!("../src/lib.rs").to_owned() + include_str!("plugin.rs");
    let mut quotes = 0;
    for block in GUIDE.split("```rust\n").skip(1) {
        let code = block.split("```").next().unwrap();
        assert!(sources.contains(code), "the guide quotes what is not in the crate:\n{code}");
        quotes += 1;
    }
    assert!(quotes >= 4, "only {quotes} quotes in the guide");
}

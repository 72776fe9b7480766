//! Allocations in the step loop: a decode step makes none.

use std::alloc::{GlobalAlloc, Layout, System};
use std::cell::Cell;

use sglsim_engine::{Event, Observer, SimTime, Simulation};

use crate::scenarios::base_with;
use crate::watch::Shared;

struct Counting;

thread_local! {
    static ALLOCATIONS: Cell<u64> = const { Cell::new(0) };
}

fn count() {
    // A thread that ends may allocate after its counter is gone.
    let _ = ALLOCATIONS.try_with(|count| count.set(count.get() + 1));
}

#[expect(unsafe_code, reason = "an allocator is unsafe; this one only counts and passes on")]
// SAFETY: every call goes to the system's allocator unchanged.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        count();
        unsafe { System.alloc(layout) }
    }

    unsafe fn dealloc(&self, pointer: *mut u8, layout: Layout) {
        unsafe { System.dealloc(pointer, layout) }
    }

    unsafe fn realloc(&self, pointer: *mut u8, layout: Layout, size: usize) -> *mut u8 {
        count();
        unsafe { System.realloc(pointer, layout, size) }
    }
}

#[global_allocator]
static COUNTING: Counting = Counting;

/// Steps, and how many of them allocated, in the second half of a run.
#[derive(Debug, Default)]
struct StepAllocations {
    steps: u64,
    allocating: u64,
    last: u64,
    other_events: bool,
}

impl Observer for StepAllocations {
    fn on_event(&mut self, _at: SimTime, event: &Event<'_>) {
        let Event::Step { .. } = event else {
            // What happens to single requests may allocate; a step in which only tokens came not.
            self.other_events |= !matches!(event, Event::RankStep { .. } | Event::KvUsed { .. });
            return;
        };
        let now = ALLOCATIONS.get();
        if !std::mem::take(&mut self.other_events) {
            self.steps += 1;
            self.allocating += u64::from(now > self.last);
        }
        self.last = ALLOCATIONS.get();
    }
}

fn allocating_steps(fields: &[(&str, &str)]) -> StepAllocations {
    let watch = Shared::new(StepAllocations::default());
    let simulation = Simulation::new(base_with(fields)).unwrap().observer(watch.watch());
    simulation.run().unwrap();
    watch.take()
}

#[test]
fn decode_steps_allocate_nothing() {
    let load = r#"{"Synthetic": {"arrivals": "Burst", "input_len": {"Fixed": 100},
        "output_len": {"Uniform": {"min": 1000, "max": 2000}}, "requests": 200}}"#;
    let one = [("workload", load)];
    let pair = r#"{"Disaggregated": {"prefill": {}, "decode": {}}}"#;
    let dp = r#"{"Aggregated": {"tp_size": 4, "dp_size": 4, "page_size": 16}}"#;
    for deployment in [r#"{"Aggregated": {}}"#, pair, dp] {
        let fields = [&one[..], &[("deployment", deployment)]].concat();
        let StepAllocations { steps, allocating, .. } = allocating_steps(&fields);
        assert!(steps > 1000, "there are enough steps to count: {steps}");
        // The first steps grow the buffers.
        assert!(allocating <= 5, "{allocating} of {steps} steps allocate in {deployment}");
    }
}

/// The cost of a request does not grow with the length of its output.
#[test]
fn a_longer_output_allocates_nothing_more() {
    let run = |output: u32| {
        let load = format!(
            r#"{{"Synthetic": {{"arrivals": "Burst", "input_len": {{"Fixed": 100}},
            "output_len": {{"Fixed": {output}}}, "requests": 50}}}}"#
        );
        let simulation = Simulation::new(base_with(&[("workload", &load)])).unwrap();
        let before = ALLOCATIONS.get();
        simulation.run().unwrap();
        ALLOCATIONS.get() - before
    };
    let (short, long) = (run(100), run(3000));
    assert!(long <= short + 50, "{short} allocations for 100 tokens, {long} for 3000");
}

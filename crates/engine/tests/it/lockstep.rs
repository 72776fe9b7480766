//! Attention ranks in lock-step: steps, times and paddings worked out by hand from SGLang 0.5.23,
//! `managers/scheduler_components/dp_attn.py`.

use sglsim_engine::{
    CostModel, Event, Observer, Report, RequestId, SimTime, Simulation, StepFeatures, WorkerId,
};

use crate::recorded::{Recorded, Row, fresh};
use crate::scenarios::base_with;
use crate::watch::{Shared, TokenTimes};

/// Three seconds for a step in which somebody extends, one for others.
#[derive(Debug)]
struct Seconds;

impl CostModel for Seconds {
    fn name(&self) -> &str {
        "three seconds, or one"
    }

    fn step_seconds(&mut self, step: &StepFeatures) -> f64 {
        if step.extend_tokens > 0.0 { 3.0 } else { 1.0 }
    }
}

/// A step: when it began and ended \[s\], what each rank extended and decoded \[token\], and of the features
/// the rows of the longest rank, those of all, and whether kernels were launched one by one.
type Step = (f64, f64, [(u64, u64); 2], f64, f64, bool);

#[derive(Debug, Default)]
struct Steps {
    done: Vec<Step>,
    ranks: [(u64, u64); 2],
}

impl Observer for Steps {
    fn on_event(&mut self, at: SimTime, event: &Event<'_>) {
        match *event {
            Event::RankStep { rank, result, .. } => {
                self.ranks[rank] = (result.extended, result.decoded);
            }
            Event::Step { began, features, .. } => {
                let ranks = std::mem::take(&mut self.ranks);
                let (most, all) = (features.tokens, features.sum_tokens);
                let eager = features.eager > 0.0;
                self.done.push((began.seconds(), at.seconds(), ranks, most, all, eager));
            }
            _ => {}
        }
    }
}

/// Two ranks that get requests in turn, in the normal loop.
fn watched(rows: Vec<Row>, fields: &[(&str, &str)]) -> (Report, Vec<Step>, Vec<Vec<f64>>) {
    let ranks = [
        ("deployment.tp_size", "2"),
        ("deployment.dp_size", "2"),
        ("deployment.disable_overlap_schedule", "true"),
    ];
    let (steps, tokens) = (Shared::new(Steps::default()), Shared::new(TokenTimes::default()));
    let report = Simulation::new(base_with(&[&ranks[..], fields].concat()))
        .unwrap()
        .workload(Box::new(Recorded::new(rows)))
        .cost_model(|_: WorkerId, _| Box::new(Seconds))
        .observer(steps.watch())
        .observer(tokens.watch())
        .run()
        .unwrap();
    (report, steps.take().done, tokens.take().times)
}

fn row(id: usize, arrival: f64, prompt: u64, output: u32) -> Row {
    (arrival, fresh(id, prompt), output)
}

/// Request 0 decodes on rank 0 when request 1 comes to rank 1: its token takes the three seconds of the
/// other's prompt. Rank 0 cannot replay a graph in that step, and the rank that has nothing to do has a row
/// in every graph.
#[test]
fn a_prompt_on_one_rank_slows_the_tokens_of_the_other() {
    let (report, steps, tokens) = watched(vec![row(0, 0.0, 10, 4), row(1, 1.5, 20, 2)], &[]);
    let expected = [
        (0.0, 3.0, [(10, 0), (0, 0)], 10.0, 10.0, true),
        (3.0, 6.0, [(0, 1), (20, 0)], 20.0, 21.0, true),
        (6.0, 7.0, [(0, 1), (0, 1)], 1.0, 2.0, false),
        (7.0, 8.0, [(0, 1), (0, 0)], 1.0, 2.0, false),
    ];
    assert_eq!(steps, expected);
    assert_eq!(tokens, [vec![3.0, 6.0, 7.0, 8.0], vec![6.0, 7.0]]);
    assert_eq!((report.pools[0].prefill_steps, report.pools[0].decode_steps), (2, 2));
}

/// Three requests decode on rank 0 and one on rank 1: both pad to the graph for four.
#[test]
fn all_ranks_pad_to_the_graph_of_the_longest() {
    let rows = (0..5).map(|id| row(id, 0.0, 10, if id == 3 { 1 } else { 2 })).collect();
    let (_, steps, tokens) = watched(rows, &[]);
    let expected = [
        (0.0, 3.0, [(30, 0), (20, 0)], 30.0, 50.0, true),
        (3.0, 4.0, [(0, 3), (0, 1)], 4.0, 8.0, false),
    ];
    assert_eq!(steps, expected);
    assert_eq!(tokens[3], [3.0]);
}

/// Above the largest graph nobody pads: every rank has the rows that it has.
#[test]
fn without_a_graph_for_the_longest_nobody_pads() {
    let rows = (0..5).map(|id| row(id, 0.0, 10, if id == 3 { 1 } else { 2 })).collect();
    let (_, steps, _) = watched(rows, &[("deployment.cuda_graph_max_bs", "2")]);
    assert_eq!(steps[1], (3.0, 4.0, [(0, 3), (0, 1)], 3.0, 4.0, true));
}

/// Each rank has a queue and rows of its own: the second prompt of rank 0 waits for the first request there
/// although rank 1 is free, and rank 1 takes part in its step without work.
#[test]
fn a_rank_does_not_help_another() {
    let rows = vec![row(0, 0.0, 10, 2), row(1, 0.0, 10, 1), row(2, 0.0, 10, 1)];
    let (report, steps, tokens) = watched(rows, &[("deployment.max_running_requests", "2")]);
    let done: Vec<_> = steps.iter().map(|step| (step.0, step.2)).collect();
    assert_eq!(
        done,
        [(0.0, [(10, 0), (10, 0)]), (3.0, [(0, 1), (0, 0)]), (4.0, [(10, 0), (0, 0)])]
    );
    assert_eq!(tokens, [vec![3.0, 4.0], vec![3.0], vec![7.0]]);
    assert_eq!(report.requests[RequestId(2).index()].queue_time().unwrap().get(), 4.0);
}

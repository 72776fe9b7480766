//! Laws of the recursion on random systems.

use proptest::collection::vec;
use proptest::prelude::*;

use super::*;

/// For each instant: what it waits for (as shares of those before it), and what it takes.
type Plan = Vec<(Vec<f64>, f64)>;

fn plans() -> impl Strategy<Value = (Plan, Vec<f64>)> {
    let plan = vec((vec(0.0..1.0_f64, 0..4), 0.0..10.0_f64), 1..40);
    plan.prop_flat_map(|plan| {
        let others = vec(0.0..10.0_f64, plan.len());
        (Just(plan), others)
    })
}

/// The system, every instant of which takes a step of its own.
fn graph(plan: &Plan) -> (Graph, Vec<NodeId>) {
    let mut graph = Graph::default();
    let mut nodes: Vec<NodeId> = Vec::new();
    for (number, (shares, _)) in plan.iter().enumerate() {
        let before = |share: &f64| nodes.get((share * nodes.len() as f64) as usize).copied();
        let waits_for: Vec<NodeId> = shares.iter().filter_map(before).collect();
        graph.steps.push(Step { pool: 0, features: StepFeatures::default() });
        nodes.push(graph.push(waits_for, Take::Step(u32::try_from(number).unwrap())));
    }
    (graph, nodes)
}

fn sum(weights: &Weights, durations: &[f64]) -> f64 {
    weights.constant + weights.steps.iter().zip(durations).map(|(w, t)| w * t).sum::<f64>()
}

proptest! {
    /// Walking back gives the instants themselves; at other durations it gives no more than the
    /// recursion, because each instant is the greatest of such sums.
    #[test]
    fn walks_are_values_and_lower_bounds((plan, others) in plans()) {
        let (graph, nodes) = graph(&plan);
        let durations = |steps: Vec<f64>| Durations { steps, transfers: Vec::new() };
        let own: Vec<f64> = plan.iter().map(|(_, takes)| *takes).collect();
        let at = graph.run(&durations(own.clone()));
        let there = graph.run(&durations(others.clone()));
        let ends: Vec<(NodeId, f64)> = nodes.iter().map(|node| (*node, 0.5)).collect();
        let weights = graph.walk_back(&ends, &at);
        let value = |at: &[f64]| ends.iter().map(|(node, w)| w * instant(at, *node)).sum::<f64>();
        prop_assert!((sum(&weights, &own) - value(&at)).abs() <= 1e-12 * (1.0 + value(&at)));
        prop_assert!(sum(&weights, &others) <= value(&there) * (1.0 + 1e-12));
    }
}

#[test]
fn the_first_of_equals_decides() {
    let mut graph = Graph::default();
    for _ in 0..2 {
        graph.steps.push(Step { pool: 0, features: StepFeatures::default() });
    }
    let (a, b) = (graph.push([], Take::Step(0)), graph.push([], Take::Step(1)));
    let end = graph.push([b, a], Take::Fixed(2.0));
    let at = graph.run(&Durations { steps: vec![3.0, 3.0], transfers: Vec::new() });
    assert_eq!(instant(&at, end), 5.0);
    let weights = graph.walk_back(&[(end, 1.0)], &at);
    assert_eq!((weights.constant, weights.steps), (2.0, vec![0.0, 1.0]));
}

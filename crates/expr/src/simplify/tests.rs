//! Every rule alone, at points where its condition is proven and where it only seems to hold.

use std::time::Duration;

use egg::{ENodeOrVar, Language, RecExpr, Runner};
use proptest::prelude::*;
use sglsim_units::HashMap;

use super::analysis::Analyst;
use super::language::{Graph, Leaf, Term};
use super::rules::{self, Rule};
use crate::facts::Facts;
use crate::math;
use crate::node::Id as NodeId;

const VALUES: [f64; 9] = [-1e6, -2.0, -1.0, 0.0, 0.5, 1.0, 2.0, 3.0, 1e6];

/// A leaf's value and how much is known about it.
fn leaf() -> impl Strategy<Value = (f64, Facts)> {
    (prop::sample::select(&VALUES[..]), 0..5u8).prop_map(|(value, knowledge)| {
        let facts = match knowledge {
            0 => Facts::constant(value, value.fract() == 0.0),
            1 if value >= 0.0 => Facts { lo: 0.0, ..Facts::any() },
            2 if value > 0.0 => Facts { lo: 0.0, nonzero: true, ..Facts::any() },
            3 => Facts { lo: value - 1.0, hi: value + 0.5, ..Facts::any() },
            _ => Facts::any(),
        };
        (value, facts.settled())
    })
}

/// The left side of a rule with its variables replaced by leaves `0, 1, …`; guards come last.
fn left_side(rule: &Rule) -> RecExpr<Term> {
    let pattern = rule.searcher.get_pattern_ast().expect("every rule searches a pattern");
    let mut names = Vec::new();
    let mut term = RecExpr::default();
    for node in pattern {
        term.add(match node {
            ENodeOrVar::ENode(node) => node.clone(),
            ENodeOrVar::Var(variable) => {
                let at = names.iter().position(|name| name == variable).unwrap_or_else(|| {
                    names.push(*variable);
                    names.len() - 1
                });
                let guard = 8 * u32::from(variable.to_string() == "?p");
                Term::Leaf(Leaf(NodeId(u32::try_from(at).unwrap() + guard)))
            }
        });
    }
    term
}

fn operate(
    term: &Term,
    values: &HashMap<egg::Id, f64>,
    leaves: &HashMap<NodeId, f64>,
) -> Option<f64> {
    let mut operands = Vec::new();
    for child in term.children() {
        operands.push(*values.get(child)?);
    }
    Some(match (term, operands.as_slice()) {
        (Term::Constant(c), _) => c.0.to_f64(),
        (Term::Leaf(leaf), _) => leaves[&leaf.0],
        (Term::Add(_), [a, b]) => a + b,
        (Term::Mul(_), [a, b]) => a * b,
        (Term::Recip(_), [a]) => 1.0 / a,
        (Term::Power(_), [a, e]) => math::pow(*a, *e),
        (Term::Max(_), [a, b]) => math::max(*a, *b),
        (Term::Min(_), [a, b]) => math::min(*a, *b),
        (Term::If(_), [p, a, b]) => {
            if *p != 0.0 {
                *a
            } else {
                *b
            }
        }
        _ => unreachable!("children match the operation"),
    })
}

/// Whether all terms of every class have one value, starting from what was there first.
fn consistent(graph: &Graph, leaves: &HashMap<NodeId, f64>, start: &[(egg::Id, f64)]) -> bool {
    let mut values: HashMap<egg::Id, f64> = HashMap::default();
    for (id, value) in start {
        values.insert(graph.find(*id), *value);
    }
    for _ in 0..12 {
        for class in graph.classes() {
            for term in class.iter() {
                let canonical = term.clone().map_children(|child| graph.find(child));
                let Some(value) = operate(&canonical, &values, leaves) else { continue };
                let known = *values.entry(class.id).or_insert(value);
                if known.is_finite() && (known - value).abs() > 1e-9 * known.abs().max(1e-9) {
                    return false;
                }
            }
        }
    }
    true
}

fn check(rules: &[Rule], term: &RecExpr<Term>, leaves: &[(f64, Facts)], guard: bool) -> bool {
    let mut values: HashMap<NodeId, f64> = HashMap::default();
    let mut facts: HashMap<NodeId, Facts> = HashMap::default();
    for (at, (value, known)) in leaves.iter().enumerate() {
        for (id, value, known) in
            [(at, *value, *known), (at + 8, f64::from(u8::from(guard)), Facts::boolean())]
        {
            let id = NodeId(u32::try_from(id).unwrap());
            values.insert(id, value);
            facts.insert(id, known);
        }
    }
    let mut graph = Graph::new(Analyst::with_leaves(facts));
    let mut start = Vec::new();
    let mut ids: Vec<egg::Id> = Vec::new();
    let mut tree: HashMap<egg::Id, f64> = HashMap::default();
    for node in term {
        let node = node.clone().map_children(|child| ids[usize::from(child)]);
        let id = graph.add(node.clone());
        let value = operate(&node, &tree, &values).unwrap();
        ids.push(id);
        tree.insert(id, value);
        start.push((id, value));
    }
    if !tree.values().all(|value| value.is_finite()) {
        return true;
    }
    let runner = Runner::<Term, Analyst>::new(Analyst::default())
        .with_egraph(graph)
        .with_iter_limit(3)
        .with_node_limit(500)
        .with_time_limit(Duration::MAX)
        .run(rules);
    !runner.egraph.analysis.contradiction && consistent(&runner.egraph, &values, &start)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(200))]

    #[test]
    fn each_rule_keeps_the_value(leaves in prop::collection::vec(leaf(), 8), guard: bool) {
        for rule in rules::all() {
            let term = left_side(&rule);
            let name = rule.name;
            prop_assert!(check(&[rule], &term, &leaves, guard), "{}: {}", name, term);
        }
    }

    #[test]
    fn all_rules_together_keep_the_value(
        leaves in prop::collection::vec(leaf(), 8),
        guard: bool,
        which in 0..30usize,
    ) {
        let rules = rules::all();
        let term = left_side(&rules[which % rules.len()]);
        prop_assert!(check(&rules, &term, &leaves, guard), "{}", term);
    }
}

/// The check must be able to fail: a rule without its condition is caught.
#[test]
fn an_unsound_rule_is_caught() {
    let unsound: Rule =
        egg::rewrite!("unsound"; "(max (* ?c ?a) (* ?c ?b))" => "(* ?c (max ?a ?b))");
    let term = left_side(&unsound);
    let leaves = [(-2.0, Facts::any()), (1.0, Facts::any()), (3.0, Facts::any())];
    assert!(!check(&[unsound], &term, &leaves, true));
}
